"""Final losses of schedules that were not seen, as laws of the loss curve predict them, beside what was measured.

Each law is fitted for each seed to one constant run and its decay over the last tenth of the longest budget (crosses),
and predicts the final losses of all other schedules of that size: other peaks, budgets, lengths and shapes of the
decay, to zero, WSD-S, cyclic, and cosines. Marks: mean over seeds, open where the peak is another than that of the fit.
Below: mean absolute error over the held-out schedules in thousandths of the loss, and Kendall's tau of the order of all
of them; mean and 95 % interval over seeds.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from scipy.stats import kendalltau

from common.config import Run
from common.evidence.claims import Judged
from common.evidence.statistics import t_interval
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, mark
from studies.wsd.study import PEAK

NAMES = ("annealing", "multi-power", "functional", "bound")
COLORS = {"wsd": "wsd", "cosine": "cosine", "cyclic": "cyclic_cosine", "wsd_s": "wsd_s", "stable": "constant"}


def error(rows: pd.DataFrame) -> float:
    """Mean absolute error of some predictions, in thousandths of the loss."""
    return float(1e3 * ((rows.predicted - rows.measured).abs() / rows.measured).mean())


def order(rows: pd.DataFrame) -> float:
    """Kendall's tau of predicted and measured."""
    return float(kendalltau(rows.measured, rows.predicted).statistic)


def scores(laws: pd.DataFrame) -> pd.DataFrame:
    """Error and order of each law over the held-out schedules: mean and 95 % interval over seeds."""
    rows = []
    for law, group in laws[laws.held_out].groupby("law"):
        for part, score in (("error", error), ("order", order)):
            values = {seed: score(one) for seed, one in group.groupby("seed")}
            rows.append({"part": part, "law": law, **vars(t_interval(values))})
    return pd.DataFrame(rows)


def draw_law(ax: Axes, table: pd.DataFrame) -> None:
    """Predicted against measured, each schedule in its colour."""
    ends = [table[["measured", "predicted"]].min().min(), table[["measured", "predicted"]].max().max()]
    ax.plot(ends, ends, color=PALETTE["reference"], linewidth=0.8)
    for arm, rows in table.groupby("arm"):
        family = next((color for start, color in COLORS.items() if str(arm).startswith(start)), "linear")
        near = rows.lr == PEAK
        for some, look in ((~rows.held_out, "x"), (rows.held_out & near, "o"), (rows.held_out & ~near, "open")):
            style: dict[str, Any] = {"marker": "o", "fillstyle": "none"} if look == "open" else {"marker": look}
            points = rows[some]
            ax.plot(points.measured, points.predicted, linestyle="", color=PALETTE[family], markersize=3.5, **style)


def draw_scores(ax: Axes, table: pd.DataFrame, part: str) -> None:
    """A row for each law."""
    rows = table[table.part == part].set_index("law").loc[list(NAMES)[::-1]]
    draw_points(ax, range(len(rows)), rows, PALETTE["wsd"], across=True)
    ax.set_yticks(range(len(rows)), rows.index)


def draw(
    runs: pd.DataFrame,  # noqa: ARG001
    records: Mapping[str, Run],  # noqa: ARG001
    laws: pd.DataFrame,
    verdicts: dict[str, Judged],
) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn.

    Args:
        runs: rows that W17 is judged on.
        records: descriptions of the same.
        laws: predictions of each law by seed and schedule.
        verdicts: W18 above the scores, W17 above the bound.
    """
    means = laws.groupby(["law", "run", "arm", "lr", "held_out"], as_index=False)[["measured", "predicted"]].mean()
    table = scores(laws)
    fig, panels = figure(width="page", columns=3, rows=2, height=4.6)
    for ax, law, letter in zip([*panels[0], panels[1][0]], NAMES, "abcd", strict=True):
        draw_law(ax, means[means.law == law])
        ax.set(title=f"{letter}  {law}", xlabel="measured (nats/byte)", ylabel="predicted")
    draw_scores(panels[1][1], table, "error")
    draw_scores(panels[1][2], table, "order")
    panels[1][1].set(title="e  Error", xlabel="of the loss (0.1 %)", xlim=(0, None))
    panels[1][2].set(title="f  Order", xlabel="Kendall's tau")
    mark(panels[1][0], verdicts["W17"])
    mark(panels[1][1], verdicts["W18"])
    return fig, pd.concat([means.assign(part="mean"), table])
