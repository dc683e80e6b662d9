"""What a build started ends with it."""

import errno
import os
import subprocess
import sys
import threading
import time

import pytest

from common.runs import owner
from common.runs.origin import ROOT
from common.runs.owner import OWNER, alive, end_with_owner, lives, own, process_of, this


def test_a_process_ends_with_its_owner():
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    code = (
        "import time; from common.runs.owner import end_with_owner; end_with_owner(); print('up', flush=True); "
        "time.sleep(60); print('went on')"
    )
    below = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {OWNER: str(owner.pid)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert below.stdout.readline() == "up\n" and below.poll() is None
    owner.kill()  # and not collected: it stays as a zombie
    assert below.wait(timeout=20) == 1
    owner.wait()
    assert below.stdout.read() == ""


def test_a_process_without_an_owner_is_not_watched(monkeypatch):
    monkeypatch.delenv(OWNER, raising=False)
    before = threading.active_count()
    end_with_owner()
    assert threading.active_count() == before


def test_a_process_that_waits_to_be_collected_is_not_alive():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert alive(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(child.pid)
    child.communicate()
    assert not alive(child.pid)


def test_a_process_of_somebody_else_is_alive(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert alive(1)


def test_a_process_id_is_believed_on_its_own_host_alone():
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    assert lives(this()) and process_of(this()) == os.getpid()
    assert not lives(this().replace(str(os.getpid()), str(dead.pid)))
    assert lives(f"{dead.pid}@another-host") and process_of(f"{dead.pid}@another-host") is None


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_in_one_line(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(owner.fcntl, "flock", refuse)
    with pytest.raises(SystemExit) as end:
        own(tmp_path)
    assert str(end.value).startswith(f"{tmp_path}: no locks on its file system ({os.strerror(code)}), and two builds")
    assert "\n" not in str(end.value)


@pytest.fixture
def beats(monkeypatch):
    monkeypatch.setattr(owner, "BEAT_SECONDS", 0.05)


def test_an_owner_whose_lock_does_not_reach_this_host_is_noticed_while_it_lives(tmp_path, beats):
    file = tmp_path / "owner"
    file.write_text("7@another-host")
    ended = threading.Event()

    def beat():
        while not ended.wait(0.02):
            os.utime(file)

    living = threading.Thread(target=beat)
    living.start()
    with pytest.raises(SystemExit, match=r"\(process 7 on another-host\) .* does not reach this host"):
        own(tmp_path)
    ended.set()
    living.join()
    assert file.read_text() == "7@another-host"
    own(tmp_path)
    assert file.read_text() == this()


def test_an_owner_shows_that_it_lives(tmp_path, beats):
    own(tmp_path)
    file = tmp_path / "owner"
    dates = set()
    for _ in range(20):
        time.sleep(0.05)
        dates.add(file.stat().st_mtime_ns)
    assert len(dates) > 3
