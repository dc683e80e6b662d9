"""One of the processes of a run with `ranks`: rank 0 keeps lock, files and terminal, the others only train.

    torchrun --standalone --nproc-per-node=2 -m common.runs.together JOB

where JOB is the plain description of the job, as JSON (see `Job.from_plain`).
"""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import distributed

from common import data
from common.runs import gpus
from common.runs.job import Job, Session, facts_of, train
from common.runs.owner import end_with_owner
from common.runs.progress import reason
from common.runs.ranks import FAILED
from common.runs.stop import Stop
from common.training.data_parallel import DataParallel, agreed, shared
from common.training.loop import Row, Training


class Leader(Session):
    """The session of rank 0: the ranks stop together, and must agree in every bit."""

    training = DataParallel

    def finish(self) -> None:
        """Compare the states of all ranks, then publish those of rank 0.

        Raises: RuntimeError if they differ.
        """
        found = self._digest()
        if agreed(found != shared(found)):
            raise RuntimeError("the states of the ranks differ: their sums are not the same twice on this machine")
        self._publish()

    def _digest(self) -> str:
        """SHA-256 of all states."""
        digest = hashlib.sha256()
        for state in self.states.values():
            for tensor in state.tensors.values():
                digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _publish(self) -> None:
        super().finish()

    def _meet(self) -> None:
        distributed.barrier()

    def _stopping(self) -> bool:
        return agreed(self.stop.is_set())


class Follower(Leader):
    """The session of another rank: no file, no line."""

    def _begin(self) -> None:
        pass

    def _write_record(self) -> None:
        pass

    def _open(self, size: int | None = None) -> None:
        pass

    def _write(self, row: Row) -> None:
        pass

    def _save(self, trainings: Mapping[int, Training]) -> None:
        pass

    def _publish(self) -> None:
        pass


def follow(job: Job) -> None:
    """Train as rank 0 does, unless it says that there is nothing to train."""
    stop = Stop(signal.SIGINT, signal.SIGTERM)
    end_with_owner()
    if not shared(None):
        datasets = data.load_all(job.run, corpora=job.place.corpora)
        Follower(job, stop, datasets, facts_of(job, datasets)).train()


def main() -> None:
    """Entry point of a process that torchrun has started."""
    plain = json.loads(sys.argv[1])
    on_gpu = plain["run"].get("device") == "cuda"
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        gpus.repeatable()
    try:
        if distributed.get_rank() == 0:
            train(Job.from_plain(plain, terminal=sys.stdout), session=Leader, told=shared)
        else:
            with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
                follow(Job.from_plain(plain, terminal=nowhere))
    except BaseException as problem:
        print(f"{FAILED}{reason(problem)}", flush=True)
        raise
    finally:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
