"""One build per directory, told in one line; what a killed build left is no obstacle."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from common import provenance, workflow
from common.studies import Studies

OWN = """
import sys
from pathlib import Path
from common import workflow
workflow.prepare(Path(sys.argv[1]), main=sys.argv[2] == "main", executing=sys.argv[3] == "build")
print("ready", flush=True)
sys.stdin.read()
"""


class Build:
    """A process that prepares a build in a directory and then waits."""

    def __init__(self, folder: Path, *, main: str = "main", executing: str = "build") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN, str(provenance.ROOT), main, executing],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(provenance.ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> bool:
        return self.process.stdout.readline() == "ready\n"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def build(tmp_path):
    """Starts builds; ends them all after the test."""
    builds = []

    def start(folder: Path = tmp_path, **how: str) -> Build:
        folder.mkdir(exist_ok=True)
        builds.append(Build(folder, **how))
        return builds[-1]

    yield start
    for one in builds:
        one.end()


def test_a_second_build_ends_with_one_line_that_names_the_first(build, tmp_path):
    first = build()
    assert first.ready()
    second = build()
    output, error = second.process.communicate(timeout=20)
    assert second.process.returncode == 1
    assert output == ""
    assert error == (
        f"another snakemake (process {first.process.pid}) is building in {tmp_path}; wait for it or end it\n"
    )


def test_a_killed_build_leaves_no_obstacle(build, tmp_path):
    first = build()
    assert first.ready()
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir()
    (locks / "0.output.lock").touch()
    first.end()
    second = build()
    assert second.ready()
    assert not locks.exists()
    assert (tmp_path / ".snakemake/owner").read_text() == str(second.process.pid)


def test_locks_of_a_living_build_stay(build, tmp_path):
    assert build().ready()
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir()
    assert not build().ready()
    assert locks.exists()


def test_other_directories_jobs_and_dry_runs_are_not_blocked(build, tmp_path):
    others = [build(), build(tmp_path / "other"), build(main="job"), build(executing="plan")]
    assert all(other.ready() for other in others)


def test_jobs_find_the_repository_and_the_owner(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"/elsewhere{os.pathsep}{tmp_path}")
    for name in (workflow.OWNER, *workflow.ONE_THREAD):
        monkeypatch.setenv(name, "0")
    for _ in range(2):
        workflow.prepare(tmp_path, main=False, executing=True)
    assert os.environ["PYTHONPATH"] == f"{tmp_path}{os.pathsep}/elsewhere"
    assert os.environ[workflow.OWNER] == str(os.getpid())
    assert {os.environ[name] for name in workflow.ONE_THREAD} == {"1"}
    assert not (tmp_path / ".snakemake").exists()


def test_a_full_disk_is_told_before_the_build(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", workflow.OWNER, *workflow.ONE_THREAD):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(workflow.shutil, "disk_usage", lambda _: SimpleNamespace(free=5_000_000))
    with pytest.raises(SystemExit, match="5 MB free; a build needs 200 MB"):
        workflow.prepare(tmp_path, main=True, executing=True)


def job(rule: str, run: str) -> SimpleNamespace:
    return SimpleNamespace(rule=SimpleNamespace(name=rule), wildcards=SimpleNamespace(study="wsd", run=run))


def test_the_price_is_told_for_trainings_only(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    studies = Studies.load()
    name, run = next(iter(studies["wsd"].runs.items()))
    workflow.announce(studies, [job("train", name), job("claims", name)], cores=2)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"1 runs to train, {run.steps:,} updates: about ")
    workflow.announce(studies, [job("claims", name)], cores=2)
    assert capsys.readouterr().err == ""


def test_the_saving_of_shared_trunks_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    studies = Studies.load()
    name, branch = next((name, run) for name, run in studies["wsd"].runs.items() if run.parent_step)
    workflow.announce(studies, [job("train", branch.parent), job("train", name)], cores=2)
    trunk = studies["wsd"].runs[branch.parent].steps
    assert f"would take {trunk + branch.parent_step + branch.steps:,} updates" in capsys.readouterr().err


def test_a_process_that_waits_to_be_collected_is_not_alive():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert workflow.alive(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not workflow.alive(child.pid)
    child.communicate()
    assert not workflow.alive(child.pid)
