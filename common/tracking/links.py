"""Colours of arms, and places in MLflow by which its pages lead to each other, without its random identifiers."""

import colorsys
import hashlib
import zlib
from urllib.parse import quote

COLORS = {"wsd": "#0173b2", "wsd_s": "#029e73", "cosine": "#de8f05", "cyclic_cosine": "#cc78bc", "stable": "#444444"}
"""Colour of an arm, as the figures draw its schedule; an arm that is not here gets one that its name decides."""

MODE = "workflowType=machine_learning"
OVERVIEW = "overview"


def color(arm: str) -> str:
    """The colour of an arm, equal in all studies and at all times.

    >>> color("wsd"), color("ladder_wsd") == color("ladder_wsd")
    ('#0173b2', True)
    """
    if arm in COLORS:
        return COLORS[arm]
    number = zlib.crc32(arm.encode())
    parts = colorsys.hls_to_rgb(number % 360 / 360, (0.35, 0.45)[number // 360 % 2], 0.65)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def owner_of(checkout: str | None) -> str:
    """How the keys of the views of a working directory begin, so that two in one store keep apart."""
    return f"{hashlib.sha256(checkout.encode()).hexdigest()[:8]}-" if checkout else "figure-"


def address_of(experiment: str, key: str) -> str:
    """The place in MLflow, from its front page, that shows a view."""
    table = "" if key == OVERVIEW else "&compareRunsMode=CHART"
    return f"#/experiments/{experiment}/runs?{MODE}&viewStateShareKey={key}{table}"


def link(text: str, address: str) -> str:
    """A link in a note."""
    return f"[{text}]({address})"


def search(experiment: str, run: str) -> str:
    """The place that shows the run of a name."""
    return f"#/experiments/{experiment}/runs?{MODE}&searchFilter=" + quote(f"attributes.run_name = '{run}'", safe="")
