"""The shift dial on texts whose distance is known."""

from itertools import pairwise
from math import log

import numpy as np
import pandas as pd
import pytest

from common import data
from common.config import Files, Mixture, Run, Transformer
from studies.rewarming import measure_shift as shift

TEXT = np.random.default_rng(0).integers(0, 20, (200, 65))


def test_equal_texts_do_not_diverge():
    shares = shift.bigrams(TEXT)
    assert shift.divergence(shares, shares) == 0
    assert shares.sum() == pytest.approx(1)


def test_texts_without_a_common_pair_diverge_by_log_2():
    assert shift.divergence(shift.bigrams(TEXT), shift.bigrams(TEXT + 100)) == pytest.approx(log(2))


@pytest.mark.parametrize("seed", range(5))
def test_the_divergence_lies_between_and_is_symmetric(seed):
    other = shift.bigrams(np.random.default_rng(seed).integers(10, 15 + 20 * seed, (50, 9)))
    shares = shift.bigrams(TEXT)
    found = shift.divergence(shares, other)
    assert 0 < found <= log(2) * (1 + 1e-12)
    assert found == pytest.approx(shift.divergence(other, shares))


def test_pairs_are_counted_as_a_loop_counts_them():
    counts = np.zeros(256 * 256)
    for window in TEXT:
        for first, second in pairwise(window):
            counts[256 * first + second] += 1
    assert shift.bigrams(TEXT) == pytest.approx(counts / counts.sum())


@pytest.fixture
def files(tmp_path):
    """Two texts of other bytes."""
    for name, letters in (("old", "abcdef "), ("new", "uvwxyz ")):
        (tmp_path / f"{name}.txt").write_text("".join(np.random.default_rng(1).choice(list(letters), 20000)))
    return {name: Files(str(tmp_path / f"{name}.txt"), context=16, validation_windows=4) for name in ("old", "new")}


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5, 0.6667])
def test_the_replayed_share_is_that_of_the_batches(files, tmp_path, share):
    mixed = Mixture(files["new"], files["old"], share=share)
    run = Run(model=Transformer(width=8, depth=1, heads=2), data=mixed, lr=0.1, steps=30, batch_size=8, seed=3)
    dataset = data.load(mixed, corpora=tmp_path)
    batches = (dataset.batch(seed=3, position=8 * t, count=8).inputs for t in range(30))
    old = sum(int(((inputs >= ord("a")) & (inputs <= ord("f"))).any(dim=1).sum()) for inputs in batches)
    assert shift.replayed(run, corpora=tmp_path) == old / 240
    assert shift.replayed(run, corpora=tmp_path) == int(share * 240) / 240


def test_nothing_is_replayed_without_a_mixture(files, tmp_path):
    run = Run(model=Transformer(width=8, depth=1, heads=2), data=files["new"], lr=0.1, steps=30, batch_size=8, seed=3)
    assert shift.replayed(run, corpora=tmp_path) == 0


def test_cross_entropies_compare_models_of_equally_many_updates():
    runs = pd.DataFrame(
        [
            ("strong_only_old", 0, 0, 5.0, 5.0), ("strong_only_old", 0, 9, 2.0, 3.0),
            ("strong_only_new", 0, 9, 3.5, 1.8), ("strong_only_new", 0, 0, 5.0, 5.0),
            ("quarter_rewarm", 4, 9, 1.9, 2.9), ("quarter_rewarm", 4, 20, 2.5, 2.0),
        ],
        columns=["arm", "seed", "step", "val_loss_old", "val_loss_new"],
    )  # fmt: skip
    rows = {(row["shift"], row["seed"]): row["value"] for row in shift.cross_entropies(runs)}
    assert rows == {("strong", 0): pytest.approx(1.2), ("quarter", 4): pytest.approx(1.0)}
