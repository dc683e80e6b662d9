"""Malformed studies: one clear line for each, no traceback, and the other studies stay usable."""

import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import studies as package
from common.config import (
    Continual,
    Corpus,
    DescriptionError,
    Figure,
    Measure,
    Mixture,
    Run,
    Select,
    Transformer,
)
from common.pipeline import provenance
from common.pipeline import study as loader
from common.pipeline.studies import NAME, STUDY_NAME, Studies, Study
from common.runs.place import Place

HEAD = '''"""Does it work? (A test.)"""

from common.config import *

SMALL = {"model": MLP(), "data": Digits()}
TEXT = {"model": Transformer(heads=2), "data": Corpus("prose", context=32), "batch_size": 8}
COMMON = {"lr": 0.1, "steps": 100, "seed": 0}

'''
SOUND = HEAD + 'RUNS = [Run("a-s0", **SMALL, **COMMON)]\n'


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder that holds all studies there are; none of the repository is imported while it does."""
    for name in _imported():
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in vars(package) if not name.startswith("__")]:
        monkeypatch.delattr(package, name)
    monkeypatch.setattr(package, "__path__", [str(tmp_path / "studies")])
    (tmp_path / "studies").mkdir()
    yield tmp_path / "studies"
    for name in _imported():
        del sys.modules[name]


def _imported() -> list[str]:
    return [name for name in sys.modules if name.startswith("studies.")]


def write(folder: Path, name: str, text: str | bytes, **scripts: str | bytes) -> None:
    """A study with its study.py, and other modules by their names."""
    (folder / name).mkdir(parents=True)
    for module, content in {"study": text, **scripts}.items():
        file = folder / name / f"{module}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    importlib.invalidate_caches()


def one(**fields: str) -> str:
    """A study with the run "a" of an MLP in which some fields are written as given, or left out ("")."""
    sound = {"model": "MLP()", "data": "Digits()", "lr": "0.1", "steps": "100", "seed": "0"}
    written = ", ".join(f"{name}={value}" for name, value in (sound | fields).items() if value)
    return f'{HEAD}RUNS = [Run("a", {written})]\n'


def text(**fields: str) -> str:
    """The same with a transformer on prose."""
    sound = {"model": "Transformer(heads=2)", "data": 'Corpus("prose", context=32)', "batch_size": "8"}
    return one(**(sound | fields))


def lines(*entries: str) -> str:
    return HEAD + "\n".join(entries) + "\n"


def steps(*entries: str) -> str:
    """A study with two arms of two runs each, and figures or measurements."""
    runs = (
        "RUNS = [Run(f'{a}-s{i}', **SMALL, lr=0.1, steps=9, seed=i, arm=a) for a in ('wsd', 'cosine') for i in (0, 1)]"
    )
    return lines(runs, *entries)


PARENT = 'Run("trunk", **SMALL, **COMMON, keep_steps=(40, 80)), '

MALFORMED = {
    "misspelt field": (one(sead="3"), ["run a:", "sead=3 is no field of Run", "did you mean seed?"]),
    "misspelt nested field": (
        one(schedule="WSD(decay_step=10)"),
        ["run a:", "schedule.decay_step=10 is no field of WSD", "did you mean decay_steps?"],
    ),
    "unknown field": (one(colour="1"), ["colour=1 is no field of Run", "the fields are name, model, data, lr"]),
    "unknown model": (
        one(model='"mpl"'),
        ["run a: model='mpl' must be one of Transformer, ", "did you mean MLP(...)?"],
    ),
    "unknown schedule": (one(schedule='"cosin"'), ["schedule='cosin' must be one of", "did you mean Cosine(...)?"]),
    "unknown optimizer": (one(optimizer='"lion"'), ["optimizer='lion' must be one of SGD, Adam, AdamW"]),
    "unknown probe": (
        one(probes='("norm",)'),
        ["probes=('norm',)", "each value is one of Norms", "did you mean Norms("],
    ),
    "unknown class": (one(schedule="Cosin()"), ["studies/bad/study.py:9: NameError: name 'Cosin' is not defined"]),
    "unknown corpus": (
        text(data='Corpus("pros", context=32)'),
        ["data.name='pros' must be one of 'prose', 'python', 'cpp'"],
    ),
    "overlap": (
        one(schedule="WSD(warmup_steps=60, decay_steps=50)"),
        ["schedule.warmup_steps=60 + decay_steps=50 overlap: they must fit into steps=100"],
    ),
    "overlap in a cycle": (
        one(schedule="WSDS(decay_steps=30, rewarm_steps=30, decay_ends=(50, 100))"),
        ["schedule.decay_ends=(50, 100)", "warm-up (30) and decay (30) overlap before update 100"],
    ),
    "ends before the end": (
        one(schedule="CyclicCosine(cycle_ends=(50, 90))"),
        ["schedule.cycle_ends=(50, 90) must end with steps=100"],
    ),
    "no floor to anneal to": (
        one(schedule="Infinite(cooldown_steps=5, decay_steps=5, level=0.05)"),
        ["schedule.floor=0.1 must be above 0 and at most level=0.05"],
    ),
    "missing parent": (one(parent='"trnk"'), ["run a: parent='trnk' does not exist"]),
    "misspelt parent": (
        lines("RUNS = [" + PARENT + 'Run("a", **SMALL, **COMMON, parent="trunc")]'),
        ["run a: parent='trunc' does not exist; closest: bad/trunk"],
    ),
    "step not kept": (
        lines("RUNS = [" + PARENT + 'Run("a", **SMALL, **COMMON, parent="trunk", parent_step=50)]'),
        ["run a: parent_step=50 must be one of the parent's keep_steps=(40, 80)"],
    ),
    "other model": (
        lines('OTHER = SMALL | {"model": MLP(width=8)}', "RUNS = [" + PARENT)
        + 'Run("a", **OTHER, **COMMON, parent="trunk")]',
        ["run a: model differs from that of parent='trunk'"],
    ),
    "other optimizer": (
        lines("RUNS = [" + PARENT) + 'Run("a", **SMALL, **COMMON, parent="trunk", optimizer=SGD())]',
        ["run a: optimizer.kind='sgd' cannot continue the parent's 'adamw'; add reset=('optimizer',)"],
    ),
    "parent without that member": (
        lines(
            'RUNS = [Run("s", **SMALL, **COMMON, sweep={"seed": (0, 1)}), '
            'Run("a", **SMALL, **COMMON, parent="s", sweep={"seed": (1, 2)})]'
        ),
        ["run a: parent='s' has no member with seed=2 to continue; its sweep is {'seed': (0, 1)}"],
    ),
    "parent that sweeps over steps": (
        lines(
            'RUNS = [Run("s", **SMALL, **COMMON, sweep={"steps": (1, 2)}), Run("a", **SMALL, **COMMON, parent="s")]',
        ),
        ["run a: parent='s' sweeps over steps, and its members end apart"],
    ),
    "cycle of one": (one(parent='"a"'), ["run a: parent='a' makes a cycle: bad/a -> bad/a"]),
    "cycle of two": (
        lines('RUNS = [Run(n, **SMALL, **COMMON, parent=p) for n, p in [("a", "b"), ("b", "bad/a")]]'),
        ["run a: parent='b' makes a cycle: bad/a -> bad/b -> bad/a"],
    ),
    "cycle of three": (
        lines('RUNS = [Run(n, **SMALL, **COMMON, parent=p) for n, p in [("a", "b"), ("b", "c"), ("c", "a")]]'),
        ["run c: parent='a' makes a cycle: bad/c -> bad/a -> bad/b -> bad/c"],
    ),
    "kept step outside": (one(keep_steps="(100,)"), ["keep_steps=(100,) must lie between 1 and steps - 1 = 99"]),
    "kept step twice": (one(keep_steps="(5, 5)"), ["keep_steps=(5, 5) must be different"]),
    "orphan reset": (one(reset='("data",)'), ["reset=('data',) has no meaning without a parent"]),
    "duplicate": (
        lines('RUNS = [Run("a", **SMALL, **COMMON), Run("a", **SMALL, **(COMMON | {"seed": 1}))]'),
        ["studies/bad/study.py: the name 'a' is given twice; each needs its own"],
    ),
    "duplicate in a comprehension": (
        lines('RUNS = [Run("a", **SMALL, lr=0.1, steps=9, seed=seed) for seed in range(2)]'),
        ["study.py: the name 'a' is given twice"],
    ),
    "duplicate through groups": (
        lines("A = [Run('a', **SMALL, **COMMON)]", "RUNS = [*A, Run('b', **SMALL, lr=0.2, steps=9, seed=0), *A]"),
        ["study.py: the name 'a' is given twice"],
    ),
    "same training twice": (
        lines('RUNS = [Run("a", **SMALL, lr=1, steps=9, seed=0), Run("b", **SMALL, lr=1.0, steps=9, seed=0)]'),
        ["run b: describes the same training as 'a'; use that run for both"],
    ),
    "NaN": (one(lr='float("nan")'), ["run a: lr=nan must be a finite number"]),
    "infinity": (one(lr='float("inf")'), ["run a: lr=inf must be a finite number"]),
    "number too large": (one(lr="10**400"), ["run a: lr=1000", "must be a finite number"]),
    "number as text": (one(lr='"1e-3"'), ["run a: lr='1e-3' must be a finite number"]),
    "bool for int": (one(seed="True"), ["run a: seed=True must be a whole number"]),
    "float for int": (one(steps="1e3"), ["run a: steps=1000.0 must be a whole number"]),
    "list for tuple": (one(keep_steps="[5]"), ["keep_steps=[5] must be a tuple, written (a, b)"]),
    "wrong description": (one(model="Digits()"), ["run a: model=Digits(", "must be one of Transformer, "]),
    "class for description": (one(model="MLP"), ["run a: model=<class", "did you mean MLP(...)?"]),
    "negative steps": (one(steps="-1"), ["run a: steps=-1 must be at least 1"]),
    "no learning rate": (one(lr="0"), ["run a: lr=0.0 must be greater than 0"]),
    "missing field": (one(seed=""), ["run a: seed is missing: every Run needs it"]),
    "meaningless field": (
        one(model="MLP(heads=2)"),
        ["run a: model.heads=2 is no field of MLP; it belongs to Transformer"],
    ),
    "missing for the kind": (one(schedule="WSD()"), ["schedule.decay_steps is missing: every WSD needs it"]),
    "heads": (text(model="Transformer(width=64, heads=3)"), ["model.heads=3 must divide width=64"]),
    "model cannot read": (text(model="MLP()"), ["model.kind='mlp' reads vectors, but data.kind='corpus' gives tokens"]),
    "no batch size": (text(batch_size=""), ["batch_size is missing: data.kind='corpus' has no full batch"]),
    "sweep of an unknown field": (one(sweep='{"width": (1, 2)}'), ["sweep={'width': ...} must name one of lr, seed"]),
    "sweep with equal values": (one(sweep='{"lr": (1, 1.0)}'), ["sweep={'lr': (1, 1.0)} must have different values"]),
    "sweep with a bad value": (one(sweep='{"lr": (0.1, -1)}'), ["sweep: lr=-1.0 must be greater than 0"]),
    "empty sweep": (one(sweep="{}"), ["sweep={} is empty; leave it out"]),
    "probe after the end": (
        one(probes="(Norms(steps=(0, 101)),)"),
        ["probes[0].steps=(0, 101) must be at most steps=100"],
    ),
    "fields by position": (
        one(model="MLP(64)"),
        ["study.py:9: TypeError: MLP was given 1 value without a name; name every field"],
    ),
    "syntax error": (lines("RUNS = ["), ["studies/bad/study.py:9: SyntaxError: '[' was never closed"]),
    "tabs": (lines("if True:", "\tA = 1", "        B = 2"), ["studies/bad/study.py:11: TabError"]),
    "exception": (lines("RUNS = []", "1 / 0"), ["studies/bad/study.py:10: ZeroDivisionError: division by zero"]),
    "exception in a function": (
        lines("def f():", "    return 1 / 0", "RUNS = [f()]"),
        ["studies/bad/study.py:10: ZeroDivisionError: division by zero"],
    ),
    "exception of two lines": (lines('raise ValueError("a\\nb")'), ["studies/bad/study.py:9: ValueError: a b"]),
    "unknown module": (lines("import rivers"), ["study.py:9: ModuleNotFoundError: No module named 'rivers'"]),
    "exit": (lines("raise SystemExit(3)"), ["studies/bad/study.py:9: SystemExit: 3"]),
    "exit with words": (lines("import sys", "sys.exit('no way')"), ["studies/bad/study.py:10: SystemExit: no way"]),
    "generator exit": (lines("raise GeneratorExit('odd')"), ["studies/bad/study.py:9: GeneratorExit: odd"]),
    "endless loop": (
        lines("while True: pass"),
        ["studies/bad/study.py:9: TimeoutError: the import took longer than 0.2 s; a study describes runs"],
    ),
    "sleep": (
        lines("import time", "time.sleep(60)"),
        ["studies/bad/study.py:10: TimeoutError: the import took longer"],
    ),
    "another folder and a fault": (lines("import os", "os.chdir('/')", "1 / 0"), ["study.py:11: ZeroDivisionError"]),
    "endless recursion": (lines("def f():", "    f()", "f()"), ["studies/bad/study.py:10: RecursionError"]),
    "no RUNS": (HEAD, ["studies/bad/study.py must define RUNS, a list of Run(", "found None"]),
    "empty RUNS": (lines("RUNS = []"), ["studies/bad/study.py must define RUNS, a list of Run(...); found none"]),
    "RUNS is a single run": (lines("RUNS = Run('a', **SMALL, **COMMON)"), ["must define RUNS, a list", "found Run("]),
    "RUNS of groups": (lines("RUNS = [[Run('a', **SMALL, **COMMON)]]"), ["must define RUNS, a list", "found [Run("]),
    "not a Run": (lines("RUNS = [Run('a', **SMALL, **COMMON), SMALL]"), ["must define RUNS, a list", "found {'data'"]),
    "no docstring": (SOUND.partition("\n")[2], ["must begin with a docstring that states the study's question"]),
    "name with a slash": (SOUND.replace("a-s0", "a/s0"), ["run 'a/s0': the name must be letters", "rename the run"]),
    "name with a space": (SOUND.replace("a-s0", "a s0"), ["run 'a s0': the name must be letters"]),
    "name with a line end": (SOUND.replace("a-s0", "a\\ns0"), [r"run 'a\ns0': the name must be letters"]),
    "a name that no file can have": (
        SOUND.replace("a-s0", "".join(map(str, range(100, 200)))),
        ["run 10010110210310410510...: the name has 300 letters; at most 150 fit a file, so choose a shorter one"],
    ),
    "names that differ by capitals": (
        lines("RUNS = [Run(name, **SMALL | {'lr': lr, 'steps': 9, 'seed': 0}) for name, lr in (('A', 1), ('a', 2))]"),
        ["run a: differs from 'A' by capitals alone; some file systems have one folder for both: rename one"],
    ),
    "name that repeats itself": (
        SOUND.replace("a-s0", 20 * "ab"),
        ["ends with a part that is repeated 20 times, which Snakemake takes for a loop"],
    ),
    "name goes up": (SOUND.replace("a-s0", ".."), ["run '..': the name must be letters"]),
    "name of a file": (SOUND.replace("a-s0", "claims.json"), ["run 'claims.json'", "not end with"]),
    "name of the folder of the verdicts": (
        SOUND.replace("a-s0", "claims"),
        ["run 'claims'", "not be claims and not end"],
    ),
    "name is a number": (SOUND.replace('"a-s0"', "3"), ["studies/bad/study.py: the name 3 must be a text"]),
    "name is a list": (SOUND.replace('"a-s0"', '["a"]'), ["studies/bad/study.py: the name ['a'] must be a text"]),
    "empty name": (SOUND.replace("a-s0", ""), ['study.py: Run needs a name, and it stands first: Run("name", ...)']),
    "no names": (
        lines("RUNS = [Run(**SMALL, lr=0.1, steps=9, seed=seed) for seed in range(2)]"),
        ['study.py: Run needs a name, and it stands first: Run("name", ...)'],
    ),
    "not UTF-8": (SOUND.encode() + b'x = "\xff"\n', ["studies/bad/study.py", ": SyntaxError: ", "utf-8"]),
    "null byte": (SOUND + "\0", ["studies/bad/study.py: SyntaxError: source code string cannot contain null bytes"]),
    "empty file": ("", ["must begin with a docstring"]),
    # spellings of the first edition
    "runs by name": (
        lines('RUNS = {"a-s0": Run(**SMALL, **COMMON)}'),
        ['must define RUNS, a list of runs with their names now: RUNS = [Run("a-s0", ...), ...], no dictionary'],
    ),
    "no runs by name": (lines("RUNS = {}"), ["must define RUNS, a list of runs", 'RUNS = [Run("name", ...), ...]']),
    "kind of a model": (
        one(model='Model(kind="mlp", width=8)'),
        ["run a: model.kind='mlp' is a class now: write MLP(width=8)"],
    ),
    "model without a kind": (
        text(model="Model(heads=2)"),
        ["run a: model.kind is not named: it was transformer in the first edition, so write Transformer(heads=2)"],
    ),
    "source of data": (
        one(data='Data(source="digits")'),
        ["run a: data.source='digits' is a class now: write Digits()"],
    ),
    "data without a source": (
        text(data='Data(name="prose", context=32)'),
        ["data.kind is not named: it was corpus in the first edition, so write Corpus('prose', context=32)"],
    ),
    "mixed data": (
        text(data='Corpus("prose", context=32, mixed_with=Corpus("cpp", context=32), mixed_share=0.1)'),
        [
            "run a: data.mixed_with=... is no field of Corpus; ",
            "to mix two data sets write Mixture(first, second, share=...)",
        ],
    ),
    "mixed data of the first edition": (
        one(data='Data(source="digits", mixed_with=Data(source="digits"), mixed_share=0.1)'),
        [
            "data.source='digits' is a class now: write Digits(); ",
            "to mix two data sets write Mixture(first, second, share=...)",
        ],
    ),
    "kind of a schedule": (
        one(schedule='Schedule(kind="wsd", decay_steps=10)'),
        ["run a: schedule.kind='wsd' is a class now: write WSD(decay_steps=10)"],
    ),
    "schedule without a kind": (
        one(schedule="Schedule(warmup_steps=5)"),
        ["schedule.kind is not named: it was constant in the first edition, so write Constant(warmup_steps=5)"],
    ),
    "optimizer without a kind": (
        one(optimizer="Optimizer(clip=1.0)"),
        ["optimizer.kind is not named: it was adamw in the first edition, so write AdamW(clip=1.0)"],
    ),
    "kind of a probe": (
        one(probes='(Probe(kind="norms", every=1),)'),
        ["probes[0].kind='norms' is a class now: write Norms(every=1)"],
    ),
    # figures and measurements
    "figures by name": (
        steps('FIGURES = {"loss": Select()}'),
        ['studies/bad/study.py must define FIGURES, a list of Figure("name", ...); found {', "'loss'"],
    ),
    "measurement among the figures": (
        steps('FIGURES = [Measure("river")]'),
        ["must define FIGURES, a list of Figure(", "found Measure("],
    ),
    "MEASURES is a single one": (
        steps('MEASURES = Measure("river")'),
        ["must define MEASURES, a list of Measure(", "found Measure("],
    ),
    "figure twice": (
        steps('FIGURES = [Figure("loss", runs=Select()), Figure("loss", runs=Select(arm="wsd"))]'),
        ["studies/bad/study.py: the name 'loss' is given twice; each needs its own"],
    ),
    "figure without a script": (
        steps('FIGURES = [Figure("los", runs=Select())]'),
        ["Figure('los') has no script studies/bad/plot_los.py"],
    ),
    "measurement without a script": (
        steps('MEASURES = [Measure("river")]'),
        ["Measure('river') has no script studies/bad/measure_river.py"],
    ),
    "name of a figure is a number": (steps("FIGURES = [Figure(3)]"), ["study.py: the name 3 must be a text"]),
    "selection of an unknown field": (
        steps('FIGURES = [Figure("loss", runs=Select(amr="wsd"))]'),
        ["studies/bad/study.py:10: Select: amr='wsd' is no field of Run; did you mean arm?"],
    ),
    "no selection": (
        steps('FIGURES = [Figure("loss", runs="wsd")]'),
        ["studies/bad/study.py:10: Figure('loss'): runs='wsd' must be a Select(...), or a dictionary of them"],
    ),
    "no selection by parameter": (
        steps('FIGURES = [Figure("loss", states={"ends": "wsd"})]'),
        ["studies/bad/study.py:10: Figure('loss'): states={'ends': 'wsd'} must be a Select(...)"],
    ),
    "table as a text": (
        steps('FIGURES = [Figure("loss", tables="river")]'),
        ["studies/bad/study.py:10: Figure('loss'): tables='river' must be a list of names"],
    ),
    "parameter twice": (
        steps('FIGURES = [Figure("loss", runs={"river": Select()}, tables=["river"])]'),
        ["study.py:10: Figure('loss'): 'river' is given twice; each parameter of the script needs its own name"],
    ),
    "union of two lineages": (
        steps('FIGURES = [Figure("loss", runs=Select(arm="wsd", lineage=True) | Select(arm="cosine"))]'),
        ["studies/bad/study.py:10: Select: lineage must be the same on both sides of |"],
    ),
}


def told(capsys) -> list[str]:
    """What stands on standard error, by line."""
    return capsys.readouterr().err.splitlines()


def loaded_beside_a_sound_study(folder: Path, capsys) -> list[str]:
    """The lines that tell of a study "bad", whose neighbour stays as it is."""
    write(folder, "sound", SOUND)
    began = time.process_time()
    studies = Studies.load()
    assert time.process_time() - began < 0.5
    assert list(studies) == ["sound"]
    assert studies.run("sound", "a-s0").steps == 100
    studies.report()
    reported = told(capsys)
    assert len(reported) == len(studies.problems) > 0
    assert all(line.startswith("study bad, ") for line in reported)
    return reported


ENDLESS = ("endless loop", "sleep")


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_study_is_one_clear_line_and_leaves_the_others_usable(folder, case, capsys, monkeypatch):
    if case in ENDLESS:
        monkeypatch.setattr(loader, "IMPORT_SECONDS", 0.2)
    written, words = MALFORMED[case]
    write(folder, "bad", written)
    reported = loaded_beside_a_sound_study(folder, capsys)
    assert any(all(word in line for word in words) for line in reported), reported


LOSS = 'FIGURES = [Figure("loss", runs=Select(), tables=["river"])]'
RIVER = 'MEASURES = [Measure("river", states={"ends": Select(arm="wsd")})]'
SIZED = RIVER.replace("})]", "}, smoke={'seeds': [0, 1]})]")
TAKES_SIZES = "must take what Measure('river') gives it: measure(ends, seeds=...)"
DRAW = "def draw(runs, river):\n    pass\n"
MEASURE = "def measure(ends):\n    pass\n"
SCRIPTS = {"plot_loss": DRAW, "measure_river": MEASURE}

WRONG_SCRIPTS = {
    "script without an entry": (
        [LOSS, RIVER],
        {"plot_lost": DRAW},
        "studies/bad/plot_lost.py is in no entry of FIGURES",
    ),
    "measuring script without an entry": (
        [LOSS, RIVER],
        {"measure_hills": MEASURE},
        "studies/bad/measure_hills.py is in no entry of MEASURES",
    ),
    "unknown table": (
        [LOSS.replace("river", "rivers"), RIVER],
        {"plot_loss": DRAW.replace("river", "rivers")},
        "Figure('loss') reads the table 'rivers', which no Measure makes; did you mean 'river'?",
    ),
    "unknown table, none like it": (
        [LOSS.replace("river", "hills"), RIVER],
        {"plot_loss": DRAW.replace("river", "hills")},
        "Figure('loss') reads the table 'hills', which no Measure makes",
    ),
    "value that no run has": (
        [LOSS, RIVER.replace("wsd", "wsds")],
        {},
        "Measure('river'): study 'bad' selects arm='wsds', which no run of 'bad' has; did you mean 'wsd'?",
    ),
    "number that no run has": (
        [LOSS.replace("Select()", "Select(arm='wsd') | Select(lr=[0.1, 0.2])"), RIVER],
        {},
        "Figure('loss'): study 'bad' selects lr=0.2, which no run of 'bad' has",
    ),
    "name that no run has": (
        [LOSS.replace("Select()", "Select(name=['wsd-s0', 'wsd-s2'])"), RIVER],
        {},
        "Figure('loss'): study 'bad' selects name='wsd-s2', which no run of 'bad' has; did you mean 'wsd-s1'?",
    ),
    "value that cannot be hashed": (
        [LOSS.replace("Select()", "Select(sweep={'lr': (1,)})"), RIVER],
        {},
        "Figure('loss'): study 'bad' selects sweep={'lr': (1,)}, which no run of 'bad' has",
    ),
    "selection of an unknown study": (
        [LOSS.replace("Select()", "Select(study='soud')"), RIVER],
        {},
        "Figure('loss'): no sound study 'soud'; closest: sound",
    ),
    "script with a syntax error": (
        [LOSS, RIVER],
        {"plot_loss": DRAW + "\n(\n"},
        "studies/bad/plot_loss.py:4: SyntaxError: '(' was never closed",
    ),
    "script with tabs": (
        [LOSS, RIVER],
        {"measure_river": "def measure(ends):\n\ta = 1\n        b = 2\n"},
        "studies/bad/measure_river.py:3: TabError: inconsistent use of tabs and spaces in indentation",
    ),
    "script with a null byte": (
        [LOSS, RIVER],
        {"plot_loss": DRAW + "\0"},
        "studies/bad/plot_loss.py: SyntaxError: source code string cannot contain null bytes",
    ),
    "script without a function": (
        [LOSS, RIVER],
        {"plot_loss": "def drawn(runs, river):\n    pass\n"},
        "studies/bad/plot_loss.py must define draw(runs, river), which Figure('loss') calls",
    ),
    "function without a parameter": (
        [LOSS, RIVER],
        {"plot_loss": "import math\n\ndef draw(runs, *, h=2):\n    pass\n"},
        "studies/bad/plot_loss.py:3: draw(runs, *, h=2) must take what Figure('loss') gives it: draw(runs, river)",
    ),
    "function with one too many": (
        [LOSS, RIVER],
        {"measure_river": "def measure(ends, starts):\n    pass\n"},
        "studies/bad/measure_river.py:1: measure(ends, starts) must take what Measure('river') gives it: measure(ends)",
    ),
    "function without a size": (
        [LOSS, SIZED],
        {"measure_river": "def measure(ends, *, sees=()):\n    pass\n"},
        f"studies/bad/measure_river.py:1: measure(ends, *, sees=()) {TAKES_SIZES}",
    ),
    "size without a default": (
        [LOSS, SIZED],
        {"measure_river": "def measure(ends, seeds):\n    pass\n"},
        f"studies/bad/measure_river.py:1: measure(ends, seeds) {TAKES_SIZES}",
    ),
    "no function of a size": (
        [LOSS, SIZED],
        {"measure_river": "def measured(ends, seeds=()):\n    pass\n"},
        "studies/bad/measure_river.py must define measure(ends, seeds=...), which Measure('river') calls",
    ),
}


@pytest.mark.parametrize("case", WRONG_SCRIPTS)
def test_faulty_figure_or_measurement_is_one_clear_line_and_leaves_the_others_usable(folder, case, capsys):
    entries, scripts, line = WRONG_SCRIPTS[case]
    write(folder, "bad", steps(*entries), **(SCRIPTS | scripts))
    assert loaded_beside_a_sound_study(folder, capsys) == [f"study bad, {line}"]


CLAIMED = LOSS.replace("Select(), ", "Select(), claims=['X1'], ")
CLAIM = """Claim("X1", "it is low", verdict="is_low", source="ours", runs=Select(arm="wsd"), tables=["river"])"""
IS_LOW = "def is_low(runs, river):\n    pass\n"


def claims(*entries: str) -> str:
    """A module claims.py with these claims."""
    return f"from common.config import Claim, Measure, Select\n\nCLAIMS = [{', '.join(entries)}]\n"


JUDGED = SCRIPTS | {
    "plot_loss": DRAW.replace("river", "river, verdicts"),
    "claims": claims(CLAIM),
    "verdicts": IS_LOW,
}
"""Scripts of a sound study with one claim, which its figure shows."""


def renamed(name: str) -> dict[str, str]:
    """The claim under another id."""
    return {"claims": claims(CLAIM.replace("X1", name))}


NAMED = "must be named by a capital letter and a number, such as W8 or W6a"
NOT_READ = "but does not read it; judge it on less, or let the figure read more"

WRONG_CLAIMS = {
    "unknown function": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM.replace("is_low", "is_lov"))},
        "studies/bad/verdicts.py must define is_lov(runs, river), which Claim('X1') calls",
    ),
    "no functions": (
        [CLAIMED, RIVER],
        {"verdicts": "is_low = None\n"},
        "studies/bad/verdicts.py must define is_low(runs, river), which Claim('X1') calls",
    ),
    "function without a parameter": (
        [CLAIMED, RIVER],
        {"verdicts": "import math\n\n" + IS_LOW.replace(", river", "")},
        "studies/bad/verdicts.py:3: is_low(runs) must take what Claim('X1') gives it: is_low(runs, river)",
    ),
    "function with one too many": (
        [CLAIMED, RIVER],
        {"verdicts": IS_LOW.replace("river", "river, hills")},
        "studies/bad/verdicts.py:1: is_low(runs, river, hills) must take what Claim('X1') gives it: is_low(runs, ri",
    ),
    "parameter by another name": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM.replace("Select(arm=", "{'chains': Select(arm=").replace("), tables", ")}, tables"))},
        "studies/bad/verdicts.py:1: is_low(runs, river) must take what Claim('X1') gives it: is_low(chains, river)",
    ),
    "functions with a syntax error": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM, CLAIM.replace("X1", "X2")), "verdicts": IS_LOW + "\n(\n"},
        "studies/bad/verdicts.py:4: SyntaxError: '(' was never closed",
    ),
    "unknown table": (
        [CLAIMED.replace(" claims=['X1'],", ""), RIVER],
        {
            "plot_loss": DRAW,
            "claims": claims(CLAIM.replace("river", "rivers")),
            "verdicts": IS_LOW.replace("river", "rivers"),
        },
        "Claim('X1') reads the table 'rivers', which no Measure makes; did you mean 'river'?",
    ),
    "value that no run has": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM.replace("wsd", "wsds"))},
        "Claim('X1'): study 'bad' selects arm='wsds', which no run of 'bad' has; did you mean 'wsd'?",
    ),
    "selection of an unknown study": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM.replace("arm=", "study='soud', arm="))},
        "Claim('X1'): no sound study 'soud'; closest: sound",
    ),
    "id given twice": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM, CLAIM.replace("it is low", "it is lower"))},
        "studies/bad/claims.py: the name 'X1' is given twice; each needs its own",
    ),
    "id is a number": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM.replace('"X1"', "1"))},
        "studies/bad/claims.py: the name 1 must be a text",
    ),
    "figure shows an unknown claim": (
        [CLAIMED.replace("X1", "X12"), RIVER],
        renamed("X13"),
        "Figure('loss') shows 'X12', which is no claim; did you mean 'X13'?",
    ),
    "figure shows an unknown claim, none like it": (
        [CLAIMED.replace("X1", "W9"), RIVER],
        {},
        "Figure('loss') shows 'W9', which is no claim",
    ),
    "figure shows the claim of a study without any": (
        [CLAIMED, RIVER],
        {"claims": claims()},
        "Figure('loss') shows 'X1', which is no claim",
    ),
    "figure does not read a table": (
        [CLAIMED.replace(', tables=["river"]', ""), RIVER],
        {"plot_loss": "def draw(runs, verdicts):\n    pass\n"},
        f"Figure('loss') shows X1, which is judged on results/bad/river.csv too, {NOT_READ}",
    ),
    "figure does not read a run": (
        [CLAIMED.replace("Select()", "Select(seed=1)"), RIVER],
        {},
        f"Figure('loss') shows X1, which is judged on results/bad/wsd-s0/metrics.csv too, {NOT_READ}",
    ),
    "figure reads the states alone": (
        [CLAIMED.replace("runs=Select()", "states={'runs': Select()}"), RIVER],
        {},
        f"Figure('loss') shows X1, which is judged on results/bad/wsd-s0/metrics.csv too, {NOT_READ}",
    ),
    "figure that does not take the verdicts": (
        [CLAIMED, RIVER],
        {"plot_loss": DRAW},
        "studies/bad/plot_loss.py:1: draw(runs, river) must take what Figure('loss') gives it: draw(runs, river, ver",
    ),
    "claims of a figure as a text": (
        [CLAIMED.replace("['X1']", "'X1'"), RIVER],
        {},
        "studies/bad/study.py:10: Figure('loss'): claims='X1' must be a list of ids",
    ),
    **{
        f"id {name}": (
            [CLAIMED.replace(" claims=['X1'],", ""), RIVER],
            {"plot_loss": DRAW, **renamed(name)},
            f"Claim({name!r}) {NAMED}",
        )
        for name in ("x1", "X", "1", "XY1", "X1ab", "X1A", "X-1", "X1.json", "../X1")
    },
    # a broken claims.py
    "syntax error": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM) + "(\n"},
        "studies/bad/claims.py:4: SyntaxError: '(' was never closed",
    ),
    "exception": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM) + "\n1 / 0\n"},
        "studies/bad/claims.py:5: ZeroDivisionError: division by zero",
    ),
    "exit": (
        [CLAIMED, RIVER],
        {"claims": "raise SystemExit('enough')\n"},
        "studies/bad/claims.py:1: SystemExit: enough",
    ),
    "null byte": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM) + "\0"},
        "studies/bad/claims.py: SyntaxError: source code string cannot contain null bytes",
    ),
    "unknown module": (
        [CLAIMED, RIVER],
        {"claims": "from studies.bad.helper import HEADLINE\n"},
        "studies/bad/claims.py:1: ModuleNotFoundError: No module named 'studies.bad.helper'",
    ),
    "unknown selection of the study": (
        [CLAIMED, RIVER],
        {"claims": "from studies.bad.study import HEADLINE\n"},
        "studies/bad/claims.py:1: ImportError: cannot import name 'HEADLINE' from 'studies.bad.study' (",
    ),
    "unknown field": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM.replace("source=", "sauce="))},
        "studies/bad/claims.py:3: TypeError: Claim.__init__() got an unexpected keyword argument 'sauce'",
    ),
    "selection of an unknown field": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM.replace("arm=", "amr="))},
        "studies/bad/claims.py:3: Select: amr='wsd' is no field of Run; did you mean arm?",
    ),
    "number without a mark": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM.replace("runs=", "published='0.1', runs="))},
        "studies/bad/claims.py:3: Claim('X1'): published='0.1' does not fit mark='none': ",
    ),
    "decorated function of the first edition": (
        [CLAIMED, RIVER],
        {"claims": "from common.evidence.claims import claim\n"},
        "studies/bad/claims.py:1: ImportError: cannot import name 'claim' from 'common.evidence.claims' (",
    ),
    "no CLAIMS": (
        [CLAIMED, RIVER],
        {"claims": "FOUND = []\n"},
        'studies/bad/claims.py must define CLAIMS, a list of Claim("X1", ...); found None',
    ),
    "claims by name": (
        [CLAIMED, RIVER],
        {"claims": "CLAIMS = {'X1': 'it is low'}\n"},
        "studies/bad/claims.py must define CLAIMS, a list of Claim(\"X1\", ...); found {'X1': 'it is low'}",
    ),
    "CLAIMS is a single one": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM).replace("[Claim", "Claim").replace(")]", ")")},
        'studies/bad/claims.py must define CLAIMS, a list of Claim("X1", ...); found Claim(',
    ),
    "measurement among the claims": (
        [CLAIMED, RIVER],
        {"claims": claims(CLAIM, "Measure('river')")},
        'studies/bad/claims.py must define CLAIMS, a list of Claim("X1", ...); found Measure(',
    ),
}


@pytest.mark.parametrize("case", WRONG_CLAIMS)
def test_faulty_claim_is_one_clear_line_and_leaves_the_others_usable(folder, case, capsys):
    entries, scripts, line = WRONG_CLAIMS[case]
    write(folder, "bad", steps(*entries), **(JUDGED | scripts))
    [told] = loaded_beside_a_sound_study(folder, capsys)
    assert told.startswith(f"study bad, {line}")


def test_claims_without_their_functions_are_told_each(folder, capsys):
    written = JUDGED | {"claims": claims(CLAIM, CLAIM.replace("X1", "X2").replace("is_low", "is_high"))}
    write(folder, "bad", steps(CLAIMED, RIVER), **{name: text for name, text in written.items() if name != "verdicts"})
    assert loaded_beside_a_sound_study(folder, capsys) == [
        "study bad, studies/bad/verdicts.py must define is_low(runs, river), which Claim('X1') calls",
        "study bad, studies/bad/verdicts.py must define is_high(runs, river), which Claim('X2') calls",
    ]


def test_an_id_of_another_study_is_told_and_leaves_that_study_usable(folder):
    for name in ("first", "second", "third"):
        write(folder, name, steps(CLAIMED, RIVER), **(JUDGED | (renamed("X1") if name != "third" else {})))
    write(folder, "fourth", steps(CLAIMED.replace("X1", "Y1"), RIVER), **(JUDGED | renamed("Y1")))
    studies = Studies.load()
    assert list(studies) == ["first", "fourth"]
    assert [str(problem) for problem in studies.problems] == [
        "study second, Claim('X1') is a claim of the study first too; ids are unique",
        "study third, Claim('X1') is a claim of the study first too; ids are unique",
    ]


def test_a_claim_on_the_runs_of_a_faulty_study_says_where_the_fault_is(folder):
    write(folder, "bad", one(lr="-1"))
    on_both = CLAIM.replace('Select(arm="wsd")', 'Select(arm="wsd") | Select(study="bad")')
    write(folder, "judged", steps(RIVER, LOSS), **(JUDGED | {"plot_loss": DRAW, "claims": claims(on_both)}))
    fault = "study bad, run a: lr=-1.0 must be greater than 0"
    assert [str(problem) for problem in Studies.load().problems] == [
        fault,
        f"study judged, Claim('X1'): no sound study 'bad'; closest: judged; {fault}",
    ]


SOUND_FUNCTIONS = {
    "more than it is given": {"verdicts": "def is_low(runs, river, *, margin=0.1):\n    pass\n"},
    "any tables": {"verdicts": "def is_low(**tables):\n    pass\n"},
    "a package": {"verdicts/__init__": "from studies.sound.verdicts.low import is_low\n", "verdicts/low": IS_LOW},
}


@pytest.mark.parametrize("case", SOUND_FUNCTIONS)
def test_where_and_how_a_claim_may_be_judged(folder, case):
    scripts = {name: text for name, text in JUDGED.items() if name != "verdicts"} | SOUND_FUNCTIONS[case]
    write(folder, "sound", steps(CLAIMED, RIVER), **scripts)
    studies = Studies.load()
    assert not studies.problems
    [judgement] = studies.judgements()
    assert judgement.starts == ["studies.sound.verdicts:is_low"]


def test_the_content_of_own_text_asks_for_a_training_and_nothing_else_does(folder, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("some words " * 99)
    (folder / "good").mkdir()
    own = f"RUNS = [Run('own', **TEXT | {{'data': Files({str(tmp_path / 'texts')!r}, context=16)}}, **COMMON),"
    (folder / "good/study.py").write_text(lines(own, "    Run('other', **SMALL, **COMMON)]"))
    studies = Studies.load()
    assert studies.content("good", "other") == {}
    first = studies.content("good", "own")
    assert first == studies.content("good", "own") and list(first) == [str(tmp_path / "texts")]
    (tmp_path / "texts/b.txt").write_text("other words " * 99)
    assert studies.content("good", "own") != first


def test_a_study_that_changes_the_folder_changes_it_for_itself_alone(folder):
    (folder / "good").mkdir()
    (folder / "good/study.py").write_text(lines("import os", "os.chdir('/')", "RUNS = [Run('a', **SMALL, **COMMON)]"))
    here = Path.cwd()
    assert list(Studies.load()) == ["good"] and Path.cwd() == here


BROKEN_LINKS = {
    "bad": lambda folder: (folder / "bad").symlink_to("nowhere"),
    "bad/study.py": lambda folder: ((folder / "bad").mkdir(), (folder / "bad/study.py").symlink_to("nowhere")),
    "bad/claims.py": lambda folder: (
        write(folder, "bad", SOUND),
        (folder / "bad/claims.py").symlink_to("nowhere"),
    ),
}


@pytest.mark.parametrize("path", BROKEN_LINKS)
def test_a_link_to_nothing_is_one_clear_line_and_leaves_the_others_usable(folder, path, capsys):
    BROKEN_LINKS[path](folder)
    (folder / ".#README.md").symlink_to("me@here.1234")
    [line] = loaded_beside_a_sound_study(folder, capsys)
    assert line == f"study bad, studies/{path} is a link to nowhere, which is not there; mend it or remove it"


def test_a_study_may_be_a_link_and_begin_with_a_byte_order_mark(folder, tmp_path):
    write(tmp_path / "elsewhere", "linked", b"\xef\xbb\xbf" + steps(LOSS, RIVER).encode(), **SCRIPTS)
    (folder / "linked").symlink_to(tmp_path / "elsewhere/linked")
    studies = Studies.load()
    assert list(studies) == ["linked"] and not studies.problems


@pytest.mark.parametrize("name", ["all", "mlflow", "train", "masked_corpus", "claims_figure", "scoreboard", "site"])
def test_a_study_cannot_have_the_name_of_a_rule(folder, name):
    (folder / name).mkdir()
    (folder / f"{name}/study.py").write_text(SOUND)
    [problem] = Studies.load().problems
    assert f"the folder studies/{name} must be" in str(problem)


def test_judging_functions_are_not_imported_when_studies_are_read(folder):
    write(folder, "sound", steps(CLAIMED, RIVER), **(JUDGED | {"verdicts": "import nothing_of_that_name\n\n" + IS_LOW}))
    assert not Studies.load().problems


@pytest.mark.parametrize("draw", ["draw(runs, river, *, height=2)", "draw(river, runs=None)", "draw(**tables)"])
def test_a_script_may_take_more_than_it_is_given(folder, draw):
    write(folder, "sound", steps(LOSS, RIVER), **(SCRIPTS | {"plot_loss": f"def {draw}:\n    pass\n"}))
    assert not Studies.load().problems


HELPERS = {
    "syntax error": ("x = 1\n\ny = (\n", "studies/bad/helper.py:3: SyntaxError: '(' was never closed"),
    "exception": ("def f():\n    return {}['x']\n\nf()\n", "studies/bad/helper.py:2: KeyError: 'x'"),
    "exit": ("raise SystemExit('enough')\n", "studies/bad/helper.py:1: SystemExit: enough"),
    "faulty selection": (
        "from common.config import Select\n\nSelect(amr=1)\n",
        "studies/bad/helper.py:3: Select: amr=1 is no field of Run; did you mean arm?",
    ),
}


@pytest.mark.parametrize("case", HELPERS)
def test_a_fault_in_a_module_of_a_study_names_that_module_and_its_line(folder, case, capsys):
    helper, line = HELPERS[case]
    write(folder, "bad", lines("from studies.bad import helper", "RUNS = []"), helper=helper)
    assert loaded_beside_a_sound_study(folder, capsys) == [f"study bad, {line}"]


def test_studies_import_their_own_modules(folder):
    for name, steps in (("first", 5), ("second", 7)):
        study = lines(
            f"from studies.{name}.helper import STEPS", "RUNS = [Run('a', **SMALL, lr=1, steps=STEPS, seed=0)]"
        )
        write(folder, name, study, helper=f"STEPS = {steps}")
    studies = Studies.load()
    assert [studies.run(name, "a").steps for name in studies] == [5, 7]


def test_all_problems_of_a_study_are_told_at_once(folder):
    write(folder, "bad", one(model="MLP(width=0, init_gain=-1)", lr="-1", steps="0"))
    texts = "\n".join(map(str, Studies.load().problems))
    assert "model.width=0" in texts
    assert "model.init_gain=-1.0" in texts
    write(folder, "worse", one(lr="-1", steps="0", seed="-2"))
    texts = "\n".join(map(str, Studies.load().problems))
    for word in ("lr=-1.0 must", "steps=0 must", "seed=-2 must"):
        assert word in texts


def test_equal_problems_of_many_runs_are_one_line(folder, capsys):
    write(folder, "bad", lines('RUNS = [Run(f"s{i}", **SMALL, lr=-1, steps=9, seed=i) for i in range(30)]'))
    Studies.load().report()
    assert capsys.readouterr().err == "study bad, run s0: lr=-1.0 must be greater than 0 (and 29 more runs)\n"


@pytest.mark.parametrize(
    "name", ["data", "common", "claims", "verdicts", "class", "Wsd", "my-study", "2nd", "étude", "_x"]
)
def test_folder_of_a_study_must_suit_the_rules(folder, name):
    write(folder, name, SOUND)
    [problem] = Studies.load().problems
    assert f"the folder studies/{name} must be lower-case letters" in str(problem)


def test_names_are_those_of_the_wildcards():
    snakefile = (provenance.ROOT / "Snakefile").read_text()
    assert f'study="{STUDY_NAME.pattern}"' in snakefile
    assert f'run="{NAME.pattern}"' in snakefile


def test_settings_may_be_overridden(folder):
    write(
        folder,
        "sound",
        lines(
            'SHARED = {**SMALL, **COMMON, "steps": 50}',
            'MORE = SHARED | {"lr": 0.3, "model": MLP(depth=1)}',
            'MORE["seed"] = 4',
            'MORE |= {"steps": 60}',
            'RUNS = [Run("a", **MORE), *(Run(f"b{i}", **(SHARED | {"seed": i})) for i in range(2))]',
        ),
    )
    studies = Studies.load()
    assert not studies.problems
    run = studies.run("sound", "a")
    assert (run.lr, run.model.depth, run.seed, run.steps) == (0.3, 1, 4, 60)
    assert list(studies["sound"].runs) == ["a", "b0", "b1"]
    assert studies.run("sound", "b1").steps == 50
    assert [run.name for run in studies["sound"].runs.values()] == ["a", "b0", "b1"]


def test_every_run_can_be_moved_to_another_device(folder):
    write(folder, "sound", SOUND)
    assert Studies.load().run("sound", "a-s0").device == "cpu"
    assert Studies.load(device="cuda").run("sound", "a-s0").device == "cuda"


def test_children_of_a_faulty_study_say_where_the_fault_is(folder):
    write(folder, "bad", one(lr="-1"))
    write(folder, "child", one(parent='"bad/a"'))
    write(folder, "grandchild", one(parent='"child/a"'))
    texts = [str(problem) for problem in Studies.load().problems]
    assert texts == [
        "study bad, run a: lr=-1.0 must be greater than 0",
        "study child, run a: parent='bad/a' cannot be continued until the problems of study bad are solved",
        "study grandchild, run a: parent='child/a' cannot be continued until the problems of study child are solved",
    ]


def test_figures_of_the_runs_of_a_faulty_study_say_where_the_fault_is(folder):
    write(folder, "bad", one(lr="-1"))
    write(
        folder,
        "drawn",
        steps('FIGURES = [Figure("loss", runs=Select() | Select(study="bad"))]'),
        plot_loss="def draw(runs):\n    pass\n",
    )
    fault = "study bad, run a: lr=-1.0 must be greater than 0"
    assert [str(problem) for problem in Studies.load().problems] == [
        fault,
        f"study drawn, Figure('loss'): no sound study 'bad'; closest: drawn; {fault}",
    ]


def test_parent_in_another_study(folder):
    write(folder, "first", one())
    write(folder, "second", one(parent='"first/a"'))
    studies = Studies.load()
    assert studies.parent("second", "a") == ["results/first/a/state.safetensors"]
    assert studies.parent("first", "a") == []


def test_lineage_updates_count_what_lies_behind_a_run(folder):
    trunk = 'Run("trunk", **SMALL, **COMMON | {"steps": 10}, keep_steps=(4,))'
    branch = 'Run("branch", **SMALL, **COMMON | {"steps": 3}, parent="trunk", parent_step=4)'
    leaf = 'Run("leaf", **SMALL, **COMMON | {"steps": 2}, parent="branch")'
    write(folder, "sound", lines(f"RUNS = [{trunk}, {branch}, {leaf}]"))
    studies = Studies.load()
    assert [studies.lineage_updates("sound", name) for name in ("trunk", "branch", "leaf")] == [10, 7, 9]


def test_lookups(folder):
    write(
        folder,
        "sound",
        lines(
            'RUNS = [Run(a, **SMALL, **(COMMON | {"seed": i}), arm=a) for i, a in enumerate("xyz")]',
            'FIGURES = [Figure("loss", runs=Select(arm=["x", "z"]), records=Select(seed=1), tables=["hills"])]',
            'MEASURES = [Measure("hills", states={"start": Select(arm="x"), "end": Select()})]',
        ),
        plot_loss="def draw(runs, records, hills):\n    pass\n",
        measure_hills="def measure(start, end):\n    pass\n",
    )
    write(folder, "bad", one(lr="-1"))
    studies = Studies.load()
    loss, hills = studies["sound"].figures["loss"], studies["sound"].measures["hills"]
    rows = ["results/sound/x/metrics.csv", "results/sound/z/metrics.csv"]
    states = [f"results/sound/{name}/state.safetensors" for name in "xyz"]
    assert studies.outputs("sound", loss, "runs") == {"runs": rows}
    assert studies.outputs("sound", loss, "records") == {"records": ["results/sound/y/run.json"]}
    assert studies.outputs("sound", loss, "states") == {}
    assert studies.outputs("sound", hills, "states") == {"start": states[:1], "end": states}
    assert studies.inputs("sound", loss) == {
        "runs": rows,
        "records": ["results/sound/y/run.json"],
        "hills": ["results/sound/hills.csv"],
    }
    assert studies.inputs("sound", hills) == {"start": states[:1], "end": states}
    assert studies["sound"].claims == {} and studies.verdicts("sound") == studies.statements("sound") == []
    assert list(studies.judgements()) == []
    assert studies.figures() == studies.figures("sound") == ["figures/sound_loss.pdf"]
    assert studies.measured("sound") == ["results/sound/hills.csv"]
    assert studies.describe("sound", "x")["data"] == {"kind": "digits", "loss": "cross_entropy"}
    assert "name" not in studies.describe("sound", "x")
    assert studies.corpus("sound", "x") == []
    with pytest.raises(LookupError, match="study 'sound' selects arm='w', which no run of 'sound' has"):
        studies.selected("sound", Select(arm="w"))
    with pytest.raises(LookupError, match="study 'sound' defines no run 'xx'; closest: x"):
        studies.run("sound", "xx")
    with pytest.raises(LookupError, match="no sound study 'sond'; closest: sound"):
        studies["sond"]
    with pytest.raises(LookupError, match=r"study bad, run a: lr=-1\.0 must be greater than 0"):
        studies["bad"]


# Selections


@pytest.fixture
def two(folder) -> Studies:
    """Two studies with runs of two arms, two seeds and two rates."""
    runs = (
        "RUNS = [Run(f'{a}{i}-lr{lr}', **SMALL, lr=lr, steps=9, seed=i, arm=a) "
        "for a in ('x', 'y') for i in (0, 1) for lr in (0.1, 1)]"
    )
    for name in ("first", "second"):
        write(folder, name, lines(runs))
    return Studies.load()


SELECTED = {
    "all": (Select(), "x0-lr0.1 x0-lr1 x1-lr0.1 x1-lr1 y0-lr0.1 y0-lr1 y1-lr0.1 y1-lr1"),
    "a value": (Select(arm="x", seed=1), "x1-lr0.1 x1-lr1"),
    "values": (Select(arm=["y"], lr=(0.1, 1), seed={0}), "y0-lr0.1 y0-lr1"),
    "a range": (Select(seed=range(2), lr=1, arm="x"), "x0-lr1 x1-lr1"),
    "names": (Select(name=["y1-lr1", "x0-lr0.1"]), "x0-lr0.1 y1-lr1"),
    "nothing in common": (Select(arm="x", name="y1-lr1"), ""),
    "a union": (Select(arm="y", lr=1) | Select(arm="x", lr=0.1), "y0-lr1 y1-lr1 x0-lr0.1 x1-lr0.1"),
    "a union that overlaps": (Select(arm="x") | Select(seed=0, lr=1), "x0-lr0.1 x0-lr1 x1-lr0.1 x1-lr1 y0-lr1"),
    "a union of three": (
        Select(name="y1-lr1") | Select(name="x0-lr1") | Select(name="x1-lr1"),
        "y1-lr1 x0-lr1 x1-lr1",
    ),
    "a union with a union": (
        Select(name="y1-lr1") | (Select(name="x0-lr1") | Select(name="x1-lr1")),
        "y1-lr1 x0-lr1 x1-lr1",
    ),
}


@pytest.mark.parametrize("case", SELECTED)
def test_selections_in_the_order_of_the_study_and_of_their_parts(two, case):
    select, names = SELECTED[case]
    assert two.selected("first", select) == [Place("first", name) for name in names.split()]


def test_selections_from_other_studies(two):
    other = Select(study="second", arm="y", lr=1)
    assert two.selected("first", other) == [Place("second", "y0-lr1"), Place("second", "y1-lr1")]
    both = Select(arm="y", lr=1, seed=0) | other
    assert [place.label for place in two.selected("first", both)] == ["first/y0-lr1", "second/y0-lr1", "second/y1-lr1"]
    assert two.selected("second", both)[0] == Place("second", "y0-lr1")
    figure = Figure("both", runs=both)
    assert two.inputs("first", figure)["runs"][-1] == "results/second/y1-lr1/metrics.csv"
    with pytest.raises(LookupError, match="study 'first' selects arm='z', which no run of 'second' has"):
        two.selected("first", Select(study="second", arm="z"))
    with pytest.raises(LookupError, match="no sound study 'secnd'; closest: second"):
        two.selected("first", Select(study="secnd"))


# Claims


def several(**inputs: str) -> str:
    """A module claims.py with a claim for each of some inputs, as written, all judged by functions named alike."""
    return claims(
        *(
            f'Claim("{name}", "it is {name}", verdict="is_{name}", source="ours", {text})'
            for name, text in inputs.items()
        )
    )


@pytest.fixture
def judged(folder) -> Studies:
    """A study with claims on equal and on other inputs."""
    write(
        folder,
        "sound",
        steps(
            'MEASURES = [Measure("river"), Measure("hills")]',
            'FIGURES = [Figure("loss", runs=Select(), claims=["X5", "X1"])]',
        ),
        plot_loss="def draw(runs, verdicts):\n    pass\n",
        measure_river="def measure():\n    pass\n",
        measure_hills="def measure():\n    pass\n",
        claims=several(
            X1='runs=Select(arm="wsd")',
            X2='runs=Select(), tables=["river", "hills"]',
            X3='runs=Select(name=["wsd-s1", "wsd-s0"])',
            X4='runs={"chains": Select(arm="wsd")}',
            X5='runs=Select(arm="wsd"), published="0.1", mark="second-hand", seeds=2',
            X6='runs=Select(arm="wsd", lineage=True)',
            X7='tables=["hills", "river"], runs=Select(arm=["wsd", "cosine"])',
            X8="",
            X9='runs=Select(arm="wsd", seed=0)',
        ),
        verdicts="".join(f"def is_X{i}(**tables):\n    pass\n\n\n" for i in range(1, 10)),
    )
    studies = Studies.load()
    assert not studies.problems
    return studies


WSD = ["results/sound/wsd-s0/metrics.csv", "results/sound/wsd-s1/metrics.csv"]


def test_claims_with_equal_inputs_are_judged_together(judged):
    found = list(judged.judgements())
    assert [list(each.functions) for each in found] == [
        ["X1", "X3", "X5"],
        ["X2", "X7"],
        ["X4"],
        ["X6"],
        ["X8"],
        ["X9"],
    ]
    first, both, chains, lineage, alone, _ = found
    assert first.inputs == {"runs": WSD} and chains.inputs == {"chains": WSD} and alone.inputs == {}
    assert list(both.inputs) == ["runs", "river", "hills"] and both.inputs["hills"] == ["results/sound/hills.csv"]
    assert lineage.inputs == first.inputs and lineage.claims[0].sources == {"runs": "lineage"}
    assert first.functions == {name: [f"is_{name}", {}] for name in ("X1", "X3", "X5")}
    assert first.starts == [f"studies.sound.verdicts:is_X{i}" for i in (1, 3, 5)]
    assert [each.rule for each in found] == [f"sound_verdicts_X{i}" for i in (1, 2, 4, 6, 8, 9)]


def test_every_claim_is_judged_once(judged):
    judged_claims = [name for each in judged.judgements() for name in each.functions]
    assert sorted(judged_claims) == list(judged["sound"].claims)


def test_claims_may_have_equal_inputs_at_a_smaller_scale_alone(folder):
    write(
        folder,
        "sound",
        lines("RUNS = [Run(f'a{i}', **SMALL, lr=0.1, steps=100, seed=i) for i in range(4)]"),
        claims=several(X1="runs=Select(seed=range(2))", X2="runs=Select()"),
        verdicts="def is_X1(runs):\n    pass\n\n\ndef is_X2(runs):\n    pass\n",
    )
    assert [list(each.functions) for each in Studies.load().judgements()] == [["X1"], ["X2"]]
    assert [list(each.functions) for each in Studies.load(scale="smoke").judgements()] == [["X1", "X2"]]


def test_claims_of_two_studies_are_judged_apart(folder):
    for name, letter in (("first", "X"), ("second", "Y")):
        on_first = (
            CLAIM.replace("X1", f"{letter}1").replace("arm=", "study='first', arm=").replace(', tables=["river"]', "")
        )
        write(folder, name, steps(), claims=claims(on_first), verdicts="def is_low(runs):\n    pass\n")
    studies = Studies.load()
    assert not studies.problems
    first, second = studies.judgements()
    assert (first.rule, second.rule) == ("first_verdicts_X1", "second_verdicts_Y1")
    assert first.inputs == second.inputs


def test_verdicts_lie_in_files_of_their_own(judged):
    assert judged.verdicts("sound") == [f"results/sound/claims/X{i}.json" for i in range(1, 10)]
    assert judged.verdicts("sound", ["X5", "X1"]) == ["results/sound/claims/X5.json", "results/sound/claims/X1.json"]
    loss = judged["sound"].figures["loss"]
    assert judged.inputs("sound", loss)["verdicts"] == judged.verdicts("sound", loss.claims)
    assert "verdicts" not in judged.inputs("sound", judged["sound"].measures["river"])


def test_statements_are_the_words_of_the_claims_as_plain_values(judged):
    words = {"kind": "paper", "source": "ours", "published": "", "mark": "none", "seeds": 5, "caveat": ""}
    words |= {"standing": "not registered", "because": "", "registered_rule": None}
    assert judged.statements("sound", ["X5", "X1"]) == [
        {"id": "X5", "statement": "it is X5"} | words | {"published": "0.1", "mark": "second-hand", "seeds": 2},
        {"id": "X1", "statement": "it is X1"} | words,
    ]
    everything = judged.statements("sound")
    assert [each["id"] for each in everything] == list(judged["sound"].claims)
    assert judged.statements("sound", ()) == []
    for plain, claim in zip(everything, judged["sound"].claims.values(), strict=True):
        assert {name: plain[name] for name in claim.words} == claim.words


def test_a_smaller_scale_may_leave_out_what_is_selected(folder):
    runs = "RUNS = [Run(f'a{i}', **SMALL, lr=0.1, steps=100, seed=i) for i in range(4)]"
    figure = 'FIGURES = [Figure("loss", runs=Select(seed=[0, 3]), states=Select(name=["a1", "a2"]))]'
    write(folder, "sound", lines(runs, figure), plot_loss="def draw(runs, states):\n    pass\n")
    studies = Studies.load(scale="smoke")
    assert list(studies["sound"].runs) == ["a0", "a1"]
    assert studies.inputs("sound", studies["sound"].figures["loss"]) == {
        "runs": ["results/sound/a0/metrics.csv"],
        "states": ["results/sound/a1/state.safetensors"],
    }


RUNGS = """
RUNGS = [
    Rung("small", parameters=25_984, bytes_per_parameter=30, batch=8),
    Rung("big", parameters=48_640, bytes_per_parameter=30, batch=8, large=True),
]
WIDTHS = {"small": 28, "big": 40}


def on(rung, **fields):
    model = Transformer(width=WIDTHS.get(rung, 28), depth=2, heads=2)
    return Run(f"{rung}-{fields.get('arm', 'a')}", **(TEXT | COMMON | {"model": model, "rung": rung} | fields))
"""


def ladder(folder, *entries):
    """A study with two rungs, of which one is large."""
    scripts = {"plot_loss": "def draw(runs):\n    pass\n"} if "FIGURES" in entries[-1] else {}
    write(folder, "sound", lines(RUNGS, *entries), **scripts)


def test_a_large_rung_is_trained_at_the_large_scale_alone(folder):
    entries = "RUNS = [on('small'), on('big')]", 'FIGURES = [Figure("loss", runs=Select(rung=["small", "big"]))]'
    ladder(folder, *entries)
    small, big = (f"results/sound/{rung}-a/metrics.csv" for rung in ("small", "big"))
    for scale, paths in {"default": [small], "smoke": [small], "large": [small, big]}.items():
        studies = Studies.load(scale=scale)
        assert studies.problems == []
        assert studies.inputs("sound", studies["sound"].figures["loss"]) == {"runs": paths}
        assert studies.scale == ("smoke" if scale == "smoke" else "default")
        assert list(studies["sound"].rungs) == ["small", "big"]
    assert studies.describe("sound", "big-a")["rung"] == "big"
    with pytest.raises(LookupError, match="selects rung='bigg', which no run of 'sound' has; did you mean 'big'"):
        studies.selected("sound", Select(rung="bigg"))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (("RUNS = [on('smal')]",), "run smal-a: rung='smal' is no rung of RUNGS in study.py; did you mean 'small'?"),
        (("RUNS = [on('x')]",), "rung='x' is no rung of RUNGS in study.py; the rungs are small, big"),
        (
            ("RUNS = [on('small')]", "RUNGS = []"),
            "rung='small' is no rung of RUNGS in study.py; the rungs are none yet",
        ),
        (("RUNS = [on('small', batch_size=4)]",), "batch_size=4 is not batch=8 of Rung('small'); make them equal"),
        (
            ("WIDTHS['small'] = 32", "RUNS = [on('small')]"),
            "model has 32768 parameters, but Rung('small') says parameters=25984; write parameters=32768",
        ),
        (("RUNGS += RUNGS[:1]", "RUNS = [on('small')]"), "the name 'small' is given twice"),
        (("RUNGS += [3]", "RUNS = [on('small')]"), "must define RUNGS, a list of Rung("),
        (
            ('RUNGS += [Rung("odd", parameters=0, bytes_per_parameter=30, batch=8)]', "RUNS = [on('odd')]"),
            "study sound, Rung('odd'): parameters=0 must be at least 1",
        ),
        (
            ("RUNS = [on('big', keep_steps=(9,)), on('small', parent='big-a', parent_step=9, reset=('weights',))]",),
            "small-a: parent='big-a' is of the large rung 'big', which scales leave out; give this run a large rung",
        ),
        (
            ("RUNS = [on('small'), on('big')]", 'FIGURES = [Figure("loss", runs=Select(rung="big"))]'),
            "Figure('loss') selects 'big-a' and runs of large rungs alone, which scales leave out; add a smaller rung",
        ),
    ],
)
def test_a_ladder_that_does_not_stand_is_refused(folder, entries, words):
    ladder(folder, *entries)
    studies = Studies.load()
    assert "sound" not in studies.sound
    assert any(words in str(problem) for problem in studies.problems), studies.problems


@pytest.mark.parametrize("measure", ["ends, seeds=range(5)", "ends, *, seeds=range(5)", "ends, **sizes"])
def test_sizes_of_a_measurement_are_those_of_the_smoke_scale_alone(folder, measure):
    scripts = SCRIPTS | {"measure_river": f"def measure({measure}):\n    pass\n"}
    write(folder, "sound", steps(LOSS, SIZED), **scripts)
    found = {scale: Studies.load(scale=scale) for scale in ("default", "smoke")}
    assert [studies.problems for studies in found.values()] == [[], []]
    [(_, river)] = found["smoke"].every("measures")
    assert {scale: studies.arguments("sound", river) for scale, studies in found.items()} == {
        "default": {},
        "smoke": {"seeds": [0, 1]},
    }
    assert found["smoke"].arguments("sound", found["smoke"]["sound"].figures["loss"]) == {}


def test_sources_say_what_each_parameter_is_given():
    assert Figure("loss").sources == {}
    assert Figure("loss", runs=Select()).sources == {"runs": "runs"}
    assert Figure("loss", runs=Select(lineage=True, arm="x"), tables=["river", "hills"]).sources == {
        "runs": "lineage",
        "river": "table",
        "hills": "table",
    }
    union = Select(arm="x", lineage=True) | Select(arm="y", lineage=True)
    step = Measure(
        "path",
        runs={"chains": union, "switches": Select()},
        states={"starts": Select(), "ends": Select()},
        records=Select(),
    )
    assert step.sources == {
        "chains": "lineage",
        "switches": "runs",
        "starts": "states",
        "ends": "states",
        "records": "records",
    }
    assert list(step.selections("runs")) == ["chains", "switches"]
    assert step.selections("records") == {"records": Select()}
    assert Measure("river").selections("states") == {}


WRONG_STEPS = {
    "Select: amr='x' is no field of Run; did you mean arm?": lambda: Select(amr="x"),
    "Select: quality=1 is no field of Run": lambda: Select(quality=1),
    "Select: lineage must be the same on both sides": lambda: Select(lineage=True) | Select(),
    "Figure('a'): runs='x' must be a Select": lambda: Figure("a", runs="x"),
    "Measure('a'): states={'x': 3} must be a Select": lambda: Measure("a", states={"x": 3}),
    "Figure('a'): tables='river' must be a list of names": lambda: Figure("a", tables="river"),
    "Figure('a'): tables=3 must be a list of names": lambda: Figure("a", tables=3),
    "Figure('a'): 'runs' is given twice": lambda: Figure("a", runs=Select(), tables=["runs"]),
    "Figure('a'): 'x' is given twice": lambda: Figure("a", runs={"x": Select()}, states={"x": Select()}),
}


@pytest.mark.parametrize("words", WRONG_STEPS)
def test_faulty_selections_and_steps_are_refused_where_they_are_written(words):
    with pytest.raises(DescriptionError) as caught:
        WRONG_STEPS[words]()
    assert str(caught.value).startswith(words)


def test_corpus_of_a_text_run(folder):
    write(folder, "sound", text())
    assert Studies.load().corpus("sound", "a") == ["results/data/prose/manifest.json"]


def test_corpora_of_a_run_with_other_data():
    prose, cpp, python = (Corpus(name, context=8) for name in ("prose", "cpp", "python"))
    fields = {"model": Transformer(heads=2), "lr": 0.1, "steps": 9, "seed": 0, "batch_size": 2}
    mixed = Mixture(python, cpp, share=0.1)
    run = Run("x", **fields, data=mixed, watched={"old": prose}, continual=Continual(past=(prose,)))
    study = Study("sound", "Why?", {"x": run}, {}, {}, {}, Path())
    names = ["python", "cpp", "prose"]
    assert Studies({"sound": study}).corpus("sound", "x") == [f"results/data/{name}/manifest.json" for name in names]


def test_unknown_scale_ends_with_one_line(folder):
    with pytest.raises(SystemExit, match="scale='smok' must be one of default, smoke, large"):
        Studies.load(scale="smok")


@pytest.mark.parametrize("scale", ["default", "smoke", "large"])
def test_studies_of_the_repository_are_sound_at_every_scale(scale):
    studies = Studies.load(scale=scale)
    assert studies.problems == []
    assert list(studies)
    for study in studies:
        found = studies[study]
        for step in (*found.figures.values(), *found.measures.values(), *found.claims.values()):
            assert all(studies.inputs(study, step).values()), (study, step.name)


def test_hundred_studies_of_ten_runs_load_in_seconds(folder):
    for i in range(100):
        write(folder, f"s{i}", lines('RUNS = [Run(f"r{i}", **SMALL, lr=0.1, steps=9, seed=i) for i in range(10)]'))
    began = time.process_time()
    assert len(list(Studies.load(scale="smoke"))) == 100
    assert time.process_time() - began < 3


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A throw-away copy of what a build needs, with one faulty study, while an editor has files open."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copy(provenance.ROOT / "Snakefile", root)
    for folder in ("common", "profiles", "studies", "envs"):
        shutil.copytree(provenance.ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    write(root / "studies", "bad", one(lr="-1"))
    for folder in ("studies/wsd", "common/config"):
        (root / folder / ".#study.py").symlink_to("me@here.1234")
    return root


def snakemake(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_real_command_tells_the_fault_and_plans_the_sound_studies(repository):
    done = snakemake(repository, "--dry-run", "wsd")
    assert done.returncode == 0, done.stderr
    assert "study bad, run a: lr=-1.0 must be greater than 0\n" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_real_command_refuses_a_run_of_a_faulty_study_by_name(repository):
    done = snakemake(repository, "--dry-run", "results/bad/a/metrics.csv")
    assert done.returncode == 1
    assert "study bad, run a: lr=-1.0 must be greater than 0\n" in done.stderr
    assert "no sound study 'bad'; closest: " in done.stderr + done.stdout
    assert "; study bad, run a: lr=-1.0" in done.stderr + done.stdout
    assert "Traceback (most recent call last)" not in done.stderr + done.stdout


def test_real_command_refuses_an_unknown_scale(repository):
    done = snakemake(repository, "--dry-run", "wsd", "--config", "scale=huge")
    assert done.returncode != 0
    assert "scale='huge' must be one of default, smoke, large (see common/pipeline/scales.py)" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
