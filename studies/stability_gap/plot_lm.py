"""Losses of a byte transformer that moves on from prose to code, under replay and three strategies.

A byte transformer pre-trained on English prose continues with Python code (b) at a constant rate of 1e-3, to which it
is warmed again from 3e-4. Loss less that at the switch, mean and 95 % interval over five seeds; grey: prose continues,
so that only the rate has changed. a: replay takes the place of new text, at equal compute. c: a batch of prose beside
each batch of code, plain, with the weight of code growing over 50 updates, and with the rate growing over 50 updates.
d: strategies of Guo et al. on docstrings and comments of packages in no other corpus, scored with the code around them
as context, which stand in for a task that needs old and new skills; there the rate of correct answers is measured, here
a loss.
"""

from typing import Any

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Axes, Figure, draw_band, figure, label_lines, mark, mean_band, shades
from studies.stability_gap.domains import since_switch
from studies.stability_gap.styles import COLORS, NAMES

LEVELS = {"text-pass": "no replay", "text-replay5": "5 %", "text-replay25": "25 %", "text-replay50": "50 % replay"}
SAME = {"text-same": "no switch"}
JOINT = {"text-joint": "joint", "text-joint-ramp": NAMES["ramp"], "text-joint-warmup": NAMES["warmup"]}
STRATEGIES = {
    "text-pass": "one pass",
    "text-subset": "a quarter, 4 times",
    "text-ranked": "most commented\nquarter, 4 times",
    "text-replay25": "25 % replay",
}
CONTROL = COLORS["finetune"]
REPLAY_COLORS = dict(zip(LEVELS, reversed(shades("wsd_s", len(LEVELS))), strict=True))
JOINT_COLORS = {"text-joint": COLORS["joint"], "text-joint-ramp": COLORS["ramp"], "text-joint-warmup": COLORS["warmup"]}
STRATEGY_COLORS = {
    "text-pass": REPLAY_COLORS["text-pass"],
    "text-subset": COLORS["average"],
    "text-ranked": COLORS["nearest_mean"],
    "text-replay25": REPLAY_COLORS["text-replay25"],
}
SINCE = "loss since the switch (nats/byte)"
LAST = 5
"""Evaluations over whose mean the name of a curve stands."""
PANELS: tuple[dict[str, Any], ...] = (
    {
        "title": "a  Prose (old), replay",
        "domain": "prose",
        "runs": LEVELS | SAME,
        "colors": REPLAY_COLORS,
    },
    {"title": "b  Code (new), replay", "domain": "python", "runs": LEVELS | SAME, "colors": REPLAY_COLORS},
    {
        "title": "c  Prose (old), joint training",
        "domain": "prose",
        "runs": JOINT | SAME,
        "colors": JOINT_COLORS,
    },
    {
        "title": "d  English inside code",
        "domain": "documented",
        "runs": STRATEGIES | SAME,
        "colors": STRATEGY_COLORS,
    },
)
CLAIMS = {0: ("G15", "G17"), 2: ("G15a", "G12f"), 3: ("G16", "G16a")}
"""Those shown by panel."""


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers.

    Args:
        runs: rows of the runs that continue the pre-training (arms text_...), the base left out.
        verdicts: by id of the claim.
    """
    fig, axes = figure(width="page", columns=2, rows=2, height=5.6, xlabel="updates after the switch")
    tables = [_draw_panel(ax, runs, panel) for ax, panel in zip(axes.flat, PANELS, strict=True)]
    for i, names in CLAIMS.items():
        mark(axes.flat[i], *(verdicts[name] for name in names))
    return fig, pd.concat(tables, ignore_index=True)


def _draw_panel(ax: Axes, runs: pd.DataFrame, panel: dict[str, Any]) -> pd.DataFrame:
    curves = mean_band(since_switch(runs, panel["domain"]), by=["run", "step"], value="excess")
    colors = panel["colors"] | dict.fromkeys(SAME, CONTROL)
    ax.axhline(0, color="0.7", linewidth=0.8)
    ends = []
    for run, name in panel["runs"].items():
        curve = curves[curves.run == run]
        draw_band(ax, curve, colors[run])
        ends.append((float(curve.step.max()), float(curve["mean"].tail(LAST).mean()), name, colors[run]))
    last = curves.step.max()
    ax.set(title=panel["title"], ylabel=SINCE, xlim=(0, 1.34 * last))
    ax.set_xticks([tick for tick in ax.get_xticks() if 0 <= tick <= last])
    label_lines(ax, ends)
    return curves[curves.run.isin(panel["runs"])].assign(domain=panel["domain"])
