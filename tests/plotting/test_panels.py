"""The look of figures, the marks of verdicts, and the files of a figure."""

import dataclasses
import itertools
import json

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from common.evidence.claims import SIGN, Judged
from common.evidence.verdicts import OUTCOMES
from common.plotting import PALETTE, Axes, draw_band, draw_points, figure, mark, mean_band, note, save, shades
from tests.evidence.test_claims import FIRST
from tests.runs.test_records import RUN, write_run

OUTPUTS = (".pdf", ".png", ".csv", ".json", ".rst")


def picture(folder, metrics, **options):
    table = pd.DataFrame({"step": [0, 1], "mean": [2.0, 1.0], "low": [1.9, 0.9], "high": [2.1, 1.1]})
    fig, ax = figure(xlabel="update", ylabel="loss (nats)")
    draw_band(ax, table, PALETTE["wsd"])
    mark(ax, FIRST)
    folder.mkdir()
    ends = OUTPUTS if "caption" in options else OUTPUTS[:-1]
    save(fig, [folder / f"f{suffix}" for suffix in ends], data=table, runs=[metrics], **options)


@pytest.fixture
def metrics(tmp_path):
    """Rows of a run whose record is complete."""
    found = write_run(tmp_path / "results", "r", RUN, [{"step": 0, "val_loss": 1.0}])
    record = json.loads((found.parent / "run.json").read_text())
    record |= {"code": "c", "git": {"commit": "g"}, "data": {"name": "digits", "digest": "d"}, "scale": "default"}
    (found.parent / "run.json").write_text(json.dumps(record))
    return found


@pytest.mark.parametrize("smoke", [False, True])
def test_equal_data_gives_equal_bytes(tmp_path, metrics, smoke):
    about = {"script": "studies/toy/plot_f.py", "claims": {"T2": "undecided"}}
    for name in ("a", "b"):
        picture(tmp_path / name, metrics, about=about, caption="What it shows.\n\nT2 ✓ supported.\n", smoke=smoke)
    for suffix in OUTPUTS:
        assert (tmp_path / f"a/f{suffix}").read_bytes() == (tmp_path / f"b/f{suffix}").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a/f.pdf").read_bytes()
    origin = json.loads((tmp_path / "a/f.json").read_text())
    assert origin["runs"] == ["study/r"] and origin["data"] == {"digits": "d"}
    assert {name: origin[name] for name in about} == about
    assert pd.read_csv(tmp_path / "a/f.csv")["mean"].tolist() == [2.0, 1.0]
    assert (tmp_path / "a/f.rst").read_bytes() == "What it shows.\n\nT2 ✓ supported.\n".encode()


def test_a_figure_without_a_caption_has_no_file_for_it(tmp_path, metrics):
    picture(tmp_path / "a", metrics)
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == ["f.csv", "f.json", "f.pdf", "f.png"]
    assert "claims" not in json.loads((tmp_path / "a/f.json").read_text())


def test_a_figure_of_the_smoke_scale_says_so_across_it_and_moves_nothing(tmp_path, metrics):
    for name, smoke in (("plain", False), ("smoke", True)):
        picture(tmp_path / name, metrics, smoke=smoke)
    plain, smoke = (matplotlib.image.imread(tmp_path / name / "f.png") for name in ("plain", "smoke"))
    assert plain.shape == smoke.shape
    rows, columns = np.nonzero((plain != smoke).any(axis=2))
    assert np.ptp(rows) > plain.shape[0] / 4 and np.ptp(columns) > plain.shape[1] / 4
    grey, alpha = 0.4, 0.25
    over = alpha * np.abs(plain - grey)[..., :3]
    assert (np.abs(smoke - plain)[..., :3] <= over + 0.01).all(), "more than grey over what was there"
    assert (tmp_path / "plain/f.csv").read_bytes() == (tmp_path / "smoke/f.csv").read_bytes()


def test_the_band_is_the_t_interval_over_seeds():
    values = [1.0, 2.0, 4.0]
    rows = pd.DataFrame({"step": [5, 5, 5, 6], "val_loss": [*values, 7.0]})
    table = mean_band(rows, by=["step"], value="val_loss")
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert table.iloc[0][["mean", "n", "low", "high"]].tolist() == pytest.approx([np.mean(values), 3, low, high])
    assert table.iloc[1].n == 1 and np.isnan(table.iloc[1].low)


def test_shades_run_from_light_to_dark():
    brightness = [sum(color[:3]) for color in shades("wsd", 4)]
    assert brightness == sorted(brightness, reverse=True) and len(set(brightness)) == 4


def test_points_carry_their_intervals_on_either_axis():
    table = pd.DataFrame({"mean": [2.0, 1.0], "low": [1.5, 0.9], "high": [2.1, 1.4]})
    for across in (False, True):
        _, ax = figure()
        draw_points(ax, [5, 6], table, PALETTE["wsd"], across=across)
        _, _, (bars,) = ax.containers[0]
        ends = [segment[:, 0 if across else 1].tolist() for segment in bars.get_segments()]
        assert np.ravel(ends) == pytest.approx([1.5, 2.1, 0.9, 1.4])


def test_a_note_is_broken_and_leaves_the_layout_alone():
    _, ax = figure()
    note(ax, "one two three four\nfive", corner="upper right", width=10)
    (text,) = ax.texts
    assert text.get_text() == "one two\n  three\n  four\nfive"
    assert not text.get_in_layout() and text.get_position() == (0.98, 0.98)


# Marks of verdicts


def judged(outcome: str, name: str = "T1") -> Judged:
    return dataclasses.replace(FIRST, id=name, verdict=dataclasses.replace(FIRST.verdict, verdict=outcome))


def luminance(color: str) -> float:
    """Relative luminance of an sRGB colour, by WCAG 2."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, by WCAG 2."""
    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_the_formula_of_the_contrast_is_that_of_wcag():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_colour_of_every_verdict_can_be_read_on_white(outcome):
    assert contrast(PALETTE[outcome], "#ffffff") >= 4.5


def test_verdicts_differ_in_colour_and_in_sign():
    for first, second in itertools.combinations(OUTCOMES, 2):
        assert PALETTE[first] != PALETTE[second] and SIGN[first] != SIGN[second]


def box(ax: Axes):
    """The marks of a panel: its last artist."""
    return ax.artists[-1]


def test_a_mark_has_a_sign_beside_a_colour_for_each_claim():
    _, ax = figure()
    mark(ax, *(judged(outcome, f"T{place}") for place, outcome in enumerate(OUTCOMES)))
    texts = [part.findobj(lambda artist: hasattr(artist, "get_text"))[0] for part in box(ax).get_child().get_children()]
    assert [text.get_text() for text in texts] == ["T0 ✓", "T1 ↓", "T2 ✗", "T3 ?", "T4 •"]
    assert [text.get_color() for text in texts] == [PALETTE[outcome] for outcome in OUTCOMES]
    assert {text.get_fontsize() for text in texts} == {7}


def panel(title: str = "", marked: bool = True, before: bool = False):
    """A figure and its one panel, laid out."""
    fig, ax = figure(xlabel="update", ylabel="loss (nats)")
    ax.plot([0, 1], [1.0, 0.0])
    steps = [lambda: title and ax.set_title(title), lambda: marked and mark(ax, judged("supported"), FIRST)]
    for step in reversed(steps) if before else steps:
        step()
    fig.draw_without_rendering()
    return fig, ax


@pytest.mark.parametrize("title", ["", "a  Loss", "two\nlines"])
@pytest.mark.parametrize("before", [False, True])
def test_marks_stand_above_the_panel_at_its_right_and_within_the_figure(title, before):
    fig, ax = panel(title, before=before)
    marks, inside = box(ax).get_window_extent(fig._get_renderer()), ax.get_window_extent()
    assert inside.y1 < marks.y0 < inside.y1 + 3
    assert inside.x1 - 3 < marks.x1 < inside.x1 and marks.x0 > inside.x0
    assert marks.y1 < fig.bbox.y1, "cut off at the edge of the figure"


@pytest.mark.parametrize("before", [False, True])
def test_a_panel_with_a_title_is_not_moved(before):
    (_, plain), (_, marked) = panel("a  Loss", marked=False), panel("a  Loss", before=before)
    assert marked.get_position().bounds == plain.get_position().bounds
    assert marked.get_title(loc="left") == "a  Loss"


def test_many_marks_do_not_widen_the_room_of_a_panel():
    bounds = []
    for count in (1, 30):
        fig, panels = figure(columns=2)
        panels[0].set_title("a")
        mark(panels[0], *(judged("supported", f"T{i}") for i in range(count)))
        fig.draw_without_rendering()
        bounds.append([ax.get_position().bounds for ax in panels])
    assert bounds[0] == bounds[1]


def test_the_title_of_a_panel_keeps_its_distance():
    fig, ax = figure()
    ax.set_title("a  Loss", pad=20)
    fig.draw_without_rendering()
    before = ax._left_title.get_window_extent().bounds
    mark(ax, FIRST)
    fig.draw_without_rendering()
    assert ax._left_title.get_window_extent().bounds == pytest.approx(before)
