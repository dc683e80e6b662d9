"""Loss on the old against the new text, starts from earlier checkpoints, and forgetting by the measured shift.

Top: loss on the old text against that on the new one along the second phase, from the common start (black) over the
first evaluation after the warm-up (green) to the end (squares); the star is joint training, and lower left is better
(means over five seeds; after Gupta et al. 2023). Bottom left: loss on the new text when the second phase starts from
checkpoints within the first one, weak shift (from none: three seeds). Bottom right: forgetting at 1x without replay
against the Jensen-Shannon divergence of neighbouring byte pairs of old and new text. Bars are 95 % intervals over seeds
(five; three for exchanged characters).
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, mark, mean_band, shades
from studies.rewarming.curves import AXES, banded, draw_curves
from studies.rewarming.phases import NEW, OLD, phases
from studies.rewarming.study import EARLIER, PEAKS, REPLAYS
from studies.rewarming.styles import COLORS, NAMES, SHIFTS, TITLES

KINDS = ("constant", *PEAKS, "replay25")
START, WARM = "black", PALETTE["supported"]
"""Where a phase starts, and the first evaluation after the warm-up (as in Gupta et al. 2023)."""
STARTS = ("scratch", "25 %", "50 %", "100 %")


def draw_plane(ax: Axes, runs: pd.DataFrame, shift: str) -> pd.DataFrame:
    """Means over seeds of the loss on the old against that on the new text, along the phase and of joint training."""
    drawn = []
    for kind in KINDS:
        arm = f"{shift}_{kind}"
        old, new = (banded(runs, arm, column).set_index("step")["mean"] for column in (OLD, NEW))
        color = COLORS[kind]
        ax.plot(new, old, color=color, linewidth=1.0)
        if kind != "constant":
            ax.plot(new.iloc[1], old.iloc[1], "o", color=WARM, markersize=3, zorder=4)
        ax.plot(new.iloc[-1], old.iloc[-1], "s", color=color, markersize=4, zorder=4)
        name = "25 % replay" if kind in REPLAYS else NAMES[kind]
        place, side = (1, "top") if kind == "constant" else (-1, "center")
        ax.annotate(name, (new.iloc[place], old.iloc[place]), xytext=(-5, 0), textcoords="offset points", fontsize=7,
                    color=color, ha="right", va=side)  # fmt: skip
        drawn.append(pd.DataFrame({"arm": arm, "step": old.index, OLD: old.to_numpy(), NEW: new.to_numpy()}))
    ax.plot(drawn[0][NEW][0], drawn[0][OLD][0], "o", color=START, markersize=5, zorder=5)
    ax.annotate("start", (drawn[0][NEW][0], drawn[0][OLD][0]), xytext=(6, 0), textcoords="offset points", fontsize=7,
                color=START, va="center")  # fmt: skip
    joint = phases(runs[runs.arm == f"{shift}_joint"])[["old", "new"]].mean()
    ax.plot(joint.new, joint.old, "*", color=COLORS["joint"], markersize=8, zorder=5)
    ax.annotate("joint", (joint.new, joint.old), xytext=(6, 0), textcoords="offset points", fontsize=7,
                color=COLORS["joint"], va="center")  # fmt: skip
    warm = drawn[KINDS.index("double")]
    ax.annotate("after the\nwarm-up", (warm[NEW][1], warm[OLD][1]), xytext=(5, 0), textcoords="offset points",
                fontsize=7, color=WARM, va="center")  # fmt: skip
    left, right = ax.get_xlim()
    ax.set_xlim(left - 0.25 * (right - left), right + 0.15 * (right - left))
    ax.set(title=TITLES[shift], xlabel=AXES[NEW], ylabel=AXES[OLD])
    return pd.concat(drawn)


def draw_starts(ax: Axes, runs: pd.DataFrame) -> pd.DataFrame:
    """Loss on the new text of the weak shift from checkpoints within the first phase, and from none."""
    kinds = ("scratch", *EARLIER, "rewarm")
    colors = (COLORS["scratch"], *shades("wsd", len(kinds) - 1))
    arms = {f"weak_{kind}": each for kind, *each in zip(kinds, STARTS, colors, strict=True)}
    rows = runs[runs.arm.isin(list(arms)) & (runs.arm != "weak_scratch")]
    ax.set_ylim(rows[NEW].min() - 0.05, rows[NEW].max() + 0.05)
    ax.set(title="start after a share of the first phase", xlabel="updates of the second phase", ylabel=AXES[NEW])
    return draw_curves(ax, runs, NEW, arms={arm: (name, color) for arm, (name, color) in arms.items()})


def draw_dial(ax: Axes, runs: pd.DataFrame, shift: pd.DataFrame) -> pd.DataFrame:
    """Forgetting at 1x without replay against the divergence of the bytes."""
    table = phases(runs)
    found = mean_band(table[table.kind == "rewarm"], by=["shift"], value="forgetting").set_index("shift")
    divergences = shift[shift.quantity == "divergence"].set_index("shift").value
    ax.set(xscale="log", xlim=(divergences.min() / 1.6, 3.0), title="forgetting by shift")
    ax.set_yscale("symlog", linthresh=0.1, linscale=0.4)
    ax.set_ylim(min(-0.2, 1.5 * found["mean"].min()), 2 * found["mean"].max())
    for level, name in SHIFTS.items():
        draw_points(ax, [divergences[level]], found.loc[[level]], COLORS["rewarm"])
        place = (divergences[level], found["mean"][level])
        left = level in ("strong", "quarter", "permuted")
        ax.annotate(name, place, xytext=(-7 if left else 7, 0), textcoords="offset points", fontsize=7,
                    ha="right" if left else "left", va="center")  # fmt: skip
    ax.axhline(0, color=COLORS["only_old"], linewidth=0.6)
    ax.set(xlabel="divergence of byte pairs (nats)", ylabel="forgetting (nats/byte)")
    return found.reset_index().assign(quantity="forgetting", divergence=lambda rows: rows["shift"].map(divergences))


def draw(runs: pd.DataFrame, shift: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, panels = figure(width="page", columns=2, rows=2, height=5.4)
    drawn = [draw_plane(ax, runs, level) for ax, level in zip(panels[0], TITLES, strict=True)]
    drawn += [draw_starts(panels[1, 0], runs), draw_dial(panels[1, 1], runs, shift)]
    mark(panels[1, 0], verdicts["R14"])
    mark(panels[1, 1], verdicts["R10"])
    return fig, pd.concat(drawn)
