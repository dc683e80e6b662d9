"""A wish to end, made by signals at the worst of moments."""

import signal
import subprocess
import sys
import time

from common.runs.origin import ROOT
from common.runs.stop import Stop

STORM = """
import signal, time
from common.runs.stop import Stop

stop = Stop(signal.SIGALRM)
signal.setitimer(signal.ITIMER_REAL, 2e-4, 2e-4)
end = time.monotonic() + 1
while time.monotonic() < end:
    stop.wait(1e-4)
    assert stop.is_set()
signal.setitimer(signal.ITIMER_REAL, 0)
print("ended")
"""
"""A signal every fifth of a millisecond: many within a wait, some within another; a lock would be held for ever."""


def test_a_signal_within_a_wait_or_within_a_signal_holds_nothing_up():
    done = subprocess.run(
        [sys.executable, "-c", STORM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "ended\n", done.stderr


def test_it_stays_set_and_ends_every_wait():
    stop = Stop()
    stop.wait(0.01)
    assert not stop.is_set()
    stop.set()
    began = time.monotonic()
    stop.wait()
    stop.wait(60)
    assert stop.is_set() and time.monotonic() - began < 30


def test_without_signals_it_takes_none():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    Stop()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
