"""What averages of a constant run's states recover of the decay's gain, at equal updates.

Share of the fall that the headline decay brings, paired by seed; mean and 95 % interval. Left: the size of `wsd_loss`;
means of the states of the last tenth, fifth and two fifths of the budget, with equal weights (which stand for a linear
decay) and with those of 1 - sqrt, an exponential average that was kept while training, and Schedule-Free AdamW. Right:
equal weights over the last fifth, by size.
"""

from collections.abc import Iterator

import pandas as pd

from common.evidence.claims import Judged
from common.evidence.ladder import count
from common.evidence.statistics import t_interval
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, mark
from studies.wsd.losses import AVERAGED, constant, fall, last_loss, paired
from studies.wsd.study import HEADLINE, RUNGS

NAMES = {"uniform": "equal weights", "sqrt": "1 - sqrt", "exponential": "exponential", "free": "Schedule-Free"}
SHARE = 0.2
"""Of the panel on sizes."""


def recovered(runs: pd.DataFrame, averaging: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Share of the decay's gain of each average on each size: a row with its interval over seeds."""
    for rung in RUNGS:
        rows = averaging[averaging.rung == rung.name]
        if rows.empty:
            continue
        hot, gain = constant(runs, rung=rung.name), fall(runs, rung.name)
        about = {"rung": rung.name, "parameters": rung.parameters}
        for (weights, share), group in rows.groupby(["weights", "share"]):
            found = t_interval(100 * (hot - group.set_index("seed").loss) / gain)
            yield {**about, "weights": weights, "share": share, **vars(found)}
        moving = constant(runs, rung=rung.name, column=AVERAGED)
        yield {**about, "weights": "exponential", "share": None, **vars(t_interval(100 * (hot - moving) / gain))}
        if rung.name == HEADLINE:
            free = last_loss(runs, "schedule_free").set_index("seed").val_loss
            found = t_interval((100 * paired(hot, free) / gain).dropna())
            yield {**about, "weights": "free", "share": None, **vars(found)}


def draw_kinds(ax: Axes, table: pd.DataFrame) -> None:
    """A row for each kind of average and its share of the budget."""
    rows = table[table.rung == HEADLINE].sort_values(["weights", "share"]).reset_index(drop=True)
    draw_points(ax, rows.index, rows, PALETTE["wsd"], across=True)
    names = [NAMES[w] + ("" if pd.isna(s) else f", {s:.0%}") for w, s in zip(rows.weights, rows.share, strict=True)]
    ax.set_yticks(rows.index, names)


def draw(runs: pd.DataFrame, averaging: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = pd.DataFrame(recovered(runs, averaging))
    fig, (left, right) = figure(width="page", columns=2, height=2.7)
    draw_kinds(left, table)
    sizes = table[(table.weights == "uniform") & (table.share == SHARE)]
    draw_points(right, sizes.parameters, sizes, PALETTE["wsd"])
    left.axvline(100, color=PALETTE["reference"], linewidth=0.8)
    right.axhline(100, color=PALETTE["reference"], linewidth=0.8)
    left.set(title="a  Kind of average", xlabel="of the decay's gain (%)")
    right.set(title="b  Sizes", xlabel="parameters", ylabel="of the decay's gain (%)", xscale="log")
    right.set_xticks(sizes.parameters, [count(size) for size in sizes.parameters])
    right.minorticks_off()
    mark(left, verdicts["W16"])
    return fig, table
