"""Every mark of a ladder is drawn where its table says."""

import numpy as np
import pytest

from common.evidence.ladder import Published, fit
from common.plotting import PALETTE, figure, ladder

EFFECT = fit({size: [0.1 * i, 0.1 * i + 0.05, 0.1 * i + 0.02] for i, size in enumerate((2e4, 5e4, 1e5), start=3)})
STAR = Published(0.5, parameters=3e8, name="Paper 2020")


def drawn(effect=EFFECT, **options):
    fig, ax = figure()
    table = ladder.draw(ax, effect, title="a  Effect", color=PALETTE["wsd"], **options)
    fig.draw_without_rendering()
    return ax, table


def test_the_table_has_a_row_for_each_mark():
    _, table = drawn(published=STAR)
    counts = table.part.value_counts()
    assert counts.to_dict() == {
        "seed": 9,
        "rung": 3,
        "published": 1,
        **{f"trend, {part}": ladder.POINTS for part in ladder.PARTS},
    }
    assert list(table) == ["part", "parameters", "seed", "mean", "low", "high"]
    rung = table[table.part == "rung"].iloc[1]
    assert (rung.parameters, rung["mean"], rung.low) == (5e4, EFFECT.rungs[1].mean, EFFECT.rungs[1].low)
    far = table[table.part == "trend, beyond"].iloc[-1]
    assert far.parameters == pytest.approx(6e8) and far.high == pytest.approx(EFFECT.at(far.parameters).high)
    reach = table[table.part == "trend, reach"].parameters
    assert (reach.iloc[0], reach.iloc[-1]) == pytest.approx((1e5, 1e6))


def test_the_trend_is_dashed_beyond_the_rungs_and_pale_beyond_its_reach():
    ax, _ = drawn(published=STAR)
    among, reach, beyond = (line for line in ax.lines if len(line.get_xdata()) == ladder.POINTS)
    assert [line.get_linestyle() for line in (among, reach, beyond)] == ["-", "--", "--"]
    bands = [band.get_alpha() for band in ax.collections if band.get_alpha() is not None][:3]
    assert bands[0] == bands[1] > bands[2]


def test_the_star_stands_at_the_size_of_the_publication_and_within_the_panel():
    ax, _ = drawn(published=STAR)
    [star] = [line for line in ax.lines if line.get_marker() == "*"]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (3e8, 0.5)
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert left < 2e4 and right > 3e8 and low < 0 < 0.5 < high
    assert "Paper 2020" in [text.get_text() for text in ax.texts]


def test_the_sentence_stands_above_the_panel():
    ax, _ = drawn(published=STAR)
    first, second = ax.texts[-1].get_text().splitlines()
    assert first.startswith("direction holds ") and second.startswith("size ") and second.endswith("(no verdict)")
    ax, table = drawn(null=0.4)
    assert ax.texts[-1].get_text().splitlines() == ["direction holds beyond 100M"] and "published" not in set(
        table.part
    )
    assert ax.get_title(loc="left") == "a  Effect"


def test_sizes_are_written_short():
    ax, _ = drawn()
    assert {"100k", "1M", "10M"} <= {label.get_text() for label in ax.get_xticklabels()}


@pytest.mark.parametrize("values", [{0: 1.0}, {0: 1.0, 1: 1.0}])
def test_one_seed_and_seeds_without_scatter_are_drawn_too(values):
    ax, table = drawn(fit(dict.fromkeys((1e3, 2e3, 4e3), values)))
    bounded = len(values) > 1
    assert np.isfinite(table[table.part == "rung"].low).all() == bounded
    assert np.isfinite(ax.get_ylim()).all()
