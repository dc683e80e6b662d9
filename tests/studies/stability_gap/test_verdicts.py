"""The package of verdicts offers the function of every claim, and what is not known decides none."""

import math

import pandas as pd
import pytest

from studies.stability_gap import comparisons, domains, verdicts
from studies.stability_gap.claims import CLAIMS
from studies.stability_gap.selections import HALF_AN_IMAGE, factors
from studies.stability_gap.verdicts import gap

STEPS = (100, 105, 110, 115, 120)
SEEDS = range(4)


def test_each_claim_has_its_function_and_each_function_its_claim():
    assert sorted(claim.verdict for claim in CLAIMS) == sorted(verdicts.__all__)
    assert all(callable(getattr(verdicts, claim.verdict)) for claim in CLAIMS)


def text(**curves: dict[str, list[float]]) -> pd.DataFrame:
    """Rows of runs on text after update 100: by run, the losses of some domains, a little apart between seeds."""
    tables = []
    for run, curve in curves.items():
        name = run.replace("_", "-")
        for seed in SEEDS:
            losses = {f"val_loss_{domain}": [2.0] * len(STEPS) for domain in domains.TASKS}
            losses |= {
                f"val_loss_{domain}": [2.0 + (value - 2.0) * (1 + 0.01 * seed) for value in values]
                for domain, values in curve.items()
            }
            about = {"run": f"text-{name}", "arm": f"text_{run}", "parent": "prose", "seed": seed, "start_step": 100}
            tables.append(pd.DataFrame({**about, "lr": 1e-3, "step": STEPS, **losses}))
    return pd.concat(tables, ignore_index=True)


BACK = [2.0, 2.3, 2.0, 2.0, 2.0]
LATER = [2.0, 2.3, 2.3, 2.3, 2.0]
NEVER = [2.0, 2.3, 2.3, 2.3, 2.3]


@pytest.mark.parametrize(
    ("subset", "once", "verdict"),
    [
        (BACK, LATER, "supported"),
        (LATER, BACK, "contradicted"),
        (BACK, NEVER, "undecided"),
        (NEVER, NEVER, "undecided"),
    ],
)
def test_who_comes_back_sooner_is_not_known_of_those_that_never_do(subset, once, verdict):
    curves = {"subset": subset, "pass": once, "ranked": subset}
    runs = text(**{run: {"documented": curve} for run, curve in curves.items()})
    assert verdicts.repetition_recovers_sooner(runs, share=0.8, tolerance=0.02).verdict == verdict


def test_the_rise_without_a_switch_is_no_part_of_what_a_ramp_leaves():
    runs = text(
        same={"prose": [2.0, 2.3, 2.3, 2.3, 2.3]},
        joint={"prose": [2.0, 2.4, 2.4, 2.4, 2.4]},
        joint_ramp={"prose": [2.0, 2.32, 2.32, 2.32, 2.32]},
        joint_warmup={"prose": [2.0, 2.39, 2.39, 2.39, 2.39]},
    )
    found = verdicts.ramp_cures_text(runs, left=0.4, tolerance=0.02)
    assert found.verdict == "supported" and "rise by the switch" in [part.label for part in found.parts]
    beyond = comparisons.beyond_same(runs, "text-joint-ramp").set_index("seed")
    assert beyond.depth[0] == pytest.approx(0.02) and beyond.residual[0] == pytest.approx(0.02)


def test_a_comparison_of_unequal_first_tasks_is_undecided():
    rows = [
        {"run": arm, "arm": arm, "lr": 0.1, "seed": seed, "depth": depth + 0.1 * seed, "before": before + 0.1 * seed}
        for arm, depth, before in (("with", 20.0, 97.0), ("equal", 10.0, 97.0), ("unequal", 10.0, 80.0))
        for seed in SEEDS
    ]
    found = {
        arm: gap.amplified(pd.DataFrame(rows), ("with", 0.1), (arm, 0.1), times=1.5, margin=3.0).verdict
        for arm in ("equal", "unequal")
    }
    assert found == {"equal": "supported", "unequal": "undecided"}


def test_a_smaller_amplification_is_weaker():
    rows = [
        {
            "run": arm,
            "arm": arm,
            "lr": 0.1,
            "seed": seed,
            "depth": depth * (1 + 0.01 * seed),
            "before": 97.0 + 0.1 * seed,
        }
        for arm, depth in (("with", 12.0), ("without", 10.0))
        for seed in SEEDS
    ]
    found = gap.amplified(pd.DataFrame(rows), ("with", 0.1), ("without", 0.1), times=1.5, margin=3.0)
    assert (found.verdict, found.direction) == ("weaker", "confirmed")


def test_factors_of_depths_that_no_image_resolves():
    assert factors({0: 0.0, 1: 10.0}, {0: 5.0, 1: -1.0}) == pytest.approx({0: HALF_AN_IMAGE / 5, 1: 10 / HALF_AN_IMAGE})
    assert math.isclose(HALF_AN_IMAGE, 100 / 720)
