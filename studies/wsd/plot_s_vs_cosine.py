"""WSD, WSD-S, cyclic and oracle cosine at three budgets.

Top: learning rates. Bottom left: validation loss on the first 256 windows, mean and 95 % interval over seeds. Bottom
right: paired difference of each to WSD at each budget, on all 2,048. In mode total, WSD-S spends as many updates on all
three checkpoints as WSD does; in mode lineage each checkpoint has as many updates behind it. WSD and WSD-S have the
headline peak, each cosine the best of its peaks.
"""

from collections.abc import Iterator

import pandas as pd

from common.evidence.claims import Judged
from common.evidence.statistics import paired_differences, t_interval
from common.plotting import PALETTE, Axes, Figure, draw_band, draw_points, figure, label_lines, mark, mean_band
from studies.wsd.losses import CURVE, at_each_budget, best, budgets_of, final, headline_peak, last_loss
from studies.wsd.study import RIVALS

LOOKS = dict(
    zip(
        RIVALS,
        (
            ("WSD-S, total", PALETTE["wsd_s"], "o"),
            ("WSD-S, lineage", PALETTE["wsd_s"], "D"),
            ("oracle cosine", PALETTE["cosine"], "s"),
            ("cyclic cosine", PALETTE["cyclic_cosine"], "^"),
            ("cyclic, re-warmed", PALETTE["cyclic_cosine"], "v"),
        ),
        strict=True,
    )
)
"""Name, colour and marker of what is compared with WSD."""


def curves(runs: pd.DataFrame) -> Iterator[tuple[str, int, str, pd.DataFrame]]:
    """Arm, last update, colour and rows of each curve: the headline trunk with its decays, the others at their best."""
    peak, budgets = headline_peak(runs), budgets_of(runs)
    headline = runs[runs.lr == peak]
    yield "stable", budgets[-1], PALETTE["constant"], headline[headline.arm == "stable"]
    for budget in budgets:
        branch = headline[(headline.arm == "wsd") & (headline.end == budget)]
        yield "wsd", budget, PALETTE["wsd"], branch[branch.step >= branch.start_step]
    for arm in ("wsd_s_total", "cosine", "cyclic"):
        losses = last_loss(runs, arm)
        ends = sorted(losses.budget.unique())
        for end in ends if arm == "cosine" else ends[-1:]:
            rows = runs[(runs.arm == arm) & (runs.end == end) & (runs.lr == best(losses, end)[0])]
            yield arm, int(end), LOOKS[arm][1], rows


def draw_rates(ax: Axes, rows: pd.DataFrame, color: str) -> None:
    """Learning rate of the first seed against the update."""
    first = rows[rows.seed == rows.seed.min()].dropna(subset="learning_rate")
    ax.plot(first.step, 1e3 * first.learning_rate, color=color, linewidth=1.0)


def draw_curves(rates: dict[str, Axes], losses: Axes, runs: pd.DataFrame) -> pd.DataFrame:
    """Learning rates of each family in its panel, all losses in one; returns the numbers drawn."""
    names = {
        "stable": "constant",
        "wsd": "WSD",
        "wsd_s_total": "WSD-S",
        "cosine": "oracle cosine",
        "cyclic": "cyclic cosine",
    }
    tables, labels = [], {}
    for arm, end, color, rows in curves(runs):
        table = mean_band(rows[rows[CURVE].notna()], by=["step"], value=CURVE)
        draw_rates(rates["cosine" if arm in ("cosine", "cyclic") else "wsd"], rows, color)
        draw_band(losses, table, color)
        tables.append(table.assign(part="curve", arm=arm, end=end))
        labels[arm] = (table.step.iloc[-1], table["mean"].iloc[-1], names[arm], color)
    drawn = pd.concat(tables)
    late = drawn[drawn.step > drawn.step.max() / 10]["mean"]
    span = late.max() - late.min()
    losses.set_ylim(late.min() - 0.27 * span, late.max() + 0.07 * span)
    label_lines(losses, list(labels.values()))
    return drawn


def gaps(runs: pd.DataFrame) -> pd.DataFrame:
    """Loss of each rival minus WSD's at each budget: mean and 95 % t interval over paired seeds.

    WSD and WSD-S have the headline peak, cosines the best of theirs.
    """
    rows, budgets, peak = [], budgets_of(runs), headline_peak(runs)
    for arm in RIVALS:
        losses = at_each_budget(runs, arm)
        for budget, loss in zip(budgets[-len(losses) :], losses, strict=True):
            interval = t_interval(paired_differences(loss, final(runs, "wsd", budget=budget, lr=peak)))
            rows.append({"part": "gap", "arm": arm, "end": budget, **vars(interval)})
    return pd.DataFrame(rows)


def draw_gaps(ax: Axes, table: pd.DataFrame) -> None:
    """Differences to WSD, which is the line at 0: budgets side by side, rivals beside each other."""
    budgets = sorted(table.end.unique())
    ax.axhline(0, color=PALETTE["wsd"], linewidth=1.2)
    for i, (arm, (name, color, marker)) in enumerate(LOOKS.items()):
        rows = table[table.arm == arm]
        x = [budgets.index(end) + 0.13 * (i - 2) for end in rows.end]
        draw_points(ax, x, rows, color, fmt=marker, label=name)
    low, high = table.low.min(), table.high.max()
    ax.set(ylim=(low - 0.1 * (high - low), high + 0.5 * (high - low)), xlim=(-0.5, len(budgets) - 0.5))
    ax.set_xticks(range(len(budgets)), [f"{budget:g}" for budget in budgets])
    ax.annotate("WSD", (-0.48, 0), (0, 2), textcoords="offset points", fontsize=7, color=PALETTE["wsd"])
    ax.legend(loc="upper left", ncols=2, handletextpad=0.3, columnspacing=0.8)


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn, from rows that include those of each run's parents."""
    runs = runs.sort_values("seed", kind="stable")  # the order of sums: a seed's rows stand together
    runs = runs.assign(end=runs.groupby(["run", "seed"]).step.transform("max"))
    fig, panels = figure(width="page", columns=2, rows=2, height=4.6, height_ratios=[1, 2.6], xlabel="update")
    (top_left, top_right), (losses, differences) = panels
    top_left.set(title="a  WSD (decays discarded) and WSD-S (kept)", ylabel="rate (1e-3)", xlabel="")
    top_right.set(title="b  A cosine for each budget, and cyclic", xlabel="")
    losses.set(title="c  Validation loss", ylabel="nats/byte")
    differences.set(title="d  Loss minus WSD's", ylabel="nats/byte", xlabel="budget (updates)")
    curves_drawn = draw_curves({"wsd": top_left, "cosine": top_right}, losses, runs)
    table = gaps(runs)
    draw_gaps(differences, table)
    mark(differences, verdicts["W9"], verdicts["W10"])
    return fig, pd.concat([curves_drawn, table])
