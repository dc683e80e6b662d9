"""One study: import its study.py and check all that can be seen within it."""

import ast
import dataclasses
import importlib
import keyword
import os
import re
import reprlib
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import studies as package
from common.config import Claim, DescriptionError, Figure, Measure, Run, Rung, Step
from common.config.description import collecting, problems
from common.evidence import registration
from common.evidence.registration import Registration
from common.evidence.seeds import WRITTEN
from common.pipeline import script
from common.runs.place import VERDICTS

STUDY_NAME = re.compile(r"[a-z][a-z0-9_]*")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*")
"""Names of runs. Both are also the wildcards of the Snakefile."""
PERIODIC = re.compile(r"(.+)\1{19}$")
LONGEST = 150
"""Most letters of a name: files are named after it, with ends of their own."""
RULES = (
    "all",
    "train",
    "claims",
    "scoreboard",
    "claims_figure",
    "verdicts_figure",
    "corpus",
    "masked_corpus",
    "mlflow",
    "site",
)
RESERVED = ("data", "common", "verdicts", *RULES)
"""Folders of results, and rules."""
CLAIM = re.compile(r"[A-Z][0-9]+[a-z]?")
"""Ids of claims."""
TAKEN = (".tmp", ".json", ".csv")
"""Ends of names that are files in the folder of a study's results."""


@dataclass(frozen=True)
class Study:
    """One directory of `studies/`: a question, its runs, and what is made of them."""

    name: str
    question: str
    """Docstring of study.py, its first paragraph."""
    runs: dict[str, Run]
    figures: dict[str, Figure]
    measures: dict[str, Measure]
    claims: dict[str, Claim]
    folder: Path
    rungs: dict[str, Rung] = field(default_factory=dict)
    """Sizes of its ladder."""
    written: dict[str, Run] = field(default_factory=dict)
    """All runs as in study.py, also those that a scale leaves out."""
    registration: Registration | None = None
    numbered: dict[str, Run] = field(default_factory=dict)
    """The runs with seeds as numbers, before those of a block were drawn (see `common.evidence.seeds`)."""
    block: str = WRITTEN
    """The block that their seeds are of."""

    def is_large(self, run: Run) -> bool:
        """Whether a run exists at the scale `large` alone."""
        return run.rung is not None and self.rungs[run.rung].large


@dataclass(frozen=True)
class Problem:
    """One broken rule: where it is and what it says."""

    study: str
    run: str | None
    text: str

    def __str__(self) -> str:
        place = f"study {self.study}, " + (f"run {self.run}: " if self.run else "")
        return " ".join((place + self.text).split())


def holds_study(folder: Path) -> bool:
    """Whether a folder has a study.py, or would have one if a link led somewhere."""
    file = folder / "study.py"
    return file.is_file() or _is_broken(file) or (_is_broken(folder) and STUDY_NAME.fullmatch(folder.name) is not None)


def _is_broken(path: Path) -> bool:
    """Whether a path is a link to nothing."""
    return path.is_symlink() and not path.exists()


def load_study(folder: Path) -> Study:
    """Import study.py and claims.py; any failure becomes one sentence that names file and line."""
    where = f"studies/{folder.name}/study.py"
    if rule := name_problem(folder.name):
        raise DescriptionError([f"the folder studies/{folder.name} {rule}; rename it"])
    for path in filter(_is_broken, (folder, folder / "study.py", folder / "claims.py")):
        name = path.relative_to(folder.parent)
        raise DescriptionError(
            [f"studies/{name} is a link to {path.readlink()}, which is not there; mend it or remove it"]
        )
    module = _imported(folder, "study")
    question = " ".join((module.__doc__ or "").strip().partition("\n\n")[0].split())
    if not question:
        raise DescriptionError([f"{where} must begin with a docstring that states the study's question"])
    runs = _list_of(Run, getattr(module, "RUNS", None), f"{where} must define RUNS", 'Run("name", model=..., ...)')
    if not runs:
        raise DescriptionError([f"{where} must define RUNS, a list of Run(...); found none"])
    figures = _list_of(Figure, getattr(module, "FIGURES", []), f"{where} must define FIGURES", 'Figure("name", ...)')
    measures = _list_of(
        Measure, getattr(module, "MEASURES", []), f"{where} must define MEASURES", 'Measure("name", ...)'
    )
    rungs = _list_of(Rung, getattr(module, "RUNGS", []), f"{where} must define RUNGS", 'Rung("name", parameters=...)')
    by_name = _by_name(runs, where)
    return Study(
        folder.name,
        question,
        by_name,
        _by_name(figures, where),
        _by_name(measures, where),
        _claims(folder),
        folder,
        _by_name(rungs, where),
        by_name,
        _registered(folder),
    )


def _registered(folder: Path) -> Registration | None:
    try:
        return registration.read(folder)
    except ValueError as error:
        raise DescriptionError([str(error)]) from None


def _claims(folder: Path) -> dict[str, Claim]:
    if not (folder / "claims.py").is_file():
        return {}
    where, module = f"studies/{folder.name}/claims.py", _imported(folder, "claims")
    found = _list_of(Claim, getattr(module, "CLAIMS", None), f"{where} must define CLAIMS", 'Claim("X1", ...)')
    return _by_name(found, where)


def _imported(folder: Path, name: str) -> ModuleType:
    """A module of a study.

    Raises: DescriptionError for whatever its import raises.
    """
    file = folder / f"{name}.py"
    try:
        with collecting(), _fenced():
            return importlib.import_module(f"{package.__name__}.{folder.name}.{name}")
    except DescriptionError as error:
        raise DescriptionError([f"{_source(error, file)}: {text}" for text in error.problems]) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = error.msg if isinstance(error, SyntaxError) else error
        raise DescriptionError([f"{_source(error, file)}: {type(error).__name__}: {text}"]) from None


IMPORT_SECONDS = 20.0
"""How long a file of a study may take to import: it describes, and trains nothing."""


@contextmanager
def _fenced() -> Iterator[None]:
    """Within this context the working directory stays what it is, and what takes too long is ended (in a main thread).

    Raises: TimeoutError.
    """
    here, alarmed = Path.cwd(), threading.current_thread() is threading.main_thread()
    if alarmed:
        before = signal.signal(signal.SIGALRM, _too_long)
        signal.setitimer(signal.ITIMER_REAL, IMPORT_SECONDS, 1.0)  # again, if the first met what swallows it
    try:
        yield
    finally:
        if alarmed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        os.chdir(here)


def _too_long(*_: object) -> None:
    raise TimeoutError(f"the import took longer than {IMPORT_SECONDS:g} s; a study describes runs and trains nothing")


def _list_of(kind: type, found: Any, rule: str, entry: str) -> list[Any]:
    if isinstance(found, dict) and kind is Run:
        name = next(iter(found), "name")
        raise DescriptionError(
            [f'{rule}, a list of runs with their names now: RUNS = [Run("{name}", ...), ...], no dictionary']
        )
    listed = isinstance(found, list | tuple)
    for wrong in [each for each in found if not isinstance(each, kind)] if listed else [found]:
        raise DescriptionError([f"{rule}, a list of {entry}; found {reprlib.repr(wrong)}"])
    return list(found)


def _by_name(entries: list[Any], where: str) -> dict[str, Any]:
    names = [entry.name for entry in entries]
    wrong = [f"the name {name!r} must be a text" for name in names if not isinstance(name, str)]
    if not wrong and "" in names:
        kind = type(entries[names.index("")]).__name__
        wrong = [f'{kind} needs a name, and it stands first: {kind}("name", ...)']
    if not wrong:
        twice = [name for name, count in Counter(names).items() if count > 1]
        wrong = [f"the name {name!r} is given twice; each needs its own" for name in twice]
    if wrong:
        raise DescriptionError([f"{where}: {text}" for text in wrong])
    return dict(zip(names, entries, strict=True))


def _source(error: BaseException, module: Path) -> str:
    """`studies/<study>/<file>:<line>` where an error of an import arose, the innermost place of the study itself."""
    frames = traceback.extract_tb(error.__traceback__)
    places: list[tuple[str, int | None]] = [(frame.filename, frame.lineno) for frame in frames]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    inside = [(Path(file), line) for file, line in places if Path(file).parent == module.parent]
    file, line = inside[-1] if inside else (module, None)
    return f"studies/{module.parent.name}/{file.name}" + (f":{line}" if line else "")


def name_problem(study: str) -> str | None:
    """The rule that a study's name breaks, if it does."""
    if STUDY_NAME.fullmatch(study) and not keyword.iskeyword(study) and study not in RESERVED:
        return None
    return f"must be lower-case letters, digits and _, and no Python keyword, nor one of {', '.join(RESERVED)}"


def check_study(study: Study) -> Iterator[Problem]:
    """Problems that can be seen within one study."""
    seen: dict[str, str] = {}
    spelt: dict[str, str] = {}
    for name, run in study.runs.items():
        if not isinstance(name, str) or not NAME.fullmatch(name) or name.endswith(TAKEN) or name == VERDICTS:
            rule = (
                f"must be letters, digits and . + _ -, begin with one of the former, not be {VERDICTS} and not end with"
            )
            yield Problem(study.name, repr(name), f"the name {rule} {' or '.join(TAKEN)}; rename the run")
        elif (other := spelt.setdefault(name.lower(), name)) != name:
            text = f"differs from {other!r} by capitals alone; some file systems have one folder for both: rename one"
            yield Problem(study.name, name, text)
        elif PERIODIC.search(name):
            yield Problem(
                study.name, name, "ends with a part that is repeated 20 times, which Snakemake takes for a loop"
            )
        elif len(name) > LONGEST:
            text = f"the name has {len(name)} letters; at most {LONGEST} fit a file, so choose a shorter one"
            yield Problem(study.name, f"{name[:20]}...", text)
        yield from (Problem(study.name, name, text) for text in [*problems(run), *_rung_problems(study, run)])
        same = seen.setdefault(_training(run), name) if not problems(run) else name
        if same != name:
            yield Problem(study.name, name, f"describes the same training as {same!r}; use that run for both")
    for name, rung in study.rungs.items():
        yield from (Problem(study.name, None, f"Rung({name!r}): {text}") for text in problems(rung))
    yield from _check_steps(study)
    yield from _check_claims(study)


def _rung_problems(study: Study, run: Run) -> Iterator[str]:
    """Problems of a sound run with the rung that it names."""
    if run.rung is None or problems(run):
        return
    if run.rung not in study.rungs:
        near = get_close_matches(run.rung, study.rungs, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the rungs are {', '.join(study.rungs) or 'none yet'}"
        yield f"rung={run.rung!r} is no rung of RUNGS in study.py; {hint}"
    elif not problems(study.rungs[run.rung]) and (text := study.rungs[run.rung].misfit(run)):
        yield text


def _check_steps(study: Study) -> Iterator[Problem]:
    """Problems of the figures and measurements: their scripts and tables."""
    kinds = (("plot", "draw", "FIGURES", study.figures), ("measure", "measure", "MEASURES", study.measures))
    for prefix, function, listed, steps in kinds:
        for name, step in steps.items():
            entry = f"{type(step).__name__}({name!r})"
            path = study.folder / f"{prefix}_{name}.py"
            if path.is_file():
                text = _script_problem(path, function, entry, step)
                yield from [Problem(study.name, None, f"studies/{study.name}/{path.name}{text}")] if text else ()
            else:
                yield Problem(study.name, None, f"{entry} has no script studies/{study.name}/{path.name}")
            yield from (Problem(study.name, None, text) for text in _table_problems(study, entry, step))
        for path in sorted(study.folder.glob(f"{prefix}_*.py")):
            if path.stem.removeprefix(f"{prefix}_") not in steps:
                yield Problem(study.name, None, f"studies/{study.name}/{path.name} is in no entry of {listed}")


def _check_claims(study: Study) -> Iterator[Problem]:
    """Problems of the claims: their ids, their functions and tables, and those that figures show."""
    if len(found := [name for name, claim in study.claims.items() if claim.headline]) > 1:
        yield Problem(study.name, None, f"{', '.join(found)}: one claim of a study at most is its headline")
    scripts = [study.folder / "verdicts.py", *sorted(study.folder.glob("verdicts/*.py"))]
    for name, claim in study.claims.items():
        entry = f"Claim({name!r})"
        if not CLAIM.fullmatch(name):
            yield Problem(
                study.name, None, f"{entry} must be named by a capital letter and a number, such as W8 or W6a"
            )
        known = ((path, script.read(path)) for path in scripts if path.is_file())
        path = next((path for path, found in known if found.problem or claim.verdict in found.functions), None)
        if path is None:
            text = f"must define {claim.verdict}({', '.join(claim.sources)}), which {entry} calls"
            yield Problem(study.name, None, f"studies/{study.name}/verdicts.py {text}")
        elif wrong := _script_problem(path, claim.verdict, entry, claim):
            yield Problem(study.name, None, f"studies/{study.name}/{path.relative_to(study.folder)}{wrong}")
        yield from (Problem(study.name, None, text) for text in _table_problems(study, entry, claim))
    for figure in study.figures.values():
        for name in figure.claims:
            if name not in study.claims:
                near = get_close_matches(name, study.claims, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                yield Problem(study.name, None, f"Figure({figure.name!r}) shows {name!r}, which is no claim{hint}")


def _table_problems(study: Study, entry: str, step: Step) -> Iterator[str]:
    for table in step.tables:
        if table not in study.measures:
            near = get_close_matches(table, study.measures, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield f"{entry} reads the table {table!r}, which no Measure makes{hint}"


def _script_problem(path: Path, function: str, entry: str, step: Step) -> str | None:
    """What is wrong with a script that cannot be read, or whose function does not take what its entry gives it."""
    written = script.read(path)
    if written.problem:
        return written.problem
    settings = step.settings if isinstance(step, Claim) else {}
    own = ("seeds",) if isinstance(step, Measure) and step.seeds else ()
    given = ", ".join([*step.sources, *(f"{name}=..." for name in dict.fromkeys((*settings, *step.smoke, *own)))])
    found = written.functions.get(function)
    if found is None:
        return f" must define {function}({given}), which {entry} calls"
    if not _takes(found.args, {*step.sources, *settings}, further={*step.smoke, *own}):
        taken = f"{function}({ast.unparse(found.args)})"
        return f":{found.lineno}: {taken} must take what {entry} gives it: {function}({given})"
    return None


def _takes(arguments: ast.arguments, given: set[str], *, further: set[str]) -> bool:
    """Whether a function can be called with these arguments by name, and with further ones or without them."""
    named = [each.arg for each in (*arguments.args, *arguments.kwonlyargs)]
    optional = [each.arg for each in arguments.args[len(arguments.args) - len(arguments.defaults) :]]
    optional += [each.arg for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value]
    return set(named) - set(optional) <= given and (given | further <= set(named) or arguments.kwarg is not None)


def _training(run: Run) -> str:
    """What tells one training from another: all but the name."""
    return repr([getattr(run, each.name) for each in dataclasses.fields(run) if each.name != "name"])
