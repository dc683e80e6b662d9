"""The picture of all claims: every one with its verdict and its interval."""

import dataclasses
from itertools import pairwise

import pytest

from common.evidence.claims import Report
from common.evidence.combinations import all_of, crossover
from common.evidence.verdicts import OUTCOMES, exact, greater, less, reported
from common.plotting import PALETTE, scoreboard
from tests.evidence.test_claims import FIRST, judged

UP = (0.04, 0.05, 0.06)
DOWN = (-0.04, -0.05, -0.06)
UNCLEAR = (-0.04, 0.01, 0.05)


def over(values, **options):
    """The claim that the mean is above 0."""
    return greater(values, than=0.0, unit="nats", **options)


@pytest.fixture
def report() -> Report:
    return Report(study="toy", question="Does it?", judged=tuple(judged()))


def test_the_figure_shows_every_claim(report, tmp_path):
    fig = scoreboard.draw([report])
    fig.savefig(tmp_path / "claims.png")
    texts = " ".join(text.get_text() for ax in fig.axes for text in ax.texts)
    assert all(word in texts for word in ("toy", "Does it?", "T1", "T2", "T9", "1 supported", "0 contradicted"))
    table = scoreboard.table([report])
    assert list(table.claim) == ["T2", "T1", "T9"] and list(table.verdict) == ["undecided", "supported", "reported"]


def test_the_figure_draws_both_ends_of_a_crossover():
    cross = crossover({"ab": UP, "ac": UP}, {"ab": UP, "ac": DOWN}, unit="nats")
    assert [part.label for part in scoreboard.shown(cross)] == ["ac, before", "ac, after"]
    mixed = all_of(over(UP, label="a"), over(UNCLEAR, label="b"), less(UP, than=1.0, unit="nats"))
    assert [part.label for part in scoreboard.shown(mixed)] == ["a", "b"]


def test_every_outcome_has_a_shape_of_its_own_beside_its_colour():
    assert tuple(scoreboard.MARK) == OUTCOMES and len(set(scoreboard.MARK.values())) == len(OUTCOMES)
    found = {
        "supported": over(UP),
        "contradicted": over(DOWN),
        "undecided": over(UNCLEAR),
        "reported": reported(UP, unit="nats"),
    }
    lines = tuple(dataclasses.replace(FIRST, id=f"T{i}", verdict=verdict) for i, verdict in enumerate(found.values()))
    fig = scoreboard.draw([Report(study="toy", question="Does it?", judged=lines)])
    legend, drawn = fig.axes[0].lines[: len(OUTCOMES)], fig.axes[0].lines[len(OUTCOMES) :]
    assert [line.get_marker() for line in legend] == list(scoreboard.MARK.values())
    marks = [(line.get_marker(), line.get_color()) for line in drawn]
    assert marks == [(scoreboard.MARK[outcome], PALETTE[outcome]) for outcome in found]


def test_every_interval_stands_in_the_row_of_its_claim(report):
    fig = scoreboard.draw([report, dataclasses.replace(report, study="other")])
    page, *intervals = fig.axes
    height = fig.get_figheight()
    assert height == pytest.approx(scoreboard.ROW + 2 * (scoreboard.HEADING + 3 * scoreboard.ROW))
    assert page.get_position().bounds == (0, 0, 1, 1) and tuple(page.get_ylim()) == (height, 0)
    rows = [text.get_position()[1] for text in page.texts if text.get_text() in ("T1", "T2", "T9")]
    places = [ax.get_position() for ax in intervals]
    assert len(rows) == len(places) == 6
    for y, place in zip(rows, places, strict=True):
        assert (1 - (place.y0 + place.y1) / 2) * height == pytest.approx(y)
    assert all(above.y0 - below.y1 >= 0.12 / height for above, below in pairwise(places))  # room for labels of 7 points
    assert places[-1].y0 >= 0.12 / height


def test_all_text_can_be_read(report):
    fig = scoreboard.draw([report])
    ticks = [label for ax in fig.axes[1:] for label in ax.get_xticklabels()]
    assert min(text.get_fontsize() for text in (*fig.axes[0].texts, *ticks)) >= 7


def test_verdicts_of_every_kind_can_be_drawn():
    kinds = [
        over(UP),
        over([0.1]),
        reported([1.0], unit=""),
        exact([0.0, 0.0], low=0.0, high=1.0, unit=""),
        greater([0.0, 0.0, 0.0], than=0.0, unit=""),
        all_of(over(UP), less(DOWN, than=0.0, unit="nats")),
    ]
    lines = tuple(dataclasses.replace(FIRST, id=f"T{i}", verdict=verdict) for i, verdict in enumerate(kinds))
    scoreboard.draw([Report(study="toy", question="Does it?", judged=lines)]).draw_without_rendering()
