"""Which code made a result: digests of syntax trees, git state, versions (layer 0, standard library only)."""

import ast
import hashlib
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from common.config import CURVATURE, PROBE_SET, TEXT, Run, datasets_of

ROOT = Path(__file__).resolve().parent.parent
"""The repository: the folder that holds `common` and `studies`."""

TABLE = "KINDS"
"""A module's table from kind to definition; a digest does not follow it, because it is given the kind's name."""

LIBRARIES = ("torch", "numpy", "scipy", "safetensors", "snakemake", "mlflow", "matplotlib")


@cache
def _tree(path: Path, _stamp: int) -> ast.Module:
    """Syntax tree of a module without its docstrings; `_stamp` is the file's modification time."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [entry for entry in node.body if not _is_text(entry)] or [ast.Pass()]
    return tree


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a bare string: a docstring, also one that documents a field."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def tree(path: Path) -> ast.Module:
    """Syntax tree of the module at `path` without docstrings, parsed once for each version of the file."""
    return _tree(path, path.stat().st_mtime_ns)


def digest(parts: Iterable[str]) -> str:
    """Twelve hexadecimal digits for a piece of code, blind to comments, docstrings and layout, not to meaning.

    Args:
        parts: modules as paths relative to the repository ("common/engine.py"), or one top-level definition and all
            that it reaches within its module ("common/schedules.py::cosine").
    """
    total = hashlib.sha256()
    for part in sorted(set(parts)):
        total.update(part.encode())
        total.update(_part_digest(part, (ROOT / part.partition("::")[0]).stat().st_mtime_ns))
    return total.hexdigest()[:12]


@cache
def _part_digest(part: str, stamp: int) -> bytes:
    name, _, definition = part.partition("::")
    module = _tree(ROOT / name, stamp)
    nodes = _reachable(module, definition) if definition else module.body
    return hashlib.sha256("\n".join(map(ast.dump, nodes)).encode()).digest()


def _reachable(module: ast.Module, start: str) -> list[ast.stmt]:
    """The top-level statements of a module that the definition `start` uses, directly or through others, in order."""
    binds: dict[str, list[ast.stmt]] = {}
    for node in module.body:
        for name in set(_bound_names(node)) - {TABLE}:
            binds.setdefault(name, []).append(node)
    if start not in binds:
        raise LookupError(f"{start!r} is not defined at the top level of its module")
    todo, seen, chosen = [start], {start}, set()
    while todo:
        for node in binds[todo.pop()]:
            chosen.add(node)
            names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)} & binds.keys()
            todo += names - seen
            seen |= names
    return [node for node in module.body if node in chosen]


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


def imports(path: Path) -> set[Path]:
    """Modules of this repository that a script reaches through its imports, directly or through others, and itself.

    Names are looked up from the repository (`common.records`) and from the script's own folder (`river`), relative
    ones from the module that imports them. A package counts with each of its modules.
    """
    start = path.resolve()
    found: set[Path] = set()
    sought: set[tuple[tuple[Path, ...], str]] = set()
    todo = [start]
    while todo:
        module = todo.pop()
        if module in found:
            continue
        found.add(module)
        for level, name in _imported_names(module, module.stat().st_mtime_ns):
            bases = (module.parents[level - 1],) if level else (ROOT, start.parent)
            if (bases, name) not in sought:
                sought.add((bases, name))
                todo += _locate(name, *bases)
    return found


@cache
def _imported_names(module: Path, stamp: int) -> list[tuple[int, str]]:
    """Level (0 for an absolute import) and dotted name of all that a module imports, each once."""
    names: dict[tuple[int, str], None] = {}
    for node in ast.walk(_tree(module, stamp)):
        if isinstance(node, ast.Import):
            names |= dict.fromkeys((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            before = f"{node.module}." if node.module else ""
            names |= dict.fromkeys((node.level, before + alias.name) for alias in node.names)
    return list(names)


def _locate(name: str, *bases: Path) -> Iterator[Path]:
    """The files of a dotted name and of the packages that it lies in."""
    for base in bases:
        stem = base
        for word in name.split("."):
            if not stem.is_dir():
                break
            stem /= word
            yield from (file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file())


def script_digest(path: str) -> str:
    """Digest of a figure or claims script and of every module of this repository that it imports."""
    return digest(str(module.relative_to(ROOT)) for module in imports(ROOT / path))


ENGINE = ("engine", "evaluation", "losses", "streams", "parametrization", "roles", "data/__init__")
"""Modules of `common` that every training runs."""
UPDATE = ("build", "set_lr", "clip", "evaluation", "state_tensors", "load_state_tensors")
"""What the training loop calls in common/optimizers.py, whatever the kind."""


def training_code(run: Run) -> list[str]:
    """The parts of `common` that decide the numbers of a run, in the form that `digest` takes.

    A kind of schedule, optimizer or probe counts only for the runs that use it; of the other definitions in those
    modules, all that the training loop calls.
    """
    read = datasets_of(run)
    pieces = [part for data in read for part in data.parts]
    sources = {part.source for part in pieces}
    data = {
        "digits": "digits",
        "teacher": "synthetic",
        "tanh_teacher": "synthetic",
        "bigram": "synthetic",
        "huggingface": "huggingface",
    }
    parts = [f"common/{name}.py" for name in ENGINE]
    parts += ["common/stack.py"] if run.stacked else []
    parts += ["common/average.py"] if run.average is not None else []
    parts += [f"common/models/{name}.py" for name in ("__init__", "layers", run.model.kind)]
    parts += sorted({f"common/data/{data[source]}.py" for source in sources & data.keys()})
    parts += ["common/data/text.py"] if sources & set(TEXT) else []
    parts += ["common/data/subset.py"] if any(part.context and part.samples for part in pieces) else []
    parts += ["common/data/exchange.py"] if any(part.permuted for part in pieces) else []
    parts += ["common/data/mixture.py"] if any(data.mixed_with for data in read) else []
    parts += [f"common/{name}.py" for name in _retention_modules(run)]
    parts += ["common/metainit.py"] if run.model.metainit_steps else []
    parts += [f"common/schedules.py::{name}" for name in ("build", run.schedule.kind)]
    parts += [f"common/optimizers.py::{name}" for name in (*UPDATE, run.optimizer.kind)]
    measured = {probe.kind for probe in run.probes}
    if measured & set(PROBE_SET):
        parts += ["common/curvature/objective.py"]
    if measured & set(CURVATURE):
        parts += [f"common/curvature/{name}.py" for name in ("operators", "lanczos")]
    if "effective_sharpness" in measured:
        parts += [f"common/curvature/{name}.py" for name in ("sharpness", "stability")]
    return parts + [f"common/probes.py::{probe.kind}" for probe in run.probes]


def _retention_modules(run: Run) -> list[str]:
    """Modules that a run uses not to forget its past tasks."""
    if run.continual is None:
        return []
    regularised = run.continual.distillation is not None or run.continual.consolidation is not None
    projected = run.continual.projection is not None
    return ["retention", "replay", *["regularisers"] * regularised, *["projection"] * projected]


def git_state(root: Path = ROOT) -> dict[str, str | bool | None]:
    """Commit that is checked out and whether the tree differs from it; None for both outside a git checkout."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def pins(*distributions: str, envs: Path = ROOT / "envs") -> dict[str, str]:
    """Versions that the lock file and envs/torch.txt pin for some distributions."""
    text = "\n".join((envs / file).read_text(encoding="utf-8") for file in ("requirements.lock", "torch.txt"))
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))
    return {name: pinned[name] for name in distributions}


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that can change a number or a picture."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in LIBRARIES}
