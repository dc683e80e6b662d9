"""Whole builds of a small study: new studies, equal bytes, two at once, and what MLflow holds afterwards."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests import faults
from tests.faults import doubled_metrics, recorded_metrics, start
from tests.repository import Repository


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Repository:
    """A checkout that is older than all results."""
    repository = Repository(tmp_path_factory.mktemp("builds") / "clone", studies=())
    repository.add_tiny_study()
    return repository


@pytest.fixture(scope="module")
def calm(clone, tmp_path_factory) -> Repository:
    """The tiny study, built once."""
    repository = Repository(tmp_path_factory.mktemp("builds") / "calm", studies=(), mirror=True)
    repository.add_tiny_study()
    (repository.root / "build.log").write_text(repository.snakemake("tiny").stdout)
    return repository


def test_a_log_has_one_line_for_each_job_and_few_others(calm):
    lines = (calm.root / "build.log").read_text().splitlines()
    ended = [line for line in lines if re.search(r"\b\d/8  ", line)]
    assert len(ended) == 8 and len(lines) <= 8 + 20 and not any("\x1b" in line for line in lines)
    for run in ("trunk-s0", "trunk-s1", "branch-s0", "branch-s1", "sweep"):
        assert sum(f"  tiny/{run}  " in line for line in ended) == 1
    assert "figures: tiny_loss.pdf in figures" in lines
    assert any(re.match(r"verdicts of tiny: 1 \w+$", line) for line in lines)


def test_slips_cost_one_or_two_lines_that_lead_to_the_cure(calm):
    target = calm.snakemake("figures/tiny_los.pdf", check=False).stdout.splitlines()[1:]
    assert target == ["no target figures/tiny_los.pdf; did you mean figures/tiny_loss.pdf?"]
    calm.edit("studies/tiny/study.py", "seed=7, sweep", "sede=7, sweep")
    try:
        study = calm.snakemake("tiny", "--dry-run", check=False).stdout.splitlines()[1:]
    finally:
        calm.edit("studies/tiny/study.py", "sede=7, sweep", "seed=7, sweep")
    assert study[0] == "no target tiny: the study tiny has problems, told below" and len(study) <= 3
    assert any("sede" in line and "did you mean seed?" in line for line in study[1:])


def test_another_build_in_another_order_gives_equal_bytes(calm, tmp_path):
    other = Repository(tmp_path / "other", studies=())
    other.add_tiny_study()
    first = "results/tiny/branch-s1/metrics.csv"
    order = other.snakemake("tiny", "--cores", "1", "--prioritize", first).stdout
    assert order.index("tiny/branch-s1") < order.index("tiny/sweep") and order.index("tiny/branch-s1") < order.index(
        "tiny/trunk-s0"
    )
    assert other.metrics() == calm.metrics() and len(calm.metrics()) == 5
    made = [f"figures/tiny_loss.{suffix}" for suffix in ("csv", "pdf", "png", "rst")]
    for file in [*made, "results/tiny/claims/T1.json", "results/tiny/claims.json"]:
        assert (other.root / file).read_bytes() == (calm.root / file).read_bytes()


def test_a_build_that_is_killed_and_repeated_ends_with_the_same_bytes(calm, tmp_path):
    found = faults.compare(tmp_path / "killed", calm, span=6.0, kills=3, seed=1)
    assert len(found["hits"]) == 3
    assert found["metrics_equal"] and found["figure_equal"]
    assert found["doubled"] == 0
    assert found["recorded"][0] == found["recorded"][1] > 0
    assert not found["leftovers"]


def test_the_figure_shows_the_verdict_that_is_in_the_claims(calm):
    [claim] = json.loads((calm.root / "results/tiny/claims.json").read_text())["claims"]
    assert (claim["id"], claim["statement"], claim["runs"]) == ("T1", "the decay ends below 3 nats", 2)
    assert claim["verdict"] == json.loads((calm.root / "results/tiny/claims/T1.json").read_text())["verdict"]
    about = json.loads((calm.root / "figures/tiny_loss.json").read_text())
    assert about["script"] == "studies/tiny/plot_loss.py"
    assert about["claims"] == {"T1": claim["verdict"]["verdict"]}
    first, *_, last = (calm.root / "figures/tiny_loss.rst").read_text().splitlines()
    assert first == "Validation loss against update." and last.startswith("T1 ") and claim["statement"] in last


@pytest.mark.parametrize(
    ("file", "old", "new", "judged"),
    [("claims", "ends below 3 nats", "ends low", False), ("verdicts", "than=3.0", "than=3.5", True)],
)
def test_a_claim_is_judged_again_for_its_function_not_for_its_words(calm, file, old, new, judged):
    path = f"studies/tiny/{file}.py"
    calm.edit(path, old, new)
    try:
        due = calm.due("tiny")
    finally:
        calm.edit(path, new, old)
    shown = {"figures/tiny_loss.pdf", "results/tiny/claims.json"}
    assert due == shown | ({"results/tiny/claims/T1.json"} if judged else set())
    assert not calm.due("tiny")


def test_mlflow_has_each_measurement_once(calm):
    files, store = recorded_metrics(calm)
    assert files == store > 0
    assert doubled_metrics(calm) == 0


def test_from_an_archive_everything_is_made_again_without_a_training(calm, tmp_path):
    fresh = Repository(tmp_path / "fresh", studies=())
    fresh.add_tiny_study()
    file = tmp_path / "tiny.tar.gz"
    for repository, arguments in ((calm, ["tiny", "--out", str(file)]), (fresh, ["--unpack", str(file)])):
        command = [sys.executable, "-m", "common.pipeline.archive", *arguments]
        subprocess.run(command, cwd=repository.root, env=repository.environment, check=True)
    assert not fresh.due("tiny") and fresh.metrics() == calm.metrics()
    made = [f"figures/tiny_loss.{suffix}" for suffix in ("csv", "json", "pdf", "png", "rst")]
    made += ["results/tiny/claims/T1.json", "results/tiny/claims.json"]
    for name in made:
        (fresh.root / name).unlink()
    trained = dates(fresh)
    fresh.snakemake("tiny")
    assert len(trained) == 5 and dates(fresh) == trained
    assert [name for name in made if (fresh.root / name).read_bytes() != (calm.root / name).read_bytes()] == []


@pytest.fixture(scope="module")
def other(calm, clone) -> Repository:
    """The checkout, to which the results were copied with their dates, without what Snakemake knows of them."""
    for folder in ("results", "figures"):
        shutil.copytree(calm.root / folder, clone.root / folder)
    return clone


def test_copied_results_are_kept_where_they_are_of_the_very_runs_and_trained_again_where_they_are_not(calm, other):
    figure = "figures/tiny_loss.pdf"
    other.edit("studies/tiny/study.py", "steps=60", "steps=50")
    states = {path: path.stat().st_ino for path in other.root.glob("results/tiny/*/state.safetensors")}
    assert other.due(figure) == {"results/tiny/sweep/run.json", figure}
    told = "copied results of another description, code or text: 1, to be trained again (tiny/sweep)"
    ahead = (time.time() + 3600,) * 2  # as if the clock had been set back after this training
    os.utime(other.root / "results/tiny/trunk-s0/metrics.csv", ahead)
    assert told in other.snakemake(figure).stdout
    again = [path.parent.name for path, inode in states.items() if path.stat().st_ino != inode]
    assert len(states) == 5 and again == ["sweep"]
    assert json.loads((other.root / "results/tiny/sweep/run.json").read_text())["description"]["steps"] == 50
    drawn = [(repository.root / figure).with_suffix(".csv").read_bytes() for repository in (calm, other)]
    assert drawn[0] != drawn[1] and other.metrics().keys() == calm.metrics().keys()
    assert not other.due("tiny")


def test_whatever_asks_for_a_training_again_only_what_is_damaged_is_trained(other):
    states = {path: path.stat().st_ino for path in other.root.glob("results/tiny/*/state.safetensors")}
    rows = other.root / "results/tiny/branch-s1/metrics.csv"
    before = rows.read_bytes()
    rows.write_bytes(before.replace(b"1", b"2", 1))
    said = other.snakemake("tiny", "--forcerun", "train").stdout
    assert said.count("trained before, and kept") == 4
    again = [path.parent.name for path, inode in states.items() if path.stat().st_ino != inode]
    assert again == ["branch-s1"] and rows.read_bytes() == before


def test_a_failure_says_in_one_line_what_why_and_where_its_log_is_and_all_of_it_stays_to_be_made(other):
    [verdict] = other.root.glob("results/tiny/claims/*.json")
    verdict.unlink()
    fault, claim = other.root / "fault", verdict.stem
    fault.touch()
    judge = "__import__('os').path.exists('fault') and 1 / 0"
    other.edit("studies/tiny/verdicts.py", "    return less(", f"    {judge}\n    return less(")
    own = '**SETTINGS | {"data": Files("nowhere", context=16)}'
    other.edit("studies/tiny/study.py", "import WSD,", "import Files, WSD,")
    other.edit("studies/tiny/study.py", '"sweep", **SETTINGS', f'"sweep", {own}')
    done = other.snakemake("tiny", check=False)
    assert done.returncode != 0 and "the same command goes on" in done.stdout.splitlines()[-1]
    assert f"failed: tiny/sweep, tiny_verdicts_{claim}" in done.stdout
    log = rf"logs/tiny/tiny_verdicts_{claim}\.log"
    for line in (
        r"tiny/sweep: DataError: path='.+/nowhere' is neither .+ \(log: logs/tiny/sweep\.log\)",
        rf"tiny_verdicts_{claim}: ZeroDivisionError: division by zero \(log: {log}\)",
    ):
        assert re.search(rf"^{line}$", done.stdout, re.MULTILINE)
    fault.unlink()
    made = ("results/tiny/sweep/run.json", "results/tiny/claims.json")
    assert other.due(*made) == {*made, f"results/tiny/claims/{claim}.json"}


def test_states_may_go_once_everything_is_made(calm):
    subprocess.run(
        [sys.executable, "-m", "common.pipeline.disk", "--remove"], cwd=calm.root, env=calm.environment, check=True
    )
    assert not list(calm.root.glob("results/tiny/*/state.safetensors"))
    assert not calm.due("tiny")


def test_a_build_goes_on_after_ctrl_c_and_a_second_one_at_the_same_time_says_who_is_building(calm, tmp_path):
    repository = Repository(tmp_path / "two", studies=())
    repository.add_tiny_study()
    stopped = start(repository)
    while not list(repository.root.glob("results/tiny/*/progress/metrics.csv")):
        assert stopped.poll() is None
    os.killpg(stopped.pid, signal.SIGINT)
    assert stopped.wait(timeout=60) != 0
    said = (repository.root / "build.log").read_text()
    assert "the same command goes on" in said and "Traceback" not in said
    assert re.search(r"^stopped: .*tiny/", said, re.MULTILINE) and "failed" not in said and "✗" not in said
    first = start(repository)
    try:
        while (repository.root / ".snakemake/owner").read_text().partition("@")[0] != str(first.pid):
            assert first.poll() is None
        second = repository.snakemake("tiny", check=False)
        assert second.returncode != 0
        assert f"another snakemake (process {first.pid})" in second.stdout
        assert "Traceback" not in second.stdout
        for question in ("--dry-run", "--summary"):
            assert repository.snakemake("tiny", question).returncode == 0, "plans and questions are free"
    finally:
        assert first.wait(timeout=300) == 0
    assert repository.metrics() == calm.metrics()


def test_a_new_study_builds_its_figure_and_comes_to_count(tmp_path):
    repository = Repository(tmp_path / "new", studies=())
    new = [sys.executable, "-m", "common.pipeline.new_study", "fresh"]
    subprocess.run(new, cwd=repository.root, env=repository.environment, check=True)
    repository.snakemake("figures/fresh_loss.pdf", "results/fresh/claims.json")
    assert (repository.root / "figures/fresh_loss.png").stat().st_size > 0
    assert len((repository.root / "studies/fresh/study.py").read_text().splitlines()) <= 30
    trained = dates(repository)
    add_figure(repository)
    done = repository.snakemake("figures/fresh_rate.pdf").stdout
    assert "1/1  figures/fresh_rate.pdf" in done
    assert trained and dates(repository) == trained
    assert (repository.root / "figures/fresh_rate.rst").read_text() == "Learning rate against update.\n"
    carry_through(repository)


def dates(repository: Repository) -> dict[str, int]:
    """When each run was trained, by its record."""
    return {str(path): path.stat().st_mtime_ns for path in repository.root.glob("results/*/*/run.json")}


def carry_through(repository: Repository) -> None:
    """Pilot, registration, and the verdict on seeds that are drawn from it."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "a study"]):
        subprocess.run([*git, *command], cwd=repository.root, check=True)
    repository.snakemake("--workflow-profile", "profiles/pilot", "--", "results/fresh/claims.json")
    register = [sys.executable, "-m", "common.pipeline.register", "fresh", "--underpowered", "F1"]
    subprocess.run(register, cwd=repository.root, env=repository.environment, check=True)
    repository.snakemake("results/fresh/claims.json")
    [claim] = json.loads((repository.root / "results/fresh/claims.json").read_text())["claims"]
    assert claim["standing"] == "underpowered" and claim["runs"] == 16
    ledger = json.loads((repository.root / "studies/fresh/ledger.json").read_text())
    assert [entry["block"] for entry in ledger] == ["pilot", "confirmatory"] and ledger[0]["seeds"] == [100, 101, 102]
    records = repository.root.glob("results/fresh/*/run.json")
    trained = {json.loads(record.read_text())["description"]["seed"] for record in records}
    assert trained == set(ledger[1]["seeds"]) and min(trained) >= 200


def add_figure(repository: Repository) -> None:
    """One script and one line."""
    (repository.root / "studies/fresh/plot_rate.py").write_text(NEW_FIGURE)
    line = 'FIGURES = [Figure("rate", runs=Select(lr=0.1)), '
    repository.edit("studies/fresh/study.py", "FIGURES = [", line)


NEW_FIGURE = '''\
"""Learning rate against update."""

from common.plotting import figure


def draw(runs):
    """The figure and the numbers drawn."""
    table = runs[["step", "learning_rate"]].dropna()
    fig, ax = figure(xlabel="update", ylabel="learning rate")
    ax.plot(table.step, table.learning_rate)
    return fig, table
'''
