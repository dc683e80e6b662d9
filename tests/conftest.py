"""Small data and runs that many tests share."""

import os
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # as builds do
import pytest
import torch

from common.config import MLP, SGD, WSD, AdamW, Digits, Files, Run, Transformer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The whole graph first: where files run side by side, the others fit beside it."""
    items.sort(key=lambda item: item.path.name != "test_graph.py")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """As the engine: one thread. And unlike after it: tiny numbers stay what they are."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def text_file(tmp_path_factory) -> Path:
    """A text of about 20 kB with structure that a small model can learn."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    words = ["river", "valley", "hill", "decay", "warm", "stable", "loss", "curve"]
    path.write_text(" ".join(words[(i * i + i // 7) % 8] for i in range(3500)))
    return path


@pytest.fixture
def text_run(text_file) -> Run:
    """Twelve updates of a tiny transformer on the small text."""
    return Run(
        model=Transformer(width=8, depth=1, heads=2),
        data=Files(str(text_file), context=16, validation_windows=8),
        optimizer=AdamW(weight_decay=0.1, clip=1.0),
        schedule=WSD(warmup_steps=2, decay_steps=4),
        lr=0.01,
        steps=12,
        batch_size=4,
        log_every=1,
        seed=1,
    )


@pytest.fixture
def digits_run() -> Run:
    """Ten updates of a small MLP on the digits."""
    return Run(
        model=MLP(width=16, depth=2, activation="tanh"),
        data=Digits(),
        optimizer=SGD(momentum=0.9),
        lr=0.05,
        steps=10,
        batch_size=32,
        log_every=1,
        seed=2,
    )
