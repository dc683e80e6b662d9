"""How often verdicts are wrong, on fewer simulated studies than in docs/evidence.md."""

import re

import pytest

from common.evidence.combinations import all_of, any_of
from tests.evidence import calibration
from tests.evidence.calibration import SKEWED, cell, cells, combined

STUDIES = 500
LIMIT = 2.5 + 3.2
"""Four and a half standard errors above 2.5 % for 500 studies."""
WIDE = 4.0 + 3.2
"""The same above 4 %, the worst of a mean whose spread comes from other arms too."""
FAILS = {("mean", noise, n) for noise in SKEWED for n in (3, 5, 10)}
"""Plain means of skewed values, which the table shows to be wrong away from the tail."""


@pytest.mark.parametrize(("way", "noise", "n"), [place for place in cells() if place not in FAILS])
def test_wrong_verdicts_are_rare(way, noise, n):
    found = cell(way, noise, n, studies=STUDIES)
    assert found.above <= LIMIT and found.below <= (WIDE if "spread" in way else LIMIT)


def test_the_calibration_would_notice_a_reading_that_fails():
    assert cell("mean", "lognormal 1.2", 5, studies=STUDIES).below > 15


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("parts", [2, 8])
@pytest.mark.parametrize("how", [all_of, any_of])
def test_combined_claims_are_rarely_wrong_in_either_direction(how, parts, n):
    found = combined(how, parts, n, studies=STUDIES)
    assert max(found) <= LIMIT


def test_the_page_has_the_table_of_these_cells():
    text = calibration.PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w[^|]*) \| ([^|]+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \| [\d.]+ \|$", text, re.MULTILINE)
    shown = {(way, noise, int(n)): (float(above), float(below)) for way, noise, n, above, below in rows}
    assert list(shown) == list(cells())
    for place in (("mean", "normal", 5), ("ratio", "lognormal 1.2", 5), ("typical", "exponential", 6)):
        assert cell(*place)[:2] == pytest.approx(shown[place], abs=0.051), "python -m tests.evidence.calibration"
