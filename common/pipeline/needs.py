"""What a training asks a cluster for: memory, minutes, GPUs. On one machine nothing is limited by it.

Each is a resource of rule `train`, so `--set-resources train:runtime=240` or a profile puts another value in its place.
"""

import math
from collections import defaultdict
from functools import cached_property
from pathlib import Path

from common.config import Run
from common.pipeline import cost
from common.runs.place import RESULTS

SNAKEMAKE_MB = 700
"""ASSUME: what the two Snakemakes that start a job on a node take beside it."""
SPARE = 1.5
"""Memory that is asked for over what such a run has taken before."""
GPU_MB = 4000
"""ASSUME: host memory of a process that has a GPU, beside what it takes without one."""
LEAST_MINUTES = 15
"""Shortest time that is asked for: starting and waiting for files take a part of it."""
SLOWER = 3
"""How many times the expected time a run may take before its limit; the next attempt goes on from its saved state."""


class Needs:
    """What runs need, from what is recorded of those before them.

    Args:
        results: folder with these records, read once.
    """

    def __init__(self, results: Path = RESULTS) -> None:
        self.results = results

    def memory_mb(self, run: Run, *, attempt: int = 1) -> int:
        """Megabytes of all processes of a run; more with each attempt, since the last may have ended for want of it."""
        known = self._taken.get(cost.key(run.model), cost.JOB_MB) * SPARE
        each = known + (GPU_MB if run.device == "cuda" else 0)
        return math.ceil(SNAKEMAKE_MB + attempt * run.ranks * each)

    def minutes(self, run: Run) -> int:
        """Minutes until a run is to be ended."""
        return math.ceil(max(LEAST_MINUTES, SLOWER * cost.seconds(run, self._speed) / 60))

    def gpus(self, run: Run) -> int:
        """GPUs that a run trains on: one for each of its processes, or none."""
        return run.ranks if run.device == "cuda" else 0

    @cached_property
    def _speed(self) -> cost.Speed:
        return cost.measured(self.results)

    @cached_property
    def _taken(self) -> dict[str, float]:
        """The most that a run of a model has taken, in megabytes."""
        taken: dict[str, float] = defaultdict(float)
        for run, record in cost.recorded(self.results):
            name = cost.key(run.model)
            taken[name] = max(taken[name], float(record.get("memory_mb") or cost.JOB_MB))
        return dict(taken)
