"""What a training sets for its whole process, and what the machine has for it."""

import ctypes
import os
import shutil
import sys

import torch

from common.config import Run

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of mallopt (glibc, malloc.h)."""


def prepare(*, threads: int) -> None:
    """Set the number of torch's threads, flush denormal numbers to zero, and keep freed memory for the next tensors.

    The last changes no number: by default the C library hands large blocks back to the system when a tensor goes, and
    each of its pages has to be made and cleared again for the next one, in every update. Where the C library is not
    glibc it stays as it is.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    if hasattr(library := ctypes.CDLL(None), "mallopt"):
        for parameter, size in ((M_MMAP_THRESHOLD, 32 << 20), (M_TRIM_THRESHOLD, 1 << 30), (M_TOP_PAD, 32 << 20)):
            library.mallopt(parameter, size)


def compiles(run: Run) -> bool:
    """Whether a run is compiled here: it says so, and for the processor there is a C++ compiler (g++, or CXX)."""
    found = shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++"))
    return run.compile and (run.device != "cpu" or found is not None)
