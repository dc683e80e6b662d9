"""Claims that must not be decided by what is not known: times that were not reached, and optima at an end of a grid."""

import numpy as np
import pandas as pd
import pytest

from studies.lr_transfer import verdicts

SEEDS, WIDTHS = range(5), (64, 128, 256)


def curves(*, slow: dict[str, bool]) -> pd.DataFrame:
    """Sharpness that doubles every update up to the edge 16; the widest of a slow parametrization never gets there."""
    return pd.DataFrame(
        {"arm": "curve", "parametrization": name, "width": width, "seed": seed, "step": step, "lr": 0.125,
         "effective_sharpness": 1.0 if slow[name] and width == 256 else min(2.0**step, 16.0) * (1 + 0.01 * seed)}
        for name in slow for width in WIDTHS for seed in SEEDS for step in range(9)
    )  # fmt: skip


@pytest.mark.parametrize(("mup", "verdict"), [(False, "supported"), (True, "undecided")])
def test_arrivals_that_never_came_decide_nothing_under_mup(mup, verdict):
    found = verdicts.arrival_is_independent_of_width(curves(slow={"mup": mup, "ntp": True}), octaves=0.5)
    assert found.verdict == verdict


def sweep(name: str, *, best: float, arm: str = "sgd_mse") -> pd.DataFrame:
    """Rows of a sweep of three widths whose log loss is a parabola about a rate, by log2."""
    rates = 2.0 ** np.arange(-8, 1)
    about = [
        {"arm": arm, "parametrization": name, "width": width, "depth": 3, "seed": seed, "lr": lr, "steps": 10}
        for width in WIDTHS
        for seed in SEEDS
        for lr in rates
    ]
    start = pd.DataFrame(about).assign(step=0, val_loss=9.0)
    loss = np.exp(0.1 * (np.log2(start.lr) - best - 0.01 * start.seed) ** 2)
    end = pd.DataFrame(about).assign(step=10, train_loss=loss)
    return pd.concat([start, end], ignore_index=True)


@pytest.mark.parametrize(("best", "verdict"), [(-4.0, "supported"), (-20.0, "undecided")])
def test_optima_at_an_end_of_the_grid_decide_nothing(best, verdict):
    found = verdicts.inside_the_grid(sweep("mup", best=best), "sgd_mse", "mup")
    assert found.verdict == verdict


def test_each_parametrization_has_its_own_shared_rate():
    runs = pd.concat([sweep("mup", best=-4.0), sweep("sp", best=-6.0)])
    assert [np.log2(verdicts.shared_rate(runs, name)) for name in ("mup", "sp")] == [-4, -6]
