"""A build whose jobs would not see its folder ends before any of them is sent."""

import importlib.util

import pytest

from tests.clusters.conftest import SHORT, Checkout


def test_a_storage_provider_without_the_shared_folder_is_refused_in_one_line(tmp_path):
    if importlib.util.find_spec("snakemake_storage_plugin_fs") is None:
        pytest.skip("no snakemake-storage-plugin-fs: pip install -r envs/clusters.txt")
    checkout = Checkout(tmp_path / "checkout")
    away = ("--default-storage-provider", "fs", "--default-storage-prefix", str(tmp_path / "away"))
    done = checkout.snakemake(*away, "--shared-fs-usage", "persistence", "--", SHORT, check=False)
    [line] = [line for line in done.stdout.splitlines() if "default_storage_provider" in line]
    assert done.returncode == 1 and f"jobs have to see the folder {checkout.root} itself" in line
    assert not (checkout.root / "results").exists() and not (tmp_path / "away").exists()
