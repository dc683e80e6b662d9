"""Find the studies, check them, and look up their runs, figures and measurements (read at every start of Snakemake)."""

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import studies as package
from common import config
from common.config import Claim, DescriptionError, Figure, Run, Select, Step, full_name
from common.evidence import seeds
from common.pipeline import provenance, standing
from common.pipeline.scales import SCALES, SHARED
from common.pipeline.study import NAME, STUDY_NAME, Problem, Study, check_study, holds_study, load_study
from common.runs.place import FILES, RESULTS, VERDICTS, Place

__all__ = ["NAME", "STUDY_NAME", "Problem", "Studies", "Study"]


@dataclass(frozen=True)
class Judgement:
    """Claims of a study that are judged on the same runs and tables."""

    study: str
    claims: tuple[Claim, ...]
    inputs: dict[str, list[str]]

    @property
    def rule(self) -> str:
        """Name of its rule."""
        return f"{self.study}_verdicts_{self.claims[0].name}"

    @property
    def functions(self) -> dict[str, list[Any]]:
        """By id of the claim, the function that judges it and what it is given beside the tables."""
        return {claim.name: [claim.verdict, dict(claim.settings)] for claim in self.claims}

    @property
    def starts(self) -> list[str]:
        """Where the code that decides the verdicts begins."""
        return [f"studies.{self.study}.verdicts:{claim.verdict}" for claim in self.claims]


@dataclass(frozen=True)
class Studies:
    """All sound studies by name, and the problems of the others."""

    sound: dict[str, Study]
    problems: list[Problem] = field(default_factory=list)
    scale: str = "default"
    """What their results are recorded under: `default` at the scale `large`, which adds runs to those."""

    @classmethod
    def load(
        cls, *, scale: str = "default", device: Literal["cpu", "cuda"] | None = None, block: str | None = None
    ) -> "Studies":
        """Every study of the package `studies` at a scale. A faulty study is left out and its problems are kept.

        Args:
            scale: one of `SCALES`.
            device: that of every run, in place of its own.
            block: of the seeds of all studies that have it (see `common.evidence.seeds`); else each has its own.
        """
        if block is not None and (rule := seeds.problem(block)):
            raise SystemExit(rule)
        if scale not in SCALES:
            raise SystemExit(f"scale={scale!r} must be one of {', '.join(SCALES)} (see common/pipeline/scales.py)")
        found: dict[str, Study] = {}
        problems: list[Problem] = []
        for folder in sorted(path for root in package.__path__ for path in Path(root).iterdir()):
            if not holds_study(folder):
                continue
            try:
                study = load_study(folder)
            except DescriptionError as error:
                problems += [Problem(folder.name, None, text) for text in error.problems]
                continue
            wrong = list(dict.fromkeys(check_study(study)))
            problems += wrong
            if not wrong:
                found[study.name] = study
        sound, problems = _check_parents(found, problems)
        sized = _scaled(sound, scale, device)
        blocks = {name: standing.block_of(study, block, scale) for name, study in sized.items()}
        drawn = {name: standing.drawn(sized[name], blocks[name]) for name in sized}
        return cls(drawn, problems, SHARED.get(scale, scale))

    def __getitem__(self, study: str) -> Study:
        try:
            return self.sound[study]
        except KeyError:
            near = get_close_matches(study, self.sound) or sorted(self.sound)
            reason = next((f"; {problem}" for problem in self.problems if problem.study == study), "")
            raise LookupError(f"no sound study {study!r}; closest: {', '.join(near)}{reason}") from None

    def run(self, study: str, name: str) -> Run:
        """The run `name` of a study."""
        runs = self[study].runs
        try:
            return runs[name]
        except KeyError:
            near = get_close_matches(name, runs) or sorted(runs)[:3]
            raise LookupError(
                f"study {study!r} defines no run {name!r}; closest: {', '.join(near)}; "
                f"runs are listed in studies/{study}/study.py"
            ) from None

    def selected(self, study: str, select: Select) -> list[Place]:
        """The runs of a selection that a study makes.

        Raises: LookupError if a value of the selection matches no run of study.py (a scale may leave out such runs).
        """
        return list(dict.fromkeys(place for part in select.parts for place in self._selected(study, part)))

    def _selected(self, study: str, part: Select) -> list[Place]:
        home = part.study or study
        runs = self[home].numbered or self[home].runs
        for name, wanted in part.where.items():
            present = [getattr(run, name) for run in self[home].written.values()]
            if missing := [value for value in wanted if value not in present]:
                near = get_close_matches(str(missing[0]), [value for value in present if isinstance(value, str)], n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise LookupError(f"study {study!r} selects {name}={missing[0]!r}, which no run of {home!r} has{hint}")
        return [Place(home, name) for name, run in runs.items() if _has(run, part.where)]

    def outputs(self, study: str, step: Step, what: str) -> dict[str, list[str]]:
        """Paths of the files that a step of a study reads, by its parameter.

        Args:
            study: name of the study.
            step: a figure or a measurement of it.
            what: "runs" for their rows, "states" for their states, "records" for their descriptions.
        """
        file = dict(zip(("records", "runs", "states"), FILES, strict=True))[what]
        return {
            name: [str(place.folder / file) for place in self.selected(study, select)]
            for name, select in step.selections(what).items()
        }

    def every(self, what: Literal["figures", "measures"]) -> Iterator[tuple[str, Step]]:
        """Each figure, or each measurement, with the study that it belongs to."""
        for study in self.sound.values():
            yield from ((study.name, step) for step in getattr(study, what).values())

    def arguments(self, study: str, step: Step) -> dict[str, Any]:
        """Arguments of a step's function beside its inputs, as the scale wants them."""
        if self.scale == "smoke":
            return dict(step.smoke)
        drawn = standing.own_seeds(self[study], step)
        return {"seeds": drawn} if drawn else {}

    def judgements(self) -> Iterator["Judgement"]:
        """The claims of all studies, those of a study with equal inputs together: what one job judges."""
        for study in self:
            groups: dict[str, list[Claim]] = {}
            for claim in self[study].claims.values():
                key = json.dumps([claim.sources, self.inputs(study, claim)], sort_keys=True)
                groups.setdefault(key, []).append(claim)
            yield from (Judgement(study, tuple(each), self.inputs(study, each[0])) for each in groups.values())

    def verdicts(self, study: str, ids: Iterable[str] | None = None) -> list[str]:
        """Files with the verdicts on some claims of a study, or on all."""
        chosen = self[study].claims if ids is None else ids
        return [f"{RESULTS}/{study}/{VERDICTS}/{name}.json" for name in chosen]

    def statements(self, study: str, ids: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """What some claims of a study say, or all, as plain values for `common.evidence.claims.Statement`."""
        chosen = self[study].claims
        return [standing.statement(self, study, chosen[name]) for name in (chosen if ids is None else ids)]

    def inputs(self, study: str, step: Step) -> dict[str, list[str]]:
        """All that Snakemake has to make before a step of a study, by parameter."""
        wanted = ("runs", "states", "records")
        files = {name: paths for what in wanted for name, paths in self.outputs(study, step, what).items()}
        files |= {name: [f"{RESULTS}/{study}/{name}.csv"] for name in step.tables}
        shown = self.verdicts(study, step.claims) if isinstance(step, Figure) else []
        return files | ({"verdicts": shown} if shown else {})

    def figures(self, study: str | None = None) -> list[str]:
        """Figures of one study, or of all."""
        chosen = [self[study]] if study else self.sound.values()
        return [f"figures/{one.name}_{name}.pdf" for one in chosen for name in one.figures]

    def measured(self, study: str | None = None) -> list[str]:
        """Tables of the measurements of one study, or of all."""
        chosen = [self[study]] if study else self.sound.values()
        return [f"{RESULTS}/{one.name}/{name}.csv" for one in chosen for name in one.measures]

    def describe(self, study: str, name: str) -> dict[str, Any]:
        """What decides whether a run is trained again, beside its code: its description as plain values."""
        plain: dict[str, Any] = config.identity(self.run(study, name))
        return plain

    def code(self, study: str, name: str) -> str:
        """Digest of the code that decides the numbers of a run."""
        return provenance.training_digest(self.run(study, name))

    def cores(self, study: str, name: str) -> int:
        """Cores that a run trains on: the threads of all of its processes."""
        run = self.run(study, name)
        return run.ranks * run.threads

    def corpus(self, study: str, name: str) -> list[str]:
        """Manifests of the corpora that a run reads."""
        read = config.datasets_of(self.run(study, name))
        names = dict.fromkeys(part.name for data in read for part in data.parts if isinstance(part, config.Corpus))
        return [str(Place(study, name).corpora / corpus / "manifest.json") for corpus in names]

    def content(self, study: str, name: str) -> dict[str, str]:
        """Digests of the user's own text that a run reads, by path, so that it is trained again when that changes."""
        read = config.datasets_of(self.run(study, name))
        own = [part for data in read for part in data.parts if isinstance(part, config.Files)]
        if not own:
            return {}
        from common.data import text  # imports torch, which no other start of Snakemake waits for

        return {part.path: text.content(part) for part in own}

    def parent(self, study: str, name: str) -> list[str]:
        """Final state of the run that a run continues; none if it starts afresh."""
        parent = self.run(study, name).parent
        return [str(Place.named(parent, study=study).state)] if parent else []

    def lineage_updates(self, study: str, name: str) -> int:
        """Updates behind the ends of a run's members, their parents' included: the cost without a shared trunk."""
        run = self.run(study, name)
        members = config.members(run)
        own = sum(member.steps for member in members)
        if run.parent is None:
            return own
        home = Place.named(run.parent, study=study)
        trunk = self.run(home.study, home.run)
        rest = 0 if run.parent_step is None else trunk.steps - run.parent_step
        behind_each = self.lineage_updates(home.study, home.run) // len(config.members(trunk)) - rest
        return own + len(members) * behind_each

    def __iter__(self) -> Iterator[str]:
        return iter(self.sound)

    def report(self) -> None:
        """Print each problem in one line on standard error, equal ones of several runs together."""
        counts = Counter((problem.study, problem.text) for problem in self.problems)
        first = {(problem.study, problem.text): problem for problem in reversed(self.problems)}
        for key, count in counts.items():
            more = f" (and {count - 1} more runs)" if count > 1 else ""
            print(f"{first[key]}{more}", file=sys.stderr)


def _has(run: Run, where: Mapping[str, Sequence[Any]]) -> bool:
    return all(getattr(run, name) in wanted for name, wanted in where.items())


def _scaled(sound: dict[str, Study], scale: str, device: Literal["cpu", "cuda"] | None) -> dict[str, Study]:
    """The studies with the runs that a scale leaves of them."""
    runs = SCALES[scale](_by_full_name(sound.values()), _large(sound.values()))
    if device is not None:
        runs = {name: dataclasses.replace(run, device=device) for name, run in runs.items()}
    chosen = {
        study: {name: runs[f"{study}/{name}"] for name in sound[study].runs if f"{study}/{name}" in runs}
        for study in sound
    }
    return {name: dataclasses.replace(study, runs=chosen[name]) for name, study in sound.items()}


def _by_full_name(studies: Iterable[Study]) -> dict[str, Run]:
    return {f"{study.name}/{name}": run for study in studies for name, run in study.runs.items()}


def _large(studies: Iterable[Study]) -> Set[str]:
    """Full names of the runs of large rungs."""
    return {f"{study.name}/{name}" for study in studies for name, run in study.written.items() if study.is_large(run)}


def _check_parents(found: dict[str, Study], problems: list[Problem]) -> tuple[dict[str, Study], list[Problem]]:
    """Drop the studies whose runs continue, or whose steps select, what does not exist, until all holds together.

    Args:
        found: studies that are sound in themselves.
        problems: those of the other studies.
    Returns: the studies left, and the problems of all others.
    """
    faulty = {problem.study for problem in problems}
    sound = {name: study for name, study in found.items() if name not in faulty}
    runs = _by_full_name(sound.values())
    wrong = [problem for study in sound.values() for problem in _parent_problems(study, runs, faulty)]
    large = _large(sound.values())
    wrong += [problem for study in sound.values() for problem in _large_problems(study, runs, large)]
    everything = Studies(sound, problems)
    wrong += [problem for study in sound.values() for problem in _selection_problems(study, everything, large)]
    wrong += _id_problems(sound)
    return _check_parents(sound, problems + wrong) if wrong else (sound, problems)


def _large_problems(study: Study, runs: Mapping[str, Run], large: Set[str]) -> Iterator[Problem]:
    """Runs that would stay without the large one that they continue."""
    for name, run in study.runs.items():
        if run.parent is None or f"{study.name}/{name}" in large:
            continue
        if (full := full_name(study.name, run.parent)) in large:
            text = f"parent={run.parent!r} is of the large rung {runs[full].rung!r}, which scales leave out"
            yield Problem(study.name, name, f"{text}; give this run a large rung too")


def _selection_problems(study: Study, studies: Studies, large: Set[str]) -> Iterator[Problem]:
    """Selections of what does not exist; figures that show a claim without all that it is judged on."""
    sound = True
    for step in (*study.figures.values(), *study.measures.values(), *study.claims.values()):
        for select in (one for what in ("runs", "states", "records") for one in step.selections(what).values()):
            try:
                chosen = studies.selected(study.name, select)
            except LookupError as error:
                sound = False
                yield Problem(study.name, None, f"{type(step).__name__}({step.name!r}): {error}")
                continue
            if chosen and {place.label for place in chosen} <= large:
                text = f"selects {chosen[0].run!r} and runs of large rungs alone, which scales leave out"
                yield Problem(study.name, None, f"{type(step).__name__}({step.name!r}) {text}; add a smaller rung")
    for figure in study.figures.values() if sound else ():
        had = {path for paths in studies.inputs(study.name, figure).values() for path in paths}
        for name in figure.claims:
            needed = [path for paths in studies.inputs(study.name, study.claims[name]).values() for path in paths]
            if missing := [path for path in needed if path not in had]:
                yield Problem(
                    study.name,
                    None,
                    f"Figure({figure.name!r}) shows {name}, which is judged on {missing[0]} too, but does not read it; "
                    "judge it on less, or let the figure read more",
                )


def _id_problems(studies: Mapping[str, Study]) -> Iterator[Problem]:
    """Ids of claims that two studies use."""
    first: dict[str, str] = {}
    for study in studies.values():
        for name in study.claims:
            other = first.setdefault(name, study.name)
            if other != study.name:
                yield Problem(study.name, None, f"Claim({name!r}) is a claim of the study {other} too; ids are unique")


def _parent_problems(study: Study, runs: Mapping[str, Run], faulty: set[str]) -> Iterator[Problem]:
    for name, run in study.runs.items():
        if run.parent is None:
            continue
        full = full_name(study.name, run.parent)
        if full in runs:
            text = _lineage_problem(f"{study.name}/{name}", runs) or _mismatch(run, runs[full])
        else:
            text = _no_parent(run.parent, full, runs, faulty)
        if text:
            yield Problem(study.name, name, text)


def _no_parent(written: str, full: str, runs: Mapping[str, Run], faulty: set[str]) -> str:
    home = full.partition("/")[0]
    if home in faulty:
        return f"parent={written!r} cannot be continued until the problems of study {home} are solved"
    near = get_close_matches(full, runs, n=2)
    return f"parent={written!r} does not exist" + (f"; closest: {', '.join(near)}" if near else "")


def _lineage_problem(name: str, runs: Mapping[str, Run]) -> str | None:
    """A sentence if the parents of a run lead back to it."""
    path = [name]
    while (parent := runs[path[-1]].parent) is not None:
        full = full_name(path[-1].partition("/")[0], parent)
        if full in path:
            return f"parent={runs[name].parent!r} makes a cycle: {' -> '.join([*path, full])}"
        if full not in runs:
            return None
        path.append(full)
    return None


def _mismatch(run: Run, parent: Run) -> str | None:
    if "steps" in (parent.sweep or {}):
        return f"parent={run.parent!r} sweeps over steps, and its members end apart; continue one that does not"
    for name, kept in (parent.sweep or {}).items():
        if lost := [value for value in (run.sweep or {}).get(name, (getattr(run, name),)) if value not in kept]:
            return f"parent={run.parent!r} has no member with {name}={lost[0]} to continue; its sweep is {parent.sweep}"
    if run.parent_step is not None and run.parent_step not in parent.keep_steps:
        return f"parent_step={run.parent_step} must be one of the parent's keep_steps={parent.keep_steps}"
    if run.model != parent.model and "weights" not in run.reset:
        return f"model differs from that of parent={run.parent!r}; equal models are needed to continue its weights"
    if run.optimizer.kind != parent.optimizer.kind and "optimizer" not in run.reset:
        return (
            f"optimizer.kind={run.optimizer.kind!r} cannot continue the parent's {parent.optimizer.kind!r}; "
            "add reset=('optimizer',)"
        )
    return None
