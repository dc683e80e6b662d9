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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from common.config import Continual, Data, EffectiveSharpness, Model, Optimizer, Probe, Run, Schedule, codes
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

    statements: list[ast.stmt]
    binds: dict[str, list[ast.stmt]]
    imports: dict[str, Imported]

    @property
    def effects(self) -> list[ast.stmt]:
        """What happens when it is imported, beside definitions: it counts whatever is used of the module."""
        return [node for node in self.statements if isinstance(node, ast.Expr)]


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
    binds: dict[str, list[ast.stmt]] = {}
    imports: dict[str, Imported] = {}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports |= _imported(node, path)
            continue
        for name in set(_bound_names(node)):
            binds.setdefault(name, []).append(node)
    return Module(tree.body, binds, imports)


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


@dataclass
class Walk:
    """All that is reached from a place."""

    start: Place
    without: frozenset[str]
    statements: dict[Path, set[int]] = field(default_factory=dict)
    """Numbers of the statements of each module that count."""
    libraries: set[str] = field(default_factory=set)
    """What is imported from elsewhere."""

    def __post_init__(self) -> None:
        todo, seen = [self.start], {start_of(place) for place in self.without} - {self.start}
        while todo:
            place = todo.pop()
            if place not in seen:
                seen.add(place)
                todo += self._reached(place)

    def _reached(self, place: Place) -> Iterator[Place]:
        found = module(place.module)
        if place.name in found.imports:
            yield from self._imported(found.imports[place.name], ())
        for node in [*found.binds.get(place.name, []), *found.effects] if place.name else found.statements:
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from self._shown(_imported(node, place.module).values())
                continue
            self._count(place.module, node)
            late = [inner for inner in ast.walk(node) if isinstance(inner, ast.Import | ast.ImportFrom)]
            local = {name: each for inner in late for name, each in _imported(inner, place.module).items()}
            for root, *attributes in _names(node):
                imported = local.get(root) or found.imports.get(root)
                if imported:
                    yield from self._imported(imported, attributes)
                elif root in found.binds:
                    yield Place(place.module, root)

    def _shown(self, imports: Iterable[Imported]) -> Iterator[Place]:
        """What a whole module shows of others: the definitions that it imports, not the modules."""
        for imported in imports:
            yield from (place for place in self._imported(imported, ()) if place.name)

    def _imported(self, imported: Imported, attributes: Iterable[str]) -> Iterator[Place]:
        """Where a name leads that an import has bound, and that is used with some attributes."""
        path = [*imported.module.split("."), *([imported.name] if imported.name else []), *attributes]
        for length in range(len(path), 0, -1):
            if file := file_of(".".join(path[:length])):
                break
        else:
            self.libraries.add(f"{imported.module} {imported.name}")
            return
        rest = path[length:]
        if rest and file == ROOT / DESCRIPTIONS:
            if not self.without:
                self._count_description(rest[0])
            return
        yield Place(file, rest[0] if rest else "")

    def _count(self, path: Path, node: ast.stmt) -> None:
        self.statements.setdefault(path, set()).add(module(path).statements.index(node))

    def _count_description(self, name: str) -> None:
        """Of a kind that a script describes by itself, its fields with their defaults."""
        for file in (ROOT / DESCRIPTIONS).parent.glob("*.py"):
            for node in module(file).binds.get(name, []):
                self._count(file, node)


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
    found = walk(start, without=without)
    total = hashlib.sha256("\n".join(sorted(found.libraries)).encode())
    for path in sorted(found.statements):
        total.update(f"{path.relative_to(ROOT)}\n".encode())
        numbers = sorted(found.statements[path])
        total.update(b"".join(_statement_digest(path, number) for number in numbers))
    return total.hexdigest()


@cache
def _statement_digest(path: Path, number: int) -> bytes:
    return hashlib.sha256(ast.dump(module(path).statements[number]).encode()).digest()


def read_again() -> None:
    """Forget what was read: the files have changed."""
    _digest.cache_clear()
    _statement_digest.cache_clear()


def pins(*distributions: str, envs: Path = ROOT / "envs") -> dict[str, str]:
    """Versions that the lock file and envs/torch.txt pin for some distributions."""
    text = "\n".join((envs / file).read_text(encoding="utf-8") for file in ("requirements.lock", "torch.txt"))
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))
    return {name: pinned[name] for name in distributions}
