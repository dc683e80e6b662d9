"""What a build started ends with it."""

import os
import subprocess
import sys
import threading

from common.runs.origin import ROOT
from common.runs.owner import OWNER, alive, end_with_owner


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
