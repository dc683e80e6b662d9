"""All claims at a glance."""

from common.evidence.claims import Report, judge
from common.plotting import overview
from tests.evidence.test_claims import RUNS, first_claim, second_claim, third_claim


def test_the_overview_has_a_chip_for_every_claim():
    judged = judge([first_claim, second_claim, third_claim], RUNS)
    report = Report(study="toy", question="Does it?", judged=tuple(judged))
    (ax,) = overview.draw([report, report]).axes
    texts = [text.get_text() for text in ax.texts]
    assert texts[:3] == ["6 claims", "2 supported", "0 contradicted"]
    assert texts[5:] == ["toy", "C2", "C1", "C9"] * 2
    assert list(overview.table([report]).verdict) == ["undecided", "supported", "reported"]
