"""Training throughput of the engine, with everything recorded, against a plain PyTorch loop over the same model.

python benchmarks/engine_overhead.py
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import data, models
from common.config import WSD, AdamW, Files, Run, Transformer
from common.runs.job import Job, train
from common.runs.place import Place
from common.streams import torch_stream


def description(*, steps: int, text: Path) -> Run:
    """The model and the settings of the study wsd, on any text, evaluated at the start and at the end only."""
    return Run(
        model=Transformer(width=64, depth=2, heads=2),
        data=Files(str(text), context=128, validation_windows=4),
        optimizer=AdamW(weight_decay=0.1, clip=1.0),
        schedule=WSD(warmup_steps=10, decay_steps=10),
        lr=3e-3,
        steps=steps,
        batch_size=8,
        seed=0,
    )


def plain(run: Run) -> float:
    """Seconds of the updates written with nothing but PyTorch; the loss is read at each, as divergence must be seen."""
    dataset = data.load(run.data, corpora=Path())
    shapes = {"inputs": dataset.inputs, "outputs": dataset.outputs, "context": dataset.context}
    model = models.build(run.model, **shapes, generator=torch_stream(run.seed, "weights"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=run.lr, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    began = time.perf_counter()
    for step in range(run.steps):
        inputs, targets = dataset.batch(seed=0, position=8 * step, count=8)
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
    return time.perf_counter() - began


def recorded(run: Run) -> float:
    """Seconds of the same updates as a job, by its own record: schedule, rows, saved states, progress."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place("benchmark", "run", Path(folder))
        train(Job(place=place, run=run, code="code", scale="default", save_seconds=10.0))
        return float(json.loads(place.record.read_text())["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_text("\n".join(path.read_text() for path in sorted(Path(torch.__file__).parent.glob("nn/**/*.py"))))
        run = description(steps=given.steps, text=text)
        pairs = [(plain(run), recorded(run)) for _ in range(given.repeats)]
    ratios = [own / other for other, own in pairs]
    tokens = given.steps * 8 * 128
    print("| loop | tokens/s (median) |\n|---|---|")
    print(f"| plain PyTorch | {tokens / statistics.median(other for other, _ in pairs):.0f} |")
    print(f"| engine, all recorded | {tokens / statistics.median(own for _, own in pairs):.0f} |")
    print(f"\ntime ratio engine / plain: median {statistics.median(ratios):.3f}, all {[f'{r:.3f}' for r in ratios]}")


if __name__ == "__main__":
    main()
