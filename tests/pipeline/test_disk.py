"""What results take, and what of them goes when asked."""

import fcntl
from pathlib import Path

import pytest

from common.pipeline import disk


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    """Two studies, one of them with a run in training."""
    monkeypatch.chdir(tmp_path)
    sizes = {
        "large/one/state.safetensors": 3_000_000,
        "large/one/run.json": 1_000,
        "large/one/metrics.csv": 500_000,
        "large/table.csv": 500_000,
        "small/two/state.safetensors": 200_000,
        "small/two/run.json": 1_000,
        "small/three/progress/state.safetensors": 100_000,
    }
    for name, size in sizes.items():
        path = tmp_path / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    return tmp_path / "results"


def test_sizes_by_study_the_largest_first(results):
    large, small = disk.sizes(results)
    assert large == ("large", 1, 3_000_000, 1_001_000) and large.total == 4_001_000
    assert small == ("small", 1, 300_000, 1_000)


def test_one_line_says_what_there_is_and_what_may_go(results):
    assert disk.summary(disk.sizes(results)) == (
        "results hold 4 MB (large 4 MB, small 0.3 MB); `make clean-states` would free 3 MB"
    )


def test_a_folder_that_is_missing_holds_nothing(tmp_path):
    assert disk.sizes(tmp_path / "results") == []
    assert disk.table([]).split() == ["study", "runs", "states", "others"]


def test_only_the_states_of_complete_runs_go(results, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["disk", "--remove"])
    Path(".snakemake").mkdir()
    disk.main()
    assert capsys.readouterr().out == "states of runs removed: 3 MB freed\n"
    left = {str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()}
    assert "small/three/progress/state.safetensors" in left
    assert not {"large/one/state.safetensors", "small/two/state.safetensors"} & left
    assert {"large/one/run.json", "large/one/metrics.csv", "large/table.csv", "small/two/run.json"} <= left


def test_nothing_goes_while_a_build_goes_on(results, monkeypatch):
    monkeypatch.setattr("sys.argv", ["disk", "--remove"])
    Path(".snakemake").mkdir()
    with Path(".snakemake/owner").open("w") as owner:
        owner.write("123")
        owner.flush()
        fcntl.flock(owner, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match=r"another snakemake \(process 123\) is building"):
            disk.main()
    assert (results / "large/one/state.safetensors").exists()


def test_a_table_has_a_line_for_each_study(results, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["disk"])
    disk.main()
    head, large, small = capsys.readouterr().out.splitlines()
    assert large.split() == ["large", "1", "3", "MB", "1", "MB"] and small.split()[0] == "small"
    assert len(head) == len(large) == len(small)
