"""Find the studies, check them, and look up their runs (layer 0; the Snakefile imports this at every start)."""

import ast
import dataclasses
import keyword
import re
import reprlib
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import Any

from common import config, provenance
from common.config import Run, full_name
from common.description import DescriptionError, collecting, problems
from common.scales import SCALES

STUDY_NAME = re.compile(r"[a-z][a-z0-9_]*")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*")
"""Names of runs. Both are also the wildcards of the Snakefile."""
RESERVED = ("data", "common")
TAKEN = (".tmp", ".json", ".csv")
"""Ends of names that are files in the folder of a study's results."""


@dataclass(frozen=True)
class Study:
    """One directory of `studies/`: a question and its runs."""

    name: str
    question: str
    """Docstring of study.py, its first paragraph."""
    runs: dict[str, Run]
    folder: Path


@dataclass(frozen=True)
class Problem:
    """One broken rule: where it is and what it says."""

    study: str
    run: str | None
    text: str

    def __str__(self) -> str:
        place = f"study {self.study}, " + (f"run {self.run}: " if self.run else "")
        return " ".join((place + self.text).split())


@dataclass(frozen=True)
class Studies:
    """All sound studies by name, and the problems of the others."""

    sound: dict[str, Study]
    problems: list[Problem] = field(default_factory=list)
    scale: str = "default"

    @classmethod
    def load(cls, root: Path = provenance.ROOT, *, scale: str = "default") -> "Studies":
        """Every study under `root`/studies at a scale. A faulty study is left out and its problems are kept."""
        if scale not in SCALES:
            raise SystemExit(f"scale={scale!r} must be one of {', '.join(SCALES)} (see common/scales.py)")
        found: dict[str, Study] = {}
        problems: list[Problem] = []
        for file in sorted(root.glob("studies/*/study.py")):
            try:
                study = _load_study(file)
            except DescriptionError as error:
                problems += [Problem(file.parent.name, None, text) for text in error.problems]
                continue
            wrong = list(_check_study(study))
            problems += wrong
            if not wrong:
                found[study.name] = study
        sound, problems = _check_parents(found, problems)
        return cls(_scaled(sound, scale), problems, scale)

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

    def outputs(self, study: str, file: str = "metrics.csv", **where: Any) -> list[str]:
        """Paths of one result file of every run of a study whose fields have the given values.

        Args:
            study: name of the study; a study that did not load has no outputs.
            file: run.json, metrics.csv or state.safetensors.
            where: a field of `Run` and the value, or the values, that it may have: `arm=["trunk", "branch"]`.
        """
        if study not in self.sound:
            return []
        runs = self.sound[study].runs
        chosen = [name for name, run in runs.items() if all(_has(run, *item) for item in where.items())]
        if not chosen:
            raise LookupError(f"study {study!r} has no run with {where}; runs are listed in studies/{study}/study.py")
        return [f"results/{study}/{name}/{file}" for name in chosen]

    def figures(self, study: str | None = None) -> list[str]:
        """Figures of one study, or of all: one for each studies/<study>/plot_<figure>.py."""
        folders = [self[study]] if study else self.sound.values()
        scripts = [script for folder in folders for script in sorted(folder.folder.glob("plot_*.py"))]
        return [f"figures/{script.parent.name}_{script.stem.removeprefix('plot_')}.pdf" for script in scripts]

    def measured(self, study: str) -> list[str]:
        """Tables of the measurements of a study: one for each studies/<study>/measure_<name>.py."""
        scripts = sorted(self[study].folder.glob("measure_*.py"))
        return [f"results/{study}/{script.stem.removeprefix('measure_')}.csv" for script in scripts]

    def describe(self, study: str, name: str) -> dict[str, Any]:
        """The description of a run as plain values."""
        plain: dict[str, Any] = config.to_dict(self.run(study, name))
        return plain

    def code(self, study: str, name: str) -> str:
        """Digest of the code that decides the numbers of a run."""
        return provenance.digest(provenance.training_code(self.run(study, name)))

    def corpus(self, study: str, name: str) -> list[str]:
        """Manifests of the corpora that a run reads."""
        read = config.datasets_of(self.run(study, name))
        names = dict.fromkeys(part.name for data in read for part in data.parts if part.source == "corpus")
        return [f"results/data/{name}/manifest.json" for name in names]

    def parent(self, study: str, name: str) -> list[str]:
        """Final state of the run that a run continues; none if it starts afresh."""
        parent = self.run(study, name).parent
        return [f"results/{full_name(study, parent)}/state.safetensors"] if parent else []

    def lineage_updates(self, study: str, name: str) -> int:
        """Updates behind the ends of a run's members, their parents' included: the cost without a shared trunk."""
        run = self.run(study, name)
        members = config.members(run)
        own = sum(member.steps for member in members)
        if run.parent is None:
            return own
        home, parent = full_name(study, run.parent).split("/")
        trunk = self.run(home, parent)
        rest = 0 if run.parent_step is None else trunk.steps - run.parent_step
        behind_each = self.lineage_updates(home, parent) // len(config.members(trunk)) - rest
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


def _has(run: Run, name: str, wanted: Any) -> bool:
    return getattr(run, name) in (wanted if isinstance(wanted, list | tuple | set) else [wanted])


class _Unique(dict[str, Any]):
    """A dictionary in which no run is lost; study files build it wherever they write `{...}`.

    A display or a comprehension must not give a name twice. Later on a name may be bound again, as in
    `SETTINGS | {"lr": 0.1}`, unless it holds a run.
    """

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__()
        for name, value in pairs:
            if name in self:
                raise DescriptionError([f"the name {name!r} is given twice; each needs its own"])
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(self.get(name), Run):
            raise DescriptionError([f"the name {name!r} is given twice; each run needs its own"])
        super().__setitem__(name, value)

    def update(self, *others: Any, **named: Any) -> None:
        for name, value in dict(*others, **named).items():
            self[name] = value

    def __ior__(self, other: Any) -> "_Unique":  # type: ignore[override]
        self.update(other)
        return self

    def __or__(self, other: Any) -> "_Unique":  # type: ignore[override]
        both = _Unique(self.items())
        return both.__ior__(other)


class _UniqueDisplays(ast.NodeTransformer):
    """Rewrites `{a: b, **c}` to `_Unique([(a, b)]) | c` and `{a: b for ...}` to `_Unique([(a, b) for ...])`."""

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        parts: list[ast.expr] = [_call_unique(node, ast.List([], ast.Load()))]
        for merged, items in groupby(zip(node.keys, node.values, strict=True), key=lambda item: item[0] is None):
            pairs: list[ast.expr] = [ast.Tuple([key, value], ast.Load()) if key else value for key, value in items]
            parts += pairs if merged else [_call_unique(node, ast.List(pairs, ast.Load()))]
        return reduce(lambda left, right: ast.copy_location(ast.BinOp(left, ast.BitOr(), right), node), parts)

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        self.generic_visit(node)
        return _call_unique(node, ast.ListComp(ast.Tuple([node.key, node.value], ast.Load()), node.generators))


def _call_unique(node: ast.expr, pairs: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Call(ast.Name("_Unique", ast.Load()), [pairs], []), node)


def _load_study(file: Path) -> Study:
    """Execute study.py with checked dictionaries; any failure becomes one sentence that names file and line."""
    where = f"studies/{file.parent.name}/study.py"
    scope: dict[str, Any] = {"__file__": str(file), "__name__": f"studies.{file.parent.name}", "_Unique": _Unique}
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        code = compile(ast.fix_missing_locations(_UniqueDisplays().visit(tree)), str(file), "exec")
        with collecting():
            exec(code, scope)
    except DescriptionError as error:
        raise DescriptionError([f"{where}{_line(error, file)}: {text}" for text in error.problems]) from None
    except (Exception, SystemExit) as error:
        text = error.msg if isinstance(error, SyntaxError) else error
        raise DescriptionError([f"{where}{_line(error, file)}: {type(error).__name__}: {text}"]) from None
    runs = scope.get("RUNS")
    if not isinstance(runs, dict) or not runs:
        found = reprlib.repr(runs)
        raise DescriptionError([f"{where} must define RUNS, a dictionary from a run's name to its Run; found {found}"])
    question = " ".join((ast.get_docstring(tree) or "").partition("\n\n")[0].split())
    if not question:
        raise DescriptionError([f"{where} must begin with a docstring that states the study's question"])
    return Study(file.parent.name, question, dict(runs), file.parent)


def _line(error: BaseException, file: Path) -> str:
    """`:line` of the file at which an error arose; nothing if it is not known."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    if isinstance(error, SyntaxError) and error.filename == str(file):
        lines.append(error.lineno)
    return f":{lines[-1]}" if lines else ""


def _scaled(sound: dict[str, Study], scale: str) -> dict[str, Study]:
    """The studies with the runs that a scale leaves of them."""
    runs = SCALES[scale](_by_full_name(sound.values()))
    chosen = {
        study: {name: runs[f"{study}/{name}"] for name in sound[study].runs if f"{study}/{name}" in runs}
        for study in sound
    }
    return {name: dataclasses.replace(study, runs=chosen[name]) for name, study in sound.items()}


def _by_full_name(studies: Iterable[Study]) -> dict[str, Run]:
    return {f"{study.name}/{name}": run for study in studies for name, run in study.runs.items()}


def name_problem(study: str) -> str | None:
    """The rule that a study's name breaks, if it does."""
    if STUDY_NAME.fullmatch(study) and not keyword.iskeyword(study) and study not in RESERVED:
        return None
    return f"must be lower-case letters, digits and _, and no Python keyword, nor {' or '.join(RESERVED)}"


def _check_study(study: Study) -> Iterator[Problem]:
    """Problems that can be seen within one study."""
    if rule := name_problem(study.name):
        yield Problem(study.name, None, f"the folder studies/{study.name} {rule}; rename it")
    seen: dict[str, str] = {}
    for name, run in study.runs.items():
        if not isinstance(name, str) or not NAME.fullmatch(name) or name.endswith(TAKEN):
            rule = "must be letters, digits and . + _ -, begin with one of the former and not end with"
            yield Problem(study.name, repr(name), f"the name {rule} {' or '.join(TAKEN)}; rename the run")
        if not isinstance(run, Run):
            yield Problem(study.name, name, f"must be made with Run(...); found {reprlib.repr(run)}")
            continue
        yield from (Problem(study.name, name, text) for text in problems(run))
        same = seen.setdefault(repr(run), name)
        if same != name:
            yield Problem(study.name, name, f"describes the same training as {same!r}; use that run for both")


def _check_parents(found: dict[str, Study], problems: list[Problem]) -> tuple[dict[str, Study], list[Problem]]:
    """Drop the studies whose runs continue what does not exist, until all that is left holds together.

    Args:
        found: studies that are sound in themselves.
        problems: those of the other studies.
    Returns: the studies left, and the problems of all others.
    """
    faulty = {problem.study for problem in problems}
    sound = {name: study for name, study in found.items() if name not in faulty}
    runs = _by_full_name(sound.values())
    wrong = [problem for study in sound.values() for problem in _parent_problems(study, runs, faulty)]
    return _check_parents(sound, problems + wrong) if wrong else (sound, problems)


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
