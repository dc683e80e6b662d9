"""Names and colours of what is done in a second phase, the same in every figure of the study."""

from typing import Any

from common.plotting import COLOR, shades

PEAKS: Any = dict(zip(("half", "rewarm", "double"), shades("rewarm", 3), strict=True))
REPLAYS: Any = dict(zip(("replay1", "replay5", "replay25", "replay50"), shades("wsd_s", 4), strict=True))
COLORS: Any = {
    "constant": COLOR["constant"],
    **PEAKS,
    "held": COLOR["cyclic_cosine"],
    "scratch": COLOR["cosine"],
    **REPLAYS,
    "joint": COLOR["wsd"],
    "only_old": COLOR["reference"],
    "only_new": COLOR["cosine"],
    "infinite": COLOR["wsd"],
    "inverse_sqrt": shades("wsd", 3)[0],
    "wsd_s": COLOR["wsd_s"],
    "cyclic_cosine": COLOR["cyclic_cosine"],
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
DOMAIN_NAMES = {"prose": "prose", "python": "Python", "cpp": "C++"}
