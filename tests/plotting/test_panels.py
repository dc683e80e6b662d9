import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from common.plotting import PALETTE, draw_band, draw_points, figure, mean_band, note, save, shades
from tests.runs.test_records import RUN, write_run

OUTPUTS = (".pdf", ".png", ".csv", ".json")


def picture(folder, metrics):
    table = pd.DataFrame({"step": [0, 1], "mean": [2.0, 1.0], "low": [1.9, 0.9], "high": [2.1, 1.1]})
    fig, ax = figure(xlabel="update", ylabel="loss (nats)")
    draw_band(ax, table, PALETTE["wsd"])
    folder.mkdir()
    save(fig, [folder / f"f{suffix}" for suffix in OUTPUTS], data=table, runs=[metrics])


def test_equal_data_gives_equal_bytes(tmp_path):
    metrics = write_run(tmp_path / "results", "r", RUN, [{"step": 0, "val_loss": 1.0}])
    record = json.loads((metrics.parent / "run.json").read_text())
    record |= {"code": "c", "git": {"commit": "g"}, "data": {"name": "digits", "digest": "d"}, "scale": "default"}
    (metrics.parent / "run.json").write_text(json.dumps(record))
    for name in ("a", "b"):
        picture(tmp_path / name, metrics)
    for suffix in OUTPUTS:
        assert (tmp_path / f"a/f{suffix}").read_bytes() == (tmp_path / f"b/f{suffix}").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a/f.pdf").read_bytes()
    origin = json.loads((tmp_path / "a/f.json").read_text())
    assert origin["runs"] == ["study/r"] and origin["data"] == {"digits": "d"}
    assert pd.read_csv(tmp_path / "a/f.csv")["mean"].tolist() == [2.0, 1.0]


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
