"""Which change makes which job run again, on the real graph at the smoke scale."""

import json
import os
import re
import shutil

import pandas as pd
import pytest

from common.evidence import claims
from common.tracking.summary import Summary
from tests.golden import rows
from tests.repository import Repository

SMOKE = ("--workflow-profile", "profiles/smoke")
WSD = (*SMOKE, "wsd")
"""The study that is edited, alone: a plan of everything takes three times as long."""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Repository:
    """A copy in which everything is built at the smoke scale."""
    repository = Repository(tmp_path_factory.mktemp("graph") / "copy")
    repository.snakemake(*SMOKE)
    return repository


@pytest.fixture
def copy(built):
    """The built copy; what a test edits is put back."""
    sources = [path for part in ("common", "studies") for path in (built.root / part).rglob("*") if path.is_file()]
    before = {path: (path.read_bytes(), path.stat()) for path in sources if "__pycache__" not in path.parts}
    yield built
    for path, (content, stat) in before.items():
        if path.read_bytes() != content:
            path.write_bytes(content)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def trained(outputs: set[str]) -> set[str]:
    return {path.split("/")[2] for path in outputs if path.endswith("run.json")}


def test_everything_is_there_and_a_second_run_has_nothing_to_do(built):
    assert "Nothing to be done" in built.snakemake(*SMOKE).stdout
    root = built.root / "scales/smoke"
    for figure in ("wsd_loss", "sharpness_eos"):
        for suffix in (".pdf", ".png", ".csv", ".json"):
            assert (root / f"figures/{figure}{suffix}").stat().st_size > 0
    scoreboard = (root / "results/claims.md").read_text()
    assert "W8" in scoreboard and "S1" in scoreboard and "scale `smoke`" in scoreboard


@pytest.mark.parametrize("run", rows.runs())
def test_the_rows_of_sampled_runs_are_what_they_were(built, run):
    """In bytes where this class of machine is known, else up to rounding (see tests/golden)."""
    results = built.root / "scales/smoke/results"
    known = rows.digests().get(rows.machine())
    if known is not None:
        assert rows.digest(results, run) == known[run], "an edit changed numbers: see tests/golden/__init__.py"
    if rows.kept(run).exists():
        assert not rows.differences(results, run)


def test_another_row_would_be_seen(built, tmp_path):
    run = next(run for run in rows.runs() if rows.kept(run).exists())
    (tmp_path / run).mkdir(parents=True)
    text = (built.root / "scales/smoke/results" / run / "metrics.csv").read_text()
    for old, new, wrong in (("", "", []), (text.splitlines()[-1], text.splitlines()[-2], ["columns or steps"])):
        (tmp_path / run / "metrics.csv").write_text(text.replace(old, new) if old else text)
        assert rows.differences(tmp_path, run) == wrong
    table = pd.read_csv(built.root / "scales/smoke/results" / run / "metrics.csv")
    table.assign(val_loss=1.05 * table.val_loss).to_csv(tmp_path / run / "metrics.csv", index=False)
    assert rows.differences(tmp_path, run) == ["val_loss"]


def test_every_rule_explains_itself(built):
    listed = re.findall(r"^([a-z_]+)(?: \((.+)\))?$", built.snakemake("--list").stdout, flags=re.MULTILINE)
    explained = dict(listed)
    assert explained["wsd_loss"].startswith("Validation loss of WSD")
    assert len(explained) > 60 and not [rule for rule, text in explained.items() if not text]


def test_docstrings_comments_and_layout_run_nothing(copy):
    copy.edit("common/training/loop.py", '"""The one training loop', '"""The one and only training loop')
    copy.edit("common/optim/decays.py", "import math", "import math  # trigonometry")
    copy.edit("common/plotting/panels.py", '"""One look', '"""A look')
    copy.edit("studies/wsd/study.py", "LANGUAGE_SEEDS = range(5)", "LANGUAGE_SEEDS = range(0, 5)  # the same seeds")
    assert copy.due(*WSD) == set()


def test_a_change_of_one_schedule_runs_its_runs_only(copy):
    copy.edit("common/optim/decays.py", "math.cos(math.pi *", "math.cos(3.0 *")
    again = trained(copy.due(*WSD))
    assert again and not any(name.startswith(("stable", "bigram-stable", "gd")) for name in again)
    assert any(name.startswith("cosine") for name in again)


def test_a_change_of_the_settings_of_one_arm_runs_that_arm_only(copy):
    copy.edit("studies/wsd/study.py", "ZERO_STEPS = (-2, -1, 0, 1)", "ZERO_STEPS = (-2, -1, 0, 1, 2)")
    again = copy.due(*WSD)
    assert trained(again) and all(name.startswith("cosine_zero") for name in trained(again))
    assert "figures/wsd_peaks.pdf" in again and "results/wsd/claims.json" in again


def test_a_change_of_a_trunk_runs_its_branches_too(copy):
    trunk = '**settings(rung, arm="stable"),\n'
    copy.edit("studies/wsd/study.py", trunk, f"{trunk}        log_every=40,\n")
    again = trained(copy.due(*WSD))
    assert any(name.startswith("stable") for name in again) and any(name.startswith("wsd") for name in again)
    assert not any(name.startswith("cosine") for name in again)


def test_a_change_of_a_plot_draws_one_figure(copy):
    copy.edit("studies/wsd/plot_s_vs_cosine.py", "height=4.6", "height=4.7")
    assert copy.due(*WSD) == {"figures/wsd_s_vs_cosine.pdf"}


def test_a_change_of_a_measurement_measures_again_and_judges(copy):
    copy.edit("studies/wsd/measure_entropy.py", "BUCKETS = 12", "BUCKETS = 6")
    again = copy.due(*WSD)
    assert not trained(again)
    assert {"results/wsd/entropy.csv", "figures/wsd_bigram.pdf", "results/wsd/claims.json"} <= again
    assert "results/wsd/interpolation.csv" not in again and "figures/wsd_loss.pdf" not in again


def test_a_change_of_a_threshold_judges_the_claim_again_and_redraws_what_shows_it(copy):
    copy.edit("studies/wsd/claims.py", '"margin": 0.01, "text": AVERAGED', '"margin": 0.012, "text": AVERAGED')
    again = copy.due(*SMOKE)
    assert not trained(again)
    assert {"results/wsd/claims/W8.json", "results/wsd/claims.json", "results/claims.md"} <= again
    assert {path for path in again if path.startswith("figures/wsd_")} == {"figures/wsd_loss.pdf"}


def test_other_words_of_a_claim_judge_nothing_and_redraw_what_shows_it(copy):
    copy.edit("studies/wsd/claims.py", "WSD is no worse than a", "WSD is not worse than a")
    again = copy.due(*SMOKE)
    scoreboards = {"results/wsd/claims.json", "results/claims.md", "figures/claims.pdf", "figures/verdicts.pdf"}
    assert again == {"figures/wsd_loss.pdf", *scoreboards}


def test_a_figure_asks_for_its_own_runs_and_claims_only(tmp_path):
    repository = Repository(tmp_path / "copy")
    due = repository.due(*SMOKE, "figures/wsd_loss.pdf")
    arms = {name.split("-")[0] for name in trained(due)}
    assert arms == {"stable", "wsd", "cosine"}
    verdicts = {path for path in due if path.startswith("results/wsd/claims/")}
    assert verdicts == {"results/wsd/claims/W1.json", "results/wsd/claims/W8.json"}, "the first of each judging job"
    assert not {path for path in due if path.startswith("figures/")} - {"figures/wsd_loss.pdf"}


def test_figure_scoreboard_and_mlflow_show_the_same_verdict(built):
    root = built.root / "scales/smoke"
    shown = 0
    for study in ("wsd", "sharpness", "lr_transfer", "stability_gap", "rewarming"):
        report = claims.read(root / f"results/{study}/claims.json")
        verdicts = {item.id: item.verdict.verdict for item in report.judged}
        for name, verdict in verdicts.items():
            kept = json.loads((root / f"results/{study}/claims/{name}.json").read_text())
            assert kept["verdict"]["verdict"] == verdict
            assert re.search(
                rf"^\| {name} \|.*\*\*{verdict}\*\*", (root / "results/claims.md").read_text(), re.MULTILINE
            )
        for file in (root / "figures").glob(f"{study}_*.json"):
            about = json.loads(file.read_text())
            shown += len(about["claims"])
            assert about["claims"].items() <= verdicts.items()
            assert about["script"] == f"studies/{study}/plot_{file.stem.removeprefix(f'{study}_')}.py"
            caption = file.with_suffix(".rst").read_text()
            assert all(
                re.search(rf"^{name} . {verdict}", caption, re.MULTILINE) for name, verdict in about["claims"].items()
            )
        mirrored = Summary.read(root / "results", study, [])
        assert {name: mirrored.tags[f"{name}.verdict"] for name in verdicts} == verdicts
    assert shown > 40


def test_a_broken_study_leaves_the_others_usable(copy):
    copy.add_tiny_study("broken")
    try:
        copy.edit("studies/broken/study.py", "decay_steps=100", "decay_step=100")
        done = copy.snakemake(*SMOKE, "--dry-run")
        assert "study broken, run branch-s0: schedule.decay_step=100 is no field of WSD" in done.stdout
        assert "(and 1 more run" in done.stdout
        assert "Nothing to be done" in done.stdout
    finally:
        shutil.rmtree(copy.root / "studies/broken")
