"""Which room may import which, and who may touch torch, matplotlib, MLflow and Snakemake's object."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import ROOMS
from common.runs.origin import ROOT

ORDER = list(ROOMS)

MATHEMATICS = {"numpy", "scipy", "torch"}
TABLES = {"numpy", "pandas", "scipy"}
LIBRARIES = {
    "config": set(),
    **dict.fromkeys(("streams", "data", "models", "optim", "curvature", "continual", "training"), MATHEMATICS),
    "evidence": TABLES,
}
"""What a room may import beside the standard library; the others may import all that has no owner."""

EXCEPTIONS = {
    "common/data/huggingface.py": {"datasets"},
    "common/continual/metrics.py": {"pandas"},
}
"""Libraries for an optional extra, or only for types, in one module."""

OWNERS = {
    "mlflow": {"common/tracking/store.py"},
    "jinja2": {"common/site/pages.py"},
    "matplotlib": {"common/plotting/panels.py"},
    "seaborn": {"common/plotting/panels.py"},
    "safetensors": {"common/runs/checkpoint.py"},
    "datasets": {"common/data/huggingface.py"},
    "rocrate": {"common/pipeline/crate.py"},
}
"""Libraries that only these modules may import."""

MODULES = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("common/**/*.py"))
SCRIPTS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("studies/**/*.py"))
ADAPTERS = [path for path in MODULES if path.startswith("common/pipeline/rules/")]
PICTURES = [path for path in MODULES + SCRIPTS if "/plotting/" in path or ("/plot_" in path and path not in ADAPTERS)]


def room_of(path: str) -> str:
    """The room of a module of `common`; nothing for the house itself."""
    return path.removeprefix("common/").partition("/")[0].removesuffix(".py").removesuffix("__init__")


def syntax(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def imported(path: str, *, late: bool = True) -> set[str]:
    """Dotted names that a module imports, also inside functions unless `late` is false."""
    return set(_names(syntax(path), late=late))


def _names(node: ast.AST, *, late: bool) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are written in full: from common.data import ..."
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif late or not (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _for_types(node)):
        for inner in ast.iter_child_nodes(node):
            yield from _names(inner, late=late)


def _for_types(node: ast.AST) -> bool:
    """Is it a block `if TYPE_CHECKING:`, which never runs?"""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def libraries(path: str, *, late: bool = True) -> set[str]:
    """Packages outside the standard library and this repository."""
    return (
        {name.partition(".")[0] for name in imported(path, late=late)}
        - sys.stdlib_module_names
        - {
            "common",
            "studies",
        }
    )


def modules(path: str, *, late: bool = True) -> set[str]:
    """Modules of `common` that a module imports itself."""
    found = set()
    for name in imported(path, late=late):
        words = name.split(".")
        for count in (len(words), len(words) - 1):
            stem = "/".join(words[:count])
            hits = {file for file in (f"{stem}.py", f"{stem}/__init__.py") if file in MODULES}
            if hits:
                found |= hits
                break
    return found - {path, "common/__init__.py"}


def test_the_rooms_are_the_folders():
    assert {room_of(path) for path in MODULES} - {""} == set(ROOMS)


def test_the_map_in_contributing_is_the_house():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `common/([a-z]+)(?:/|\.py)` \| (.+?) \|$", text, flags=re.MULTILINE)
    assert rows == list(ROOMS.items())


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(path)])
def test_a_room_uses_only_those_above_it(path):
    below = {other for other in modules(path) if ORDER.index(room_of(other)) > ORDER.index(room_of(path))}
    assert not below, f"{path} must not import {', '.join(sorted(below))}: move what it needs up"
    assert not {other for other in modules(path) if other in ADAPTERS}, "nothing imports an adapter"


def test_no_cycle_of_imports():
    """On import; a package may choose one of its modules late, when it is called."""
    below = {path: modules(path, late=False) for path in MODULES}
    while below:
        free = [path for path, needs in below.items() if not needs & below.keys()]
        assert free, f"these modules import each other in a circle: {', '.join(sorted(below))}"
        for path in free:
            del below[path]


def test_no_module_is_imported_late_to_hide_a_circle():
    for path in MODULES:
        typed = {name for node in ast.walk(syntax(path)) if _for_types(node) for name in _names(node, late=True)}
        for other in modules(path) - modules(path, late=False):
            hidden = not any(name.startswith(other.removesuffix(".py").replace("/", ".")) for name in typed)
            assert not hidden or path not in modules(other), f"{path} and {other} import each other"


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(path) in LIBRARIES])
def test_rooms_import_few_libraries(path):
    assert libraries(path) <= LIBRARIES[room_of(path)] | EXCEPTIONS.get(path, set())


@pytest.mark.parametrize("path", MODULES + SCRIPTS)
def test_libraries_with_one_owner(path):
    foreign = {name for name in libraries(path) if path not in OWNERS.get(name, {path})}
    assert not foreign, f"{path} imports {', '.join(foreign)}; only {[OWNERS[name] for name in foreign]} may do that"


def loaded(*names: str) -> set[str]:
    """Libraries that importing some modules loads, in a fresh process."""
    code = f"import sys; import {', '.join(names)}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_a_start_of_snakemake_needs_the_standard_library_only():
    heavy = {"torch", "numpy", "scipy", "pandas", "matplotlib", "mlflow", "safetensors"}
    assert not loaded("common.pipeline.build", "common.pipeline.studies") & heavy
    studies = [f"studies.{Path(path).parent.name}.study" for path in SCRIPTS if Path(path).name == "study.py"]
    assert not loaded(*studies) & heavy, "study.py is loaded at every start; compute in common or in another module"


def test_pictures_never_load_torch():
    dotted = [path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in PICTURES]
    assert len(dotted) > 40
    code = f"""
import importlib, sys
for name in {dotted}:
    importlib.import_module(name)
    if "torch" in sys.modules:
        sys.exit(f"{{name}} loads torch")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_start_of_snakemake_never_loads_torch():
    """Nor numpy, pandas and matplotlib: every plan and question would wait for them."""
    text = (ROOT / "Snakefile").read_text(encoding="utf-8")
    names = re.search(r"^from common\.pipeline import (.+)$", text, re.MULTILINE)[1].split(", ")
    assert len(names) >= 4
    code = f"""
import importlib, sys
for name in {names}:
    importlib.import_module("common.pipeline." + name)
from common.pipeline.studies import Studies
Studies.load(scale="smoke")
sys.exit(", ".join(set(sys.modules) & {{"torch", "numpy", "pandas", "matplotlib", "mlflow"}}) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_study_files_import_descriptions_only():
    for path in SCRIPTS:
        if Path(path).name == "study.py":
            assert modules(path) <= {"common/config/__init__.py"}, path


@pytest.mark.parametrize("path", SCRIPTS)
def test_no_study_imports_another(path):
    own = path.split("/")[1]
    others = {name.split(".")[1] for name in imported(path) if name.startswith("studies.")} - {own}
    assert not others, f"{path} imports the study {', '.join(others)}; what two studies need belongs to common"


@pytest.mark.parametrize("path", [path for path in MODULES + SCRIPTS if not path.startswith("common/config/")])
def test_descriptions_are_imported_through_their_door(path):
    """Digests stop at this door, since the values of a description are compared by themselves."""
    inner = {other for other in modules(path) if other.startswith("common/config/")} - {
        "common/config/__init__.py",
        "common/config/parametrization.py",
    }
    assert inner <= ({"common/config/description.py"} if path.startswith("common/pipeline/") else set()), (
        f"{path}: from common.config import ..."
    )


@pytest.mark.parametrize("path", [path for path in MODULES + SCRIPTS if path not in ADAPTERS])
def test_only_adapters_touch_the_job(path):
    lines = [node.lineno for node in ast.walk(syntax(path)) if isinstance(node, ast.Name) and node.id == "snakemake"]
    assert not lines, f"{path}:{lines} touches Snakemake's job; pass the values to a function instead"


@pytest.mark.parametrize("path", ADAPTERS)
def test_adapters_are_short(path):
    assert len((ROOT / path).read_text().splitlines()) <= 30


@pytest.mark.parametrize("path", MODULES + SCRIPTS)
def test_code_is_neither_executed_from_text_nor_found_by_path(path):
    called = {ast.unparse(node.func) for node in ast.walk(syntax(path)) if isinstance(node, ast.Call)}
    assert not called & {"exec", "eval", "compile", "importlib.util.spec_from_file_location", "runpy.run_path"}
    assert "sys.path" not in {ast.unparse(node) for node in ast.walk(syntax(path)) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("path", MODULES + SCRIPTS)
def test_no_file_is_long(path):
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 500


def test_these_checks_can_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "x.py").write_text(
        "import os\ndef f():\n    import torch.nn\nfrom common.data import text, load\nfrom studies.wsd import losses\n"
    )
    assert imported("x.py") == {"os", "torch.nn", "common.data.text", "common.data.load", "studies.wsd.losses"}
    assert imported("x.py", late=False) == imported("x.py") - {"torch.nn"}
    assert libraries("x.py") == {"torch"}
    assert modules("x.py") == {"common/data/text.py", "common/data/__init__.py"}
    assert room_of("common/data/text.py") == "data" and room_of("common/streams.py") == "streams"
