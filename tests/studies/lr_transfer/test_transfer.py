"""Best rates, drift, regret and sensitivity on curves written by hand."""

import numpy as np
import pandas as pd
import pytest

from studies.lr_transfer import transfer

RATES = 2.0 ** np.arange(-8, 1)


def table(*, drift: float = 0.0, bend: float = 0.2, seeds=(0, 1, 2), widths=(64, 128, 256), best: float = -4.0):
    """Losses exp(bend (log2 lr - best - drift log2(width / 64))^2 - log2 width), as `endings` gives them."""
    rows = [
        {"seed": seed, "width": width, "lr": lr, "initial": 5.0, "diverged": False,
         "loss": np.exp(bend * (np.log2(lr) - best - 0.1 * seed - drift * np.log2(width / 64)) ** 2) / np.log2(width)}
        for seed in seeds for width in widths for lr in RATES
    ]  # fmt: skip
    return pd.DataFrame(rows)


def rows_of_training(*, lr=0.1, seed=0, steps=20, losses=None, width=64):
    """Rows of one member: the start, then one row for every update."""
    losses = np.linspace(4, 1, steps) if losses is None else losses
    keys = {"arm": "a", "parametrization": "sp", "width": width, "depth": 3, "seed": seed, "lr": lr, "steps": steps}
    start = {**keys, "step": 0, "val_loss": 5.0, "train_loss": np.nan}
    return pd.DataFrame(
        [start, *({**keys, "step": i + 1, "train_loss": loss, "val_loss": np.nan} for i, loss in enumerate(losses))]
    )


def test_the_final_loss_is_the_mean_of_the_last_tenth():
    (row,) = transfer.endings(rows_of_training()).itertuples()
    assert row.loss == pytest.approx(np.linspace(4, 1, 20)[-2:].mean())
    assert (row.initial, row.diverged) == (5.0, False)


@pytest.mark.parametrize("losses", [np.full(20, 7.0), np.full(20, np.nan), [3.0, np.inf], [3.0]])
def test_a_training_that_ends_above_its_start_or_early_is_clipped(losses):
    (row,) = transfer.endings(rows_of_training(losses=losses)).itertuples()
    assert (row.loss, row.diverged) == (5.0, True)


def test_members_keep_their_own_endings():
    runs = pd.concat([rows_of_training(lr=0.1), rows_of_training(lr=0.2, losses=np.full(20, 2.0))])
    assert transfer.endings(runs).set_index("lr").loss[0.2] == 2.0


@pytest.mark.parametrize("place", [-3.7, -4.0, -4.3, -4.49])
def test_the_vertex_of_a_parabola_is_found_exactly(place):
    losses = np.exp(0.3 * (np.log2(RATES) - place) ** 2 + 1)
    assert np.log2(transfer.best_rate(RATES, losses)) == pytest.approx(place)


def test_the_vertex_is_that_of_numpys_fit():
    losses = np.random.default_rng(1).uniform(1, 2, len(RATES))
    losses[4] = 0.9
    a, b, _ = np.polyfit(np.log2(RATES)[3:6], np.log(losses[3:6]), 2)
    assert np.log2(transfer.best_rate(RATES, losses)) == pytest.approx(-b / (2 * a))


def test_a_cliff_moves_the_vertex_by_less_than_half_a_step():
    losses = np.array([5, 4, 3, 2, 1, 1e6, 1e6, 1e6, 1e6])
    assert -4.5 < np.log2(transfer.best_rate(RATES, losses)) < -4


def test_beside_a_clipped_neighbour_the_best_rate_is_that_of_the_grid():
    losses = np.array([5, 4, 3, 2, 1, 6, 6, 6, 6])
    for clipped in (losses == 6, losses == 2):
        assert transfer.best_rate(RATES, losses, clipped) == RATES[4]
        assert transfer.beside_clipped(losses, clipped)
    far = np.arange(len(losses)) > 5
    assert transfer.best_rate(RATES, losses, far) == transfer.best_rate(RATES, losses)
    assert not transfer.beside_clipped(losses, far)


def test_the_share_of_optima_at_the_cliff():
    rows = table(drift=-1.0)
    rows = rows.assign(diverged=(rows.width == 256) & (rows.lr == 2.0**-5))
    assert transfer.cliffs(rows, size="width") == pytest.approx({0: 1 / 3, 1: 1 / 3, 2: 1 / 3})
    assert np.log2(transfer.optima(rows, size="width").loc[1].tolist()) == pytest.approx([-3.9, -4.9, -6.0])


def test_at_an_end_of_the_grid_the_best_rate_is_that_end():
    assert transfer.best_rate(RATES, np.arange(1.0, 10)) == RATES[0]
    assert transfer.best_rate(RATES[:2], [2.0, 1.0]) == RATES[1]
    assert not transfer.inside([1.0, 2.0, 3.0]) and transfer.inside([2.0, 1.0, 3.0])


def test_uneven_grids_are_refused():
    with pytest.raises(ValueError, match="equal ratios"):
        transfer.best_rate([1, 2, 8], [3, 1, 2])


@pytest.mark.parametrize("slope", [0.0, -1.0, 0.5])
def test_the_drift_is_the_slope_that_was_put_in(slope):
    best = transfer.optima(table(drift=slope), size="width")
    assert np.log2(best.loc[1, 64]) == pytest.approx(-3.9)
    assert transfer.drift(best) == pytest.approx({0: slope, 1: slope, 2: slope})


def test_moves_are_counted_on_the_grid():
    assert (transfer.moves(table(drift=-1.0), size="width") == -2).all()


def test_grids_may_differ_between_sizes():
    whole = table(drift=-1.0)
    part = whole[~((whole.width == 64) & (whole.lr < 2.0**-6)) & ~((whole.width == 256) & (whole.lr > 2.0**-3))]
    assert transfer.drift(transfer.optima(part, size="width"))[0] == pytest.approx(-1)
    assert set(transfer.interior(part, size="width").values()) == {1.0}


def test_a_minimum_at_the_end_is_not_interior():
    assert set(transfer.interior(table(best=-20.0), size="width").values()) == {0.0}


def test_regret_is_what_the_small_networks_rate_costs():
    paid = transfer.regret(table(drift=-1.0, seeds=(0,)), size="width")
    assert paid[0] == pytest.approx(np.exp(0.2 * 2**2) - 1)
    assert transfer.regret(table(seeds=(0,)), size="width")[0] == 0


def test_sensitivity_is_the_mean_excess_around_the_optimum():
    excess = [np.exp(0.2 * k**2) - 1 for k in range(-3, 4)]
    assert transfer.sensitivity(table(seeds=(0,)), size="width")[0] == pytest.approx(np.mean(excess) / 8 / 5)


def test_sensitivity_takes_what_the_grid_has():
    excess = [np.exp(0.2 * k**2) - 1 for k in range(-1, 4)]
    found = transfer.sensitivity(table(best=-7.0, seeds=(0,)), size="width")
    assert found[0] == pytest.approx(np.mean(excess) / 8 / 5)


def test_the_bootstrap_covers_the_drift_and_shrinks_to_it_without_noise():
    alike = pd.concat([table(drift=-0.5, seeds=(0,)).assign(seed=seed) for seed in range(4)])
    assert transfer.bootstrap(alike, size="width", draws=20) == pytest.approx((-0.5, -0.5))
    low, high = transfer.bootstrap(table(drift=-0.5), size="width", draws=200)
    assert low < -0.5 < high


def logged(losses):
    """Rows of one rate: losses by width, each by seed (rows) and step."""
    return pd.DataFrame(
        {"seed": seed, "step": step, "width": width, "train_loss": loss}
        for width, by_seed in losses.items()
        for seed, by_step in enumerate(by_seed)
        for step, loss in enumerate(by_step)
    )


def test_widths_are_ordered_at_the_steps_at_which_wider_is_no_worse():
    runs = logged({64: [[9, 3, 2, 1, 1]] * 2, 128: [[9, 2, 1, 1, 2]] * 2})
    assert transfer.ordered_shares(transfer.losses_by_width(runs)) == {0: 0.75, 1: 0.75}


def test_two_standard_errors_are_forgiven():
    runs = logged({64: [[9, 1.0], [9, 1.0]], 128: [[9, 1.0], [9, 1.2]]})
    assert transfer.ordered_shares(transfer.losses_by_width(runs)) == {0: 1.0, 1: 1.0}


def test_a_training_that_ended_is_worse():
    runs = logged({64: [[9, 1, 1], [9, 1, 1]], 128: [[9, 0.5], [9, 0.5]]})
    assert transfer.ordered_shares(transfer.losses_by_width(runs)) == {0: 0.5, 1: 0.5}
