"""What a training sets for its process, and whether it can be compiled here."""

import ctypes
import dataclasses
import sys
from types import SimpleNamespace

import pytest
import torch

from common.training import process


@pytest.mark.parametrize("library", [SimpleNamespace(), None], ids=["another C library", "this one"])
def test_threads_and_small_numbers_are_set_on_any_c_library(monkeypatch, library):
    if library:
        monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    process.prepare(threads=1)
    assert torch.get_num_threads() == 1
    assert (torch.tensor(1e-40) * 1).item() == 0.0


def test_freed_memory_is_kept_where_the_c_library_can(monkeypatch):
    set_to = {}
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=set_to.__setitem__))
    process.prepare(threads=1)
    assert set_to[process.M_MMAP_THRESHOLD] == 32 << 20 and set_to[process.M_TRIM_THRESHOLD] == 1 << 30


def test_a_run_is_compiled_where_it_says_so_and_there_is_a_compiler(digits_run, monkeypatch):
    compiled = dataclasses.replace(digits_run, compile=True)
    monkeypatch.setenv("CXX", sys.executable)
    assert process.compiles(compiled) and not process.compiles(digits_run)
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not process.compiles(compiled)
    assert process.compiles(dataclasses.replace(compiled, device="cuda"))
