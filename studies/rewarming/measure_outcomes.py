"""Forgetting, adaptation, gap to joint training, rise and recovered share of every way of continuing.

Means over seeds, beside the published numbers. Losses are compared after equally many updates of the second phase, or
of both phases where a run has no parent; the table says how many. The published numbers are those of Ibrahim et al.
2024 (arXiv:2403.08763), in nats per token, second-hand: notes that say they read its fourth version quote them; the
paper itself was not read. 405M parameters, from the Pile to SlimPajama (weak) and to German (strong), and 10B
parameters on the weak shift, where the losses (not the gap) are of a single note. Joint training there is of the union
of both texts.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common.evidence.statistics import t_interval
from studies.rewarming.phases import phases

METRICS = ("forgetting", "adaptation", "average", "gap", "rise", "recovered")
"""L1 minus that of the finished first phase; L2; their mean; that over joint training's, minus 1; largest rise of L1 in
the first fifth; share of the forgetting of 1x without replay that replay removes."""
LARGE: dict[str, dict[tuple[str, str, str], float]] = {
    "published_405m": {
        ("weak", "rewarm", "forgetting"): 0.27,
        ("weak", "rewarm", "adaptation"): 2.50,
        ("weak", "replay1", "forgetting"): 0.09,
        ("weak", "replay5", "forgetting"): 0.06,
        ("weak", "replay5", "adaptation"): 2.51,
        ("weak", "replay5", "gap"): 0.009,
        ("weak", "replay1", "recovered"): 0.67,
        ("weak", "replay5", "recovered"): 0.78,
        ("weak", "replay50", "forgetting"): -0.01,
        ("weak", "replay50", "adaptation"): 2.54,
        ("weak", "replay50", "gap"): 0.0,
        ("weak", "replay50", "recovered"): 1.04,
        ("weak", "joint", "forgetting"): 0.0,
        ("weak", "joint", "adaptation"): 2.53,
        ("strong", "rewarm", "forgetting"): 1.39,
        ("strong", "rewarm", "adaptation"): 1.11,
        ("strong", "replay1", "forgetting"): 0.66,
        ("strong", "replay5", "forgetting"): 0.40,
        ("strong", "replay25", "forgetting"): 0.16,
        ("strong", "replay25", "adaptation"): 1.16,
        ("strong", "replay25", "gap"): 0.0,
        ("strong", "replay1", "recovered"): 0.53,
        ("strong", "replay5", "recovered"): 0.71,
        ("strong", "replay25", "recovered"): 0.88,
        ("strong", "replay50", "forgetting"): 0.07,
        ("strong", "replay50", "adaptation"): 1.22,
        ("strong", "replay50", "gap"): -0.01,
        ("strong", "replay50", "recovered"): 0.95,
        ("strong", "joint", "forgetting"): 0.09,
        ("strong", "joint", "adaptation"): 1.25,
    },
    "published_10b": {
        ("weak", "replay5", "gap"): 0.011,
        ("weak", "replay5", "adaptation"): 2.00,
        ("weak", "joint", "adaptation"): 2.02,
    },
}
"""Published numbers by column, and by shift, kind and metric."""


def outcomes(runs: pd.DataFrame) -> pd.DataFrame:
    """`phases` of every arm, to its end, with metrics and updates; one row for each run and seed."""
    table = phases(runs[~runs.arm.str.contains("_beginning_")])
    place = pd.MultiIndex.from_frame(table[["shift", "seed"]])

    def of(kind: str, column: str) -> NDArray[np.float64]:
        found = table[table.kind == kind].set_index(["shift", "seed"])[column]
        return found.reindex(place).to_numpy()

    forgetting = table.old - of("rewarm", "before")
    return table.assign(
        forgetting=forgetting,
        adaptation=table.new,
        gap=table.average / of("joint", "average") - 1,
        rise=table.rise.where(table.continued),
        recovered=(1 - forgetting / of("rewarm", "forgetting")).where(table.kind.str.startswith("replay")),
        compute=table.updates / of("joint", "updates"),
    )


def measure(runs: pd.DataFrame) -> pd.DataFrame:
    """Columns shift, kind, updates, total_updates, compute (over those of joint training), metric, mean, low, high, n,
    published_405m and published_10b: 95 % intervals over seeds, a row for each metric that a way of continuing has.
    """
    rows = []
    for (shift, kind), part in outcomes(runs).groupby(["shift", "kind"], sort=False):
        about = {"shift": shift, "kind": kind, **part[["updates", "total_updates", "compute"]].iloc[0]}
        for metric in METRICS:
            values = part.set_index("seed")[metric].dropna()
            if len(values):
                published = {name: numbers.get((str(shift), str(kind), metric)) for name, numbers in LARGE.items()}
                rows.append({**about, "metric": metric, **vars(t_interval(values)), **published})
    return pd.DataFrame(rows).astype({"updates": int, "total_updates": int})
