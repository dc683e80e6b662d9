import os
import random
import stat

import pytest
import torch

from common.runs import checkpoint
from common.runs.checkpoint import DamagedState
from common.training.loop import State


@pytest.fixture
def states():
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "model.w": torch.randn(3, 4, generator=generator),
        "model.empty": torch.empty(0),
        "optimizer.step": torch.tensor(7.0, dtype=torch.float64),
        "optimizer.count": torch.tensor([3, 4]),
    }
    return {"final": State(tensors, step=12, position=48), "5": State({"model.w": torch.ones(2)}, step=5, position=20)}


def same(left: State, right: State) -> bool:
    return (left.step, left.position, list(left.tensors)) == (right.step, right.position, list(right.tensors)) and all(
        torch.equal(left.tensors[name], right.tensors[name]) and left.tensors[name].dtype == right.tensors[name].dtype
        for name in left.tensors
    )


def test_states_read_back_exactly(tmp_path, states):
    file = tmp_path / "state.safetensors"
    checkpoint.save(file, states, about={"rows": 3})
    assert sorted(checkpoint.labels(file)) == ["5", "final"]
    assert checkpoint.about(file) == {"rows": 3}
    for label, state in states.items():
        read = checkpoint.load(file, label)
        assert same(State(dict(sorted(read.tensors.items())), read.step, read.position), sorted_state(state))


def sorted_state(state: State) -> State:
    return State(dict(sorted(state.tensors.items())), state.step, state.position)


def test_tied_tensors_and_views_are_kept_whole_and_each_for_itself(tmp_path):
    weight = torch.arange(6.0).view(2, 3)
    network = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), torch.nn.Linear(3, 2, bias=False))
    network[0].weight = network[1].weight = torch.nn.Parameter(weight)
    tensors = dict(network.state_dict()) | {
        "transposed": weight.t(),
        "a row": weight[1],
        "for all": weight[:1].expand(4, 3),
    }
    checkpoint.save(tmp_path / "s", {"final": State(tensors, step=1, position=2)})
    read = checkpoint.load(tmp_path / "s", "final")
    assert same(sorted_state(read), sorted_state(State(tensors, 1, 2)))
    fresh = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), torch.nn.Linear(3, 2, bias=False))
    fresh[0].weight = fresh[1].weight
    fresh.load_state_dict({name: tensor for name, tensor in read.tensors.items() if name.endswith("weight")})
    assert fresh[0].weight is fresh[1].weight and torch.equal(fresh[0].weight, weight)


def test_equal_states_give_equal_bytes_and_leave_no_temporary_file(tmp_path, states):
    for name in ("a", "b"):
        checkpoint.save(tmp_path / name, states)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_who_may_read_the_other_files_of_a_run_may_read_its_state(tmp_path, states):
    before = os.umask(0o027)
    try:
        checkpoint.save(tmp_path / "s", states)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o640


def test_a_missing_label_is_named(tmp_path, states):
    checkpoint.save(tmp_path / "s", states)
    with pytest.raises(LookupError, match="no state '6'; it has 5, final"):
        checkpoint.load(tmp_path / "s", "6")


def load_everything(file):
    for label in checkpoint.labels(file):
        checkpoint.load(file, label)


def test_every_truncation_and_bit_flip_is_noticed(tmp_path, states):
    file = tmp_path / "s"
    checkpoint.save(file, states)
    whole = file.read_bytes()
    chance = random.Random(0)
    for _ in range(200):
        file.write_bytes(whole[: chance.randrange(len(whole))])
        with pytest.raises(DamagedState):
            load_everything(file)
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        try:
            load_everything(file)
        except (DamagedState, LookupError):
            continue
        # a flip in padding of the header changes no value
        assert all(same(sorted_state(checkpoint.load(file, label)), sorted_state(states[label])) for label in states)


def test_another_format_is_refused(tmp_path, states, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    checkpoint.save(tmp_path / "s", states)
    monkeypatch.undo()
    with pytest.raises(DamagedState, match="format 99"):
        checkpoint.load(tmp_path / "s", "final")
