"""From rows to phases: one line for each run and seed, with what it forgot, learnt and went through.

L1 is the validation loss on the old text and L2 that on the new one, in nats/byte. Of infinite schedules only annealed
checkpoints are compared with the ends of cosines, and each has as many updates behind it as its counterpart.
"""

from collections.abc import Hashable, Iterator, Sequence

import pandas as pd

from studies.rewarming.study import CHAIN

OLD, NEW = "val_loss_old", "val_loss_new"
EARLY = 0.2
"""Share of a phase, at its start, in which a rise is looked for."""

DOMAINS = tuple(CHAIN)
"""Texts of the three phases, if they change."""
INFINITE, REPEATED = "infinite", "cyclic_cosine"
"""The two schedules, by the names of their colours."""
ANNEALS = {"same": ("infinite_anneal",), "chain": ("infinite_anneal", "chain_anneal")}
COSINES = {"same": ("same_rewarm", "repeated_same"), "chain": ("repeated_chain",)}
"""Arms that end with finished models, on one text and over domains."""

Values = dict[Hashable, float]


def curve(rows: pd.DataFrame, column: str) -> pd.Series:
    """One column's evaluations against updates since the start of the phase, of one run and seed."""
    found = rows[rows[column].notna()].sort_values("step")
    return pd.Series(found[column].to_numpy(), index=(found.step - found.start_step).to_numpy(), name=column)


def rise(losses: pd.Series, *, within_steps: float) -> float:
    """Largest loss in the first updates minus that at the start; 0 if it only falls.

    Args:
        losses: by updates since the start, which is the first one.
        within_steps: updates looked at.
    """
    return float(losses[losses.index <= losses.index[0] + within_steps].max() - losses.iloc[0])


def recovery(forgetting: float, *, without: float) -> float:
    """Share of the forgetting without replay that replay removes: 1 if nothing is forgotten, below 0 if more is."""
    return 1 - forgetting / without


def crossing(first: pd.Series, second: pd.Series) -> float | None:
    """Share of the phase after which `first` stays below `second` to the end; None if it never does.

    Args:
        first: losses by updates since the start, the last of which is the phase's end.
        second: losses at the same updates.
    Raises: ValueError if the updates differ.
    """
    if not first.index.equals(second.index):
        raise ValueError("two curves were evaluated after different updates; evaluate both runs equally often")
    above = first.index[first >= second]
    if len(above) == 0:
        return 0.0
    after = first.index[first.index > above[-1]]
    return float(after[0] / first.index[-1]) if len(after) else None


def phases(runs: pd.DataFrame) -> pd.DataFrame:
    """One row for each run and seed that has evaluated the old text.

    Columns: run, shift and kind (the two parts of the arm), lr, seed, updates (of the phase) and total_updates (with
    those before it), continued (whether there are such); before and old (L1 at its start and end), new_before and new
    (L2), average of old and new, forgetting (old - before) and rise (of L1 in the first fifth).
    Where a run has no parent, before is that of random weights. NaN where the new text was not evaluated.
    """
    about = ["run", "arm", "lr", "seed"]
    rows = []
    for (run, arm, lr, seed), part in runs[runs[OLD].notna()].groupby(about, sort=False):
        shift, _, kind = str(arm).partition("_")
        old = curve(part, OLD)
        new = curve(part, NEW) if NEW in part else pd.Series(dtype=float)
        before, after = float(old.iloc[0]), float(old.iloc[-1])
        new_before, new_after = (float(new.iloc[0]), float(new.iloc[-1])) if len(new) else (float("nan"),) * 2
        rows.append(
            {
                "run": run,
                "shift": shift,
                "kind": kind,
                "lr": lr,
                "seed": int(str(seed)),
                "updates": int(old.index[-1]),
                "total_updates": int(part.step.max()),
                "continued": bool(part.start_step.iloc[0] > 0),
                "before": before,
                "old": after,
                "new_before": new_before,
                "new": new_after,
                "average": (after + new_after) / 2,
                "forgetting": after - before,
                "rise": rise(old, within_steps=EARLY * old.index[-1]),
            }
        )
    return pd.DataFrame(rows)


def by_seed(table: pd.DataFrame, column: str, *, shift: str, kind: str) -> Values:
    """One column of `phases` by seed.

    Raises: LookupError if no run is of this shift and kind; ValueError if two of a seed are.
    """
    found = table[(table["shift"] == shift) & (table.kind == kind)]
    if found.empty:
        raise LookupError(f"no run of shift={shift!r}, kind={kind!r}: check the arms that the rule reads")
    if found.seed.duplicated().any():
        raise ValueError(f"several runs of shift={shift!r}, kind={kind!r}: {', '.join(sorted(set(found.run)))}")
    return {int(seed): float(value) for seed, value in zip(found.seed, found[column], strict=True)}


def recoveries(table: pd.DataFrame, *, shift: str, kind: str) -> Values:
    """Share of the forgetting of the run without replay that a run of this kind removes, by seed."""
    without = by_seed(table, "forgetting", shift=shift, kind="rewarm")
    return {
        seed: recovery(value, without=without[seed])
        for seed, value in by_seed(table, "forgetting", shift=shift, kind=kind).items()
    }


def crossings(runs: pd.DataFrame, *, first: str, second: str, column: str = NEW) -> dict[int, float | None]:
    """`crossing` of the curves of two arms, by seed."""
    found = {}
    for seed, rows in runs[runs.arm.isin((first, second))].groupby("seed"):
        curves = (curve(rows[rows.arm == arm], column) for arm in (first, second))
        found[int(str(seed))] = crossing(*curves)
    return found


def finished(runs: pd.DataFrame) -> pd.DataFrame:
    """Finished models of three phases, with infinite schedules and with a cosine for each phase.

    Columns: setting ("same" text or "chain" of domains), schedule, phase (from 0), seed, domain ("prose" in the first
    setting) and loss. What ends phase 0 of the cosines is the base, as the run that continues it evaluated it.
    """
    found = [
        _ends(runs, setting, schedule, arms=arms[setting])
        for setting in ("same", "chain")
        for schedule, arms in ((INFINITE, ANNEALS), (REPEATED, COSINES))
    ]
    return pd.concat(found, ignore_index=True)


def _ends(runs: pd.DataFrame, setting: str, schedule: str, *, arms: Sequence[str]) -> pd.DataFrame:
    """Losses at the ends of phases; of cosines also those at the start of the first run, which end phase 0."""
    columns = {"prose": "val_loss"} if setting == "same" else {name: f"val_loss_{name}" for name in DOMAINS}
    rows = runs[runs.arm.isin(arms) & runs[list(columns.values())].notna().all(axis=1)]
    spans = rows.groupby(["seed", "run"]).step
    ends = rows[rows.step == spans.transform("max")]
    if schedule == REPEATED:
        starts = rows[rows.step == rows.groupby("seed").step.transform("min")]
        ends = pd.concat([starts, ends])
    ends = ends.assign(phase=ends.groupby("seed").step.rank().astype(int) - 1)
    named = ends.rename(columns={column: name for name, column in columns.items()})
    table = named.melt(["seed", "phase"], list(columns), var_name="domain", value_name="loss")
    return table.assign(setting=setting, schedule=schedule)


def boundaries(runs: pd.DataFrame) -> pd.DataFrame:
    """Rises at the starts of the second and third phase, of the text so far (the mean of the domains that it has).

    Columns: setting, schedule, phase (1 or 2), seed, rise (in the first fifth of a phase, as in `phases`) and
    rise_finished (above the finished model of the phase before in the place of the start). Infinite schedules are
    followed along their trunk, whose loss no decay has lowered; a cosine starts from the finished model itself.
    """
    rows = []
    for seed, part in runs.groupby("seed"):
        length, models = part[part.arm == "same_rewarm"].steps.iloc[0], finished(part)
        for setting, schedule, phase, losses in _starts(part):
            about = {"setting": setting, "schedule": schedule, "phase": phase, "seed": int(str(seed))}
            found = rise(losses, within_steps=EARLY * length)
            before = models[(models.setting == setting) & (models.schedule == schedule) & (models.phase == phase - 1)]
            above = losses.iloc[0] - before[before.domain.isin(DOMAINS[:phase])].loss.mean()
            rows.append({**about, "rise": found, "rise_finished": found + above if schedule == INFINITE else found})
    return pd.DataFrame(rows)


def _starts(rows: pd.DataFrame) -> Iterator[tuple[str, str, int, pd.Series]]:
    """Setting, schedule, phase and losses of the old text by updates since the phase began, of one seed."""
    trunk = rows[rows.arm == "infinite_trunk"]
    for phase, arm in enumerate(COSINES["same"], start=1):
        cosine = curve(rows[rows.arm == arm], "val_loss")
        yield "same", REPEATED, phase, cosine
        begin = rows[rows.arm == arm].start_step.iloc[0]
        yield "same", INFINITE, phase, curve(trunk.assign(start_step=begin), "val_loss").loc[0 : cosine.index[-1]]
    for schedule, arm in ((REPEATED, "repeated_chain"), (INFINITE, "chain_trunk")):
        chain = rows[rows.arm == arm]
        for phase, begin in enumerate(sorted(chain.start_step.unique()), start=1):
            old = [f"val_loss_{name}" for name in DOMAINS[:phase]]
            part = chain[chain.start_step == begin]
            yield "chain", schedule, phase, curve(part.assign(old=part[old].mean(axis=1, skipna=False)), "old")
