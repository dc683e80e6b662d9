"""How the change of a layer's outputs depends on the width, from the table `coordinates`."""

from collections.abc import Hashable

import pandas as pd

from common.evidence.statistics import log_log_slopes


def coordinate_slopes(
    coordinates: pd.DataFrame, *, optimizer: str, parametrization: str, layer: str, step: int = 3
) -> dict[Hashable, float]:
    """Log-log slope against width of how much a layer's outputs have changed after some updates, by seed."""
    of_network = (coordinates.optimizer == optimizer) & (coordinates.parametrization == parametrization)
    rows = coordinates[of_network & (coordinates.layer == layer) & (coordinates.step == step)]
    changes = rows[rows.quantity == "change"].pivot(index="seed", columns="width", values="value")
    widths = [float(width) for width in changes.columns]
    return log_log_slopes(widths, {seed: list(row) for seed, row in changes.iterrows()})
