"""The GPUs of a machine, leased by trainings that run side by side: one run a GPU, or several small ones.

Snakemake counts GPUs and gives no numbers to its jobs, and a fork server knows nothing of the job that asks. So each
training takes a free slot itself, by a lock that its process holds until its end, and sees that GPU alone. This has to
happen before CUDA starts in the process.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import torch

from common.runs import origin

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Variable with the GPUs that a process sees; a scheduler or a person sets it, and so does a lease."""

SHARED_BY = "TRAINING_RUNS_PER_GPU"
"""Variable with how many trainings may have one GPU at once; 1 if it is not set."""

DRIVER = Path("/proc/driver/nvidia/gpus")
"""Has a folder for each GPU."""

WAIT_SECONDS = 0.5
"""Between two looks for a free slot."""

_held: list[TextIO] = []
"""The locks of this process."""


class GpuError(RuntimeError):
    """This machine has not the GPUs that a run asks for."""


def lease(count: int) -> None:
    """Have so many GPUs for the rest of this process, and see no others; wait until they are free.

    Raises: GpuError if there are fewer, or if TRAINING_RUNS_PER_GPU is no number of runs.
    """
    devices = visible()
    if len(devices) < count:
        raise GpuError(
            f"ranks={count} on device='cuda' needs {count} GPUs, and {len(devices)} are here "
            f"({VISIBLE}={os.environ.get(VISIBLE, 'not set')}); use fewer ranks, device='cpu', or another machine"
        )
    while len(found := _free(devices, count)) < count:
        for file in found.values():
            file.close()
        time.sleep(WAIT_SECONDS)
    _held.extend(found.values())
    os.environ[VISIBLE] = ",".join(found)
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def repeatable() -> None:
    """Have CUDA give the same bits each time: kernels that add in one order, chosen without trying, and no TF32.

    Where torch knows no such kernel it warns in the log of the run, and goes on.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def visible() -> list[str]:
    """The GPUs of this machine that may be used, as CUDA_VISIBLE_DEVICES names them; found without CUDA."""
    if (named := os.environ.get(VISIBLE)) is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(number) for number, _ in enumerate(sorted(DRIVER.glob("*")))]


def slots() -> int:
    """Trainings that may have one GPU at once.

    Raises: GpuError if TRAINING_RUNS_PER_GPU is no number of runs.
    """
    written = os.environ.get(SHARED_BY, "1")
    if not written.isdigit() or int(written) < 1:
        raise GpuError(f"{SHARED_BY}={written!r} must be how many runs may share a GPU, 1 or more")
    return int(written)


def _free(devices: Sequence[str], count: int) -> dict[str, TextIO]:
    """At most so many devices with a free slot, each with the lock on it; all first slots before any second one."""
    found: dict[str, TextIO] = {}
    for device, file in _locks(devices):
        if len(found) < count and device not in found and _locked(file):
            found[device] = file
        else:
            file.close()
    return found


def _locks(devices: Sequence[str]) -> Iterator[tuple[str, TextIO]]:
    """A file for each slot; those of a Slurm job are its own, since each job may count its GPUs from 0."""
    job = origin.scheduled().get("slurm_job", "local")
    folder = Path(tempfile.gettempdir()) / f"training-gpus-{os.getuid()}-{job}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for slot in range(slots()):
        for device in devices:
            yield device, (folder / f"{device.replace('/', '_')}.{slot}").open("w")


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
