"""Names and colours of what is done in a second phase, the same in every figure of the study."""

from common.plotting import PALETTE, shades
from studies.rewarming.study import PEAKS, REPLAYS

Color = str | tuple[float, float, float]

COLORS: dict[str, Color] = {
    "constant": PALETTE["constant"],
    **dict(zip(PEAKS, shades("rewarm", len(PEAKS)), strict=True)),
    "held": PALETTE["cyclic_cosine"],
    "scratch": PALETTE["cosine"],
    **dict(zip(REPLAYS, shades("wsd_s", len(REPLAYS)), strict=True)),
    "joint": PALETTE["wsd"],
    "only_old": PALETTE["reference"],
    "only_new": PALETTE["cosine"],
    "infinite": PALETTE["wsd"],
    "inverse_sqrt": shades("wsd", 3)[0],
    "wsd_s": PALETTE["wsd_s"],
    "cyclic_cosine": PALETTE["cyclic_cosine"],
}
NAMES = {
    "constant": "0.1x constant",
    "half": "0.5x",
    "rewarm": "1x",
    "double": "2x",
    "held": "1x, no decay",
    "scratch": "scratch",
    "replay1": "1 %",
    "replay5": "5 %",
    "replay25": "25 %",
    "replay50": "50 %",
    "joint": "joint",
    "infinite": "infinite",
    "inverse_sqrt": "inverse root",
    "wsd_s": "WSD-S",
    "cyclic_cosine": "repeated cosine",
}
SHIFTS = {
    "same": "none",
    "weak": "weak: Python, other packages",
    "strong": "strong: prose, then C++",
    "quarter": "a quarter of the characters exchanged",
    "permuted": "all characters exchanged",
}
"""Levels of the dial."""
TITLES = {shift: SHIFTS[shift].replace(":", " shift:") for shift in ("weak", "strong")}
"""Of panels that show one of the two shifts."""
DOMAIN_NAMES = {"prose": "prose", "python": "Python", "cpp": "C++"}
