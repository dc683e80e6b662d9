"""How far a build is: what has begun, ended and failed, and when the rest will be done."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from common.pipeline import cost
from common.pipeline.cost import Speed
from common.pipeline.terminal import words
from common.pipeline.terminal.work import Kind, Work

OTHER_SECONDS = 2.0
"""ASSUME: seconds of a job that trains nothing, until one of its kind has ended."""
FIRST_GUESS = 5.0
"""Seconds that weigh for the speed known before the build, against those that it measures itself."""


@dataclass
class Board:
    """The jobs of a build."""

    works: Mapping[int, Work]
    cores: int
    expected: dict[int, float] = field(default_factory=dict)
    """Seconds that a job is expected to take, by its number."""
    began: dict[int, float] = field(default_factory=dict)
    """When those that run have begun."""
    done: dict[int, float | None] = field(default_factory=dict)
    """Seconds that those which are done have taken, where they are known."""
    failed: list[int] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    """Those that were running when somebody asked the build to end."""
    ending: bool = False
    """Whether somebody has."""

    @classmethod
    def of(cls, works: Iterable[Work], *, cores: int) -> "Board":
        """Before the first job begins."""
        return cls({work.id: work for work in works}, max(cores, 1))

    def expect(self, speed: Speed) -> None:
        """Expect of each training what the speed of this machine says."""
        self.expected = {
            number: cost.seconds(work.run, speed) for number, work in self.works.items() if work.run is not None
        }

    def start(self, number: int, now: float) -> None:
        """A job begins, or is tried once more."""
        if number in self.failed:
            self.failed.remove(number)
        if number in self.works:
            self.began[number] = now

    def finish(self, number: int, now: float) -> Work | None:
        """A job is done; gives it, if it does something."""
        began = self.began.pop(number, None)
        if number in self.works:
            self.done[number] = None if began is None else now - began
        return self.works.get(number)

    def fail(self, number: int) -> Work | None:
        """A job, or an attempt of it, has failed or was stopped; gives it, if it does something."""
        self.began.pop(number, None)
        if number in self.works and number not in (*self.failed, *self.stopped):
            (self.stopped if self.ending else self.failed).append(number)
        return self.works.get(number)

    def left(self, now: float, seen: Mapping[int, float]) -> float:
        """Seconds until all that is left is done.

        Args:
            now: the clock.
            seen: seconds that are left of the trainings that run, by its number, where their pace is known.
        """
        rate, typical = self._rate(), self._typical()
        rest = []
        for number, work in self.works.items():
            if number in self.done or number in self.failed or number in self.stopped:
                continue
            whole = self.expected[number] * rate if number in self.expected else typical.get(work.kind, OTHER_SECONDS)
            spent = now - self.began[number] if number in self.began else 0.0
            rest.append(seen.get(number, max(whole - spent, 0.0)))
        return max(sum(rest) / self.cores, max(rest, default=0.0))

    def _rate(self) -> float:
        """Measured over expected seconds of the trainings of this build."""
        pairs = [(taken, self.expected[number]) for number, taken in self.done.items() if number in self.expected]
        known = [(taken, guess) for taken, guess in pairs if taken is not None]
        return (FIRST_GUESS + sum(taken for taken, _ in known)) / (FIRST_GUESS + sum(guess for _, guess in known))

    def _typical(self) -> dict[Kind, float]:
        """Mean seconds of the other jobs of this build that are done, by kind."""
        taken: dict[Kind, list[float]] = {}
        for number, seconds in self.done.items():
            if seconds is not None:
                taken.setdefault(self.works[number].kind, []).append(seconds)
        return {kind: sum(each) / len(each) for kind, each in taken.items()}

    def studies(self) -> dict[str, tuple[int, int]]:
        """Jobs that are done and jobs in all, by study."""
        total = Counter(work.study for work in self.works.values())
        done = Counter(self.works[number].study for number in self.done)
        return {study: (done[study], number) for study, number in total.items()}

    def totals(self, left: float) -> str:
        """One line: each study, all of them, and the time that is left."""
        each = [f"{study} {done}/{total}" for study, (done, total) in self.studies().items()]
        return ", ".join([*(each if len(each) > 1 else []), f"all {self.count()}, about {words.time(left)} left"])

    def count(self) -> str:
        """Jobs that are done, of all, and those that have failed."""
        return f"{len(self.done)}/{len(self.works)}" + (f", {len(self.failed)} failed" if self.failed else "")
