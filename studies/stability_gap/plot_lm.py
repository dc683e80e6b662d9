"""Losses of a byte transformer that moves on from prose to code, under replay and three strategies.

A byte transformer pre-trained on English prose continues with Python code (b) at a constant rate of 1e-3, to which it
is warmed again from 3e-4. Loss less that at the switch, mean and 95 % interval over five seeds; grey: prose continues,
so that only the rate has changed. a: replay takes the place of new text, at equal compute. c: a batch of prose beside
each batch of code, plain, with the weight of code growing over 50 updates, and with the rate growing over 50 updates.
d: docstrings and comments of packages in no other corpus, scored with the code around them as context, which stand in
for a task that needs old and new skills; Guo et al. measure the rate of right answers, here it is a loss.
"""

from typing import Any

import pandas as pd

from common.evidence.claims import Claim, sentence
from common.plotting import Axes, Figure, draw_band, figure, label_lines, mean_band, note, shades
from studies.stability_gap.claims.cures import (
    joint_training_makes_the_rise_transient,
    quality_keeps_old_skill,
    ramp_cures_text,
    repetition_recovers_sooner,
    replay_makes_the_rise_transient,
    replay_shrinks_the_rise,
)
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
        "title": "a  Old domain, prose: replay",
        "domain": "prose",
        "runs": LEVELS | SAME,
        "colors": REPLAY_COLORS,
        "claims": (replay_makes_the_rise_transient, replay_shrinks_the_rise),
    },
    {"title": "b  New domain, code: replay", "domain": "python", "runs": LEVELS | SAME, "colors": REPLAY_COLORS},
    {
        "title": "c  Old domain, prose: joint training",
        "domain": "prose",
        "runs": JOINT | SAME,
        "colors": JOINT_COLORS,
        "claims": (joint_training_makes_the_rise_transient, ramp_cures_text),
    },
    {
        "title": "d  English inside code: Guo's strategies",
        "domain": "documented",
        "runs": STRATEGIES | SAME,
        "colors": STRATEGY_COLORS,
        "claims": (repetition_recovers_sooner, quality_keeps_old_skill),
    },
)


def draw(runs: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers.

    Args:
        runs: rows of the runs that continue the pre-training (arms text_...), the base left out.
    """
    fig, axes = figure(width="page", columns=2, rows=2, height=5.6, xlabel="updates after the switch")
    tables = [_draw_panel(ax, runs, panel) for ax, panel in zip(axes.flat, PANELS, strict=True)]
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
    claims = panel.get("claims", ())
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.2 * len(claims) * (high - low))
    label_lines(ax, ends)
    note(ax, "\n".join(_verdict(claim, runs) for claim in claims), corner="upper left", width=64)
    return curves[curves.run.isin(panel["runs"])].assign(domain=panel["domain"])


def _verdict(claim: Claim, runs: pd.DataFrame) -> str:
    """The first two lines of a claim's sentence: its verdict and our number."""
    return "\n".join(sentence(claim, runs).splitlines()[:2])
