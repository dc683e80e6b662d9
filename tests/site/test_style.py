"""Colours that can be read, in light, in dark and on paper, and that mean what they mean in figures."""

import re

import pytest

from common.evidence.verdicts import OUTCOMES
from common.runs.origin import ROOT
from common.site.pages import HERE

CSS = (HERE / "static" / "style.css").read_text(encoding="utf-8")
BLOCKS = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
LIGHT, DARK, PRINT = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in BLOCKS)
SCHEMES = {"light": LIGHT, "dark": LIGHT | DARK, "print": LIGHT | PRINT}

PAIRS = [
    *((color, ground) for color in ("fg", "muted", "link", *OUTCOMES) for ground in ("bg", "soft")),
    *(("chip", outcome) for outcome in OUTCOMES if outcome != "undecided"),
    ("banner-text", "banner"),
    ("tip-text", "tip"),
]


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_ruler_is_right():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_text_can_be_read(scheme):
    colors = SCHEMES[scheme]
    found = {f"{text} on {ground}": round(contrast(colors[text], colors[ground]), 2) for text, ground in PAIRS}
    if scheme == "print":  # chips have their colour on white there
        found = {pair: value for pair, value in found.items() if not pair.startswith("chip")}
    assert min(found.values()) >= 4.5, {pair: value for pair, value in found.items() if value < 4.5}


def test_verdicts_have_the_colours_of_figures():
    text = (ROOT / "common" / "plotting" / "panels.py").read_text(encoding="utf-8")
    assert [outcome for outcome in OUTCOMES if f'"{outcome}": "{LIGHT[outcome]}"' not in text] == []


def test_nothing_is_fetched():
    assert "url(" not in CSS and "@import" not in CSS and "http" not in CSS
