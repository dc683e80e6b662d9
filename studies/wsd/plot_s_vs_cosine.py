"""WSD, WSD-S, cyclic and oracle cosine at three budgets.

Top: learning rates. Bottom left: validation loss on the first 256 windows from half of the updates on, mean and 95 %
interval over seeds. Bottom right: paired difference of each to WSD at each budget, on all 1,024. WSD-S keeps each decay
and goes on, with as many stable updates before each checkpoint as WSD, so that all its checkpoints together cost what
WSD's do; the cyclic cosine has as many updates as WSD-S. All end at one rate, at the peaks of `wsd_loss`.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from common.config import Run
from common.evidence.claims import Judged
from common.evidence.statistics import t_interval
from common.plotting import PALETTE, Axes, Figure, draw_band, draw_points, figure, label_lines, mark, mean_band
from studies.wsd.histories import lineage_rates
from studies.wsd.losses import CURVE, budgets_of, final, last_loss, of_rung, paired
from studies.wsd.study import COSINE_PEAKS, HEADLINE

LOOKS = {
    "wsd_s": ("WSD-S", PALETTE["wsd_s"], "o"),
    "cosine": ("oracle cosine", PALETTE["cosine"], "s"),
    "cyclic": ("cyclic cosine", PALETTE["cyclic_cosine"], "^"),
}
"""Name, colour and marker of what is compared with WSD."""
COLORS = {"stable": PALETTE["constant"], "wsd": PALETTE["wsd"]} | {arm: look[1] for arm, look in LOOKS.items()}
FAMILIES = (("stable", "wsd", "wsd_s"), ("cosine", "cyclic"))
"""Whose rates are drawn in the left and in the right panel."""
BEGIN = 0.5
"""Share of all updates before which no loss is drawn."""


def shown(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of the cosines at their headline peak, and of all else."""
    return runs[(runs.arm != "cosine") | (runs.lr == COSINE_PEAKS[HEADLINE])]


def draw_rates(panels: tuple[Axes, Axes], runs: pd.DataFrame, records: Mapping[str, Run]) -> None:
    """Every learning rate of each run, from the end of its parent on."""
    for ax, arms in zip(panels, FAMILIES, strict=True):
        for name in runs[runs.arm.isin(arms)].run.unique():
            rates = lineage_rates(records[name], records)
            first = max(0, len(rates) - records[name].steps - 1)
            steps = np.arange(first, len(rates)) + 1
            ax.plot(steps, 1e3 * rates[first:], color=COLORS[str(records[name].arm)], linewidth=1.0)


def draw_curves(ax: Axes, runs: pd.DataFrame) -> pd.DataFrame:
    """All losses; returns the numbers drawn."""
    rows = runs[runs[CURVE].notna() & (runs.step >= BEGIN * runs.step.max())]
    table = mean_band(rows, by=["arm", "run", "step"], value=CURVE).assign(part="curve")
    labels = []
    for _, curve in table.groupby("run"):
        draw_band(ax, curve, COLORS[curve.arm.iloc[0]])
    for arm, (name, color, _) in {"stable": ("constant", COLORS["stable"], ""), **LOOKS}.items():
        last = table[table.arm == arm].sort_values("step").iloc[-1]
        labels.append((last.step, last["mean"], name, color))
    label_lines(ax, labels)
    return table


def gaps(runs: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Loss of each rival minus WSD's at each budget: mean and 95 % t interval over paired seeds."""
    budgets = budgets_of(runs)
    for arm in LOOKS:
        ends = sorted(last_loss(of_rung(runs), arm).budget.unique())
        for budget, end in zip(budgets[-len(ends) :], ends, strict=True):
            gap = paired(final(runs, arm, budget=end), final(runs, "wsd", budget=budget))
            yield {"part": "gap", "arm": arm, "budget": budget, **vars(t_interval(gap))}


def draw_gaps(ax: Axes, table: pd.DataFrame) -> None:
    """Differences to WSD, which is the line at 0: budgets side by side, rivals beside each other."""
    budgets = sorted(table.budget.unique())
    ax.axhline(0, color=PALETTE["wsd"], linewidth=1.2)
    for i, (arm, (name, color, marker)) in enumerate(LOOKS.items()):
        rows = table[table.arm == arm]
        places = [budgets.index(budget) + 0.15 * (i - 1) for budget in rows.budget]
        draw_points(ax, places, rows, color, fmt=marker, label=name)
    ax.set(xlim=(-0.5, len(budgets) - 0.5))
    ax.set_xticks(range(len(budgets)), [f"{budget:g}" for budget in budgets])
    ax.legend(loc="best", handletextpad=0.3)


def draw(runs: pd.DataFrame, records: Mapping[str, Run], verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    runs = shown(runs)
    fig, panels = figure(width="page", columns=2, rows=2, height=4.6, height_ratios=[1, 2.6], xlabel="update")
    (top_left, top_right), (losses, differences) = panels
    top_left.set(title="a  WSD (decays discarded) and WSD-S (kept)", ylabel="rate (1e-3)", xlabel="")
    top_right.set(title="b  A cosine for each budget, and cyclic", xlabel="")
    losses.set(title="c  Validation loss", ylabel="nats/byte")
    differences.set(title="d  Loss minus WSD's", ylabel="nats/byte", xlabel="budget (updates)")
    draw_rates((top_left, top_right), runs, records)
    drawn = draw_curves(losses, runs)
    table = pd.DataFrame(gaps(runs))
    draw_gaps(differences, table)
    mark(differences, verdicts["W9"], verdicts["W9a"], verdicts["W10"])
    return fig, pd.concat([drawn, table])
