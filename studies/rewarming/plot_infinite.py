"""Infinite schedules against a cosine for each phase, on one text and over domains.

Infinite schedules (blue: warm-up, cosine cooldown to 0.55 of the peak, then that rate indefinitely) against a cosine
for each phase (purple); on one text also with an inverse root cooldown (light blue) and WSD-S (green, three seeds).
Dots are finished models after equal numbers of updates: the ends of the cosines, and exponential anneals (thin) over
the last fifth of a phase that branch off the trunk. Top: learning rates; loss on prose when all three phases are prose;
rise of the loss on the texts so far in the first fifth of the second and third phase, above the finished model of the
phase before (filled) and above the trunk, which no decay has lowered (open). Bottom: loss on three domains, trained on
one after the other. Infinite schedules are ahead at the end of the first phase already. Means and 95 % intervals over
five seeds. After Ibrahim et al. 2024 and Singh et al. 2025.
"""

from collections.abc import Iterable
from itertools import pairwise

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Axes, Figure, draw_band, draw_points, figure, mark, mean_band
from studies.rewarming.phases import ANNEALS, COSINES, DOMAINS, INFINITE, REPEATED, boundaries
from studies.rewarming.study import OTHERS
from studies.rewarming.styles import COLORS, DOMAIN_NAMES, NAMES, Color

SETTINGS = {"same": "one text", "chain": "domains"}
ORDINALS = ("first", "second")
TRUNKS = {"same": ("infinite_trunk",), "chain": ("chain_trunk",)}
RISES = ("rise_finished", "rise")
"""Columns of `boundaries`. For a cosine both are the same."""
NAME_ROOM = 0.1
"""Share of a panel's height above the curves in which the phases are named."""


def ends_of(runs: pd.DataFrame) -> list[int]:
    """Updates after which the phases end."""
    steps = runs[runs.arm.isin(COSINES["same"])].groupby("run").step
    return sorted({*map(int, steps.min()), *map(int, steps.max())})


def draw_rates(ax: Axes, runs: pd.DataFrame, cosine: pd.DataFrame) -> pd.DataFrame:
    """Learning rate against all updates: of cosines, of the trunk, and of the anneals that branch off it."""
    drawn = []
    for name, rows, width in (
        (REPEATED, cosine, 1.2),
        (INFINITE, runs[runs.arm == "infinite_trunk"], 1.2),
        *((INFINITE, part, 0.8) for _, part in runs[runs.arm == "infinite_anneal"].groupby("run")),
        *((name, runs[runs.arm == f"other_{name}"], 0.8) for name in OTHERS),
    ):
        rates = rows[rows.learning_rate.notna()].groupby("step").learning_rate.first()
        ax.plot(rates.index, 1e3 * rates, color=COLORS[name], linewidth=width)
        drawn.append(pd.DataFrame({"schedule": name, "step": rates.index, "mean": rates.to_numpy()}))
    ax.set(ylabel="learning rate (1e-3)", title="schedules")
    return pd.concat(drawn).assign(quantity="learning_rate")


def draw_losses(ax: Axes, runs: pd.DataFrame, setting: str, column: str) -> pd.DataFrame:
    """One loss against all updates from the end of the first phase on; dots are finished models."""
    drawn = []

    def line(schedule: str, rows: pd.DataFrame, *, linewidth: float) -> pd.DataFrame:
        found = mean_band(rows[rows[column].notna()], by=["step"], value=column)
        draw_band(ax, found, COLORS[schedule], linewidth=linewidth)
        drawn.append(found.assign(schedule=schedule, run=rows.run.iloc[0]))
        return found

    first = ends_of(runs)[0]
    cosine = runs[runs.arm.isin(COSINES[setting])]
    _dots(ax, line(REPEATED, cosine, linewidth=1.0), ends_of(runs), COLORS[REPEATED])
    trunk = runs[runs.arm.isin(TRUNKS[setting]) & (runs.step >= first)]
    line(INFINITE, trunk, linewidth=1.0)
    for _, part in runs[runs.arm.isin(ANNEALS[setting]) & runs[column].notna()].groupby("run"):
        if part.step.max() <= ends_of(runs)[-1]:
            _dots(ax, line(INFINITE, part, linewidth=0.7), ends_of(runs), COLORS[INFINITE])
    for name in OTHERS if setting == "same" else ():
        rows = runs[(runs.arm == f"other_{name}") & (runs.step >= first)]
        found = mean_band(rows[rows[column].notna()], by=["step"], value=column)
        ax.plot(found.step, found["mean"], color=COLORS[name], linewidth=0.7)
        _dots(ax, found, ends_of(runs)[-1:] if name == "inverse_sqrt" else ends_of(runs), COLORS[name])
        drawn.append(found.assign(schedule=name, run=rows.run.iloc[0]))
    return pd.concat(drawn).assign(setting=setting, quantity=column)


def _dots(ax: Axes, found: pd.DataFrame, ends: Iterable[int], color: Color) -> None:
    marked = found[found.step.isin(list(ends))]
    ax.plot(marked.step, marked["mean"], "o", color=color, markersize=3.5, zorder=4)


def draw_rises(ax: Axes, runs: pd.DataFrame) -> pd.DataFrame:
    """Rise of the old loss at each boundary, by schedule: above the finished model filled, above the trunk open."""
    table, by = boundaries(runs), ["setting", "phase", "schedule"]
    found = pd.concat(mean_band(table, by=by, value=value).assign(quantity=value) for value in RISES)
    places = [(setting, phase) for setting in SETTINGS for phase in (1, 2)]
    for place, (setting, phase) in enumerate(places):
        here = found[(found.setting == setting) & (found.phase == phase)]
        marks = ((-0.2, REPEATED, RISES[0]), *((0.2 * i, INFINITE, value) for i, value in enumerate(RISES)))
        for offset, schedule, quantity in marks:
            rows = here[(here.schedule == schedule) & (here.quantity == quantity)]
            fill = COLORS[schedule] if quantity == RISES[0] else "white"
            draw_points(ax, [place + offset], rows, COLORS[schedule], markerfacecolor=fill)
    ax.axhline(0, color=COLORS["only_old"], linewidth=0.6)
    ax.set_xticks(range(len(places)), [ORDINALS[phase - 1] for _, phase in places])
    ax.set_xticks([0.5, 2.5], list(SETTINGS.values()), minor=True)
    ax.tick_params(axis="x", which="minor", length=0, pad=14, labelsize=7)
    ax.set(xlabel="boundary", ylabel="nats/byte", title="rise of the old loss", xlim=(-0.5, len(places) - 0.5))
    return found


def name_schedules(ax: Axes) -> None:
    """Name all schedules in the corner that their losses leave empty."""
    for schedule in (REPEATED, INFINITE, *OTHERS):
        ax.plot([], [], color=COLORS[schedule], label=NAMES[schedule])
    ax.legend(loc="upper right", labelcolor="linecolor", handlelength=1.0, labelspacing=0.25, borderaxespad=0.0)


def name_phases(ax: Axes, runs: pd.DataFrame) -> None:
    """Write at the top of a panel what is trained on in the second and third phase."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + NAME_ROOM * (high - low))
    for (begin, end), domain in zip(pairwise(ends_of(runs)), DOMAINS[1:], strict=True):
        ax.annotate(f"on {DOMAIN_NAMES[domain]}", ((begin + end) / 2, 0.99), xycoords=("data", "axes fraction"),
                    ha="center", va="top", fontsize=7, color=COLORS["only_old"])  # fmt: skip


def draw(runs: pd.DataFrame, cosine: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn.

    Args:
        runs: all rows of both schedules after the first phase, and the trunk.
        cosine: rows of the last cosine on one text with those of all before it.
        verdicts: by the id of the claim.
    """
    fig, panels = figure(width="page", columns=3, rows=2, height=5.0)
    drawn = [draw_rates(panels[0, 0], runs, cosine), draw_losses(panels[0, 1], runs, "same", "val_loss")]
    drawn.append(draw_rises(panels[0, 2], runs))
    panels[0, 1].set(title="one text: prose")
    for ax, domain in zip(panels[1], DOMAINS, strict=True):
        drawn.append(draw_losses(ax, runs, "chain", f"val_loss_{domain}"))
        ax.set_title(f"domains: {DOMAIN_NAMES[domain]}")
    for ax in (panels[0, 1], panels[1, 0]):
        ax.set_ylabel("loss (nats/byte)")
    name_schedules(panels[0, 1])
    for ax in panels[1]:
        name_phases(ax, runs)
    mark(panels[0, 1], verdicts["R11"])
    mark(panels[0, 2], verdicts["R12"])
    mark(panels[1, 2], verdicts["R13"])
    for ax in (*panels[1], panels[0, 0], panels[0, 1]):
        ax.set_xlabel("all updates")
        for end in ends_of(runs)[:-1]:
            ax.axvline(end, color=COLORS["only_old"], linewidth=0.5, linestyle=":")
    return fig, pd.concat(drawn)
