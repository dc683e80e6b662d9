"""Members side by side: the same training as one by one, to rounding."""

import dataclasses

import pytest

from common import data
from common.config import (
    MLP,
    SGD,
    AdamW,
    Convnet,
    Corpus,
    DescriptionError,
    Norms,
    Run,
    ScheduleFree,
    Transformer,
    members,
)
from common.data import corpora
from common.training.loop import Training
from common.training.vectorised import together


def swept(run: Run, **fields) -> Run:
    return dataclasses.replace(run, sweep={"lr": (0.01, 0.05), "seed": (2, 3)}, stacked=True, **fields)


def rows_of_each(run: Run, dataset) -> list[list[dict]]:
    """Rows of every member of a stacked sweep."""
    trainings = [Training(member, dataset) for member in members(run)]
    found: list[list[dict]] = [[] for _ in trainings]
    for rows in together(trainings):
        for place, row in rows.items():
            found[place].append(row)
    return found


RULES = [
    SGD(momentum=0.9, nesterov=True, weight_decay=0.01),
    SGD(clip=0.1),
    AdamW(clip=1.0),
    ScheduleFree(),
]


@pytest.mark.parametrize("optimizer", RULES, ids=lambda rule: rule.kind)
def test_members_train_as_alone(digits_run, optimizer):
    run = swept(digits_run, optimizer=optimizer, steps=6, evaluate_every=3, probes=(Norms(every=2),))
    dataset = data.load(run.data, corpora=None)
    for member, rows in zip(members(run), rows_of_each(run, dataset), strict=True):
        alone = list(Training(member, dataset))
        assert [row.keys() for row in rows] == [row.keys() for row in alone]
        for row, wanted in zip(rows, alone, strict=True):
            assert row == pytest.approx(wanted, rel=2e-5, abs=1e-7)


@pytest.mark.parametrize("norm", ["layernorm", "batchnorm"])
def test_normalised_members_train_as_alone(digits_run, norm):
    run = swept(digits_run, model=MLP(width=8, depth=3, norm=norm), steps=4)
    dataset = data.load(run.data, corpora=None)
    for member, rows in zip(members(run), rows_of_each(run, dataset), strict=True):
        assert rows[-1] == pytest.approx(list(Training(member, dataset))[-1], rel=1e-4)


SMALL = {"width": 16, "depth": 2, "activation": "tanh"}
SCALED = {
    "mup": MLP(**SMALL, parametrization="mup", base_width=4),
    "deep": MLP(**SMALL, residual=True, block_layers=2, depth_rule="depth_mup", base_depth=1),
    "convnet": Convnet(**SMALL, parametrization="mup", base_width=4),
}


@pytest.mark.parametrize("model", SCALED.values(), ids=SCALED)
@pytest.mark.parametrize("rule", [SGD(), AdamW()], ids=lambda rule: rule.kind)
def test_scaled_members_train_as_alone(digits_run, model, rule):
    run = swept(digits_run, model=model, optimizer=rule, steps=4)
    dataset = data.load(run.data, corpora=None)
    for member, rows in zip(members(run), rows_of_each(run, dataset), strict=True):
        assert rows[-1] == pytest.approx(list(Training(member, dataset))[-1], rel=1e-4)


@pytest.mark.filterwarnings("error:There is a performance drop")  # torch would go through the members one by one
@pytest.mark.parametrize("fields", [{}, {"parametrization": "mup", "base_width": 4, "base_depth": 2}], ids=str)
def test_transformers_stack_too(text_run, fields):
    depth_rule = {"depth_rule": "completep"} if fields else {}
    run = swept(dataclasses.replace(text_run, model=dataclasses.replace(text_run.model, **fields, **depth_rule)))
    dataset = data.load(run.data, corpora=None)
    for member, rows in zip(members(run), rows_of_each(run, dataset), strict=True):
        assert rows[-1] == pytest.approx(list(Training(member, dataset))[-1], rel=1e-4)


def test_the_others_go_on_when_a_member_diverges(digits_run):
    run = dataclasses.replace(
        digits_run, optimizer=SGD(), sweep={"lr": (0.05, 1e20)}, stacked=True, steps=50, log_every=5
    )
    dataset = data.load(run.data, corpora=None)
    sound, wild = rows_of_each(run, dataset)
    assert wild[-1]["step"] < 50 and not wild[-1]["train_loss"] < float("inf")
    assert sound[-1]["step"] == 50
    assert sound[-1] == pytest.approx(list(Training(members(run)[0], dataset))[-1], rel=1e-4)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"sweep": None}, "stacked=True needs a sweep over lr or seed and nothing else; sweep=None"),
        ({"sweep": {"batch_size": (8, 16)}}, "stacked=True needs a sweep over lr or seed and nothing else"),
        ({"compile": True}, "stacked=True has no compiled form"),
    ],
)
def test_what_cannot_stack_is_refused(digits_run, fields, problem):
    with pytest.raises(DescriptionError, match=problem):
        dataclasses.replace(swept(digits_run), **fields)


def test_members_on_partly_scored_text_train_as_alone(tmp_path):
    """Each batch has the mean of its scored targets, one by one as side by side."""
    content = b"code = f(x)  # Words.\n" * 60
    mask = bytes(byte in b"Words." for byte in content)
    corpora.write(
        tmp_path / "documented", train=content, validation=content, facts={}, masks={"train": mask, "validation": mask}
    )
    text = Corpus("documented", context=8, validation_windows=9)
    run = Run(
        model=Transformer(width=8, depth=1, heads=2), data=text, lr=0.1, steps=4, seed=0, batch_size=1, log_every=1
    )
    run = swept(run)
    dataset = data.load(text, corpora=tmp_path)
    for member, rows in zip(members(run), rows_of_each(run, dataset), strict=True):
        alone = list(Training(member, dataset))
        assert all(row["train_loss"] > 0 for row in alone[1:]) and alone[-1]["step"] == 4
        for row, wanted in zip(rows, alone, strict=True):
            assert row == pytest.approx(wanted, rel=2e-5, abs=1e-7)
