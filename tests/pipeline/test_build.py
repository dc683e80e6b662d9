"""One build per directory, told in one line; what a killed build left is no obstacle."""

import inspect
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from common.config import members
from common.pipeline import build, new_study
from common.pipeline.cost import own_updates
from common.pipeline.studies import Studies
from common.runs.origin import ROOT
from common.runs.owner import OWNER, this

OWN = """
import sys
from pathlib import Path
from common.pipeline import build
build.prepare(Path(sys.argv[1]), executing=sys.argv[2] == "build")
print("ready", flush=True)
sys.stdin.read()
"""


class Build:
    """A process that prepares a build in a directory and then waits."""

    def __init__(self, folder: Path, *, executing: str = "build") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN, str(ROOT), executing],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> bool:
        return self.process.stdout.readline() == "ready\n"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path):
    """Starts builds; ends them all after the test."""
    builds = []

    def begin(folder: Path = tmp_path, **how: str) -> Build:
        folder.mkdir(exist_ok=True)
        builds.append(Build(folder, **how))
        return builds[-1]

    yield begin
    for one in builds:
        one.end()


def test_a_second_build_ends_with_one_line_that_names_the_first(start, tmp_path):
    first = start()
    assert first.ready()
    second = start()
    output, error = second.process.communicate(timeout=20)
    assert second.process.returncode == 1
    assert output == ""
    assert error == (
        f"another snakemake (process {first.process.pid}) is building in {tmp_path}; wait for it or end it\n"
    )


def test_a_killed_build_leaves_no_obstacle(start, tmp_path):
    first = start()
    assert first.ready()
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir()
    (locks / "0.output.lock").touch()
    first.end()
    second = start()
    assert second.ready()
    assert not locks.exists()
    assert (tmp_path / ".snakemake/owner").read_text() == f"{second.process.pid}@{socket.gethostname()}"


def test_locks_of_a_living_build_stay(start, tmp_path):
    assert start().ready()
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir()
    assert not start().ready()
    assert locks.exists()


def test_other_directories_and_plans_are_not_blocked(start, tmp_path):
    others = [start(), start(tmp_path / "other"), start(executing="plan")]
    assert all(other.ready() for other in others)


@pytest.mark.parametrize(
    ("main", "dryrun", "arguments", "executes"),
    [
        (True, False, ["snakemake", "wsd", "--cores", "2"], True),
        (True, False, ["snakemake", "--report-after-run"], True),
        (True, False, ["snakemake", "dag"], True),
        (True, True, ["snakemake", "-n"], False),
        (False, False, ["snakemake", "wsd"], False),
        *(
            (True, False, ["snakemake", "wsd", option], False)
            for option in ("--summary", "-S", "--dag=mermaid-js", "-l")
        ),
        *((True, False, ["snakemake", option], False) for option in ("--list", "--lint", "--list-changes", "--report")),
    ],
)
def test_plans_questions_and_jobs_do_not_execute(main, dryrun, arguments, executes):
    workflow = SimpleNamespace(is_main_process=main, output_settings=SimpleNamespace(dryrun=dryrun))
    assert build.executes(workflow, arguments) == executes


def test_jobs_find_the_repository_and_the_owner(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"/elsewhere{os.pathsep}{tmp_path}")
    for name in (OWNER, *build.ONE_THREAD):
        monkeypatch.setenv(name, "0")
    for _ in range(2):
        build.prepare(tmp_path, executing=False)
    assert os.environ["PYTHONPATH"] == f"{tmp_path}{os.pathsep}/elsewhere"
    assert os.environ[OWNER] == this()
    assert {os.environ[name] for name in build.ONE_THREAD} == {"1"}
    assert not (tmp_path / ".snakemake").exists()


def test_a_checkout_that_was_made_with_a_clock_ahead_makes_no_result_old(tmp_path, monkeypatch):
    script = tmp_path / "common/pipeline/rules/train.py"
    script.parent.mkdir(parents=True)
    script.touch()
    os.utime(script, (time.time() + 3600,) * 2)
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", OWNER, *build.ONE_THREAD):
        monkeypatch.setenv(name, "")
    build.prepare(tmp_path, executing=True)
    assert script.stat().st_mtime <= time.time()


@pytest.mark.parametrize("name", ["{draft}", "why?"])
def test_a_folder_that_snakemake_cannot_name_is_refused_with_one_line(start, tmp_path, name):
    folder = tmp_path / name
    _, error = start(folder).process.communicate(timeout=20)
    assert error.startswith(f"{folder}: Snakemake cannot build where a path has ") and error.count("\n") == 1
    for fine in ("a b", "[old]", "user's", "\u00e9tude", "#1", "cash$HOME"):
        assert start(tmp_path / fine).ready()


def test_a_python_that_snakemake_cannot_call_is_refused_with_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", OWNER, *build.ONE_THREAD):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(build.sys, "executable", "/home/me/my study (1)/.venv/bin/python")
    with pytest.raises(SystemExit, match="it may hold no spaces, quotes or brackets; rename the folder, or make"):
        build.prepare(tmp_path, executing=True)


def test_a_full_disk_is_told_before_the_build(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", OWNER, *build.ONE_THREAD):
        monkeypatch.setenv(name, "")
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to("disk")
    free = {tmp_path: 500_000_000, tmp_path / "disk": 5_000_000}
    monkeypatch.setattr(build.shutil, "disk_usage", lambda path: SimpleNamespace(free=free[path.resolve()]))
    with pytest.raises(SystemExit, match="disk: 5 MB free; a build needs 200 MB"):
        build.prepare(tmp_path, executing=True)


@pytest.mark.parametrize("folder", ["", "results", ".snakemake"])
def test_a_folder_that_cannot_be_written_to_is_told_before_the_build(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", OWNER, *build.ONE_THREAD):
        monkeypatch.setenv(name, "")
    (tmp_path / folder).mkdir(exist_ok=True)
    closed = tmp_path / folder
    monkeypatch.setattr(build.os, "access", lambda path, _: path.resolve() != closed)
    with pytest.raises(SystemExit, match=f"{closed} is read-only, or not yours; a build writes to it"):
        build.prepare(tmp_path, executing=True)
    build.prepare(tmp_path, executing=False)


def job(rule: str, run: str) -> SimpleNamespace:
    return SimpleNamespace(rule=SimpleNamespace(name=rule), wildcards=SimpleNamespace(study="wsd", run=run))


def test_the_price_is_told_for_trainings_only(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    studies = Studies.load()
    name, run = next(iter(studies["wsd"].runs.items()))
    build.announce(studies, [job("train", name), job("claims", name)], cores=2)
    line, memory = capsys.readouterr().err.splitlines()
    assert line.startswith(f"1 run to train, {own_updates([run]):,} updates: about ")
    assert memory.startswith("memory: about ")
    build.announce(studies, [job("train", name)], cores=500, elsewhere=True)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("1 run to train, ") and "on 1 core (" in line
    build.announce(studies, [job("claims", name)], cores=2)
    assert capsys.readouterr().err == ""


def test_the_saving_of_shared_trunks_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    studies = Studies.load()
    name, branch = next((name, run) for name, run in studies["wsd"].runs.items() if run.parent_step)
    build.announce(studies, [job("train", branch.parent), job("train", name)], cores=2)
    trunk = studies["wsd"].runs[branch.parent]
    alone = own_updates([trunk, branch]) + len(members(branch)) * branch.parent_step
    assert f"would take {alone:,} updates" in capsys.readouterr().err


def test_a_caption_is_named_from_the_root_and_written_by_the_job_of_its_figure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert build.caption("figures/fresh_loss.rst") == str(tmp_path / "figures/fresh_loss.rst")
    assert list(tmp_path.iterdir()) == []


RULES = """
from pathlib import Path

import studies as package
from common.pipeline import build
from common.pipeline.studies import Studies

package.__path__[:] = [str(Path("studies").resolve())]
build.ROOT = Path.cwd()
STUDIES = Studies.load()

for name in ("fresh", "fresh_loss", "fresh_measure_path", "fresh_verdicts_F1", "fresh_verdicts_F2"):

    rule:
        name: name
        output: f"{name}.txt"
        shell: "touch {output}"

build.explain(workflow, STUDIES)
"""


def test_rules_that_are_made_in_loops_are_explained_in_the_list(tmp_path):
    folder = new_study.write("fresh", root=tmp_path)
    with (folder / "study.py").open("a") as file:
        file.write("\nfrom common.config import Measure\n\nMEASURES = [Measure('path')]\n")
    (folder / "measure_path.py").write_text('"""The path, in one line.\n\nMore."""\n\n\ndef measure():\n    pass\n')
    claims = (folder / "claims.py").read_text()
    more = (
        ' Claim("F2", "it is", verdict="larger_is_lower", source="a", **MORE, runs=Select(lr=[0.01, 0.1], seed=0)),\n'
    )
    same = ' Claim("F3", "it is", verdict="larger_is_lower", source="ours", **MORE, runs=Select(lr=[0.01, 0.1])),\n'
    head, _, rest = claims.partition("CLAIMS")
    rest = rest.replace("\n]\n", f"\n{more}{same}]\n")
    (folder / "claims.py").write_text(f"{head}MORE = {{'settings': {{'bar': 0.02}}}}\nCLAIMS{rest}")
    (tmp_path / "Snakefile").write_text(RULES)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--list"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == (
        "fresh (Every figure and verdict of the study fresh.)\n"
        "fresh_loss (Validation loss against update.)\n"
        "fresh_measure_path (The path, in one line.)\n"
        "fresh_verdicts_F1 (Verdicts on F1, F3 of fresh.)\n"
        "fresh_verdicts_F2 (Verdicts on F2 of fresh.)\n"
    ), done.stderr


def scripted(script: str | None) -> SimpleNamespace:
    return SimpleNamespace(rule=SimpleNamespace(script=script))


@pytest.mark.parametrize(
    ("scripts", "servers"),
    [
        (["figure.py", "judge.py", None], ["pictures"]),
        (["measure.py"], ["training"]),
        (["corpus.py", None], []),
        (["rules/train.py", "scoreboard.py"], ["training", "pictures"]),
    ],
)
def test_only_servers_that_have_something_to_do_are_started(monkeypatch, scripts, servers):
    started = []
    monkeypatch.setattr(build.forkserver, "start", lambda name, **_: started.append(name))
    monkeypatch.setattr(build.subprocess, "Popen", lambda command, **_: started.append(command[2]))
    build.Companions().start(map(scripted, scripts))
    assert started == [*servers, "common.tracking"]


def test_where_trainings_run_elsewhere_no_server_waits_for_them(monkeypatch):
    started = []
    monkeypatch.setattr(build.forkserver, "start", lambda name, **_: started.append(name))
    monkeypatch.setattr(build.subprocess, "Popen", lambda command, **_: started.append(command[2]))
    build.Companions().start(map(scripted, ["train.py", "measure.py", "figure.py"]), elsewhere=True)
    assert started == ["pictures", "common.tracking"]


EVERYWHERE = [SimpleNamespace(name=name) for name in ("INPUT_OUTPUT", "PERSISTENCE", "SOURCES")]


@pytest.mark.parametrize(
    ("provider", "shared", "refused"), [(None, EVERYWHERE, False), ("fs", EVERYWHERE, True), (None, [], True)]
)
def test_jobs_that_would_not_see_the_folder_are_refused_with_one_line(provider, shared, refused):
    settings = SimpleNamespace(default_storage_provider=provider, shared_fs_usage=shared)
    workflow = SimpleNamespace(storage_settings=settings)
    if not refused:
        build.check_storage(workflow)
        return
    with pytest.raises(SystemExit, match=r"jobs have to see the folder .* itself; mount it where they run") as end:
        build.check_storage(workflow)
    assert "\n" not in str(end.value)


@pytest.mark.parametrize(("settings", "cores"), [((4, None), 4), ((None, 500), 500), ((None, None), 1)])
def test_the_price_counts_cores_or_the_jobs_of_a_cluster(settings, cores):
    workflow = SimpleNamespace(resource_settings=SimpleNamespace(cores=settings[0], nodes=settings[1]))
    assert build.cores(workflow) == cores


@pytest.mark.parametrize(("elsewhere", "limit"), [(False, None), (True, "100 a second")])
def test_local_jobs_start_at_once_and_those_of_a_cluster_in_measure(elsewhere, limit):
    workflow = SimpleNamespace(non_local_exec=elsewhere, scheduler=SimpleNamespace(job_rate_limiter="100 a second"))
    build.start_at_once(workflow)
    assert workflow.scheduler.job_rate_limiter == limit
    assert "self.job_rate_limiter = " in inspect.getsource(JobScheduler.__init__), "Snakemake calls it otherwise now"


def test_companions_know_the_build_and_end_with_it(tmp_path, monkeypatch):
    started = []

    class Process:
        def __init__(self, command, *, start_new_session, pass_fds=()):
            started.append(command[: -2 if pass_fds else None])
            self.events = [start_new_session]

        def terminate(self):
            self.events.append("asked")

        def wait(self):
            self.events.append("waited for")

    monkeypatch.setattr(build.subprocess, "Popen", Process)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    companions = build.Companions()
    companions.start([scripted("../rules/train.py"), scripted("figure.py"), scripted(None)])
    companions.finish()
    assert [command[1:] for command in started] == [
        *(
            ["-m", "common.runs.forkserver", name, "--preload", code, "--owner", str(os.getpid())]
            for name, code in build.SERVERS.items()
        ),
        ["-m", "common.tracking", "watch", "--owner", str(os.getpid())],
    ]
    assert [process.events for process in companions.processes] == [[True, "asked", "waited for"]] * 3
