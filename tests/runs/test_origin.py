"""What a result says of the checkout and the libraries that made it."""

import socket
import subprocess

from common.runs import origin


def test_git_state_outside_a_checkout(tmp_path):
    assert origin.git_state(tmp_path) == {"commit": None, "dirty": None}


def test_another_repository_around_the_folder_is_not_ours(tmp_path, monkeypatch):
    for command in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    (tmp_path / "unpacked").mkdir()
    assert origin.git_state(tmp_path)["commit"]
    assert origin.git_state(tmp_path / "unpacked") == {"commit": None, "dirty": None}
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    assert origin.git_state(tmp_path / "unpacked") == {"commit": None, "dirty": None}


def test_git_state_says_whether_the_tree_was_changed(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "first")
    state = origin.git_state(tmp_path)
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (tmp_path / "new").touch()
    assert origin.git_state(tmp_path) == state
    (tmp_path / "a").write_text("2")
    assert origin.git_state(tmp_path) == state | {"dirty": True}


def test_versions_name_python_and_the_libraries():
    assert origin.versions().keys() == {"python", *origin.LIBRARIES}


def test_a_job_of_a_scheduler_says_where_it_is_and_no_other_process_does(monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURMD_NODENAME"):
        monkeypatch.delenv(name, raising=False)
    assert origin.scheduled() == {}
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert origin.scheduled() == {"host": socket.gethostname(), "slurm_job": "17"}
    monkeypatch.setenv("SLURMD_NODENAME", "n2")
    assert origin.scheduled()["host"] == "n2"
