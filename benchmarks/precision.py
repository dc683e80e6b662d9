"""Where bf16 training agrees with fp32 within seed noise, and how fast each is on classes of processors.

    python benchmarks/precision.py curves --seeds 5
    python benchmarks/precision.py speed

Both train transformers of the repository by its own loop, on one thread, on bytes of Python's and matplotlib's sources.
`speed` limits the instructions that oneDNN, MKL and torch may use, so that one processor stands for older ones; clock
and caches stay its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import data
from common.config import WSD, AdamW, Corpus, Run, Transformer
from common.data import Dataset, corpora
from common.training.loop import Training

SIZES = {64: (2, 2, 64, 8), 128: (4, 4, 128, 8), 256: (4, 8, 128, 8)}
"""Depth, heads, context and batch by width."""
CURVE_WIDTHS, CURVE_STEPS, CURVE_POINTS = (64, 128), 400, 10
PRECISIONS = ("fp32", "bf16")
CLASSES = {
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "AVX-512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
    "AVX-512 with bf16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
    "AMX": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"},
}
SPEED_SECONDS, SPEED_ROUNDS = 1.5, 3


def run(width: int, *, seed: int, precision: str) -> Run:
    depth, heads, context, batch = SIZES[width]
    return Run(
        model=Transformer(width=width, depth=depth, heads=heads),
        data=Corpus("python", context=context, validation_windows=64),
        optimizer=AdamW(weight_decay=0.1, clip=1.0),
        schedule=WSD(warmup_steps=CURVE_STEPS // 20, decay_steps=CURVE_STEPS // 5),
        lr=3e-3,
        steps=CURVE_STEPS,
        batch_size=batch,
        evaluate_every=CURVE_STEPS // CURVE_POINTS,
        log_every=CURVE_STEPS,
        seed=seed,
        precision=precision,
    )


def loaded(width: int, folder: Path) -> Dataset:
    return data.load(run(width, seed=0, precision="fp32").data, corpora=folder)


def curve(one: Run, dataset: Dataset) -> dict[int, float]:
    """Validation loss by update, evaluated in the precision that the run trains in."""
    return {int(row["step"]): float(row["val_loss"]) for row in Training(one, dataset) if "val_loss" in row}


def curves(folder: Path, *, seeds: int) -> Iterator[dict[str, Any]]:
    """One row for each size and point: seed noise of fp32 beside the paired difference of bf16."""
    for width in CURVE_WIDTHS:
        dataset = loaded(width, folder)
        found = {
            precision: [curve(run(width, seed=seed, precision=precision), dataset) for seed in range(seeds)]
            for precision in PRECISIONS
        }
        for step in found["fp32"][0]:
            plain, coarse = ([each[step] for each in found[precision]] for precision in PRECISIONS)
            apart = [b - a for a, b in zip(plain, coarse, strict=True)]
            yield {
                "width": width,
                "update": step,
                "fp32 (nats/byte)": statistics.mean(plain),
                "sd over seeds": statistics.stdev(plain),
                "bf16 minus fp32": statistics.mean(apart),
                "sd of that": statistics.stdev(apart),
            }


def speed(folder: Path) -> Iterator[dict[str, Any]]:
    """One row for each class and width: tokens/s of both precisions, classes taking turns, and their quotient."""
    taken: dict[tuple[str, int, str], list[float]] = {}
    for _ in range(SPEED_ROUNDS):
        for name, limits in CLASSES.items():
            command = [sys.executable, __file__, "measure", "--folder", str(folder)]
            done = subprocess.run(command, env=os.environ | limits, check=True, capture_output=True, text=True)
            for key, value in json.loads(done.stdout.splitlines()[-1]).items():
                width, precision = key.split()
                taken.setdefault((name, int(width), precision), []).append(value)
    for name in CLASSES:
        for width in SIZES:
            plain, coarse = (statistics.median(taken[name, width, precision]) for precision in PRECISIONS)
            yield {
                "class": name,
                "width": width,
                "fp32 tok/s": plain,
                "bf16 tok/s": coarse,
                "bf16 / fp32": coarse / plain,
            }


def measure(folder: Path) -> dict[str, float]:
    """Tokens per CPU second of a step, by width and precision."""
    found = {}
    for width, (*_, context, batch) in SIZES.items():
        dataset = loaded(width, folder)
        for precision in PRECISIONS:
            training = Training(replace(run(width, seed=0, precision=precision), log_every=10**9), dataset)
            for _ in range(3):
                training.step(training.backward())
            steps, start = 0, time.process_time()
            while time.process_time() - start < SPEED_SECONDS:
                training.step(training.backward())
                steps += 1
            found[f"{width} {precision}"] = steps * context * batch / (time.process_time() - start)
    return found


def line(row: dict[str, Any]) -> str:
    cells = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values())
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["curves", "speed", "measure"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        if not options.folder:
            corpora.build("python", out=folder / "python", packages=corpora.SMOKE_PACKAGES["python"])
        if options.what == "measure":
            print(json.dumps(measure(folder)))
            return
        rows = curves(folder, seeds=options.seeds) if options.what == "curves" else speed(folder)
        for number, row in enumerate(rows):
            if not number:
                print(f"| {' | '.join(row)} |\n|{'---|' * len(row)}")
            print(line(row), flush=True)


if __name__ == "__main__":
    main()
