"""One run on the nodes of a Slurm job: the bytes of the same run on two processes of one machine."""

import pytest

from tests.clusters import slurm
from tests.clusters.conftest import PAIRED, Checkout
from tests.clusters.slurm import Slurm

NODES = ("train:nodes=2", "train:tasks=2", "train:cpus_per_task=1", "train:mpi=srun")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two nodes with two cores each."""
    if reason := slurm.obstacle():
        pytest.skip(reason)
    made = Slurm(tmp_path_factory.mktemp("slurm") / "two", nodes=2)
    yield made
    made.stop()


def test_two_nodes_train_one_run_with_the_bytes_of_one_machine(cluster, local, tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    checkout.snakemake("--workflow-profile", "profiles/slurm", "--set-resources", *NODES, "--", PAIRED)
    assert checkout.files("pair") == local.files("pair")
    [job] = cluster.jobs(state="all")
    told = cluster.told(job)
    assert (told["NumNodes"], told["NodeList"]) == ("2", "n[1-2]")
    for node in cluster.nodes:
        assert f"launch task StepId={job}." in (cluster.folder / f"slurmd-{node}.log").read_text()
