"""What a training asks a cluster for follows from its description and from what such runs took before."""

import dataclasses
import json

from common.config import MLP, Digits, Run, to_dict
from common.pipeline import cost, needs
from common.pipeline.needs import Needs

RUN = Run(model=MLP(width=16, depth=2), data=Digits(), lr=0.1, steps=10, seed=0, batch_size=8)


def record(results, name: str, run: Run, *, seconds: float = 1.0, memory_mb: float) -> None:
    folder = results / "study" / name
    folder.mkdir(parents=True)
    written = {"description": to_dict(run), "seconds": seconds, "memory_mb": memory_mb, "status": "complete"}
    (folder / "run.json").write_text(json.dumps(written))


def test_memory_is_a_guess_until_a_run_of_the_model_is_recorded(tmp_path):
    assert Needs(tmp_path).memory_mb(RUN) == needs.SNAKEMAKE_MB + needs.SPARE * cost.JOB_MB
    record(tmp_path, "a", RUN, memory_mb=1000.0)
    record(tmp_path, "b", RUN, memory_mb=900.0)
    record(tmp_path, "c", dataclasses.replace(RUN, model=MLP(width=99)), memory_mb=5000.0)
    known = Needs(tmp_path)
    assert known.memory_mb(RUN) == needs.SNAKEMAKE_MB + needs.SPARE * 1000
    assert known.memory_mb(RUN, attempt=2) == needs.SNAKEMAKE_MB + 2 * needs.SPARE * 1000
    assert known.memory_mb(dataclasses.replace(RUN, ranks=2)) == needs.SNAKEMAKE_MB + 2 * needs.SPARE * 1000


def test_time_is_a_multiple_of_what_is_expected_and_never_too_short(tmp_path):
    assert Needs(tmp_path).minutes(RUN) == needs.LEAST_MINUTES
    long = dataclasses.replace(RUN, steps=10_000_000)
    expected = cost.seconds(long, {})
    assert Needs(tmp_path).minutes(long) == -(-needs.SLOWER * expected // 60) > needs.LEAST_MINUTES
    record(tmp_path, "a", RUN, seconds=2 * cost.expected(RUN), memory_mb=1.0)
    assert Needs(tmp_path).minutes(long) > 1.9 * Needs(tmp_path / "none").minutes(long)


def test_a_gpu_is_asked_for_each_process_of_a_run_that_trains_on_one(tmp_path):
    on_gpu = dataclasses.replace(RUN, device="cuda")
    asked = Needs(tmp_path)
    assert [asked.gpus(run) for run in (RUN, on_gpu, dataclasses.replace(on_gpu, ranks=4))] == [0, 1, 4]
    assert asked.memory_mb(on_gpu) == asked.memory_mb(RUN) + needs.GPU_MB
