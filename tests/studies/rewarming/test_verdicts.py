"""Rules whose claims were decided on the wrong arm or baseline once, on curves written by hand."""

import pandas as pd
import pytest

from common.pipeline.studies import Studies
from studies.rewarming import verdicts

CLAIMS = Studies.load()["rewarming"].claims
NOISE = (-0.001, 0.0, 0.0, 0.001, 0.0)


def judged(name, runs):
    """The verdict on a claim, with its settings."""
    claim = CLAIMS[name]
    return getattr(verdicts, claim.verdict)(runs=runs, **claim.settings)


def rows(arm, *, steps, old, new):
    """Five seeds of a run, evaluated evenly over so many updates; they differ after the start."""
    found = []
    for seed, noise in enumerate(NOISE):
        about = {"run": arm, "arm": arm, "seed": seed, "lr": 3e-3, "start_step": 1500, "steps": steps}
        at = [1500 + round(i * steps / (len(old) - 1)) for i in range(len(old))]
        losses = {f"val_loss_{name}": [text[0], *(loss + noise for loss in text[1:])] for name, text in
                  (("old", old), ("new", new))}  # fmt: skip
        found.append(pd.DataFrame({**about, "step": at, **losses}))
    return pd.concat(found, ignore_index=True)


def spikes(*, kept, reset):
    """First updates without a warm-up that reach so much above those with one, by a little more for each seed."""
    parts = [rows(f"weak_{kind}", steps=750, old=[2, 2, 2], new=[3, 2, 1]) for kind in ("rewarm", "warm0")]
    for state, height in (("kept", kept), ("reset", reset)):
        for share, above in ((0, height), (1, 0.0)):
            new = [2.0, 2.1 + above, 2.05, 2.0]
            parts.append(rows(f"weak_beginning_{state}{share}", steps=15, old=[2] * 4, new=new))
    runs = pd.concat(parts, ignore_index=True)
    return runs.assign(val_loss_new=runs.val_loss_new + 1e-3 * runs.seed * runs.arm.str.endswith("0"))


@pytest.mark.parametrize(
    ("kept", "reset", "expected"), [(0.0, 0.2, "supported"), (0.2, 0.02, "weaker"), (0.2, -0.05, "contradicted")]
)
def test_a_spike_is_judged_where_the_optimizer_is_reset(kept, reset, expected):
    found = judged("R2", spikes(kept=kept, reset=reset))
    assert [part.verdict for part in found.parts] == [expected, "reported", "reported"]
    assert found.verdict == expected


def same(*, early, end):
    """Losses on the same text that are so much above the start after a sixth of the phase, and at its end."""
    curve = [2.0, *[2.0 + early] * 2, *[2.0 + end] * 4]
    parts = [rows(f"same_{kind}", steps=600, old=curve, new=curve) for kind in ("rewarm", "double")]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(("early", "expected"), [(0.1, "supported"), (-0.1, "contradicted")])
def test_recovery_is_looked_for_where_the_source_looked(early, expected):
    found = judged("R5a", same(early=early, end=-0.05))
    assert found.verdict == expected
    assert [part.estimate for part in found.parts] == pytest.approx([early, early, -0.05, -0.05])


def shifted(*, weak, strong):
    """Second phases in which replay removes these shares of a forgetting of 0.4."""
    parts = []
    for shift, kind, share in (("weak", "replay5", weak), ("strong", "replay25", strong)):
        for name, forgotten in (("rewarm", 0.4), (kind, 0.4 * (1 - share))):
            parts.append(rows(f"{shift}_{name}", steps=750, old=[2.0, 2.0 + forgotten], new=[3.0, 2.0]))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("weak", "strong", "expected"),
    [(0.8, 0.9, "supported"), (0.25, 0.9, "weaker"), (0.8, 0.4, "weaker"), (-0.2, 0.9, "contradicted")],
)
def test_replay_that_removes_less_than_the_bar_is_weaker(weak, strong, expected):
    assert judged("R7", shifted(weak=weak, strong=strong)).verdict == expected
