"""Digests of the code that makes a result: from definition to definition, through every module of this repository.

A digest begins at a definition ("common.optim.schedules:wsd") or a whole module ("studies.wsd.plot_loss") and follows
each name that is used there to where it is defined, and on from there. It is taken from syntax trees without
docstrings, so comments, layout and words change nothing, and neither does a definition that is not reached: what is
added to a module changes no digest.

What a description chooses is found by its word when the program runs (`config.implementation`, `config.chosen`), where
no name leads to it; `training_code` adds the definitions that a run has chosen, and those alone.
"""

import ast
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from common.config import Continual, Data, EffectiveSharpness, Model, Optimizer, Probe, Run, Schedule, codes
from common.pipeline.memory import Memory, Taken
from common.runs.origin import ROOT

DESCRIPTIONS = "common/config/__init__.py"
"""Names that are imported from here describe a run: their values are in its description, their code decides nothing."""

ALWAYS = ("common.data:load_all", "common.training.loop:Training", "common.training.loop:columns")
"""Where every training begins."""


def training_code(run: Run) -> list[str]:
    """Where the code that decides the numbers of a run begins: the loop, and all that its description chooses."""
    found = [*ALWAYS, *codes(run)]
    if run.optimizer.threshold and any(isinstance(probe, EffectiveSharpness) for probe in run.probes):
        found.append(run.optimizer.threshold)
    return found


def training_digest(run: Run) -> str:
    """Digest of that code."""
    return digest(training_code(run), without=optional_code())


def digest(starts: Iterable[str], *, without: frozenset[str] = frozenset()) -> str:
    """Twelve hexadecimal digits for all code that is reached from some definitions and modules.

    Args:
        starts: "module:name", or "module" for all of it.
        without: definitions that are not followed where a name leads to them, only where they are a start.
    """
    total = hashlib.sha256()
    for start in sorted(set(starts)):
        total.update(f"{start} {_digest(start, without)}".encode())
    return total.hexdigest()[:12]


def later(*starts: str) -> Callable[[object], str]:
    """A parameter of a rule: the digest of some code, taken only for the rules that a build needs."""
    return lambda _: digest(starts)


@cache
def optional_code() -> frozenset[str]:
    """Definitions that only runs with a certain field use (see `description.field`)."""
    families = [Run, Continual, *(kind for family in FAMILIES for kind in family.kinds().values())]
    named = (each.metadata.get("code") for kind in families if is_dataclass(kind) for each in fields(kind))
    return frozenset([*(code for code in named if code), Continual.code])


FAMILIES = (Model, Data, Optimizer, Schedule, Probe)


Function = ast.FunctionDef | ast.AsyncFunctionDef


class Place(NamedTuple):
    """A name at the top level of a module; all of the module for the empty name."""

    module: Path
    name: str


@dataclass(frozen=True)
class Imported:
    """What an import binds: a name of a module, or a module for the empty name."""

    module: str
    name: str


@dataclass
class Module:
    """A module of this repository, and what its names mean."""

    path: Path
    statements: list[ast.stmt]
    binds: dict[str, list[int]]
    """Numbers of the statements that bind a name, or may change it."""
    imports: dict[str, Imported]
    effects: list[int]
    """Numbers of what happens when it is imported, beside definitions: it counts whatever is used of the module."""

    def numbers(self, name: str) -> list[int]:
        """Numbers of the statements that count for a name; all for the empty name."""
        return [*self.binds.get(name, []), *self.effects] if name else list(range(len(self.statements)))

    def late(self, node: ast.stmt) -> dict[str, Imported]:
        """What is imported within a statement."""
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr):
            return {}
        inner = (each for each in ast.walk(node) if isinstance(each, ast.Import | ast.ImportFrom))
        return {name: imported for each in inner for name, imported in _imported(each, self.path).items()}


def module(path: Path) -> Module:
    """A module of this repository; read once for each version of its file."""
    return _module(path, path.stat().st_mtime_ns)


@cache
def _module(path: Path, _stamp: int) -> Module:
    tree = ast.parse(path.read_bytes(), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function):
            node.body = [entry for entry in node.body if not _is_text(entry)] or [ast.Pass()]
        if isinstance(node, Function):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    binds: dict[str, list[int]] = {}
    imports: dict[str, Imported] = {}
    for number, node in enumerate(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports |= _imported(node, path)
            continue
        for name in set(_bound_names(node)):
            binds.setdefault(name, []).append(number)
    effects = [number for number, node in enumerate(tree.body) if isinstance(node, ast.Expr)]
    return Module(path, tree.body, binds, imports, effects)


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a bare string: a docstring, also one that documents a field."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imported(node: ast.Import | ast.ImportFrom, path: Path) -> dict[str, Imported]:
    """Names that an import binds."""
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]: Imported(
                alias.name if alias.asname else alias.name.partition(".")[0], ""
            )
            for alias in node.names
        }
    origin = node.module or ""
    if node.level:
        package = path.parents[node.level - 1].relative_to(ROOT).parts
        origin = ".".join([*package, *([origin] if origin else [])])
    return {alias.asname or alias.name: Imported(origin, alias.name) for alias in node.names}


def _bound_names(node: ast.AST) -> Iterator[str]:
    """Names that a top-level statement binds, or may change: `X = 1`, `X["a"] = 1`, `X.append(1)`, `if a: X = 1`."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
    elif isinstance(node, ast.Name):
        yield node.id
    else:
        yield from (name for inner in ast.iter_child_nodes(node) for name in _bound_names(inner))


@cache
def file_of(dotted: str) -> Path | None:
    """The file of a module of this repository; None for another's."""
    stem = ROOT.joinpath(*dotted.split("."))
    return next((file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()), None)


def start_of(start: str) -> Place:
    """The place that "module:name" or "module" names.

    Raises: LookupError if there is none.
    """
    dotted, _, name = start.partition(":")
    file = file_of(dotted)
    if file is None:
        raise LookupError(f"there is no module {dotted!r}, which {start!r} names")
    found = module(file)
    if name and name not in found.binds and name not in found.imports:
        raise LookupError(f"{name!r} is not defined at the top level of its module {dotted!r}")
    return Place(file, name)


class Step(NamedTuple):
    """What a place counts and where it leads."""

    statements: tuple[int, ...]
    """Numbers of the statements of its module."""
    libraries: tuple[str, ...]
    """What it uses from elsewhere."""
    places: tuple[Place, ...]
    descriptions: tuple[str, ...]
    """Names of descriptions that it uses."""


@cache
def _step(place: Place) -> Step:
    found = module(place.module)
    leads = _Leads(place.module)
    if place.name in found.imports:
        leads.add(found.imports[place.name], ())
    numbers = found.numbers(place.name)
    for node in (found.statements[number] for number in numbers):
        if isinstance(node, ast.Import | ast.ImportFrom):
            leads.show(_imported(node, place.module).values())
            continue
        late = found.late(node)
        for root, *attributes in set(_names(node)):
            if imported := late.get(root) or found.imports.get(root):
                leads.add(imported, attributes)
            elif root in found.binds:
                leads.places[Place(place.module, root)] = None
    counted = [n for n in numbers if not isinstance(found.statements[n], ast.Import | ast.ImportFrom)]
    return Step(tuple(counted), tuple(leads.libraries), tuple(leads.places), tuple(leads.descriptions))


class _Leads:
    """Where the names of a statement lead."""

    def __init__(self, module: Path) -> None:
        self.module = module
        self.places: dict[Place, None] = {}
        self.libraries: dict[str, None] = {}
        self.descriptions: dict[str, None] = {}

    def add(self, imported: Imported, attributes: Iterable[str]) -> None:
        """A name that an import has bound, used with some attributes."""
        path = (*imported.module.split("."), *([imported.name] if imported.name else []), *attributes)
        file, rest = _target(path)
        if file is None:
            self.libraries[f"{imported.module} {imported.name}"] = None
        elif rest and file == ROOT / DESCRIPTIONS:
            self.descriptions[rest[0]] = None
        else:
            self.places[Place(file, rest[0] if rest else "")] = None

    def show(self, imports: Iterable[Imported]) -> None:
        """What a whole module shows of others: the definitions that it imports, not the modules."""
        shown = _Leads(self.module)
        for imported in imports:
            shown.add(imported, ())
        self.places |= {place: None for place in shown.places if place.name}
        self.libraries |= shown.libraries
        self.descriptions |= shown.descriptions


@cache
def _target(path: tuple[str, ...]) -> tuple[Path | None, tuple[str, ...]]:
    """The module that a dotted path leads to, and what is left of the path; None outside this repository."""
    for length in range(len(path), 0, -1):
        if file := file_of(".".join(path[:length])):
            return file, path[length:]
    return None, path


@dataclass
class Walk:
    """All that is reached from a place."""

    start: Place
    without: frozenset[str]
    statements: dict[Path, set[int]] = field(default_factory=dict)
    """Numbers of the statements of each module that count."""
    libraries: set[str] = field(default_factory=set)
    """What is used from elsewhere."""

    def __post_init__(self) -> None:
        todo, seen = [self.start], {start_of(place) for place in self.without} - {self.start}
        while todo:
            place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            step = _step(place)
            self.statements.setdefault(place.module, set()).update(step.statements)
            self.libraries.update(step.libraries)
            todo += step.places
            if not self.without:
                for name in step.descriptions:
                    self._count_description(name)

    def _count_description(self, name: str) -> None:
        """Of a kind that a script describes by itself, its fields with their defaults."""
        for file in (ROOT / DESCRIPTIONS).parent.glob("*.py"):
            if file.is_file() and name in module(file).binds:
                self.statements.setdefault(file, set()).update(module(file).numbers(name))


def _names(node: ast.AST, hidden: frozenset[str] = frozenset()) -> Iterator[tuple[str, ...]]:
    """Names that are used, each with the attributes that are read of it; those of a function itself are not counted."""
    if isinstance(node, ast.Attribute):
        path: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            path.insert(0, inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            yield from _names(inner, hidden)
        elif inner.id not in hidden:
            yield (inner.id, *path)
    elif isinstance(node, ast.Name):
        if node.id not in hidden:
            yield (node.id,)
    elif isinstance(node, Function):
        for entry in (*node.decorator_list, node.args):
            yield from _names(entry, hidden)
        for entry in node.body:
            yield from _names(entry, hidden | _own_names(node))
    else:
        for inner in ast.iter_child_nodes(node):
            yield from _names(inner, hidden)


def _own_names(node: ast.AST) -> frozenset[str]:
    """Names that a function binds: its arguments, what it assigns, and what it defines."""
    inner = list(ast.walk(node))[1:]
    stored = {each.id for each in inner if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    defined = {each.name for each in inner if isinstance(each, Function | ast.ClassDef)}
    return frozenset(stored | defined | {each.arg for each in inner if isinstance(each, ast.arg)})


def walk(start: str, *, without: frozenset[str] = frozenset()) -> Walk:
    """All that is reached from "module:name" or "module"."""
    return Walk(start_of(start), without)


def reached(starts: Iterable[str], *, without: frozenset[str] = frozenset()) -> set[tuple[Path, int]]:
    """File and first line of every statement that is reached from some definitions and modules."""
    walks = [walk(start, without=without) for start in starts]
    return {
        (path, min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))]))
        for found in walks
        for path, numbers in found.statements.items()
        for node in (module(path).statements[number] for number in numbers)
    }


@cache
def _digest(start: str, without: frozenset[str]) -> str:
    if _memory is None:
        return _taken(start, without).digest
    apart = hashlib.sha256(repr(sorted(without)).encode()).hexdigest()[:12] if without else ""
    return _memory.recall(f"{start} {apart}".strip(), lambda: _taken(start, without))


def _taken(start: str, without: frozenset[str]) -> Taken:
    found = walk(start, without=without)
    total = hashlib.sha256("\n".join(sorted(found.libraries)).encode())
    for path in sorted(found.statements):
        total.update(f"{path.relative_to(ROOT)}\n".encode())
        numbers = sorted(found.statements[path])
        total.update(b"".join(_statement_digest(path, number) for number in numbers))
    return Taken(total.hexdigest(), found.statements)


_memory: Memory | None = None


def remember(file: Path) -> None:
    """From now on keep digests in a file, where the next start finds them."""
    global _memory  # noqa: PLW0603
    _memory = Memory(file, ROOT)


@cache
def _statement_digest(path: Path, number: int) -> bytes:
    return hashlib.sha256(ast.dump(module(path).statements[number]).encode()).digest()


def read_again() -> None:
    """Forget what was read: the files have changed."""
    for kept in (_digest, _statement_digest, _step, _target, file_of):
        kept.cache_clear()


def pins(*distributions: str, envs: Path = ROOT / "envs") -> dict[str, str]:
    """Versions that the lock file and envs/torch.txt pin for some distributions."""
    text = "\n".join((envs / file).read_text(encoding="utf-8") for file in ("requirements.lock", "torch.txt"))
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))
    return {name: pinned[name] for name in distributions}
