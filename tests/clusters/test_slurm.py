"""Whatever Slurm does to jobs, the same command ends with the bytes of a local build. A real Slurm of one node."""

import json
import os
import subprocess

import pytest

from common.runs.progress import ATTEMPT
from tests.clusters import slurm
from tests.clusters.conftest import LONGER, SHORT, Checkout
from tests.clusters.slurm import Slurm, batch, run, wait

PROFILE = ("--workflow-profile", "profiles/slurm", "--config", "scale=default", "save_seconds=1", "--")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """One node with two cores."""
    if reason := slurm.obstacle():
        pytest.skip(reason)
    made = Slurm(tmp_path_factory.mktemp("slurm") / "one")
    yield made
    made.stop()


@pytest.fixture
def checkout(cluster, tmp_path):
    """A checkout with nothing built, on a cluster without jobs."""
    cluster.clear()
    yield Checkout(tmp_path / "checkout")
    cluster.clear()


def attempts(checkout, run: str) -> list[dict[str, str]]:
    record = json.loads((checkout.root / "results/tiny" / run / "run.json").read_text())
    return record.get("attempts", [])


def running(cluster, checkout, run: str) -> int:
    """The job that trains a run, as soon as it has saved a state."""
    wait(lambda: checkout.begun(run), f"{run} has saved a state", seconds=120)
    [job] = cluster.jobs(state="RUNNING")
    return job


def test_a_build_of_jobs_gives_the_bytes_of_a_local_one(cluster, checkout, local):
    before = max(cluster.jobs(state="all"), default=0)
    told = checkout.snakemake(*PROFILE, "tiny").stdout
    runs = ("trunk-s0", "trunk-s1", "branch-s0", "branch-s1", "sweep")
    for name in runs:
        assert checkout.files(name) == local.files(name)
        [attempt] = attempts(checkout, name)
        assert attempt["host"] == "n1" and int(attempt["slurm_job"]) > before and not attempts(local, name)
        assert f"  tiny/{name}  " in told
    for file in ("figures/tiny_loss.csv", "figures/tiny_loss.pdf", "results/tiny/claims.json"):
        assert (checkout.root / file).read_bytes() == (local.root / file).read_bytes()
    jobs = [job for job in cluster.jobs(state="all") if job > before]
    assert len(jobs) == len(runs), "claims and figures are no jobs of Slurm"
    asked = cluster.told(jobs[0])
    assert asked["TimeLimit"] == "00:15:00" and "mem=1375M" in asked["TRES"]
    assert not checkout.due("tiny")


def test_a_job_that_is_cancelled_is_started_again_and_goes_on(cluster, checkout, local, build):
    building = build(checkout, *PROFILE, SHORT)
    run("scancel", str(running(cluster, checkout, "long-s0")))
    told = building.end()
    assert "tiny/long-s0: stopped after update " in told and "(log: logs/tiny/long-s0.log)" in told
    assert checkout.files("long-s0") == local.files("long-s0")
    first, second = attempts(checkout, "long-s0")
    assert int(first["slurm_job"]) < int(second["slurm_job"])
    before, _, after = checkout.log("long-s0").partition(ATTEMPT)
    assert "stopped after update" in before and f"slurm job {second['slurm_job']}" in after


def test_at_its_time_limit_a_run_saves_and_the_next_attempt_goes_on(cluster, checkout, local, build):
    building = build(checkout, "--set-resources", "train:runtime=1", *PROFILE, LONGER)
    wait(lambda: cluster.jobs(state="TIMEOUT") or "stopped after" in building.told, "a limit is met", seconds=200)
    building.end()
    assert len(attempts(checkout, "long-s1")) >= 2
    assert checkout.files("long-s1") == local.files("long-s1")


def test_a_job_that_is_requeued_goes_on_under_its_own_number(cluster, checkout, local, build):
    building = build(checkout, *PROFILE, SHORT)
    job = running(cluster, checkout, "long-s0")
    run("scontrol", "requeue", str(job))
    wait(lambda: cluster.told(job)["JobState"] == "PENDING", "it waits", seconds=60)
    run("scontrol", "update", f"JobId={job}", "StartTime=now")
    building.end()
    assert [each["slurm_job"] for each in attempts(checkout, "long-s0")] == [str(job)] * 2
    assert checkout.files("long-s0") == local.files("long-s0")


def test_a_job_that_a_more_urgent_one_displaces_goes_on_afterwards(cluster, checkout, local, build, tmp_path):
    building = build(checkout, *PROFILE, SHORT)
    job = running(cluster, checkout, "long-s0")
    urgent = batch(tmp_path, "sleep 5", "--partition=urgent", "--exclusive", environment=dict(os.environ))
    wait(lambda: cluster.told(urgent)["JobState"] == "COMPLETED", "the urgent job is done", seconds=120)
    assert cluster.told(job)["JobState"] in ("FAILED", "PENDING", "RUNNING", "PREEMPTED")
    building.end()
    assert len(attempts(checkout, "long-s0")) == 2
    assert checkout.files("long-s0") == local.files("long-s0")


def test_what_a_lost_build_has_sent_is_not_trained_twice(cluster, checkout, local, build):
    lost = build(checkout, *PROFILE, SHORT)
    job = running(cluster, checkout, "long-s0")
    lost.kill()
    assert cluster.told(job)["JobState"] == "RUNNING"
    told = build(checkout, *PROFILE, SHORT).end()
    assert [each["slurm_job"] for each in attempts(checkout, "long-s0")] == [str(job)]
    assert "1 of 1 job done" in told
    assert checkout.files("long-s0") == local.files("long-s0")
    assert not checkout.due(SHORT)


def test_a_build_within_one_allocation_goes_on_in_the_next_one(cluster, checkout, local):
    command = f"exec {' '.join(checkout.command('--cores', '$SLURM_CPUS_ON_NODE'))}"
    script = f"{command} --config scale=default save_seconds=1 -- tiny {SHORT}"
    options = ("--cpus-per-task=2", "--mem=4000", "--time=10")
    first = batch(checkout.root, script, *options, environment=checkout.environment)
    wait(lambda: checkout.begun("long-s0"), "the long run has saved a state", seconds=120)
    run("scancel", str(first))
    wait(lambda: not cluster.jobs(), "it has ended", seconds=60)
    assert not (checkout.root / SHORT).exists() and "stopped after update " in checkout.log("long-s0")
    second = batch(checkout.root, script, *options, environment=checkout.environment)
    wait(lambda: not cluster.jobs(), "it has ended", seconds=300)
    told = (checkout.root / f"slurm-{second}.out").read_text()
    assert cluster.told(second)["JobState"] == "COMPLETED", told
    for name in ("trunk-s0", "trunk-s1", "branch-s0", "branch-s1", "sweep", "long-s0"):
        assert checkout.files(name) == local.files(name)
    assert [each["slurm_job"] for each in attempts(checkout, "long-s0")] == [str(first), str(second)]


def test_a_second_build_in_the_folder_of_one_whose_jobs_are_elsewhere_is_refused(cluster, checkout, build):
    first = build(checkout, *PROFILE, SHORT)
    running(cluster, checkout, "long-s0")
    second = subprocess.run(
        checkout.command(*PROFILE, SHORT),
        cwd=checkout.root,
        env=checkout.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1 and f"another snakemake (process {first.process.pid}) is building" in second.stderr
