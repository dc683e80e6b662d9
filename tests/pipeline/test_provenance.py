"""Digests see meaning and nothing else, names are followed to the end, and no code that trains is left out."""

import ast
import dataclasses
import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from common import config
from common.config import (
    MLP,
    SGD,
    WSD,
    WSDS,
    Adam,
    AdamW,
    Bigram,
    Constant,
    Continual,
    Convnet,
    Corpus,
    Cosine,
    CyclicCosine,
    Digits,
    EffectiveSharpness,
    Files,
    Gradients,
    HuggingFace,
    Infinite,
    Linear,
    Mixture,
    NearestMean,
    Norms,
    Rewarm,
    Run,
    ScheduleFree,
    Sharpness,
    TanhTeacher,
    Teacher,
    Transformer,
    datasets_of,
    identity,
)
from common.pipeline import provenance
from common.pipeline.studies import Studies
from common.runs import origin

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


def caller(x):
    return start(x)
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
    "what refers to it": ("return start(x)\n", "return start(x) + 1\n"),
    "an annotation": ("def start(x: int)", "def start(x: float)"),
    "unused import": ("import math\n", "import math\nimport cmath\n"),
    "new function": ("\n\ndef other", "\n\ndef another(x):\n    return start(x)\n\n\ndef other"),
}


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    provenance.read_again()
    yield tmp_path
    provenance.read_again()


def digests(root: Path, *changes: tuple[str, str], start: str = "m") -> set[str]:
    """Digests from a start in the module before and after each change."""
    found = set()
    for old, new in [("", ""), *changes]:
        assert old in MODULE
        (root / "m.py").write_text(MODULE.replace(old, new, 1))
        provenance.read_again()
        found.add(provenance.digest([start]))
    return found


@pytest.mark.parametrize("start", ["m", "m:start"])
@pytest.mark.parametrize("change", SAME_MEANING)
def test_words_and_layout_leave_the_digest(root, change, start):
    assert len(digests(root, SAME_MEANING[change], start=start)) == 1


@pytest.mark.parametrize("change", REACHED)
def test_what_a_definition_reaches_changes_its_digest(root, change):
    assert len(digests(root, REACHED[change], start="m:start")) == 2
    assert len(digests(root, REACHED[change])) == 2


@pytest.mark.parametrize("change", NOT_REACHED)
def test_what_a_definition_does_not_reach_leaves_its_digest(root, change):
    assert len(digests(root, NOT_REACHED[change], start="m:start")) == 1


def test_digest_of_starts_is_a_set_and_holds_names(root):
    (root / "a.py").write_text("x = 1")
    (root / "b.py").write_text("x = 1")
    assert provenance.digest(["a", "b", "a"]) == provenance.digest(["b", "a"])
    assert provenance.digest(["a"]) != provenance.digest(["b"])
    assert len(provenance.digest([])) == 12


@pytest.mark.parametrize(("start", "said"), [("a:y", "'y' is not defined"), ("b:x", "there is no module 'b'")])
def test_what_does_not_exist_is_an_error(root, start, said):
    (root / "a.py").write_text("x = 1")
    with pytest.raises(LookupError, match=said):
        provenance.digest([start])


TREE = {
    "studies/wsd/plot_loss.py": """
        from common.records import read
        from studies.wsd import river
        def draw():
            from common.late import used
            return read(), river.shape(), used
    """,
    "studies/wsd/river.py": """
        import numpy
        from studies.wsd.bound import x as renamed
        def shape():
            return renamed + numpy.pi
        def not_shape():
            return 3
    """,
    "studies/wsd/bound.py": "x = 1\ny = 2",
    "common/__init__.py": "",
    "common/records.py": """
        from common.data import text
        def read():
            return text.Text
        def write():
            return cycle
        from common import cycle
    """,
    "common/late.py": "from .data import sibling\nused = sibling.value\nunused = 0",
    "common/data/__init__.py": "from common.data.text import Text",
    "common/data/text.py": "class Text:\n    size = 3\nclass Other: pass",
    "common/data/sibling.py": "value = 1\nother = 2",
    "common/cycle.py": "import common.records",
}
USED = {
    "studies/wsd/river.py": ("numpy.pi", "numpy.e"),
    "studies/wsd/bound.py": ("x = 1", "x = 3"),
    "common/records.py": ("return text.Text", "return text.Text()"),
    "common/late.py": ("used = sibling.value", "used = -sibling.value"),
    "common/data/text.py": ("size = 3", "size = 4"),
    "common/data/sibling.py": ("value = 1", "value = 2"),
}
UNUSED = {
    "studies/wsd/river.py": ("return 3", "return 4"),
    "studies/wsd/bound.py": ("y = 2", "y = 3"),
    "common/records.py": ("return cycle", "return not cycle"),
    "common/late.py": ("unused = 0", "unused = 1"),
    "common/data/text.py": ("class Other: pass", "class Other: x = 1"),
    "common/data/sibling.py": ("other = 2", "other = 3"),
}


@pytest.mark.parametrize("name", USED)
def test_names_are_followed_from_module_to_module_and_no_further(root, name):
    def taken(file: str = "", old: str = "", new: str = "") -> str:
        for path, text in TREE.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(textwrap.dedent(text).replace(old, new) if path == file else textwrap.dedent(text))
        provenance.read_again()
        return provenance.digest(["studies.wsd.plot_loss"])

    for _, old, _new in ((name, *USED[name]), (name, *UNUSED[name])):
        assert old in TREE[name], old
    assert taken(name, *USED[name]) != taken()
    assert taken(name, *UNUSED[name]) == taken()


def test_code_that_a_field_asks_for_is_not_followed_without_it(root):
    (root / "m.py").write_text("from n import extra, base\ndef start(x):\n    return extra(x) if x else base(x)\n")
    (root / "n.py").write_text("def extra(x): return 1\ndef base(x): return 2\n")
    without = frozenset({"n:extra"})
    before = provenance.digest(["m:start"], without=without), provenance.digest(["m:start"])
    (root / "n.py").write_text("def extra(x): return 3\ndef base(x): return 2\n")
    provenance.read_again()
    assert provenance.digest(["m:start"], without=without) == before[0]
    assert provenance.digest(["m:start"]) != before[1]


SMALL = {"model": MLP(width=4, depth=2), "data": Digits(), "lr": 0.01, "steps": 4, "seed": 0}
TEXT = SMALL | {"model": Transformer(width=4, heads=1, depth=1), "batch_size": 2}
CORPUS = Corpus("prose", context=4)
PAST = (Digits(samples=30),)
ARGUMENTS = {
    WSD: {"decay_steps": 2, "warmup_steps": 1},
    WSDS: {"decay_steps": 1, "decay_ends": (2, 4)},
    CyclicCosine: {"cycle_ends": (2, 4)},
    Infinite: {"cooldown_steps": 1, "level": 0.5, "decay_steps": 1},
    Corpus: {"name": "prose", "context": 4},
    Files: {"path": "text.txt", "context": 4, "validation_windows": 2},
    HuggingFace: {"name": "a/b", "bytes_limit": 9, "context": 4},
    Teacher: {"inputs": 3, "samples": 64, "exponent": 1.0},
    TanhTeacher: {"inputs": 3, "hidden": 2, "outputs": 2, "samples": 64, "exponent": 1.0},
    Bigram: {"vocabulary": 8, "successors": 2, "context": 4},
    Mixture: {"first": Digits(), "second": Digits(rotation=30), "share": 0.25},
}
"""Fields that a kind needs."""


def names(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def described(kind: type, **other: object) -> object:
    fields = names(kind)
    needed = {"modulus": 5, "train_share": 0.5} if "modulus" in fields else {}
    return kind(**needed, **ARGUMENTS.get(kind, {}), **other)


def reading(data: config.Data) -> dict:
    """Fields of a small run that reads some data."""
    if "tokens" in data.gives:
        return TEXT | {"data": data}
    return SMALL | {"data": data} | ({"batch_size": 4} if data.endless else {})


def some_runs() -> dict[str, Run]:
    """A run for every kind of data, model, schedule, optimizer and probe, and for every field that asks for code."""
    runs = {f"schedule {w}": Run(**SMALL, schedule=described(k)) for w, k in config.Schedule.kinds().items()}
    runs |= {f"optimizer {w}": Run(**SMALL, optimizer=described(k)) for w, k in config.Optimizer.kinds().items()}
    runs |= {f"data {w}": Run(**reading(described(k))) for w, k in config.Data.kinds().items()}
    for word, kind in config.Model.kinds().items():
        heads = {"heads": 1} if "heads" in names(kind) else {}
        fields = TEXT | {"data": CORPUS} if kind.reads == "tokens" else SMALL
        runs[f"model {word}"] = Run(**fields | {"model": kind(width=4, depth=1, **heads)})
    fields = SMALL | {"batch_size": 16, "parent": "x"}
    for word, kind in config.Probe.kinds().items():
        past = {"continual": Continual(past=PAST), "parent": "x"} if kind is Gradients else {}
        runs[f"probe {word}"] = Run(**SMALL | past, probes=(kind(every=1),))
    parts = {
        "none": {},
        "memory": {"replay": "memory", "memory": 20, "selection": "class_balanced"},
        "joint": {"replay": "all"},
        "agem": {"projection": "agem"},
        "gem": {"projection": "gem", "memory": 20},
        "distillation": {"distillation": 1.0},
        "consolidation": {"consolidation": 1.0, "fisher_examples": 16},
    }
    runs |= {f"continual {word}": Run(**fields, continual=Continual(past=PAST, **more)) for word, more in parts.items()}
    pieces = {"some": {"samples": 9}, "foreign": {"permuted": 0.5}}
    runs |= {f"data corpus, {word}": Run(**TEXT | {"data": described(Corpus, **more)}) for word, more in pieces.items()}
    runs["watched"] = Run(**TEXT | {"data": CORPUS, "watched": {"text": described(Files)}})
    blocks = {"residual": True, "block_layers": 2, "gated": True, "depth_rule": "depth_mup", "base_depth": 1}
    runs["scaled"] = Run(**SMALL | {"model": MLP(width=4, depth=2, parametrization="mup", base_width=2, **blocks)})
    runs["metainit"] = Run(**SMALL | {"model": MLP(width=4, depth=2, metainit_steps=2)})
    runs["clip"] = Run(**SMALL, optimizer=AdamW(clip=0.1))
    runs["average"] = Run(**SMALL, average=0.9)
    runs["stacked"] = Run(**SMALL, sweep={"seed": (0, 1)}, stacked=True)
    runs["ranks"] = Run(**SMALL | {"batch_size": 4, "ranks": 2})
    return runs


def test_what_only_some_runs_use_counts_for_them_alone():
    starts = {name: set(provenance.training_code(run)) for name, run in some_runs().items()}
    users = {
        "common.continual.update:Retention": {n for n in starts if n.startswith("continual") or n == "probe gradients"},
        "common.continual.projection:agem": {"continual agem"},
        "common.continual.projection:gem": {"continual gem"},
        "common.continual.regularisers:distillation": {"continual distillation"},
        "common.continual.regularisers:consolidation": {"continual consolidation"},
        "common.continual.memory:class_balanced": {"continual memory"},
        "common.data.text:files": {"watched", "data files"},
        "common.data.subset:choose": {"data corpus, some"},
        "common.data.byte_permutation:table": {"data corpus, foreign"},
        "common.data.mixture:mixture": {"data mixture"},
        "common.optim.average:Average": {"average"},
        "common.models.metainit:metainit": {"metainit"},
        "common.models.mlp:ResidualMLP": {"scaled"},
        "common.training.vectorised:together": {"stacked"},
        "common.training.data_parallel:DataParallel": {"ranks"},
        "common.curvature.stability:adam": {"probe effective_sharpness"},
    }
    for start, wanted in users.items():
        assert {name for name, found in starts.items() if start in found} == wanted, start
    assert {start for start in users if start in provenance.optional_code()} == {
        start for start in provenance.optional_code() if start in users
    }
    assert provenance.optional_code() <= users.keys()


@pytest.mark.parametrize("name", some_runs())
def test_training_code_names_what_exists(name):
    starts = provenance.training_code(some_runs()[name])
    for start in starts:
        provenance.start_of(start)
    assert len(provenance.training_digest(some_runs()[name])) == 12


# Edit a definition, and exactly its users are trained again; add one, and nothing is.

STUDIES = Studies.load()
COMMITTED = {f"{study}/{name}": run for study in STUDIES for name, run in STUDIES[study].runs.items()}


def reads(kind: type) -> Callable[[Run], bool]:
    return lambda run: any(isinstance(part, kind) for data in datasets_of(run) for part in data.parts)


def probed(kind: type) -> Callable[[Run], bool]:
    return lambda run: any(isinstance(probe, kind) for probe in run.probes)


def is_cosine(run: Run) -> bool:
    """Whether the learning rate follows a cosine somewhere."""
    words = {getattr(run.schedule, name, None) for name in ("decay_shape", "cooldown_shape")}
    return isinstance(run.schedule, Cosine | Rewarm | CyclicCosine) or "cosine" in words


EDITS: dict[str, Callable[[Run], bool]] = {
    "common.optim.optimizers:sgd": lambda run: type(run.optimizer) is SGD,
    "common.optim.optimizers:adam": lambda run: type(run.optimizer) is Adam,
    "common.optim.optimizers:adamw": lambda run: type(run.optimizer) is AdamW,
    "common.optim.schedule_free:ScheduleFree": lambda run: isinstance(run.optimizer, ScheduleFree),
    "common.optim.schedules:constant": lambda run: isinstance(run.schedule, Constant),
    "common.optim.schedules:cosine": lambda run: type(run.schedule) is Cosine,
    "common.optim.schedules:wsd": lambda run: isinstance(run.schedule, WSD),
    "common.optim.schedules:wsd_s": lambda run: isinstance(run.schedule, WSDS),
    "common.optim.schedules:infinite": lambda run: isinstance(run.schedule, Infinite),
    "common.optim.schedules:rewarm": lambda run: isinstance(run.schedule, Rewarm),
    "common.optim.schedules:cyclic_cosine": lambda run: isinstance(run.schedule, CyclicCosine),
    "common.optim.decays:cosine": is_cosine,
    "common.optim.decays:linear": lambda run: (
        type(run.schedule) is Linear or getattr(run.schedule, "decay_shape", "") == "linear"
    ),
    "common.optim.decays:inverse": lambda run: getattr(run.schedule, "decay_shape", "") == "inverse",
    "common.optim.decays:sqrt": lambda run: getattr(run.schedule, "decay_shape", "") == "sqrt",
    "common.models.activations:relu": lambda run: run.model.activation == "relu",
    "common.models.activations:relu2": lambda run: run.model.activation == "relu2",
    "common.models.activations:tanh": lambda run: run.model.activation == "tanh",
    "common.models.activations:gelu": lambda run: run.model.activation == "gelu",
    "common.models.norms:layernorm": lambda run: run.model.norm == "layernorm" or isinstance(run.model, Transformer),
    "common.models.norms:batchnorm": lambda run: run.model.norm == "batchnorm",
    "common.models.transformer:Transformer": lambda run: isinstance(run.model, Transformer),
    "common.models.mlp:PlainMLP": lambda run: isinstance(run.model, MLP),
    "common.models.mlp:ResidualMLP": lambda run: isinstance(run.model, MLP) and run.model.block_layers is not None,
    "common.models.convnet:ConvNet": lambda run: isinstance(run.model, Convnet),
    "common.config.parametrization:mup": lambda run: run.model.parametrization == "mup",
    "common.config.parametrization:sp_layerwise": lambda run: run.model.parametrization == "sp_layerwise",
    "common.config.parametrization:depth_mup": lambda run: run.model.depth_rule == "depth_mup",
    "common.data.digits:digits": reads(Digits),
    "common.data.text:corpus": reads(Corpus),
    "common.data.text:files": reads(Files),
    "common.data.synthetic:teacher": reads(Teacher),
    "common.data.synthetic:tanh_teacher": reads(TanhTeacher),
    "common.data.synthetic:Bigram": reads(Bigram),
    "common.data.huggingface:huggingface": reads(HuggingFace),
    "common.data.mixture:Mixture": lambda run: any(isinstance(data, Mixture) for data in datasets_of(run)),
    "common.training.probes:norms": probed(Norms),
    "common.training.probes:sharpness": probed(Sharpness),
    "common.training.probes:effective_sharpness": probed(EffectiveSharpness),
    "common.training.probes:gradients": probed(Gradients),
    "common.training.probes:nearest_mean": probed(NearestMean),
}
"""By what is edited: which runs use it."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The source of this repository in a folder of its own."""
    folder = tmp_path_factory.mktemp("source")
    for part in ("common", "studies"):
        shutil.copytree(origin.ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def trained_again(copy, monkeypatch):
    """A function from an edit, (file, new text), to the committed runs that are trained again after it."""
    monkeypatch.setattr(provenance, "ROOT", copy)

    def codes() -> dict[str, str]:
        provenance.read_again()
        return {name: provenance.training_digest(run) for name, run in COMMITTED.items()}

    before = codes()

    def again(file: Path, text: str) -> set[str]:
        kept = file.read_text(encoding="utf-8")
        try:
            file.write_text(text, encoding="utf-8")
            after = codes()
        finally:
            file.write_text(kept, encoding="utf-8")
        return {name for name in before if before[name] != after[name]}

    yield again
    provenance.read_again()


def edited(text: str, name: str) -> str:
    """A module in which the definition of a name does something else: one line more in its body, or after it."""
    lines = text.splitlines()
    node = next((n for n in ast.parse(text).body if getattr(n, "name", "") == name), None)
    if node is None:
        return f"{text}\n{name} = {name}\n"
    last = node.body[-1]
    lines.insert(last.lineno - 1, f"{' ' * last.col_offset}edited = True")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("start", EDITS)
def test_an_edit_trains_its_users_and_nobody_else(trained_again, copy, start):
    module, _, name = start.partition(":")
    file = copy / f"{module.replace('.', '/')}.py"
    users = {run for run, described in COMMITTED.items() if EDITS[start](described)}
    assert trained_again(file, edited(file.read_text(encoding="utf-8"), name)) == users


def test_the_table_of_edits_is_not_empty():
    users = {start: sum(map(uses, COMMITTED.values())) for start, uses in EDITS.items()}
    assert sum(count > 0 for count in users.values()) >= 25 and len(COMMITTED) >= 300
    kinds = {"common.optim", "common.models", "common.data", "common.training", "common.config"}
    assert {".".join(start.split(".")[:2]) for start, count in users.items() if 0 < count < len(COMMITTED)} == kinds


ADDITIONS = {
    "common/optim/optimizers.py": "\n\ndef lion(rule, weights, *, lr):\n    return groups(rule, weights)\n",
    "common/optim/schedules.py": "\n\ndef step_decay(schedule, *, steps):\n    return join([hold(steps)])\n",
    "common/optim/decays.py": "\n\ndef cubic(u, floor):\n    return floor + (1 - floor) * (1 - u**3)\n",
    "common/models/activations.py": "\n\ndef mish(x):\n    return x * torch.tanh(x)\n",
    "common/models/norms.py": "\n\ndef unitnorm(x):\n    return x / x.norm()\n",
    "common/models/mlp.py": "\n\ndef wide_mlp(model, **sizes):\n    return PlainMLP(model, **sizes)\n",
    "common/data/synthetic.py": "\n\ndef parity(data, *, corpora):\n    return Arrays()\n",
    "common/training/probes.py": "\n\ndef rank(subject):\n    return {}\n",
    "common/config/parametrization.py": "\n\nours = Parametrization(rules={}, attention=0, source='')\n",
    "common/config/optimizer.py": '\n\n@description\nclass Lion(Optimizer):\n    kind = "lion"\n    code = "x:y"\n',
    "common/config/description.py": "\n\ndef more():\n    return 0\n",
    "common/pipeline/studies.py": "\n\ndef more():\n    return 0\n",
}


@pytest.mark.parametrize("file", ADDITIONS)
def test_what_is_added_trains_nothing(trained_again, copy, file):
    path = copy / file
    assert trained_again(path, path.read_text(encoding="utf-8") + ADDITIONS[file]) == set()


def test_one_more_name_in_an_import_trains_nothing(trained_again, copy):
    path = copy / "common/models/activations.py"
    text = path.read_text(encoding="utf-8")
    assert trained_again(path, text.replace("import gelu, silu", "import gelu, mish, silu")) == set()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("common/training/loop.py", "self.position += self.run.batch_size", "self.position += 1 + self.run.batch_size"),
        ("common/training/evaluation.py", "EXAMPLES = 32", "EXAMPLES = 64"),
        ("common/streams.py", "[:16]", "[1:17]"),
        ("common/models/roles.py", "float(fan_in) ** -0.5", "float(fan_in) ** -1"),
    ],
)
def test_an_edit_of_what_all_share_trains_all(trained_again, copy, file, old, new):
    text = (copy / file).read_text(encoding="utf-8")
    assert old in text
    assert trained_again(copy / file, text.replace(old, new)) == COMMITTED.keys()


def test_figures_follow_their_script_and_what_it_calls(copy, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", copy)
    scripts = sorted(path for path in copy.glob("studies/wsd/plot_*.py"))
    starts = [f"studies.wsd.{path.stem}" for path in scripts]

    def drawn_again(file: str, old: str, new: str) -> set[str]:
        provenance.read_again()
        before = {start: provenance.digest([start]) for start in starts}
        path = copy / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        provenance.read_again()
        after = {start for start in starts if provenance.digest([start]) != before[start]}
        path.write_text(text, encoding="utf-8")
        return {start.rpartition(".")[2] for start in after}

    assert drawn_again("studies/wsd/plot_s_vs_cosine.py", "height=4.6", "height=4.7") == {"plot_s_vs_cosine"}
    assert drawn_again("studies/wsd/river.py", "import numpy as np", "import numpy as np\n\nNEW = 1") == set()
    assert len(drawn_again("common/plotting/panels.py", '"font.size": 8', '"font.size": 9')) == len(scripts)
    assert drawn_again("common/plotting/panels.py", "gap: float = 8.5", "gap: float = 9.0") < {s.stem for s in scripts}
    provenance.read_again()


HARMLESS = {
    "common/data/corpora.py": "builds corpora: their manifest, with its hashes, is an input of the run",
}
"""Modules that run while a run trains and cannot change its numbers, with the reason."""
RULES = ("can_tie", "defined_for")
"""Rules of descriptions, which are checked wherever one is made."""

TRACER = """
import dataclasses, json, sys
from pathlib import Path
from common import config, data
from common.training import loop, vectorised

called = set()

def note(frame, event, argument):
    if event == "call" and "/common/" in frame.f_code.co_filename and frame.f_code.co_name != "<module>":
        called.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

def train(run):
    datasets = data.load_all(run, corpora=Path("."))
    dataset = datasets[run.data]
    if run.stacked:
        members = [loop.Training(member, dataset, others=datasets) for member in config.members(run)]
        assert list(vectorised.together(members))
        return
    training = loop.Training(run, dataset, others=datasets)
    rows = list(training)
    state = training.state()
    child = dataclasses.replace(run, parent="x")
    rows += list(loop.Training(child, dataset, others=datasets, parent=state))
    assert len(rows) > 3

runs = [config.run_from_dict(json.loads(line)) for line in sys.stdin]
for family in (config.Model, config.Data, config.Optimizer, config.Schedule, config.Probe):
    for kind in family.kinds().values():
        config.named(kind.code)
train(runs[0])  # torch imports much at its first update
for run in runs:
    called.clear()
    sys.setprofile(note)
    train(run)
    sys.setprofile(None)
    print(json.dumps(sorted(called)))
"""


@pytest.fixture(scope="module")
def called(tmp_path_factory) -> dict[str, tuple[Run, list[tuple[str, int]]]]:
    """For each run that needs no network: file and line of every function called while it trains and is continued."""
    folder = tmp_path_factory.mktemp("trace")
    (folder / "text.txt").write_text("the river in the valley and the hill " * 200)
    ends = (Corpus, HuggingFace)
    chosen = {
        name: run
        for name, run in some_runs().items()
        if not any(isinstance(part, ends) for data in datasets_of(run) for part in data.parts)
    }
    text = described(Files)
    chosen["some of a text"] = Run(
        **TEXT | {"data": config.Files("text.txt", context=4, validation_windows=2, samples=9)}
    )
    chosen["model transformer"] = Run(**TEXT | {"data": text})
    plain = [identity(run) for run in chosen.values()]
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
    return {name: (chosen[name], json.loads(line)) for name, line in zip(chosen, done.stdout.splitlines(), strict=True)}


def first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def test_every_function_that_trains_a_run_is_in_its_code(called):
    rooms = (
        "common/data/",
        "common/models/",
        "common/optim/",
        "common/curvature/",
        "common/continual/",
        "common/training/",
    )
    checked = 0
    for name, (run, functions) in called.items():
        counted = provenance.reached(provenance.training_code(run), without=provenance.optional_code())
        for file, line in functions:
            path = Path(file)
            short = str(path.relative_to(origin.ROOT))
            if not short.startswith((*rooms, "common/streams", "common/config/parametrization")) or short in HARMLESS:
                continue
            node = max((n for n in provenance.module(path).statements if first_line(n) <= line), key=first_line)
            if getattr(node, "name", "") in RULES:
                continue
            checked += 1
            assert (path, first_line(node)) in counted, (
                f"{short}:{line} runs while {name!r} trains, but its digest leaves it out: a change there would keep "
                "old results. Let a name lead to it, or give a field its `code`, or give the reason in HARMLESS."
            )
    assert checked > 1000


def test_pins_are_read_from_the_lock_file_and_beside_it(tmp_path):
    lock = "numpy==2.4.6 \\\n    --hash=sha256:ab==1\nscikit-learn==1.9.1 ; python_version > '3'\n# scipy==1\n"
    (tmp_path / "requirements.lock").write_text(lock)
    (tmp_path / "torch.txt").write_text("torch==2.13.0\n")
    found = provenance.pins("numpy", "scikit-learn", "torch", envs=tmp_path)
    assert found == {"numpy": "2.4.6", "scikit-learn": "1.9.1", "torch": "2.13.0"}
