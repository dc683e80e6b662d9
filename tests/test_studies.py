"""Malformed studies: one clear line for each, no traceback, and the other studies stay usable."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common import provenance
from common.config import Continual, Data, Model, Run
from common.studies import NAME, STUDY_NAME, Studies, Study

HEAD = '''"""Does it work? (A test.)"""

from common.config import Data, Model, Optimizer, Probe, Run, Schedule

MLP = {"model": Model(kind="mlp"), "data": Data(source="digits")}
TEXT = {"model": Model(heads=2), "data": Data(name="prose", context=32), "batch_size": 8}
COMMON = {"lr": 0.1, "steps": 100, "seed": 0}

'''
SOUND = HEAD + 'RUNS = {"a-s0": Run(**MLP, **COMMON)}\n'


def write(root: Path, name: str, text: str | bytes) -> None:
    file = root / "studies" / name / "study.py"
    file.parent.mkdir(parents=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)


def one(**fields: str) -> str:
    """A study with the run "a" of an MLP in which some fields are written as given, or left out ("")."""
    sound = {"model": 'Model(kind="mlp")', "data": 'Data(source="digits")', "lr": "0.1", "steps": "100", "seed": "0"}
    written = ", ".join(f"{name}={value}" for name, value in (sound | fields).items() if value)
    return f'{HEAD}RUNS = {{"a": Run({written})}}\n'


def text(**fields: str) -> str:
    """The same with a transformer on prose."""
    sound = {"model": "Model(heads=2)", "data": 'Data(name="prose", context=32)', "batch_size": "8"}
    return one(**(sound | fields))


def lines(*entries: str) -> str:
    return HEAD + "\n".join(entries) + "\n"


PARENT = '"trunk": Run(**MLP, **COMMON, keep_steps=(40, 80)), '

MALFORMED = {
    "misspelt field": (one(sead="3"), ["run a:", "sead=3 is no field of Run", "did you mean seed?"]),
    "misspelt nested field": (
        one(schedule='Schedule(kind="wsd", decay_step=10)'),
        ["run a:", "schedule.decay_step=10 is no field of Schedule", "did you mean decay_steps?"],
    ),
    "unknown field": (one(colour="1"), ["colour=1 is no field of Run", "the fields are model, data, lr"]),
    "unknown model": (one(model='Model(kind="mpl")'), ["model.kind='mpl' must be one of", "did you mean 'mlp'?"]),
    "unknown schedule": (one(schedule='Schedule(kind="cosin")'), ["schedule.kind='cosin'", "did you mean 'cosine'?"]),
    "unknown optimizer": (one(optimizer='Optimizer(kind="lion")'), ["optimizer.kind='lion'", "'sgd', 'adam', 'adamw'"]),
    "unknown probe": (one(probes='(Probe(kind="norm", every=1),)'), ["probes[0].kind='norm'", "'norms'"]),
    "unknown corpus": (
        text(data='Data(name="pros", context=32)'),
        ["data.name='pros' must be one of 'prose', 'python', 'cpp'"],
    ),
    "overlap": (
        one(schedule='Schedule(kind="wsd", warmup_steps=60, decay_steps=50)'),
        ["schedule.warmup_steps=60 + decay_steps=50 overlap: they must fit into steps=100"],
    ),
    "overlap in a cycle": (
        one(schedule='Schedule(kind="wsd_s", decay_steps=30, rewarm_steps=30, decay_ends=(50, 100))'),
        ["schedule.decay_ends=(50, 100)", "warm-up (30) and decay (30) overlap before update 100"],
    ),
    "ends before the end": (
        one(schedule='Schedule(kind="cyclic_cosine", cycle_ends=(50, 90))'),
        ["schedule.cycle_ends=(50, 90) must end with steps=100"],
    ),
    "no floor to anneal to": (
        one(schedule='Schedule(kind="infinite", cooldown_steps=5, decay_steps=5, level=0.05)'),
        ["schedule.floor=0.1 must be above 0 and at most level=0.05"],
    ),
    "missing parent": (one(parent='"trnk"'), ["run a: parent='trnk' does not exist"]),
    "misspelt parent": (
        lines("RUNS = {" + PARENT + '"a": Run(**MLP, **COMMON, parent="trunc")}'),
        ["run a: parent='trunc' does not exist; closest: bad/trunk"],
    ),
    "step not kept": (
        lines("RUNS = {" + PARENT + '"a": Run(**MLP, **COMMON, parent="trunk", parent_step=50)}'),
        ["run a: parent_step=50 must be one of the parent's keep_steps=(40, 80)"],
    ),
    "other model": (
        lines('OTHER = MLP | {"model": Model(kind="mlp", width=8)}', "RUNS = {" + PARENT)
        + '"a": Run(**OTHER, **COMMON, parent="trunk")}',
        ["run a: model differs from that of parent='trunk'"],
    ),
    "other optimizer": (
        lines("RUNS = {" + PARENT) + '"a": Run(**MLP, **COMMON, parent="trunk", optimizer=Optimizer(kind="sgd"))}',
        ["run a: optimizer.kind='sgd' cannot continue the parent's 'adamw'; add reset=('optimizer',)"],
    ),
    "parent without that member": (
        lines(
            'RUNS = {"s": Run(**MLP, **COMMON, sweep={"seed": (0, 1)}), '
            '"a": Run(**MLP, **COMMON, parent="s", sweep={"seed": (1, 2)})}'
        ),
        ["run a: parent='s' has no member with seed=2 to continue; its sweep is {'seed': (0, 1)}"],
    ),
    "parent that sweeps over steps": (
        lines('RUNS = {"s": Run(**MLP, **COMMON, sweep={"steps": (1, 2)}), "a": Run(**MLP, **COMMON, parent="s")}'),
        ["run a: parent='s' sweeps over steps, and its members end apart"],
    ),
    "cycle of one": (one(parent='"a"'), ["run a: parent='a' makes a cycle: bad/a -> bad/a"]),
    "cycle of two": (
        lines('RUNS = {n: Run(**MLP, **COMMON, parent=p) for n, p in [("a", "b"), ("b", "bad/a")]}'),
        ["run a: parent='b' makes a cycle: bad/a -> bad/b -> bad/a"],
    ),
    "cycle of three": (
        lines('RUNS = {n: Run(**MLP, **COMMON, parent=p) for n, p in [("a", "b"), ("b", "c"), ("c", "a")]}'),
        ["run c: parent='a' makes a cycle: bad/c -> bad/a -> bad/b -> bad/c"],
    ),
    "kept step outside": (one(keep_steps="(100,)"), ["keep_steps=(100,) must lie between 1 and steps - 1 = 99"]),
    "kept step twice": (one(keep_steps="(5, 5)"), ["keep_steps=(5, 5) must be different"]),
    "orphan reset": (one(reset='("data",)'), ["reset=('data',) has no meaning without a parent"]),
    "duplicate in a literal": (
        lines('RUNS = {"a": Run(**MLP, **COMMON),', '        "a": Run(**MLP, **(COMMON | {"seed": 1}))}'),
        ["studies/bad/study.py:9: the name 'a' is given twice"],
    ),
    "duplicate in a comprehension": (
        lines('RUNS = {"a": Run(**MLP, lr=0.1, steps=9, seed=seed) for seed in range(2)}'),
        ["study.py:9: the name 'a' is given twice"],
    ),
    "duplicate through |": (
        lines("A = {'a': Run(**MLP, **COMMON)}", "RUNS = A | {'a': Run(**MLP, lr=0.2, steps=9, seed=0)}"),
        ["study.py:10: the name 'a' is given twice; each run needs its own"],
    ),
    "duplicate through **": (
        lines("A = {'a': Run(**MLP, **COMMON)}", "RUNS = {**A, 'a': Run(**MLP, lr=0.2, steps=9, seed=0)}"),
        ["study.py:10: the name 'a' is given twice; each run needs its own"],
    ),
    "duplicate through |=": (
        lines("RUNS = {'a': Run(**MLP, **COMMON)}", "RUNS |= {'a': Run(**MLP, lr=0.2, steps=9, seed=0)}"),
        ["study.py:10: the name 'a' is given twice"],
    ),
    "duplicate in a loop": (
        lines("RUNS = {}", "for seed in range(2):", "    RUNS['a'] = Run(**MLP, lr=0.2, steps=9, seed=seed)"),
        ["study.py:11: the name 'a' is given twice"],
    ),
    "duplicate through update": (
        lines("RUNS = {'a': Run(**MLP, **COMMON)}", "RUNS.update(a=Run(**MLP, lr=0.2, steps=9, seed=0))"),
        ["study.py:10: the name 'a' is given twice"],
    ),
    "same training twice": (
        lines('RUNS = {"a": Run(**MLP, lr=1, steps=9, seed=0), "b": Run(**MLP, lr=1.0, steps=9, seed=0)}'),
        ["run b: describes the same training as 'a'; use that run for both"],
    ),
    "NaN": (one(lr='float("nan")'), ["run a: lr=nan must be a finite number"]),
    "infinity": (one(lr='float("inf")'), ["run a: lr=inf must be a finite number"]),
    "number too large": (one(lr="10**400"), ["run a: lr=1000", "must be a finite number"]),
    "number as text": (one(lr='"1e-3"'), ["run a: lr='1e-3' must be a finite number"]),
    "bool for int": (one(seed="True"), ["run a: seed=True must be a whole number"]),
    "float for int": (one(steps="1e3"), ["run a: steps=1000.0 must be a whole number"]),
    "list for tuple": (one(keep_steps="[5]"), ["keep_steps=[5] must be a tuple, written (a, b)"]),
    "wrong description": (one(model='Data(source="digits")'), ["model=Data(", "must be made with Model(...)"]),
    "negative steps": (one(steps="-1"), ["run a: steps=-1 must be at least 1"]),
    "no learning rate": (one(lr="0"), ["run a: lr=0.0 must be greater than 0"]),
    "missing field": (one(seed=""), ["run a: seed is missing: every Run needs it"]),
    "meaningless field": (
        one(model='Model(kind="mlp", heads=2)'),
        ["model.heads=2 has no meaning for 'mlp'; it belongs to 'transformer'"],
    ),
    "missing for the kind": (
        one(schedule='Schedule(kind="wsd")'),
        ["schedule.decay_steps is missing: 'wsd' needs it"],
    ),
    "heads": (text(model="Model(width=64, heads=3)"), ["model.heads=3 must divide width=64"]),
    "model cannot read": (text(model='Model(kind="mlp")'), ["model.kind='mlp' cannot read data.source='corpus'"]),
    "no batch size": (text(batch_size=""), ["batch_size is missing: data.source='corpus' has no full batch"]),
    "sweep of an unknown field": (one(sweep='{"width": (1, 2)}'), ["sweep={'width': ...} must name one of lr, seed"]),
    "sweep with equal values": (one(sweep='{"lr": (1, 1.0)}'), ["sweep={'lr': (1, 1.0)} must have different values"]),
    "sweep with a bad value": (one(sweep='{"lr": (0.1, -1)}'), ["sweep: lr=-1.0 must be greater than 0"]),
    "empty sweep": (one(sweep="{}"), ["sweep={} is empty; leave it out"]),
    "probe after the end": (
        one(probes='(Probe(kind="norms", steps=(0, 101)),)'),
        ["probes[0].steps=(0, 101) must be at most steps=100"],
    ),
    "fields by position": (one(model='Model("mlp")'), ["study.py:9: TypeError: Model.__init__() takes 1 positional"]),
    "syntax error": (lines("RUNS = {"), ["studies/bad/study.py:9: SyntaxError: '{' was never closed"]),
    "tabs": (lines("if True:", "\tA = 1", "        B = 2"), ["studies/bad/study.py:11: TabError"]),
    "exception": (lines("RUNS = {}", "1 / 0"), ["studies/bad/study.py:10: ZeroDivisionError: division by zero"]),
    "exception of two lines": (lines('raise ValueError("a\\nb")'), ["studies/bad/study.py:9: ValueError: a b"]),
    "unknown module": (lines("import rivers"), ["study.py:9: ModuleNotFoundError: No module named 'rivers'"]),
    "exit": (lines("raise SystemExit(3)"), ["studies/bad/study.py:9: SystemExit: 3"]),
    "endless recursion": (lines("def f():", "    f()", "f()"), ["studies/bad/study.py:10: RecursionError"]),
    "no RUNS": (HEAD, ["studies/bad/study.py must define RUNS", "found None"]),
    "empty RUNS": (lines("RUNS = {}"), ["must define RUNS", "found {}"]),
    "RUNS is a list": (lines("RUNS = [Run(**MLP, **COMMON)]"), ["must define RUNS, a dictionary", "found [Run("]),
    "not a Run": (lines("RUNS = {'a': MLP}"), ["run a: must be made with Run(...); found {"]),
    "no docstring": (SOUND.partition("\n")[2], ["must begin with a docstring that states the study's question"]),
    "name with a slash": (SOUND.replace("a-s0", "a/s0"), ["run 'a/s0': the name must be letters", "rename the run"]),
    "name with a space": (SOUND.replace("a-s0", "a s0"), ["run 'a s0': the name must be letters"]),
    "name with a line end": (SOUND.replace("a-s0", "a\\ns0"), [r"run 'a\ns0': the name must be letters"]),
    "name goes up": (SOUND.replace("a-s0", ".."), ["run '..': the name must be letters"]),
    "name of a file": (SOUND.replace("a-s0", "claims.json"), ["run 'claims.json'", "not end with"]),
    "name is a number": (SOUND.replace('"a-s0"', "3"), ["run 3: the name must be letters"]),
    "empty name": (SOUND.replace("a-s0", ""), ["run '': the name must be letters"]),
    "not UTF-8": (SOUND.encode() + b'x = "\xff"\n', ["studies/bad/study.py: UnicodeDecodeError", "utf-8"]),
    "null byte": (SOUND + "\0", ["studies/bad/study.py: SyntaxError: source code string cannot contain null bytes"]),
    "empty file": ("", ["must define RUNS"]),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_study_is_one_clear_line_and_leaves_the_others_usable(tmp_path, case, capsys):
    written, words = MALFORMED[case]
    write(tmp_path, "bad", written)
    write(tmp_path, "sound", SOUND)
    began = time.process_time()
    studies = Studies.load(tmp_path)
    assert time.process_time() - began < 0.5
    assert list(studies) == ["sound"]
    assert studies.run("sound", "a-s0").steps == 100
    studies.report()
    [*reported] = capsys.readouterr().err.splitlines()
    assert len(reported) == len(studies.problems)
    assert all(line.startswith("study bad, ") for line in reported)
    assert any(all(word in line for word in words) for line in reported), reported


def test_all_problems_of_a_study_are_told_at_once(tmp_path):
    write(tmp_path, "bad", one(model='Model(kind="mlp", width=0, init_gain=-1)', lr="-1", steps="0"))
    texts = "\n".join(map(str, Studies.load(tmp_path).problems))
    assert "model.width=0" in texts
    assert "model.init_gain=-1.0" in texts
    write(tmp_path, "worse", one(lr="-1", steps="0", seed="-2"))
    texts = "\n".join(map(str, Studies.load(tmp_path).problems))
    for word in ("lr=-1.0 must", "steps=0 must", "seed=-2 must"):
        assert word in texts


def test_equal_problems_of_many_runs_are_one_line(tmp_path, capsys):
    write(tmp_path, "bad", lines('RUNS = {f"s{i}": Run(**MLP, lr=-1, steps=9, seed=i) for i in range(30)}'))
    Studies.load(tmp_path).report()
    assert capsys.readouterr().err == "study bad, run s0: lr=-1.0 must be greater than 0 (and 29 more runs)\n"


@pytest.mark.parametrize("name", ["data", "common", "class", "Wsd", "my-study", "2nd", "étude", "_x"])
def test_folder_of_a_study_must_suit_the_rules(tmp_path, name):
    write(tmp_path, name, SOUND)
    [problem] = Studies.load(tmp_path).problems
    assert f"the folder studies/{name} must be lower-case letters" in str(problem)


def test_names_are_those_of_the_wildcards():
    snakefile = (provenance.ROOT / "Snakefile").read_text()
    assert f'study="{STUDY_NAME.pattern}"' in snakefile
    assert f'run="{NAME.pattern}"' in snakefile


def test_settings_may_be_overridden(tmp_path):
    write(
        tmp_path,
        "sound",
        lines(
            'SHARED = {**MLP, **COMMON, "steps": 50}',
            'MORE = SHARED | {"lr": 0.3, "model": Model(kind="mlp", depth=1)}',
            'MORE["seed"] = 4',
            'MORE |= {"steps": 60}',
            'RUNS = {"a": Run(**MORE), **{f"b{i}": Run(**(SHARED | {"seed": i})) for i in range(2)}}',
        ),
    )
    studies = Studies.load(tmp_path)
    assert not studies.problems
    run = studies.run("sound", "a")
    assert (run.lr, run.model.depth, run.seed, run.steps) == (0.3, 1, 4, 60)
    assert list(studies["sound"].runs) == ["a", "b0", "b1"]
    assert studies.run("sound", "b1").steps == 50


def test_children_of_a_faulty_study_say_where_the_fault_is(tmp_path):
    write(tmp_path, "bad", one(lr="-1"))
    write(tmp_path, "child", one(parent='"bad/a"'))
    write(tmp_path, "grandchild", one(parent='"child/a"'))
    texts = [str(problem) for problem in Studies.load(tmp_path).problems]
    assert texts == [
        "study bad, run a: lr=-1.0 must be greater than 0",
        "study child, run a: parent='bad/a' cannot be continued until the problems of study bad are solved",
        "study grandchild, run a: parent='child/a' cannot be continued until the problems of study child are solved",
    ]


def test_parent_in_another_study(tmp_path):
    write(tmp_path, "first", one())
    write(tmp_path, "second", one(parent='"first/a"'))
    studies = Studies.load(tmp_path)
    assert studies.parent("second", "a") == ["results/first/a/state.safetensors"]
    assert studies.parent("first", "a") == []


def test_lineage_updates_count_what_lies_behind_a_run(tmp_path):
    trunk = 'Run(**MLP, **COMMON | {"steps": 10}, keep_steps=(4,))'
    branch = 'Run(**MLP, **COMMON | {"steps": 3}, parent="trunk", parent_step=4)'
    leaf = 'Run(**MLP, **COMMON | {"steps": 2}, parent="branch")'
    write(tmp_path, "sound", lines(f'RUNS = {{"trunk": {trunk}, "branch": {branch}, "leaf": {leaf}}}'))
    studies = Studies.load(tmp_path)
    assert [studies.lineage_updates("sound", name) for name in ("trunk", "branch", "leaf")] == [10, 7, 9]


def test_lookups(tmp_path):
    write(
        tmp_path, "sound", lines('RUNS = {a: Run(**MLP, **(COMMON | {"seed": i}), arm=a) for i, a in enumerate("xyz")}')
    )
    write(tmp_path, "bad", one(lr="-1"))
    (tmp_path / "studies/sound/plot_loss.py").touch()
    (tmp_path / "studies/sound/measure_hills.py").touch()
    studies = Studies.load(tmp_path)
    assert studies.outputs("sound", arm=["x", "z"]) == ["results/sound/x/metrics.csv", "results/sound/z/metrics.csv"]
    assert studies.outputs("sound", "run.json", seed=1) == ["results/sound/y/run.json"]
    assert studies.outputs("bad") == []
    assert studies.figures() == studies.figures("sound") == ["figures/sound_loss.pdf"]
    assert studies.measured("sound") == ["results/sound/hills.csv"]
    assert studies.describe("sound", "x")["data"] == {"source": "digits"}
    assert studies.corpus("sound", "x") == []
    with pytest.raises(LookupError, match=r"no run with {'arm': 'w'}; runs are listed in studies/sound/study\.py"):
        studies.outputs("sound", arm="w")
    with pytest.raises(LookupError, match="study 'sound' defines no run 'xx'; closest: x"):
        studies.run("sound", "xx")
    with pytest.raises(LookupError, match="no sound study 'sond'; closest: sound"):
        studies["sond"]
    with pytest.raises(LookupError, match=r"study bad, run a: lr=-1\.0 must be greater than 0"):
        studies["bad"]


def test_corpus_of_a_text_run(tmp_path):
    write(tmp_path, "sound", text())
    assert Studies.load(tmp_path).corpus("sound", "a") == ["results/data/prose/manifest.json"]


def test_corpora_of_a_run_with_other_data():
    prose, cpp = (Data(name=name, context=8) for name in ("prose", "cpp"))
    python = Data(name="python", context=8, mixed_with=cpp, mixed_share=0.1)
    fields = {"model": Model(heads=2), "lr": 0.1, "steps": 9, "seed": 0, "batch_size": 2, "data": python}
    run = Run(**fields, watched={"old": prose}, continual=Continual(past=(prose,)))
    study = Study("sound", "Why?", {"x": run}, Path())
    names = ["python", "cpp", "prose"]
    assert Studies({"sound": study}).corpus("sound", "x") == [f"results/data/{name}/manifest.json" for name in names]


def test_unknown_scale_ends_with_one_line(tmp_path):
    with pytest.raises(SystemExit, match="scale='smok' must be one of default, smoke"):
        Studies.load(tmp_path, scale="smok")


def test_studies_of_the_repository_are_sound_at_every_scale():
    for scale in ("default", "smoke"):
        assert Studies.load(scale=scale).problems == []


def test_hundred_studies_of_ten_runs_load_in_seconds(tmp_path):
    for i in range(100):
        write(tmp_path, f"s{i}", lines('RUNS = {f"r{i}": Run(**MLP, lr=0.1, steps=9, seed=i) for i in range(10)}'))
    began = time.process_time()
    assert len(list(Studies.load(tmp_path, scale="smoke"))) == 100
    assert time.process_time() - began < 3


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A throw-away copy of what a build needs, with one faulty study."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copy(provenance.ROOT / "Snakefile", root)
    for folder in ("common", "profiles", "studies", "envs"):
        shutil.copytree(provenance.ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    write(root, "bad", one(lr="-1"))
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
    assert "scale='huge' must be one of default, smoke (see common/scales.py)" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
