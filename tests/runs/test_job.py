import csv
import dataclasses
import json
import signal

import pytest
import torch

from common import config
from common.config import SGD, WSD, Constant, Continual, Digits, Gradients, Sharpness
from common.runs import checkpoint, records
from common.runs.job import FORMAT, Interrupted, Job, train
from common.runs.parent import Parent
from common.runs.place import FILES, Place
from common.training import process
from common.training.loop import Training


def make(results, run, name="run", **given) -> Job:
    place = Place("study", name, results)
    return Job(place=place, run=run, code="code", scale="default", **({"save_seconds": 1e9} | given))


def record_of(made: Job) -> dict:
    return json.loads(made.place.record.read_text())


def rows_of(made: Job) -> list[dict[str, str]]:
    with made.place.metrics.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def handlers():
    """Jobs set signal handlers; the test process keeps its own."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_job_leaves_its_three_files_and_says_what_it_did(tmp_path, text_run):
    made = make(tmp_path, text_run)
    train(made)
    assert sorted(path.name for path in made.place.folder.iterdir()) == sorted(FILES)
    record = record_of(made)
    assert (record["status"], record["updates"], record["lineage_updates"], record["start_step"]) == (
        "complete",
        12,
        12,
        0,
    )
    assert record["tokens_per_second"] == pytest.approx(12 * 4 * 16 / record["seconds"], rel=0.001 / record["seconds"])
    assert len(rows_of(made)) == 13
    assert checkpoint.labels(made.place.state) == ["final"]


def test_a_record_says_its_format_and_every_field(tmp_path, digits_run):
    about = {"study": "study", "name": "run", "code": "code", "scale": "default", "save_seconds": 1e9}
    made = Job.from_plain({**about, "results": str(tmp_path), "run": config.identity(digits_run)})
    assert made == make(tmp_path, dataclasses.replace(digits_run, name="run"))
    train(made)
    record = record_of(made)
    assert record["format"] == FORMAT == 2
    assert record["description"] == config.to_dict(made.run)
    assert (record["description"]["name"], record["description"]["parent"]) == ("run", None)
    assert config.run_from_dict(record["description"]) == made.run


def test_a_branch_continues_a_kept_state_and_counts_the_lineage(tmp_path, text_run):
    trunk = dataclasses.replace(text_run, schedule=Constant(warmup_steps=2), keep_steps=(8,))
    branch = dataclasses.replace(text_run, steps=4, schedule=WSD(decay_steps=4), parent="trunk", parent_step=8)
    whole = make(tmp_path, text_run, "whole")
    for made in (make(tmp_path, trunk, "trunk"), make(tmp_path, branch, "branch"), whole):
        train(made)
    child = make(tmp_path, branch, "branch")
    assert (record_of(child)["start_step"], record_of(child)["lineage_updates"]) == (8, 12)
    assert [row["step"] for row in rows_of(child)] == ["8", "9", "10", "11", "12"]
    assert rows_of(child)[1:] == rows_of(whole)[9:]


def test_members_of_a_sweep_are_rows_with_their_values(tmp_path, digits_run):
    run = dataclasses.replace(digits_run, steps=3, sweep={"lr": (0.05, 0.1), "seed": (2, 3)})
    made = make(tmp_path, run)
    train(made)
    rows = rows_of(made)
    assert [(row["member"], row["lr"], row["seed"]) for row in rows[::4]] == [
        ("0", "0.05", "2"), ("1", "0.05", "3"), ("2", "0.1", "2"), ("3", "0.1", "3"),
    ]  # fmt: skip
    assert [member["swept"] for member in record_of(made)["members"]][1] == {"lr": 0.05, "seed": 3}
    single = make(tmp_path, dataclasses.replace(digits_run, steps=3, lr=0.1, seed=3), "single")
    train(single)
    assert [row["train_loss"] for row in rows[12:]] == [row["train_loss"] for row in rows_of(single)]


def test_a_stack_keeps_every_member(tmp_path, digits_run):
    run = dataclasses.replace(
        digits_run, steps=4, keep_steps=(2,), log_every=2, sweep={"lr": (0.01, 0.05), "seed": (2, 3)}, stacked=True
    )
    made = make(tmp_path, run)
    train(made)
    assert [(row["step"], row["member"], row["lr"], row["seed"]) for row in rows_of(made)[4:8]] == [
        ("2", "0", "0.01", "2"), ("2", "1", "0.01", "3"), ("2", "2", "0.05", "2"), ("2", "3", "0.05", "3"),
    ]  # fmt: skip
    assert [member["updates"] for member in record_of(made)["members"]] == [4] * 4
    labels = checkpoint.labels(made.place.state)
    assert sorted(labels) == sorted(f"{index}/{name}" for index in range(4) for name in ("2", "final"))


def test_divergence_is_recorded_and_inherited(tmp_path, digits_run):
    wild = dataclasses.replace(digits_run, lr=1e20, optimizer=SGD(), steps=50)
    child = dataclasses.replace(wild, lr=0.1, parent="wild")
    for made in (make(tmp_path, wild, "wild"), make(tmp_path, child, "child")):
        train(made)
    assert record_of(make(tmp_path, wild, "wild"))["status"] == "diverged"
    inherited = record_of(make(tmp_path, child, "child"))
    assert inherited["status"] == "diverged" and "its parent wild diverged" in inherited["reason"]
    assert (inherited["updates"], inherited["tokens_per_second"]) == (0, None)


@pytest.mark.parametrize("stacked", [False, True])
def test_members_continue_the_members_of_their_parent(tmp_path, digits_run, stacked):
    seeds = {"seed": (2, 3, 4)}
    trunk = dataclasses.replace(digits_run, steps=4, keep_steps=(3,), sweep=seeds, stacked=stacked)
    branch = dataclasses.replace(
        digits_run, steps=2, parent="trunk", parent_step=3, sweep={"seed": (4, 2)}, stacked=stacked
    )
    for name, run in (("trunk", trunk), ("branch", branch)):
        train(make(tmp_path, run, name))
    for index, seed in enumerate((4, 2)):
        alone = [dataclasses.replace(run, seed=seed, sweep=None, stacked=False) for run in (trunk, branch)]
        folder = tmp_path / str(seed)
        for name, run in zip(("trunk", "branch"), alone, strict=True):
            train(make(folder, run, name))
        own = [row for row in rows_of(make(tmp_path, branch, "branch")) if row["member"] == str(index)]
        wanted = rows_of(make(folder, alone[1], "branch"))
        assert [row["step"] for row in own] == [row["step"] for row in wanted] == ["3", "4", "5"]
        losses = [[float(row["val_loss"]) for row in rows[::2]] for rows in (own, wanted)]
        assert losses[0] == (pytest.approx(losses[1], rel=1e-5) if stacked else losses[1])
    record = record_of(make(tmp_path, branch, "branch"))
    assert (record["start_step"], record["updates"], record["lineage_updates"]) == (3, 4, 10)


def test_one_run_continues_the_member_with_its_values_and_many_one_run(tmp_path, digits_run):
    trunk = dataclasses.replace(digits_run, steps=2, sweep={"lr": (0.05, 0.1)})
    child = dataclasses.replace(digits_run, steps=1, lr=0.1, parent="trunk")
    fan = dataclasses.replace(digits_run, steps=1, parent="child", sweep={"lr": (0.01, 0.02)})
    for name, run in (("trunk", trunk), ("child", child), ("fan", fan)):
        train(make(tmp_path, run, name))
    last = {row["member"]: row["val_loss"] for row in rows_of(make(tmp_path, trunk, "trunk"))}
    child_rows = rows_of(make(tmp_path, child, "child"))
    assert child_rows[0]["val_loss"] == last["1"] != last["0"]
    starts = [row["val_loss"] for row in rows_of(make(tmp_path, fan, "fan")) if row["step"] == "3"]
    assert starts == [child_rows[-1]["val_loss"]] * 2


def test_only_the_members_of_a_diverged_member_have_nothing_to_continue(tmp_path, digits_run):
    wild = dataclasses.replace(digits_run, optimizer=SGD(), steps=50, sweep={"lr": (1e20, 0.01)})
    child = dataclasses.replace(wild, steps=2, parent="wild")
    for name, run in (("wild", wild), ("child", child)):
        train(make(tmp_path, run, name))
    record = record_of(make(tmp_path, child, "child"))
    assert [(member["status"], member["updates"]) for member in record["members"]] == [("diverged", 0), ("complete", 2)]
    assert "its parent wild diverged" in record["members"][0]["reason"]
    assert {row["member"] for row in rows_of(make(tmp_path, child, "child"))} == {"1"}


def branch_of(run, **fields):
    return dataclasses.replace(run, steps=4, schedule=WSD(decay_steps=4), parent="trunk", parent_step=8, **fields)


def test_a_branch_takes_over_what_its_parent_measured(tmp_path, text_run, monkeypatch):
    """The same number as measuring again, without measuring."""
    train(make(tmp_path, dataclasses.replace(text_run, schedule=Constant(warmup_steps=2), keep_steps=(8,)), "trunk"))
    with monkeypatch.context() as patch:
        patch.setattr(Parent, "inherited", lambda *_: {})
        train(make(tmp_path, branch_of(text_run), "measured"))
    calls, evaluate = [], Training.evaluate
    monkeypatch.setattr(Training, "evaluate", lambda self: calls.append(self.done) or evaluate(self))
    train(make(tmp_path, branch_of(text_run), "taken"))
    assert calls == [4]
    measured, taken = (Place("study", name, tmp_path).metrics.read_bytes() for name in ("measured", "taken"))
    assert measured == taken


@pytest.mark.parametrize("change", ["data", "weights", "precision"])
def test_a_branch_measures_itself_where_the_parent_measured_something_else(tmp_path, text_run, monkeypatch, change):
    train(make(tmp_path, dataclasses.replace(text_run, schedule=Constant(warmup_steps=2), keep_steps=(8,)), "trunk"))
    fields = {
        "data": {"data": dataclasses.replace(text_run.data, validation_windows=4)},
        "weights": {"reset": ("weights", "optimizer")},
        "precision": {"precision": "bf16"},
    }[change]
    calls, evaluate = [], Training.evaluate
    monkeypatch.setattr(Training, "evaluate", lambda self: calls.append(self.done) or evaluate(self))
    train(make(tmp_path, branch_of(text_run, **fields), "branch"))
    assert calls == [0, 4]


def interrupted(made: Job, after: int, monkeypatch) -> None:
    """Run a job until SIGTERM comes after so many rows."""
    append = records.Rows.append

    def count(self, row):
        append(self, row)
        if row["step"] >= after:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(records.Rows, "append", count)
        with pytest.raises(Interrupted, match=r"^stopped after update \d+; its state is saved$"):
            train(made)


def test_a_member_that_diverged_before_an_interruption_stays_so(tmp_path, digits_run, monkeypatch):
    run = dataclasses.replace(digits_run, optimizer=SGD(), sweep={"lr": (0.05, 1e20)}, stacked=True, steps=40)
    calm, stopped = make(tmp_path, run, "calm"), make(tmp_path, run, "stopped")
    train(calm)
    interrupted(stopped, 30, monkeypatch)
    train(stopped)
    assert record_of(calm)["members"][1]["status"] == "diverged"
    assert record_of(stopped)["members"] == record_of(calm)["members"]
    assert stopped.place.metrics.read_bytes() == calm.place.metrics.read_bytes()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sweep": {"lr": (0.01, 0.02)}},
        {"sweep": {"lr": (0.01, 0.02)}, "stacked": True},
        {"average": 0.9, "evaluate_every": 1, "sweep": {"lr": (0.01, 0.02)}},
    ],
)
def test_a_stopped_job_goes_on_to_the_same_bytes(tmp_path, text_run, monkeypatch, fields):
    run = dataclasses.replace(text_run, keep_steps=(3,), **fields)
    calm, stopped = make(tmp_path, run, "calm"), make(tmp_path, run, "stopped")
    train(calm)
    interrupted(stopped, 5, monkeypatch)
    begun = json.loads((stopped.place.progress / "run.json").read_text())
    train(stopped)
    assert stopped.place.metrics.read_bytes() == calm.place.metrics.read_bytes()
    assert record_of(stopped)["started_ms"] == begun["started_ms"]
    for label in checkpoint.labels(calm.place.state):
        left, right = (checkpoint.load(made.place.state, label).tensors for made in (calm, stopped))
        assert all(torch.equal(left[name], right[name]) for name in left)


def test_under_a_scheduler_each_attempt_that_went_into_a_run_is_recorded(tmp_path, digits_run, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    calm, stopped = make(tmp_path, digits_run, "calm"), make(tmp_path, digits_run, "stopped")
    train(calm)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    interrupted(stopped, 3, monkeypatch)
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    train(stopped)
    assert "attempts" not in record_of(calm)
    assert record_of(stopped)["attempts"] == [{"host": "n1", "slurm_job": "7"}, {"host": "n1", "slurm_job": "8"}]
    assert stopped.place.metrics.read_bytes() == calm.place.metrics.read_bytes()
    assert stopped.place.state.read_bytes() == calm.place.state.read_bytes()


def test_a_compiled_job_ends_in_the_same_bytes_compiled_anew_and_after_a_stop(tmp_path, digits_run, monkeypatch):
    if not process.compiles(run := dataclasses.replace(digits_run, compile=True)):
        pytest.skip("torch.compile needs a C++ compiler")
    calm, stopped = make(tmp_path, run, "calm"), make(tmp_path, run, "stopped")
    train(calm)
    torch.compiler.reset()
    interrupted(stopped, 5, monkeypatch)
    torch.compiler.reset()
    train(stopped)
    assert stopped.place.metrics.read_bytes() == calm.place.metrics.read_bytes()
    assert record_of(calm)["compiled"]


def test_without_a_compiler_a_compiled_job_says_so_and_trains_as_it_is(tmp_path, digits_run, monkeypatch, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    plain = make(tmp_path, digits_run, "plain")
    compiled = make(tmp_path, dataclasses.replace(digits_run, compile=True), "compiled")
    train(plain)
    train(compiled)
    message = "study/compiled: compile=True needs a C++ compiler (g++, or CXX); it trains as with compile=False"
    assert capsys.readouterr().err.splitlines() == [message]
    assert compiled.place.metrics.read_bytes() == plain.place.metrics.read_bytes()
    assert record_of(compiled)["compiled"] is False and "compiled" not in record_of(plain)


def test_a_stopped_job_measures_sharpness_as_if_it_had_not_been(tmp_path, digits_run, monkeypatch):
    """Measurements start from each other, so what the probe remembers is saved too."""
    run = dataclasses.replace(digits_run, probes=(Sharpness(every=2, examples=50),))
    calm, stopped = make(tmp_path, run, "calm"), make(tmp_path, run, "stopped")
    train(calm)
    interrupted(stopped, 5, monkeypatch)
    train(stopped)
    assert stopped.place.metrics.read_bytes() == calm.place.metrics.read_bytes()
    products = [int(row["sharpness_products"]) for row in rows_of(calm) if row["sharpness_products"]]
    assert len(products) == 6 and max(products[1:]) < products[0]


OLD = Digits(rotation=30)


@pytest.mark.parametrize(
    "parts",
    [
        {"replay": "memory", "memory": 20, "projection": "gem", "ramp_steps": 4},
        {"distillation": 1.0, "temperature": 2.0},
        {"replay": "all", "consolidation": 5.0, "fisher_examples": 30},
    ],
)
def test_a_stopped_job_remembers_its_past_tasks(tmp_path, digits_run, monkeypatch, parts):
    train(make(tmp_path, dataclasses.replace(digits_run, data=OLD, watched={"new": digits_run.data}), "base"))
    probe = Gradients(every=2, examples=50)
    run = dataclasses.replace(
        digits_run,
        parent="base",
        watched={"old": OLD},
        evaluate_every=1,
        continual=Continual(past=(OLD,), **parts),
        probes=(probe,),
        log_every=3,
    )
    calm, stopped = make(tmp_path, run, "calm"), make(tmp_path, run, "stopped")
    train(calm)
    interrupted(stopped, 15, monkeypatch)
    train(stopped)
    assert stopped.place.metrics.read_bytes() == calm.place.metrics.read_bytes()
    left, right = (checkpoint.load(made.place.state, "final").tensors for made in (calm, stopped))
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert not [name for name in left if name.startswith("retention.")]


def test_the_end_of_a_task_is_the_start_of_the_next(tmp_path, digits_run):
    """Columns change places where the data do, and the numbers at the switch do not."""
    train(make(tmp_path, dataclasses.replace(digits_run, data=OLD, watched={"new": digits_run.data}), "base"))
    run = dataclasses.replace(digits_run, parent="base", watched={"old": OLD}, evaluate_every=1)
    made = make(tmp_path, run, "branch")
    train(made)
    last, first = rows_of(make(tmp_path, run, "base"))[-1], rows_of(made)[0]
    assert last["step"] == first["step"] == "10"
    for what in ("loss", "accuracy"):
        assert (last[f"val_{what}"], last[f"val_{what}_new"]) == (first[f"val_{what}_old"], first[f"val_{what}"])
    assert [each["name"] for each in record_of(made)["other_data"]] == ["digits"]


@pytest.mark.parametrize(("watched", "measured"), [({"old": OLD}, [10]), ({"other": OLD}, [0, 10]), (None, [0, 10])])
def test_a_start_is_measured_again_where_other_sets_are_watched(tmp_path, digits_run, monkeypatch, watched, measured):
    train(make(tmp_path, dataclasses.replace(digits_run, watched={"old": OLD}), "base"))
    run = dataclasses.replace(digits_run, parent="base", watched=watched)
    calls, evaluate = [], Training.evaluate
    monkeypatch.setattr(Training, "evaluate", lambda self: calls.append(self.done) or evaluate(self))
    made = make(tmp_path, run, "branch")
    train(made)
    assert calls == measured
    assert all(rows_of(made)[0].values()) or not rows_of(made)[0]["train_loss"]
    assert {name for name, value in rows_of(made)[0].items() if name.startswith("val_") and not value} == set()


@pytest.mark.parametrize(
    ("before", "after", "measured"), [(0.8, 0.8, [10]), (0.8, 0.3, [10]), (None, 0.8, [0, 10]), (0.8, None, [10])]
)
def test_a_branch_starts_with_the_losses_of_its_average(tmp_path, digits_run, monkeypatch, before, after, measured):
    """The same numbers as measuring again, whatever the parent kept."""
    train(make(tmp_path, dataclasses.replace(digits_run, average=before), "base"))
    branch = dataclasses.replace(digits_run, parent="base", average=after)
    with monkeypatch.context() as patch:
        patch.setattr(Parent, "inherited", lambda *_: {})
        train(make(tmp_path, branch, "measured"))
    calls, evaluate = [], Training.evaluate
    monkeypatch.setattr(Training, "evaluate", lambda self: calls.append(self.done) or evaluate(self))
    train(make(tmp_path, branch, "taken"))
    assert calls == measured
    files = [Place("study", name, tmp_path).metrics for name in ("measured", "taken")]
    assert files[0].read_bytes() == files[1].read_bytes()
    first = rows_of(make(tmp_path, branch, "taken"))[0]
    assert ("average_val_loss" in first) == (after is not None)
    if after:
        assert (first["average_val_loss"] == first["val_loss"]) == (before is None)


FEW = {"continual": Continual(past=(Digits(classes=(0, 1)),))}


@pytest.mark.parametrize(("before", "after", "measured"), [(FEW, {}, [10]), ({}, FEW, [0, 10]), (FEW, FEW, [10])])
def test_a_start_takes_over_what_it_would_measure(tmp_path, digits_run, monkeypatch, before, after, measured):
    train(make(tmp_path, dataclasses.replace(digits_run, **before), "base"))
    calls, evaluate = [], Training.evaluate
    monkeypatch.setattr(Training, "evaluate", lambda self: calls.append(self.done) or evaluate(self))
    made = make(tmp_path, dataclasses.replace(digits_run, parent="base", **after), "branch")
    train(made)
    assert calls == measured
    first = {name: value for name, value in rows_of(made)[0].items() if "val_" in name}
    assert all(first.values()) and ("val_accuracy_within" in first) == (after == FEW)


@pytest.mark.parametrize("fault", ["flip", "truncate", "rows cut", "rows gone", "record cut", "other code"])
def test_a_state_that_does_not_fit_is_not_used(tmp_path, text_run, monkeypatch, capsys, fault):
    calm, stopped = make(tmp_path, text_run, "calm"), make(tmp_path, text_run, "stopped")
    train(calm)
    interrupted(stopped, 5, monkeypatch)
    record, rows, file = (stopped.place.progress / name for name in FILES)
    content = bytearray(file.read_bytes())
    if fault == "flip":
        content[-3] ^= 4
    elif fault == "truncate":
        del content[len(content) // 2 :]
    elif fault == "rows cut":
        rows.write_bytes(rows.read_bytes()[:-1])
    elif fault == "rows gone":
        rows.unlink()
    elif fault == "record cut":
        record.write_bytes(record.read_bytes()[:-20])
    else:
        stopped = dataclasses.replace(stopped, code="other")
    file.write_bytes(content)
    train(stopped)
    assert stopped.place.metrics.read_bytes() == calm.place.metrics.read_bytes()
    assert ("training starts from the beginning" in capsys.readouterr().err) == (fault != "other code")


def full_disk(monkeypatch, owner, name: str, *, calls: int) -> None:
    """From the given call on, a function finds no room; a row is written by half."""
    whole, left = getattr(owner, name), iter(range(calls - 1))

    def write(*given, **named):
        if next(left, None) is not None:
            return whole(*given, **named)
        if name == "append":
            given[0].file.write("9,0.")
            given[0].file.flush()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(owner, name, write)


@pytest.mark.parametrize(
    ("owner", "name", "calls", "rows_again"),
    [
        (records.Rows, "append", 7, 7),
        (checkpoint, "save_file", 6, 8),
        (checkpoint, "save_file", 14, 0),
        (records, "write_json", 2, 0),
        (records, "publish", 1, 13),
    ],
)
def test_a_full_disk_publishes_nothing_half_and_with_room_the_job_goes_on(
    tmp_path, text_run, monkeypatch, owner, name, calls, rows_again
):
    calm, full = (make(tmp_path, text_run, run, save_seconds=0) for run in ("calm", "full"))
    train(calm)
    with monkeypatch.context() as patch:
        full_disk(patch, owner, name, calls=calls)
        with pytest.raises(OSError, match="No space left on device"):
            train(full)
    assert [path.name for path in full.place.folder.iterdir()] == ["progress"]
    trained, append = [], records.Rows.append
    monkeypatch.setattr(records.Rows, "append", lambda self, row: (trained.append(row["step"]), append(self, row)))
    train(full)
    assert trained == list(range(13 - rows_again, 13))
    assert full.place.metrics.read_bytes() == calm.place.metrics.read_bytes()
    assert sorted(path.name for path in full.place.folder.iterdir()) == sorted(FILES)


def test_what_a_kill_left_beside_a_saved_state_takes_no_room_for_long(tmp_path, text_run, monkeypatch):
    made = make(tmp_path, text_run)
    interrupted(made, 5, monkeypatch)
    for name in (".tmpCBpwp2", "run.json.123.tmp"):
        (made.place.progress / name).write_bytes(b"half")
    interrupted(made, 8, monkeypatch)
    assert sorted(path.name for path in made.place.progress.iterdir()) == sorted([*FILES, "lock"])
