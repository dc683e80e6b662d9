"""Calm floors: which module may import which, and who may touch torch, matplotlib, MLflow and Snakemake's object."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import provenance

ROOT = provenance.ROOT

LAYER_NAMES = {
    0: "description: standard library only",
    1: "mathematics: no files, no clock, no state between calls",
    2: "the training loop",
    3: "the edge: files, processes, pictures, MLflow",
    4: "adapters of the rules",
}
LAYERS = {
    "common/__init__.py": 0,
    "common/config/__init__.py": 0,
    "common/config/continual.py": 0,
    "common/config/data.py": 0,
    "common/config/model.py": 0,
    "common/config/optimizer.py": 0,
    "common/config/plain.py": 0,
    "common/config/probe.py": 0,
    "common/config/run.py": 0,
    "common/config/schedule.py": 0,
    "common/cost.py": 0,
    "common/description.py": 0,
    "common/parametrization.py": 0,
    "common/provenance.py": 0,
    "common/scales.py": 0,
    "common/studies.py": 0,
    "common/workflow.py": 0,
    "common/data/__init__.py": 1,
    "common/data/corpora.py": 1,
    "common/data/digits.py": 1,
    "common/data/exchange.py": 1,
    "common/data/huggingface.py": 1,
    "common/data/marks.py": 1,
    "common/data/mixture.py": 1,
    "common/data/subset.py": 1,
    "common/data/synthetic.py": 1,
    "common/data/text.py": 1,
    "common/average.py": 1,
    "common/forgetting.py": 1,
    "common/curvature/__init__.py": 1,
    "common/curvature/alignment.py": 1,
    "common/curvature/batches.py": 1,
    "common/curvature/critical.py": 1,
    "common/curvature/density.py": 1,
    "common/curvature/lanczos.py": 1,
    "common/curvature/line.py": 1,
    "common/curvature/objective.py": 1,
    "common/curvature/operators.py": 1,
    "common/curvature/sharpness.py": 1,
    "common/curvature/stability.py": 1,
    "common/curvature/trace.py": 1,
    "common/evaluation.py": 1,
    "common/losses.py": 1,
    "common/metainit.py": 1,
    "common/models/__init__.py": 1,
    "common/models/convnet.py": 1,
    "common/models/layers.py": 1,
    "common/models/mlp.py": 1,
    "common/models/transformer.py": 1,
    "common/optimizers.py": 1,
    "common/probes.py": 1,
    "common/projection.py": 1,
    "common/regularisers.py": 1,
    "common/replay.py": 1,
    "common/roles.py": 1,
    "common/schedules.py": 1,
    "common/statistics.py": 1,
    "common/streams.py": 1,
    "common/engine.py": 2,
    "common/retention.py": 2,
    "common/stack.py": 2,
    "common/checkpoint.py": 3,
    "common/claims.py": 3,
    "common/verdicts.py": 3,
    "common/job.py": 3,
    "common/new_study.py": 3,
    "common/plotting.py": 3,
    "common/progress.py": 3,
    "common/records.py": 3,
    "common/trained.py": 3,
    "common/tracking/__init__.py": 3,
    "common/tracking/__main__.py": 3,
    "common/tracking/follow.py": 3,
    "common/tracking/record.py": 3,
    "common/tracking/store.py": 3,
    "common/tracking/summary.py": 3,
    "common/warm.py": 3,
    "common/rules/claims.py": 4,
    "common/rules/corpus.py": 4,
    "common/rules/plot_claims.py": 4,
    "common/rules/plot_verdicts.py": 4,
    "common/rules/rebuild.py": 4,
    "common/rules/scoreboard.py": 4,
    "common/rules/train.py": 4,
}

MATHEMATICS = {"numpy", "scipy", "torch"}
OPTIONAL = {"common/data/huggingface.py": {"datasets"}}
"""Libraries that one module imports, where it needs them, for an optional extra."""

OWNERS = {
    "mlflow": {"common/tracking/store.py"},
    "matplotlib": {"common/plotting.py"},
    "seaborn": {"common/plotting.py"},
    "safetensors": {"common/checkpoint.py"},
    "datasets": {"common/data/huggingface.py"},
}
"""Libraries that only these modules may import."""

MODULES = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("common/**/*.py"))
SCRIPTS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("studies/*/*.py"))
FIGURES = [path for path in MODULES + SCRIPTS if Path(path).name.startswith("plot_")]
ADAPTERS = [path for path, layer in LAYERS.items() if layer == 4 and path not in FIGURES]


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
    own = {"common", *(Path(script).stem for script in SCRIPTS)}
    return {name.partition(".")[0] for name in imported(path, late=late)} - sys.stdlib_module_names - own


def modules(path: str, *, late: bool = True) -> set[str]:
    """Modules of `common` that a module imports itself."""
    found = set()
    for name in imported(path, late=late):
        words = name.split(".")
        for count in (len(words), len(words) - 1):
            stem = "/".join(words[:count])
            hits = {file for file in (f"{stem}.py", f"{stem}/__init__.py") if file in LAYERS}
            if hits:
                found |= hits
                break
    return found - {path}


def test_every_module_has_its_layer():
    floors = "; ".join(f"{number} {name}" for number, name in LAYER_NAMES.items())
    new, gone = set(MODULES) - LAYERS.keys(), LAYERS.keys() - set(MODULES)
    assert not new, f"give {', '.join(sorted(new))} a layer in LAYERS of tests/test_layers.py ({floors})"
    assert not gone, f"take {', '.join(sorted(gone))} out of LAYERS of tests/test_layers.py"


@pytest.mark.parametrize("path", MODULES)
def test_no_import_upwards(path):
    upwards = {other for other in modules(path) if LAYERS[other] > LAYERS.get(path, 4)}
    assert not upwards, f"{path} (layer {LAYERS[path]}) must not import {upwards}: move what it needs down"
    assert not {other for other in modules(path) if LAYERS[other] == 4}, "nothing imports an adapter"


def test_no_cycle_of_imports():
    """On import; a package may choose one of its modules late, when it is called."""
    below = {path: modules(path, late=False) for path in LAYERS}
    while below:
        free = [path for path, needs in below.items() if not needs & below.keys()]
        assert free, f"these modules import each other in a circle: {', '.join(sorted(below))}"
        for path in free:
            del below[path]


def test_late_cycles_only_between_a_package_and_its_modules():
    below = {path: modules(path) for path in LAYERS}
    for path, needs in below.items():
        for other in needs:
            if path in below[other]:
                package = next((one for one in (path, other) if one.endswith("__init__.py")), None)
                assert package, f"{path} and {other} import each other"
                assert Path(package).parent == Path(path).parent == Path(other).parent


@pytest.mark.parametrize("path", [path for path, layer in LAYERS.items() if layer <= 2])
def test_lower_layers_import_few_libraries(path):
    allowed = set() if LAYERS[path] == 0 else MATHEMATICS | OPTIONAL.get(path, set())
    assert libraries(path) <= allowed


@pytest.mark.parametrize("path", MODULES + SCRIPTS)
def test_libraries_with_one_owner(path):
    foreign = {name for name in libraries(path) if path not in OWNERS.get(name, {path})}
    assert not foreign, f"{path} imports {', '.join(foreign)}; only {[OWNERS[name] for name in foreign]} may do that"


@pytest.mark.parametrize("path", ["common/plotting.py", *FIGURES])
def test_pictures_never_load_torch(path):
    """Neither themselves nor by what they import; a module may import it where it is asked for a tensor."""
    reached = {str(module.relative_to(ROOT)) for module in provenance.imports(ROOT / path)}
    heavy = {module for module in reached if "torch" in libraries(module, late=module == path)}
    assert not heavy, f"{path} reaches torch through {', '.join(sorted(heavy))}"


def test_study_files_are_data():
    for path in SCRIPTS:
        if Path(path).name == "study.py":
            assert not libraries(path), f"{path} is loaded at every start; compute in common or in the study's modules"
            assert modules(path) <= {"common/config/__init__.py"}


@pytest.mark.parametrize("path", SCRIPTS)
def test_no_study_imports_another(path):
    others = {Path(script).parent.name for script in SCRIPTS} - {Path(path).parent.name}
    for name in imported(path):
        first = name.partition(".")[0]
        assert first != "studies", f"{path}: write `import river`, not `{name}`"
        assert first not in others, f"{path} imports the study {first}; what two studies need belongs to common"
    for module in provenance.imports(ROOT / path):
        assert module.is_relative_to(ROOT / "common") or module.parent == (ROOT / path).parent


def outside_main(tree: ast.Module) -> Iterator[ast.AST]:
    """All nodes but those of a last block `if __name__ == "__main__":`."""
    *first, last = tree.body or [ast.Pass()]
    main = isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'"
    for node in first if main else [*first, last]:
        yield from ast.walk(node)


@pytest.mark.parametrize("path", [path for path in MODULES + SCRIPTS if path not in ADAPTERS])
def test_only_adapters_and_last_blocks_touch_the_job(path):
    nodes = outside_main(syntax(path)) if path in SCRIPTS + FIGURES else ast.walk(syntax(path))
    lines = [node.lineno for node in nodes if isinstance(node, ast.Name) and node.id == "snakemake"]
    assert not lines, f"{path}:{lines} touches Snakemake's job; pass the values to a function instead"


@pytest.mark.parametrize("path", ADAPTERS)
def test_adapters_are_short(path):
    assert len((ROOT / path).read_text().splitlines()) <= 30


def test_these_checks_can_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "x.py").write_text(
        "import os\ndef f():\n    import torch.nn\nfrom common.data import text, load\n"
        "x = snakemake.input\nif __name__ == '__main__':\n    snakemake.output\n"
    )
    assert imported("x.py") == {"os", "torch.nn", "common.data.text", "common.data.load"}
    assert imported("x.py", late=False) == {"os", "common.data.text", "common.data.load"}
    assert libraries("x.py") == {"torch"}
    assert modules("x.py") == {"common/data/text.py", "common/data/__init__.py"}
    touched = [node.lineno for node in outside_main(syntax("x.py")) if getattr(node, "id", "") == "snakemake"]
    assert touched == [5]
