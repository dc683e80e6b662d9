"""Measured loss beside the convex bound of the same schedules, and what a decay gains by its length.

a: validation loss in nats per byte, mean and 95 % interval over seeds; WSD branches its decays off one constant run,
with the peak that is best at the largest budget, and each cosine is trained for its own budget at its best peak. b: the
convex bound of Schaipp et al. 2025 on the last iterate for the same schedules, in units of D G (distance from the start
times gradient norm); the constant run and its decays share the base rate that is best for the decay of the largest
budget, each cosine has its own best one. The bound puts the cosine below WSD, the opposite of what is measured. c: loss
below that of the constant rate before the largest budget, as a percentage of the largest such gain in the same series,
by the share of the budget that decays linearly to a tenth of the peak. Lines: the bound for these schedules; marks:
ours, mean and 95 % interval over seeds of the gain, paired by seed. One rate: the same peak for every length, and the
base rate that is to the bound's best one as this peak is to the best one; best rates: the best one for each length, and
for the constant rate. Crosses: a 124M model, linear decays to 0 at one rate (Schaipp et al. 2025, logs).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from common.config import WSD, Run
from common.optim.schedules import rates
from common.plotting import PALETTE, Axes, Figure, draw_band, figure, label_lines, mean_band
from studies.wsd.bound import Factors, bound, bound_curve
from studies.wsd.losses import best, budgets_of, cooldown_gains, cooldowns, last_loss
from studies.wsd.plot_loss import chosen, curves, series

PUBLISHED_GAIN = {0.1: 0.155, 0.2: 0.173, 0.6: 0.187}
"""Nats/token below the constant rate by the decay's share: 124M model, 50k updates (Schaipp et al. 2025, logs)."""
SHARES = np.geomspace(0.01, 1, 80)
"""Shares of the budget that a decay may take."""
SHAPE = "linear"
"""Of the decays of panel c: several lengths before one budget, off constant runs of several peaks."""
RATES = ("one rate", "best rates")
"""How panel c chooses peaks and base rates: the same for every length, or the best one for each."""
NAMES = {"stable": "constant", "wsd": "WSD", "cosine": "cosine"}

Members = Mapping[str, Sequence[tuple[float, int]]]
"""Peak and budget of the curves of each arm, as `plot_loss.chosen` picks them."""


def tuned_peak(runs: pd.DataFrame) -> float:
    """The best peak of WSD at its largest budget."""
    return best(last_loss(runs, "wsd"), budgets_of(runs)[-1])[0]


def lineage_rates(run: Run, records: Mapping[str, Run]) -> np.ndarray:
    """Learning rate of every update behind a run's last state, those of its parents included."""
    own = np.array(rates(run.schedule, steps=run.steps, lr=run.lr))
    return own if run.parent is None else np.append(lineage_rates(records[run.parent], records)[: run.parent_step], own)


def described(runs: pd.DataFrame, records: Mapping[str, Run], **where: object) -> Run:
    """Description of the first of the runs with these values in their columns: a sweep over seeds."""
    return records[series(runs, **where).run.iloc[0]]


def best_base(runs: pd.DataFrame, members: Members, records: Mapping[str, Run]) -> float:
    """Best base rate of the bound for WSD at its largest budget: it stands for the measured peak that is best there."""
    lr, end = members["wsd"][-1]
    return bound(lineage_rates(described(runs, records, arm="wsd", lr=lr, end=end), records) / lr).best_base


def bound_curves(runs: pd.DataFrame, members: Members, records: Mapping[str, Run]) -> pd.DataFrame:
    """The bound of the schedules of panel a, with the columns of `curves` and the base rate `base`.

    Base rates are chosen as the measured peaks are: the constant run and its decays share one (see `best_base`), and
    each cosine has its own best one.
    """
    shared, tables = best_base(runs, members, records), []
    for arm, lr, end in [(arm, *member) for arm, found in members.items() for member in found]:
        run = described(runs, records, arm=arm, lr=lr, end=end)
        factors = lineage_rates(run, records) / lr
        base = bound(factors).best_base if arm == "cosine" else shared
        rows = pd.DataFrame({"step": np.arange(1, end + 1), "mean": bound_curve(factors, base=base)})
        labels: dict[str, str | float] = {"arm": arm, "lr": lr, "end": end, "base": base, "low": np.nan, "high": np.nan}
        tables.append(rows[rows.step >= end - run.steps].assign(**labels))
    return pd.concat(tables, ignore_index=True)


def in_percent(gains: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The table with these columns as percentages of the largest gain."""
    return gains.assign(**{column: 100 * gains[column] / gains.gain.max() for column in columns})


def length_curve(factors: Callable[[int], Factors], *, steps: int, longest: int, base: float | None) -> pd.DataFrame:
    """Fall of the bound below that of a constant rate, by the share of the budget that decays.

    Args:
        factors: of a decay over so many updates; 0 is the constant rate.
        steps: the budget.
        longest: updates of the longest decay.
        base: base rate of every decay; None for the best one of each.
    """
    counts = [0, *(n for n in np.unique(np.round(SHARES * steps).astype(int)) if 0 < n <= longest)]
    bounds = [bound(factors(int(n))) for n in counts]
    value = pd.Series([found.best_value if base is None else found.value(base) for found in bounds])
    curve = pd.DataFrame({"share": np.array(counts) / steps, "bound": value, "gain": value[0] - value, "base": base})
    return in_percent(curve[1:].assign(mean=curve.gain), "mean")


def bound_gains(branch: Run, trunk: Run, *, base: float) -> pd.DataFrame:
    """Panel c in theory: decays like the branch off its trunk; `base` is that of "one rate"."""
    decay = branch.schedule
    assert isinstance(decay, WSD)
    steps, warmup_steps = (branch.parent_step or trunk.steps) + branch.steps, trunk.schedule.warmup_steps

    def factors(count: int) -> list[float]:
        schedule = replace(decay, warmup_steps=warmup_steps, decay_steps=count)
        return rates(schedule, steps=steps, lr=1.0)

    found = [length_curve(factors, steps=steps, longest=steps - warmup_steps, base=one) for one in (base, None)]
    return pd.concat(curve.assign(arm="bound", rates=kind) for kind, curve in zip(RATES, found, strict=True))


def measured_gains(runs: pd.DataFrame, *, lr: float) -> pd.DataFrame:
    """Panel c as measured: loss below the constant run's, paired by seed; `lr` is the peak of "one rate".

    A best peak is one of all peaks, so only the lengths that were trained at each of them have one.
    """
    decays = cooldowns(runs).query("shape == @SHAPE")
    peaks = decays.groupby("share").lr.nunique()
    constant = best(last_loss(runs, "stable"), decays.budget.max())[1]
    by_share = decays.assign(budget=decays.share)
    best_rates = {share: constant - best(by_share, share)[1] for share in peaks.index[peaks == peaks.max()]}
    gains = cooldown_gains(runs, shape=SHAPE, lr=lr), pd.DataFrame(best_rates)
    return pd.concat(gain_band(table).assign(rates=kind) for kind, table in zip(RATES, gains, strict=True))


def gain_band(gains: pd.DataFrame) -> pd.DataFrame:
    """Mean gain by share and its interval over seeds, from gains by seed (rows) and share (columns)."""
    band = mean_band(gains.melt(var_name="share", value_name="gain"), by=["share"], value="gain")
    return in_percent(band.assign(gain=band["mean"], arm="ours"), "mean", "low", "high")


def length_gains(runs: pd.DataFrame, members: Members, records: Mapping[str, Run]) -> pd.DataFrame:
    """Panel c: bound, measured and published gains. The one peak is the one with the most lengths.

    Its base rate is to `best_base` as the peak is to the one that stands for it.
    """
    lengths = cooldowns(runs).query("shape == @SHAPE").groupby("lr").share.nunique()
    lr = float(lengths.index[int(lengths.argmax())])
    branch = described(runs, records, arm=f"cooldown_{SHAPE}", lr=lr)
    base = best_base(runs, members, records) * lr / members["wsd"][-1][0]
    theory = bound_gains(branch, records[str(branch.parent)], base=base)
    return pd.concat([theory, measured_gains(runs, lr=lr), published_gains()])


def published_gains() -> pd.DataFrame:
    """Panel c as published, for one rate."""
    gains = pd.DataFrame({"share": PUBLISHED_GAIN.keys(), "gain": PUBLISHED_GAIN.values()})
    return in_percent(gains.assign(mean=gains.gain, arm="124M model", rates=RATES[0]), "mean")


def draw_curves(ax: Axes, table: pd.DataFrame) -> None:
    """Panels a and b: one constant run, the decays that branch off it, and a cosine for each budget."""
    labels = {}
    for _, curve in table.groupby(["arm", "lr", "end"], sort=False):
        arm = curve.arm.iloc[0]
        color = PALETTE["constant" if arm == "stable" else arm]
        draw_band(ax, curve, color)
        labels[arm] = (curve.step.iloc[-1], curve["mean"].iloc[-1], NAMES[arm], color)
    begin = table.end.min() / 2
    seen = table[table.step >= begin]["mean"]
    margin = 0.06 * (seen.max() - seen.min())
    ax.set(xlim=(begin, table.end.max()), ylim=(seen.min() - margin, seen.max() + margin))
    label_lines(ax, list(labels.values()))


def note_ratio(ax: Axes, table: pd.DataFrame, rate: str) -> None:
    """Say in a panel by how much the cosine's rate is above that of WSD at the largest budget."""
    last = table[table.end == table.end.max()].groupby("arm")[rate].first()
    text = f"longest cosine:\n{last.cosine / last.wsd:.1f} × WSD's rate"
    ax.text(0.97, 0.97, text, fontsize=7, ha="right", va="top", transform=ax.transAxes)


def draw_gains(ax: Axes, table: pd.DataFrame) -> None:
    """Panel c: share of the best gain by share of the budget that decays; open marks and dashes are for best rates."""
    ax.set(xscale="log", xlim=(1, 100), ylim=(0, 112), xticks=[1, 10, 100], xticklabels=["1", "10", "100"])
    labels = []
    for kind, dashes, filled, aside in zip(RATES, ("-", "--"), ("full", "none"), (96, 104), strict=True):
        curve = series(table, arm="bound", rates=kind)
        ax.plot(100 * curve.share, curve["mean"], color="#222222", linewidth=0.9, linestyle=dashes)
        labels.append((100, max(0, curve["mean"].iloc[-1]), f"bound,\n{kind}", "#222222"))
        ours = series(table, arm="ours", rates=kind)
        share = aside * ours.share
        ax.vlines(share, ours.low, ours.high, color=PALETTE["wsd"], linewidth=0.8)
        ax.plot(share, ours["mean"], "o", color=PALETTE["wsd"], fillstyle=filled, markersize=4)
    published = series(table, arm="124M model")
    ax.plot(100 * published.share, published["mean"], "x", color=PALETTE["reference"], markersize=4)
    notes = {"× 124M model": "reference", "● ours, one rate": "wsd", "○ ours, best rates": "wsd"}
    for row, (text, meaning) in enumerate(notes.items()):
        ax.text(2.6, 23 - 9.5 * row, text, color=PALETTE[meaning], fontsize=7)
    label_lines(ax, labels)


def draw(runs: pd.DataFrame, records: Mapping[str, Run]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn.

    Args:
        runs: rows of the arms stable, wsd, cosine, and those of the decays of panel c.
        records: description of each of these runs by its name.
    """
    runs = runs.assign(end=runs.groupby(["run", "seed"]).step.transform("max"))
    table = curves(runs)
    members = chosen(table, runs, peak=tuned_peak(runs))
    shown = [series(table, arm=arm, lr=lr, end=end) for arm, found in members.items() for lr, end in found]
    panels = {
        "a": pd.concat(shown),
        "b": bound_curves(runs, members, records),
        "c": length_gains(runs, members, records),
    }
    fig, axes = figure(width="page", columns=3, height=2.5, xlabel="update")
    axes[0].set(ylabel="validation loss (nats/byte)", title="a  Measured")
    axes[1].set(ylabel="convex bound (D G)", title="b  Bound, same schedules")
    axes[2].set(xlabel="decay (% of the budget)", ylabel="gain over constant (% of best)", title="c  Gain by length")
    for ax, panel, rate in zip(axes, "ab", ("lr", "base"), strict=False):
        draw_curves(ax, panels[panel])
        note_ratio(ax, panels[panel], rate)
    draw_gains(axes[2], panels["c"])
    return fig, pd.concat([rows.assign(panel=panel) for panel, rows in panels.items()], ignore_index=True)
