"""Gains of the stable phase and of the decay by certainty of the context.

Where the constant phase gains and where the decay gains: excess loss by certainty of the next token, mean and 95 %
interval over seeds. Left and middle: a table and a transformer on bigrams, at a constant rate (dotted) and with its
decay (solid). Right: Python text; which twelfth of the bytes, sorted by the entropy that an n-gram model of the text
gives them, the constant phase and the decay gain on; a third of the bytes are beyond the eighth mark.
"""

from collections.abc import Sequence

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_band, figure, label_lines, mark, mean_band
from studies.wsd.measure_tabular import TABULAR_PEAK
from studies.wsd.study import BIGRAMS

KINDS = {"certain": (PALETTE["constant"], "certain"), "uncertain": (PALETTE["rewarm"], "uncertain")}
PHASES = {"stable": (PALETTE["constant"], "constant phase"), "decay": (PALETTE["wsd"], "decay")}


def excess_curves(table: pd.DataFrame, *, arms: Sequence[str], part: str) -> pd.DataFrame:
    """Mean excess and interval over seeds, by arm, kind of context and step."""
    rows = table[table.arm.isin(arms) & (table.step > 0)]
    long = rows.melt(["arm", "seed", "step"], list(KINDS), var_name="kind", value_name="excess")
    return mean_band(long, by=["arm", "kind", "step"], value="excess").assign(part=part)


def draw_excess(ax: Axes, curves: pd.DataFrame) -> None:
    """Certain and uncertain contexts on a logarithmic scale: constant rate dotted, with the decay solid."""
    for _, curve in curves.groupby(["arm", "kind"]):
        color, name = KINDS[curve.kind.iloc[0]]
        constant = curve.arm.iloc[0] in ("constant", "bigram_stable")
        draw_band(ax, curve, color, linestyle=":" if constant else "-")
        if not constant:
            end = (curve.step.iloc[-1], curve["mean"].iloc[-1])
            ax.annotate(name, end, (4, 0), textcoords="offset points", fontsize=7, color=color, va="center")
    ax.set_yscale("log")


def bucket_gains(entropy: pd.DataFrame) -> pd.DataFrame:
    """Gain of each phase by bucket of entropy, as a share of the phase's whole gain: mean and interval over seeds."""
    whole = entropy.groupby(["seed", "phase"]).gain.transform("sum")
    shares = mean_band(entropy.assign(share=entropy.gain / whole), by=["phase", "bucket"], value="share")
    entropies = entropy.groupby("bucket").entropy.mean()
    return shares.assign(part="bytes", entropy=shares.bucket.map(entropies))


def draw_buckets(ax: Axes, table: pd.DataFrame) -> None:
    """Share of the gain against the mean entropy of each twelfth of the bytes."""
    labels = []
    for phase, (color, name) in PHASES.items():
        rows = table[table.phase == phase]
        ax.plot(rows.entropy, 100 * rows["mean"], color=color, marker="o", markersize=3)
        ax.fill_between(rows.entropy, 100 * rows.low, 100 * rows.high, color=color, alpha=0.2, linewidth=0)
        labels.append((rows.entropy.iloc[-1], 100 * rows["mean"].iloc[-1], name.replace(" ", "\n"), color))
    ax.axhline(0, color=PALETTE["reference"], linewidth=0.6)
    label_lines(ax, labels)


def draw(
    runs: pd.DataFrame,  # noqa: ARG001
    tabular: pd.DataFrame,
    bigram: pd.DataFrame,
    entropy: pd.DataFrame,
    verdicts: dict[str, Judged],
) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn.

    Args:
        runs: rows of the runs whose states were measured; they only tell where the figure comes from.
        tabular: excess of the table.
        bigram: excess of the transformer.
        entropy: gains on real bytes.
        verdicts: W7a on the first panel, W7b on the last.
    """
    fig, panels = figure(width="page", columns=3, height=3.0, xlabel="update")
    table = excess_curves(tabular[tabular.lr == TABULAR_PEAK], arms=["constant", "wsd"], part="tabular")
    trained = excess_curves(bigram, arms=BIGRAMS, part="transformer")
    real = bucket_gains(entropy)
    draw_excess(panels[0], table)
    draw_excess(panels[1], trained)
    draw_buckets(panels[2], real)
    panels[0].set(title="a  Table", ylabel="excess loss on bigrams (nats)")
    panels[1].set(title="b  Transformer")
    panels[2].set(title="c  Python text", xlabel="entropy of the next byte (nats)", ylabel="share of the gain (%)")
    mark(panels[0], verdicts["W7a"])
    mark(panels[2], verdicts["W7b"])
    return fig, pd.concat([table, trained, real])
