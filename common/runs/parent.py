"""The run that a run continues: read once, asked by the job that continues it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from common import config
from common.config import Data, Run
from common.data import Dataset
from common.runs import checkpoint, damage, records
from common.runs.place import Place
from common.training.loop import Row, State, evaluated


@dataclass(frozen=True)
class Parent:
    """A trained run, as one that continues it sees it."""

    place: Place
    child: Run

    @classmethod
    def of(cls, child: Run, place: Place) -> "Parent | None":
        """The parent of the run at a place; None if it starts afresh."""
        if child.parent is None:
            return None
        return cls(Place.named(child.parent, study=place.study, results=place.results), child)

    @cached_property
    def record(self) -> dict[str, Any]:
        """Its run.json."""
        return records.read_record(self.place.record)

    @cached_property
    def run(self) -> Run:
        """Its description, by which it was trained."""
        return config.run_from_dict(self.record["description"])

    @property
    def start_step(self) -> int:
        """Updates behind the state that is continued."""
        behind: int = self.record["start_step"]
        return behind + (self.child.parent_step or self.run.steps)

    def reason(self, member: Run) -> str | None:
        """Why there is no state for a member of the child to continue: the parent diverged."""
        outcome = self.record["members"][config.continued(member, self.run)] if self.run.sweep else self.record
        diverged = outcome["status"] == "diverged"
        return f"its parent {self.child.parent} diverged: {outcome['reason']}" if diverged else None

    def state(self, member: Run) -> State:
        """The state that a member of the child continues."""
        with damage.set_aside(self.place):
            return checkpoint.load(self.place.state, self._label(member))

    def digests(self, members: Iterable[Run]) -> list[str | None]:
        """SHA-256 of those states; None for a member that has none."""
        with damage.set_aside(self.place):
            return [
                None if self.reason(member) else checkpoint.digest(self.place.state, self._label(member))
                for member in members
            ]

    def _label(self, member: Run) -> str:
        prefix = f"{config.continued(member, self.run)}/" if self.run.sweep else ""
        step = self.child.parent_step
        return prefix + ("final" if step is None else str(step))

    def inherited(self, member: Run, datasets: Mapping[Data, Dataset]) -> Row:
        """What the parent's own evaluation of the state gave; nothing where the child's would differ."""
        deciding = ("data", "watched", "precision", "device", "threads")
        same = all(getattr(self.run, name) == getattr(self.child, name) for name in deciding)
        if "weights" in self.child.reset or not same or not contents(datasets).items() <= self.record.items():
            return {}
        place = config.continued(member, self.run) if self.run.sweep else None
        with damage.set_aside(self.place):
            damage.check_rows(self.place.metrics, self.record)
        found = records.evaluated(self.place.metrics, step=self.start_step, member=place)
        names = evaluated(member, datasets[self.child.data])
        return {name: found[name] for name in names} if found.keys() >= set(names) else {}


def contents(datasets: Mapping[Data, Dataset]) -> dict[str, Any]:
    """What a record says of the content of a run's data sets."""
    own, *others = ({"name": dataset.name, "digest": dataset.digest} for dataset in datasets.values())
    return {"data": own, "other_data": others} if others else {"data": own}
