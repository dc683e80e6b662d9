"""Laws of the loss curve: against slow twins, on curves that they made themselves, and on the study's schedules."""

import math

import numpy as np
import pandas as pd
import pytest

from common.pipeline.studies import Studies
from studies.wsd import laws, measure_laws
from studies.wsd.bound import bound
from studies.wsd.histories import lineage_rates
from studies.wsd.study import HEADLINE, PEAK
from tests.studies.wsd import world

RUNS = Studies.load(block="written")["wsd"].runs
RAMP = [0.25, 0.5, 0.75]
SCHEDULES = {
    "constant": np.array([*RAMP, *[1.0] * 60]),
    "decay": np.array([*RAMP, *[1.0] * 40, *np.linspace(0.95, 0.1, 20)]),
    "up again": np.array([*RAMP, *[1.0] * 20, *np.linspace(0.9, 0.1, 9), *[1.0] * 20, 0.4, 0.0]),
}
CONSTANTS = {
    "annealing": (1.5, 0.4, 0.5, 0.7, math.log(25.0)),
    "multi-power": (1.5, 0.4, 0.5, 0.3, 20.0, 0.6, 0.4),
    "functional": (1.5, 0.4, 0.5, 3.0, 40.0, 1.5),
}


def annealing(constants, factors):
    """As published: a double sum over falls of the rate, forgotten by a factor in each update."""
    level, size, exponent, gain, memory = constants
    keep, flat = math.exp(-1 / math.exp(memory)), laws.held(factors)
    area = sum((flat[k - 1] - flat[k]) * keep ** (i - k) for i in range(1, len(flat)) for k in range(1, i + 1))
    return level + size * (sum(factors) / 1000) ** -exponent - gain * area / 1000


def multi_power(constants, factors):
    """As published: a sum over all updates."""
    level, size, exponent, gain, scale, beta, gamma = constants
    flat, drop = laws.held(factors), 0.0
    for k in range(1, len(flat)):
        reach = max(factors[k], laws.TINY) ** -gamma * sum(factors[k:]) / 1000
        drop += (flat[k - 1] - flat[k]) * (1 - (1 + scale * reach) ** -beta)
    return level + size * (sum(factors) / 1000) ** -exponent - gain * drop


def functional(constants, factors):
    """A sum over all updates, not over blocks of them."""
    level, size, exponent, noise, scale, kappa = constants
    kept = sum(f**2 * (1 + scale * sum(factors[k + 1 :]) / 1000) ** -kappa for k, f in enumerate(factors))
    return level + size * (sum(factors) / 1000) ** -exponent + noise * kept / 1000


@pytest.mark.parametrize("factors", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("twin", [annealing, multi_power, functional], ids=CONSTANTS)
def test_a_law_is_its_published_sum(twin, factors):
    name = twin.__name__.replace("_", "-")
    tolerance = 0.01 if name == "functional" else 1e-9
    assert laws.LAWS[name].value(CONSTANTS[name], factors) == pytest.approx(
        twin(CONSTANTS[name], factors), rel=tolerance
    )


@pytest.mark.parametrize("factors", SCHEDULES.values(), ids=SCHEDULES)
def test_the_bound_is_the_convex_bound(factors):
    start, noise = laws.bound_terms(factors)
    found = bound(factors[factors > 0])
    assert (start / 1000, noise) == pytest.approx((found.start, found.noise))


def test_a_warm_up_counts_as_the_peak_where_falls_are_meant():
    assert laws.held(SCHEDULES["decay"])[:4].tolist() == [1.0] * 4
    assert laws.held(np.array([0.5, 1.0, 0.5, 1.0])).tolist() == [1.0, 1.0, 0.5, 1.0]


@pytest.mark.parametrize("name", laws.LAWS)
def test_a_law_finds_the_curves_that_it_made(name):
    """Fitted on a constant rate and a decay it predicts a schedule that it has not seen."""
    constant = np.array([*np.linspace(0.1, 1, 10), *[1.0] * 790])
    decay = np.append(constant[:700], np.linspace(1, 0.1, 100))
    cosine = np.append(constant[:10], 0.1 + 0.45 * (1 + np.cos(np.pi * np.arange(790) / 790)))
    law, true = laws.LAWS[name], np.array(CONSTANTS[name])
    points = [
        laws.Point(curve[:t], law.value(true, curve[:t])) for curve in (constant, decay) for t in range(80, 801, 24)
    ]
    found = law.fit(points)
    assert law.value(found, cosine) == pytest.approx(law.value(true, cosine), rel=2e-3)


def test_lineages_are_those_of_a_slow_walk():
    for name, run in RUNS.items():
        if run.rung == HEADLINE:
            assert lineage_rates(run, RUNS) == pytest.approx(world.lineage_rates(name, RUNS))


def test_every_other_schedule_is_held_out(monkeypatch):
    monkeypatch.setattr(measure_laws, "LAWS", {"annealing": laws.LAWS["annealing"]})
    records = {name: run for name, run in RUNS.items() if run.rung == HEADLINE}
    table = pd.concat([world.rows(name, RUNS, member=m, hill=40.0, noise=1e-4) for name in records for m in (0, 1)])
    found = measure_laws.measure(table, records)
    assert set(found.law) == {"annealing", "bound"}
    schedules = sum(run.arm != "schedule_free" for run in records.values())
    assert found.groupby(["law", "seed"]).size().unique().tolist() == [schedules]
    known = found[~found.held_out].run.unique()
    assert {(records[name].arm, records[name].lr) for name in known} == {("stable", PEAK), ("wsd", PEAK)}
    assert len(known) == 2 and schedules - 2 > 20
