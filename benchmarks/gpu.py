"""What a GPU gives: use of its peak by one transformer, members side by side against one by one, equal bits.

    python benchmarks/gpu.py                 # on a GPU: blocks of GPT-2 small (85 M weights), bf16, compiled
    python benchmarks/gpu.py --device cpu    # the same at toy size, to see that it works

The use of the peak (MFU) counts 6 operations for each weight and token, and 12 for each feature, block and position of
the context (Chowdhery et al. 2022, arXiv:2204.02311, appendix B). The peak is that of the data sheet (dense, bf16)
where the device is known, and else the best rate of large matrix products measured here.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from common import config, data
from common.config import MLP, SGD, AdamW, Corpus, Digits, Run, Transformer
from common.data import Dataset, corpora
from common.training.loop import Training
from common.training.vectorised import together

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "4090": 165e12, "V100": 125e12}
"""Operations per second of dense bf16 (V100: fp16) products, from the makers' data sheets, by a part of the name."""
SIZES = {"cuda": (768, 12, 12, 1024, 32), "cpu": (128, 2, 4, 128, 8)}
"""Width, depth, heads, context, batch."""
MEMBERS = {"cuda": (1, 16, 64, 256), "cpu": (1, 4, 16)}
SECONDS = {"cuda": 20.0, "cpu": 4.0}


def synchronised() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def rate(step: Callable[[], object], *, seconds: float) -> float:
    """Calls per second, after some to warm up."""
    for _ in range(5):
        step()
    calls, start = 0, synchronised()
    while (now := synchronised()) - start < seconds:
        step()
        calls += 1
    return calls / (now - start)


def peak(device: str, precision: str) -> tuple[float, str]:
    """Operations per second, and where the number is from."""
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    known = next((value for part, value in PEAKS.items() if part in name), None)
    if known and precision == "bf16":
        return known, f"{name}, data sheet"
    size = 8192 if device == "cuda" else 1024
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(2, size, size, device=device, dtype=kind).unbind()
    return rate(lambda: a @ b, seconds=2) * 2 * size**3, f"{name}, best product measured"


def text(device: str) -> Run:
    width, depth, heads, context, batch = SIZES[device]
    return Run(
        model=Transformer(width=width, depth=depth, heads=heads),
        data=Corpus("python", context=context, validation_windows=4),
        optimizer=AdamW(weight_decay=0.1, clip=1.0),
        lr=3e-4,
        steps=10**9,
        batch_size=batch,
        log_every=10**9,
        seed=0,
        device=device,  # type: ignore[arg-type]
    )


def step_of(run: Run, dataset: Dataset) -> tuple[Training, Callable[[], object]]:
    training = Training(run, dataset)
    return training, lambda: training.step(training.backward())


def one_transformer(device: str, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each precision, with and without compilation."""
    width, depth, _, context, batch = SIZES[device]
    dataset = data.load(text(device).data, corpora=folder)
    for precision in ("fp32", "bf16"):
        most, source = peak(device, precision)
        for compiled in (False, True):
            torch.compiler.reset()
            run = replace(text(device), precision=precision, compile=compiled)  # type: ignore[arg-type]
            training, step = step_of(run, dataset)
            weights = sum(weight.numel() for weight in training.model.parameters())
            tokens = rate(step, seconds=SECONDS[device]) * batch * context
            used = tokens * (6 * weights + 12 * depth * width * context)
            yield {
                "weights": weights,
                "precision": precision,
                "compiled": compiled,
                "tokens/s": tokens,
                "MFU": used / most,
                "peak (TFLOP/s)": most / 1e12,
                "of": source,
            }


def side_by_side(device: str, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each tiny network and number of members: updates of all members per second, together and one by one."""
    tiny = {
        "MLP 64": Run(model=MLP(width=64), data=Digits(), optimizer=SGD(), lr=0.1, steps=10**9, batch_size=64, seed=0),
        "transformer 32": replace(
            text(device),
            model=Transformer(width=32, depth=2, heads=2),
            data=Corpus("python", context=32, validation_windows=4),
            batch_size=8,
        ),
    }
    for name, shape in tiny.items():
        dataset = data.load(shape.data, corpora=folder)
        run = replace(shape, device=device, log_every=1)  # type: ignore[arg-type]
        _, alone = step_of(run, dataset)
        single = rate(alone, seconds=SECONDS[device] / 2)
        for count in MEMBERS[device]:
            sweep = replace(run, sweep={"seed": tuple(range(count))}, stacked=True)
            rows = together([Training(member, dataset) for member in config.members(sweep)])
            joint = rate(lambda rows=rows: next(rows), seconds=SECONDS[device] / 2) * count
            yield {"network": name, "members": count, "one by one": single, "together": joint, "gain": joint / single}


def repeats(device: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Whether two trainings of twenty updates have the same bits."""
    run = replace(text(device), steps=20)
    dataset = data.load(run.data, corpora=folder)
    for precision in ("fp32", "bf16"):
        found = []
        for _ in range(2):
            training = Training(replace(run, precision=precision), dataset)  # type: ignore[arg-type]
            list(training)
            found.append(torch.cat([weight.flatten() for weight in training.model.parameters()]))
        yield {"precision": precision, "equal bits in two repeats": torch.equal(*found)}


def line(row: dict[str, Any]) -> str:
    cells = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values())
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    device = parser.parse_args().device
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        corpora.build("python", out=folder / "python", packages=corpora.SMOKE_PACKAGES["python"])
        for table in (one_transformer, side_by_side, repeats):
            for number, row in enumerate(table(device, folder)):
                if not number:
                    print(f"\n| {' | '.join(row)} |\n|{'---|' * len(row)}")
                print(line(row), flush=True)


if __name__ == "__main__":
    main()
