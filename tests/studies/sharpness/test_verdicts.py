"""Rules that must not pass or fail by what they count: runs far below the edge, bars at the edge, single blocks."""

import numpy as np
import pandas as pd
import pytest

from studies.sharpness import verdicts
from studies.sharpness.claims import CLAIMS

SEEDS = range(10, 15)
START = 40.0
"""Sharpness at the start, so that the line is at a rate of 1/20."""
SETTINGS = {claim.name: claim.settings for claim in CLAIMS}


def survivors(edges: dict[float, float]) -> pd.DataFrame:
    """Full-batch runs by rate with the late lr sharpness / 2 given, and the quiet runs that tell where they began."""
    rows = [
        {"run": "quiet-plain1", "arm": "plain1_quiet", "seed": seed, "lr": 1e-4, "step": 0, "steps": 50,
         "sharpness": START}
        for seed in SEEDS
    ]  # fmt: skip
    rows += [
        {"run": "full-plain1", "arm": "full", "seed": seed, "lr": lr, "step": step, "steps": 200,
         "sharpness": 2 * edge / lr * (1 + 0.001 * seed)}
        for lr, edge in edges.items() for seed in SEEDS for step in (100, 150, 200)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_runs_below_the_line_are_no_survivors_of_it():
    found = verdicts.above_the_line(survivors({0.025: 0.5, 0.05: 0.9, 0.2: 1.0}))
    assert found.groupby("lr").line.first().to_dict() == pytest.approx({0.025: 0.5, 0.05: 1.0, 0.2: 4.0})


def layers(post: float, pre: float) -> pd.DataFrame:
    """Gradient norms that are powers of the block, and of the depth in the last one."""
    rows = [
        {"place": place, "seed": seed, "depth": depth, "block": block,
         "gradient_norm": float(block) ** power * (1 + 0.01 * seed)}
        for place, power in (("post", post), ("pre", pre))
        for seed in range(20) for depth in (4, 8) for block in (range(1, 9) if depth == 8 else [4])
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("post", "pre", "last", "single"),
    [(0.0, -0.5, "supported", "contradicted"), (0.3, 0.0, "contradicted", "supported")],
)
def test_blocks_of_one_network_and_the_last_blocks_of_several_are_judged_apart(post, pre, last, single):
    table = layers(post, pre)
    assert verdicts.top_gradients_follow_the_norms(table, **SETTINGS["S14"]).verdict == last
    assert verdicts.gradients_grow_from_block_to_block(table, **SETTINGS["S14a"]).verdict == single


def test_what_may_be_left_after_a_warm_up_lies_well_above_its_edge():
    settings = SETTINGS["S7"]
    assert settings["left"] >= 4 * (2 / settings["peak"])


def test_slopes_are_by_seed():
    assert verdicts.block_slopes(layers(0.25, -0.5), "post") == pytest.approx(dict.fromkeys(range(20), 0.25))
    assert np.allclose(list(verdicts.top_gradient_slopes(layers(0.25, -0.5), "pre").values()), -0.5)
