"""Digests see meaning and nothing else, imports are followed to the end, and no code that trains is left out."""

import ast
import json
import subprocess
import sys
import textwrap
import typing
from pathlib import Path

import pytest

from common import provenance
from common.config import Continual, Data, Model, Optimizer, Probe, Run, Schedule, to_dict
from tests.test_layers import LAYERS

MODULE = '''
"""Docstring."""
import math
from math import pi as PI

RATE = 2.0
TABLE: dict = {"b": 1}
TABLE["a"] = RATE
if PI > 3:
    LIMIT = 10
else:
    LIMIT = 20


class Base:
    """Docstring."""

    size: int = 3
    """What it is."""


class Child(Base):
    def area(self):
        return PI * self.size


def helper(x):
    # comment
    return x * RATE


def deeper(x):
    """Docstring."""
    return helper(x) + TABLE["a"]


def start(x: int) -> float:
    if x < LIMIT:
        return deeper(x) + Child().area()
    return 0.0


def other(x):
    return x + 1


KINDS = {"start": start, "other": other}


def build(kind):
    return KINDS[kind]
'''

SAME_MEANING = {
    "module docstring": ('"""Docstring."""\nimport', '"""Other words."""\nimport'),
    "no module docstring": ('"""Docstring."""\nimport', "import"),
    "class docstring": ('class Base:\n    """Docstring."""', 'class Base:\n    """Other words."""'),
    "field docstring": ('"""What it is."""', '"""Something else."""'),
    "function docstring": ('def deeper(x):\n    """Docstring."""', "def deeper(x):"),
    "new docstring": ("def helper(x):", 'def helper(x):\n    """Twice."""'),
    "comment": ("# comment", "# another, longer comment"),
    "layout": (
        "return deeper(x) + Child().area()",
        "return (\n            deeper(x)\n            + Child().area()\n        )",
    ),
    "blank lines": ("\n\n\ndef other", "\n\n\n\n\n\ndef other"),
    "quotes": ('TABLE["a"]', "TABLE['a']"),
}

REACHED = {
    "operator in itself": ("x < LIMIT", "x <= LIMIT"),
    "direct helper": ("helper(x) + TABLE", "helper(x) - TABLE"),
    "helper of a helper": ("x * RATE", "x / RATE"),
    "constant": ("RATE = 2.0", "RATE = 2.5"),
    "constant that is changed later": ('TABLE["a"] = RATE', 'TABLE["a"] = -RATE'),
    "constant in a branch": ("LIMIT = 20", "LIMIT = 30"),
    "condition of the branch": ("PI > 3", "PI > 4"),
    "method": ("PI * self.size", "PI + self.size"),
    "base class": ("size: int = 3", "size: int = 4"),
    "imported name": ("pi as PI", "tau as PI"),
    "default argument": ("def start(x: int)", "def start(x: int = 1)"),
}

NOT_REACHED = {
    "other function": ("return x + 1", "return x + 2"),
    "table of kinds": ('"other": other}', '"other": other, "third": other}'),
    "what refers to it": ("return KINDS[kind]", "return KINDS[kind.lower()]"),
    "unused import": ("import math\n", "import math\nimport cmath\n"),
    "new function": ("\n\ndef other", "\n\ndef another(x):\n    return start(x)\n\n\ndef other"),
}


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    return tmp_path


def digests(root: Path, *changes: tuple[str, str], part: str = "m.py") -> set[str]:
    """Digests of a part of the module before and after each change."""
    found = set()
    for number, (old, new) in enumerate([("", ""), *changes]):
        assert old in MODULE
        file = root / f"{number}/m.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(MODULE.replace(old, new, 1))
        provenance.ROOT = file.parent
        provenance._part_digest.cache_clear()
        found.add(provenance.digest([part]))
    provenance.ROOT = root
    return found


@pytest.mark.parametrize("part", ["m.py", "m.py::start"])
@pytest.mark.parametrize("change", SAME_MEANING)
def test_words_and_layout_leave_the_digest(root, change, part):
    assert len(digests(root, SAME_MEANING[change], part=part)) == 1


@pytest.mark.parametrize("change", REACHED)
def test_what_a_definition_reaches_changes_its_digest(root, change):
    assert len(digests(root, REACHED[change], part="m.py::start")) == 2
    assert len(digests(root, REACHED[change])) == 2


@pytest.mark.parametrize("change", NOT_REACHED)
def test_what_a_definition_does_not_reach_leaves_its_digest(root, change):
    assert len(digests(root, NOT_REACHED[change], part="m.py::start")) == 1
    assert len(digests(root, NOT_REACHED[change])) == 2


def test_dispatch_counts_without_the_kinds_that_it_could_choose(root):
    assert len(digests(root, ("return x + 1", "return x + 2"), part="m.py::build")) == 1
    assert len(digests(root, ("KINDS[kind]", "KINDS[kind.lower()]"), part="m.py::build")) == 2


def test_digest_of_parts_is_a_set_and_holds_names(root):
    (root / "a.py").write_text("x = 1")
    (root / "b.py").write_text("x = 1")
    assert provenance.digest(["a.py", "b.py", "a.py"]) == provenance.digest(["b.py", "a.py"])
    assert provenance.digest(["a.py"]) != provenance.digest(["b.py"])
    assert len(provenance.digest([])) == 12


def test_an_edit_is_seen_by_the_same_process(root):
    file = root / "a.py"
    file.write_text("x = 1")
    before = provenance.digest(["a.py"]), provenance.script_digest("a.py")
    file.write_text("x = 2")
    assert provenance.digest(["a.py"]) != before[0]
    assert provenance.script_digest("a.py") != before[1]


def test_unknown_definition_is_an_error(root):
    (root / "a.py").write_text("x = 1")
    with pytest.raises(LookupError, match="'y' is not defined at the top level"):
        provenance.digest(["a.py::y"])


TREE = {
    "studies/wsd/plot_loss.py": """
        import river
        from common.records import read
        def late():
            from common import late_module
    """,
    "studies/wsd/river.py": "import numpy\nfrom bound import x",
    "studies/wsd/bound.py": "",
    "studies/wsd/unused.py": "",
    "studies/other/river.py": "",
    "common/__init__.py": "",
    "common/records.py": "import statistics\nfrom common.data.text import Text",
    "common/statistics.py": "",
    "common/late_module.py": "from . import sibling\nfrom .data import digits",
    "common/sibling.py": "from common import records",
    "common/data/__init__.py": "from common import cycle",
    "common/data/text.py": "from ..cycle import y",
    "common/data/digits.py": "",
    "common/data/unused.py": "",
    "common/cycle.py": "import common.data.text",
    "common/unused.py": "",
}


def test_imports_are_followed_to_the_end(root):
    for name, text in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(textwrap.dedent(text))
    found = {str(path.relative_to(root)) for path in provenance.imports(root / "studies/wsd/plot_loss.py")}
    unused = {"studies/other/river.py", "common/statistics.py", *(name for name in TREE if "unused" in name)}
    assert found == TREE.keys() - unused
    before = provenance.script_digest("studies/wsd/plot_loss.py")
    (root / "common/unused.py").write_text("x = 2")
    assert provenance.script_digest("studies/wsd/plot_loss.py") == before
    (root / "common/cycle.py").write_text("import common.data.text\nx = 2")
    assert provenance.script_digest("studies/wsd/plot_loss.py") != before


MLP = {"model": Model(kind="mlp", width=4, depth=2), "data": Data(source="digits"), "lr": 0.01, "steps": 4, "seed": 0}
SCHEDULES = {
    "wsd": {"decay_steps": 2, "warmup_steps": 1},
    "wsd_s": {"decay_steps": 1, "decay_ends": (2, 4)},
    "cyclic_cosine": {"cycle_ends": (2, 4)},
    "infinite": {"cooldown_steps": 1, "level": 0.5, "decay_steps": 1},
}
DATA = {
    "corpus": {"name": "prose", "context": 4},
    "files": {"path": "text.txt", "context": 4, "validation_windows": 2},
    "huggingface": {"name": "a/b", "bytes_limit": 9, "context": 4},
    "teacher": {"inputs": 3, "samples": 64, "exponent": 1.0},
    "tanh_teacher": {"inputs": 3, "hidden": 2, "outputs": 2, "samples": 64, "exponent": 1.0},
    "bigram": {"vocabulary": 8, "successors": 2, "context": 4},
}


def kinds(cls: type, field: str = "kind") -> tuple[str, ...]:
    return typing.get_args(typing.get_type_hints(cls)[field])


def some_runs() -> dict[str, Run]:
    """A run for every kind of data, model, schedule, optimizer and probe."""
    runs = {
        f"schedule {kind}": Run(**MLP, schedule=Schedule(kind=kind, **SCHEDULES.get(kind, {})))
        for kind in kinds(Schedule)
    }
    runs |= {f"optimizer {kind}": Run(**MLP, optimizer=Optimizer(kind=kind)) for kind in kinds(Optimizer)}
    alone = [kind for kind in kinds(Probe) if kind != "gradients"]
    runs |= {f"probe {kind}": Run(**MLP, probes=(Probe(kind=kind, every=1),)) for kind in alone}
    for source in kinds(Data, "source"):
        text = source not in ("digits", "teacher", "tanh_teacher")
        fields = {"model": Model(width=4, heads=1, depth=1), "batch_size": 2} if text else {}
        runs[f"data {source}"] = Run(**(MLP | fields | {"data": Data(source=source, **DATA.get(source, {}))}))
    runs["clip"] = Run(**MLP, optimizer=Optimizer(clip=0.1))
    runs["convnet"] = Run(**(MLP | {"model": Model(kind="convnet", width=4, depth=2)}))
    blocks = {"residual": True, "block_layers": 2, "gated": True, "depth_rule": "depth_mup", "base_depth": 1}
    scaled = Model(kind="mlp", width=4, depth=2, parametrization="mup", base_width=2, **blocks)
    runs |= continual_runs()
    runs["scaled"] = Run(**(MLP | {"model": scaled}))
    replayed = Data(source="digits", mixed_with=Data(source="digits", rotation=30), mixed_share=0.25)
    runs["average"] = Run(**MLP, average=0.9)
    runs["mixed"] = Run(**(MLP | {"data": replayed, "batch_size": 4}))
    return runs


def continual_runs() -> dict[str, Run]:
    """A run for every part of continual learning, and one that watches another source."""
    parts = {
        "none": {},
        "memory": {"replay": "memory", "memory": 20, "selection": "class_balanced"},
        "joint": {"replay": "all"},
        "agem": {"projection": "agem"},
        "gem": {"projection": "gem", "memory": 20},
        "distillation": {"distillation": 1.0},
        "consolidation": {"consolidation": 1.0, "fisher_examples": 16},
    }
    past = (Data(source="digits", samples=30),)
    fields = MLP | {"batch_size": 16, "parent": "x"}
    runs = {f"continual {name}": Run(**fields, continual=Continual(past=past, **more)) for name, more in parts.items()}
    watched = {"text": Data(source="files", **DATA["files"])}
    text = {"model": Model(width=4, heads=1, depth=1), "batch_size": 2, "data": Data(source="corpus", **DATA["corpus"])}
    pieces = {"some": Data(**DATA["corpus"], samples=9), "foreign": Data(**DATA["corpus"], permuted=0.5)}
    runs |= {f"data corpus, {word}": Run(**(MLP | text | {"data": piece})) for word, piece in pieces.items()}
    probe = Probe(kind="gradients", every=1, examples=9)
    runs["probe gradients"] = Run(**fields, continual=Continual(past=past), probes=(probe,))
    return runs | {"data corpus, watched files": Run(**(MLP | text | {"watched": watched}))}


def test_modules_of_continual_learning_count_where_they_are_used():
    codes = {name: provenance.training_code(run) for name, run in continual_runs().items()}
    users = {
        "retention": {name for name in codes if name.startswith(("continual", "probe"))},
        "projection": {"continual agem", "continual gem"},
        "regularisers": {"continual distillation", "continual consolidation"},
        "data/text": {"data corpus, watched files", "data corpus, some", "data corpus, foreign"},
        "data/subset": {"data corpus, some"},
        "data/exchange": {"data corpus, foreign"},
    }
    for module, wanted in users.items():
        assert {name for name, parts in codes.items() if f"common/{module}.py" in parts} == wanted


@pytest.mark.parametrize("name", some_runs())
def test_training_code_names_what_exists(name):
    parts = provenance.training_code(some_runs()[name])
    assert len(set(parts)) == len(parts)
    for part in parts:
        assert (provenance.ROOT / part.partition("::")[0]).is_file(), part
    assert len(provenance.digest(parts)) == 12


def test_a_kind_counts_only_for_its_runs():
    codes = {name: set(provenance.training_code(run)) for name, run in some_runs().items()}
    for part, prefix in (("schedules", "schedule"), ("optimizers", "optimizer"), ("probes", "probe")):
        for name in codes:
            if name.startswith(prefix):
                kind = name.partition(" ")[2]
                users = {other for other in codes if f"common/{part}.py::{kind}" in codes[other]}
                assert name in users
                assert not {other for other in users if other.startswith(prefix)} - {name}


@pytest.mark.parametrize("module", ["schedules", "optimizers", "probes"])
def test_every_kind_is_the_definition_of_its_name(module):
    """A digest names a kind's definition by the kind, and does not follow the table."""
    body = provenance.tree(provenance.ROOT / f"common/{module}.py").body
    [table] = [node.value for node in body if isinstance(node, ast.AnnAssign) and node.target.id == provenance.TABLE]
    written = {key.value: definition.id for key, definition in zip(table.keys, table.values, strict=True)}
    assert written
    assert all(kind == definition for kind, definition in written.items())


HARMLESS = {
    "common/data/corpora.py": "builds corpora: their manifest, with its hashes, is an input of the run",
    "common/progress.py": "prints lines",
}
"""Modules that run while a run trains and cannot change its numbers, with the reason."""

TRACER = """
import dataclasses, json, sys
from pathlib import Path
from common import config, data, engine

called = set()

def note(frame, event, argument):
    if event == "call" and "/common/" in frame.f_code.co_filename and frame.f_code.co_name != "<module>":
        called.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

def train(run):
    datasets = data.load_all(run, corpora=Path("."))
    dataset = datasets[run.data]
    training = engine.Training(run, dataset, others=datasets)
    rows = list(training)
    state = training.state()
    child = dataclasses.replace(run, parent="x")
    rows += list(engine.Training(child, dataset, others=datasets, parent=state))
    assert len(rows) > 3

runs = [config.run_from_dict(json.loads(line)) for line in sys.stdin]
train(runs[0])  # torch imports much at its first update
for run in runs:
    called.clear()
    sys.setprofile(note)
    train(run)
    sys.setprofile(None)
    print(json.dumps(sorted(called)))
"""


@pytest.fixture(scope="module")
def called(tmp_path_factory) -> dict[str, list[tuple[str, int]]]:
    """For each run that needs no network: file and line of every function called while it trains and is continued."""
    folder = tmp_path_factory.mktemp("trace")
    (folder / "text.txt").write_text("the river in the valley and the hill " * 200)
    chosen = {n: run for n, run in some_runs().items() if not n.startswith(("data corpus", "data huggingface"))}
    plain = [to_dict(run) for run in chosen.values()]
    for run in plain:
        if "path" in run["data"]:
            run["data"]["path"] = str(folder / "text.txt")
    done = subprocess.run(
        [sys.executable, "-c", TRACER],
        input="\n".join(map(json.dumps, plain)),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={"PYTHONPATH": str(provenance.ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(chosen, map(json.loads, done.stdout.splitlines()), strict=True))


def first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def covered(part: str) -> set[tuple[str, int]]:
    """File and line of each statement at the top level that a part of the training code counts."""
    name, _, definition = part.partition("::")
    module = provenance.tree(provenance.ROOT / name)
    nodes = provenance._reachable(module, definition) if definition else module.body
    return {(name, first_line(node)) for node in nodes}


def test_every_function_that_trains_a_run_is_in_its_code(called):
    for run, functions in called.items():
        counted = set().union(*map(covered, provenance.training_code(some_runs()[run])))
        for file, line in functions:
            path = Path(file)
            if provenance.ROOT / "common" not in path.parents:
                continue
            name = str(path.relative_to(provenance.ROOT))
            if name in HARMLESS or LAYERS[name] not in (1, 2):
                continue
            node = max((n for n in provenance.tree(path).body if first_line(n) <= line), key=first_line)
            assert (name, first_line(node)) in counted, (
                f"{name}:{line} runs while {run!r} trains, but provenance.training_code leaves it out: "
                "a change there would keep old results. Add it, or give the reason in HARMLESS."
            )


def test_git_state_outside_a_checkout(tmp_path):
    assert provenance.git_state(tmp_path) == {"commit": None, "dirty": None}


def test_git_state_says_whether_the_tree_was_changed(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "first")
    state = provenance.git_state(tmp_path)
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (tmp_path / "new").touch()
    assert provenance.git_state(tmp_path) == state
    (tmp_path / "a").write_text("2")
    assert provenance.git_state(tmp_path) == state | {"dirty": True}


def test_versions_name_python_and_the_libraries():
    assert provenance.versions().keys() == {"python", *provenance.LIBRARIES}


def test_pins_are_read_from_the_lock_file_and_beside_it(tmp_path):
    lock = "numpy==2.4.6 \\\n    --hash=sha256:ab==1\nscikit-learn==1.9.1 ; python_version > '3'\n# scipy==1\n"
    (tmp_path / "requirements.lock").write_text(lock)
    (tmp_path / "torch.txt").write_text("torch==2.13.0\n")
    found = provenance.pins("numpy", "scikit-learn", "torch", envs=tmp_path)
    assert found == {"numpy": "2.4.6", "scikit-learn": "1.9.1", "torch": "2.13.0"}
