"""A wish to end, which a signal may make at any moment: between two updates, in a wait, or within another signal."""

import queue
import signal


class Stop:
    """A flag without a lock of its own: the lock of an event held by what a signal interrupts would never be let go."""

    def __init__(self, *signals: signal.Signals) -> None:
        """Set by each of some signals from now on; by none if they are left out."""
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()  # its `put` may interrupt itself and `get`
        for number in signals:
            signal.signal(number, lambda *_: self.set())

    def set(self) -> None:
        """Ask for the end; more than once is as once."""
        self._asked.put(None)

    def is_set(self) -> bool:
        """Whether anyone has asked."""
        return not self._asked.empty()

    def wait(self, seconds: float | None = None) -> None:
        """Return when it is set, or after some seconds."""
        try:
            self._asked.get(timeout=seconds)
        except queue.Empty:
            return
        self.set()
