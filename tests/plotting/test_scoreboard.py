"""The picture of all claims: every one with its verdict and its interval."""

import pytest

from common.evidence.claims import Report, judge
from common.evidence.verdicts import all_of, crossover, greater, less
from common.plotting import scoreboard
from tests.evidence.test_claims import RUNS, first_claim, second_claim, third_claim

UP = (0.04, 0.05, 0.06)
DOWN = (-0.04, -0.05, -0.06)
UNCLEAR = (-0.04, 0.01, 0.05)


def over(values, **options):
    """The claim that the mean is above 0."""
    return greater(values, than=0.0, unit="nats", **options)


@pytest.fixture
def report() -> Report:
    judged = judge([first_claim, second_claim, third_claim], RUNS)
    return Report(study="toy", question="Does it?", judged=tuple(judged))


def test_the_figure_shows_every_claim(report, tmp_path):
    fig = scoreboard.draw([report])
    fig.savefig(tmp_path / "claims.png")
    texts = " ".join(text.get_text() for ax in fig.axes for text in ax.texts)
    assert all(word in texts for word in ("toy", "Does it?", "C1", "C2", "C9", "1 supported", "0 contradicted"))
    assert list(scoreboard.table([report]).claim) == ["C2", "C1", "C9"]


def test_the_figure_draws_both_ends_of_a_crossover():
    cross = crossover({"ab": UP, "ac": UP}, {"ab": UP, "ac": DOWN}, unit="nats")
    assert [part.label for part in scoreboard.shown(cross)] == ["ac, before", "ac, after"]
    mixed = all_of(over(UP, label="a"), over(UNCLEAR, label="b"), less(UP, than=1.0, unit="nats"))
    assert [part.label for part in scoreboard.shown(mixed)] == ["a", "b"]
