"""Training throughput against Hugging Face's GPT2LMHeadModel at equal sizes, and quality at equal steps.

A step is forward, backward, clip at norm 1 and torch's fused AdamW, in fp32 on one thread.
Needs the extra `benchmarks`. The ratio is the median over pairs of neighbouring steps; trust it on a quiet machine.

    python benchmarks/transformer_throughput.py --compile --json throughput.json
    python benchmarks/transformer_throughput.py --quality TEXT_FOLDER
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from common import models
from common.config import Transformer

VOCABULARY, CONTEXT = 256, 128
SIZES = ((64, 3, 2, 2.0), (128, 4, 4, 2.0), (256, 4, 4, 1.7))
"""Width, depth, heads, and the ratio aimed at."""
QUALITY_STEPS, QUALITY_WARMUP_STEPS, QUALITY_TAIL = 300, 30, 50
QUALITY_SEEDS, QUALITY_RATES = 3, (2e-3, 4e-3, 8e-3)

Forward = Callable[[Tensor], Tensor]


def gpt2(*, width: int, depth: int, heads: int) -> tuple[nn.Module, Forward]:
    """GPT-2 without dropout, with its default attention, from random weights."""
    shape = {"vocab_size": VOCABULARY, "n_positions": CONTEXT, "n_embd": width, "n_layer": depth, "n_head": heads}
    quiet = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": None, "eos_token_id": None}
    model = GPT2LMHeadModel(GPT2Config(**shape, **quiet))
    return model, lambda tokens: model(input_ids=tokens).logits


def ours(*, width: int, depth: int, heads: int, seed: int) -> tuple[nn.Module, Forward]:
    shapes = {"inputs": VOCABULARY, "outputs": VOCABULARY, "context": CONTEXT}
    generator = torch.Generator().manual_seed(seed)
    model = models.build(Transformer(width=width, depth=depth, heads=heads), **shapes, generator=generator)
    return model, model


def adamw(model: nn.Module, *, lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True)


def stepper(model: nn.Module, forward: Forward, optimizer: torch.optim.Optimizer) -> Callable[[Tensor, Tensor], Tensor]:
    parameters = list(model.parameters())

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(forward(inputs).view(-1, VOCABULARY), targets.view(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss

    return step


def interleaved(steps: dict[str, Callable], *, count: int, seconds: float) -> dict[str, list[float]]:
    """Seconds of each single step; the candidates take turns, so that a busy machine disturbs all alike."""
    generator = torch.Generator().manual_seed(1)
    inputs, targets = torch.randint(VOCABULARY, (2, count, CONTEXT), generator=generator).unbind()
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(3):
            step(inputs, targets)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, step in steps.items():
            start = time.perf_counter()
            step(inputs, targets)
            taken[name].append(time.perf_counter() - start)
    return taken


def throughput(*, seconds: float, compiled: bool) -> Iterator[dict[str, Any]]:
    """One row for each size, batch and candidate."""
    for width, depth, heads, target in SIZES:
        for count in (8, 32):
            shape = {"width": width, "depth": depth, "heads": heads}
            candidates = {"GPT2": gpt2(**shape), "ours": ours(**shape, seed=0)}
            if compiled:
                model, forward = ours(**shape, seed=0)
                candidates["ours, compiled"] = model, torch.compile(forward)
            steps = {name: stepper(*pair, adamw(pair[0], lr=1e-3)) for name, pair in candidates.items()}
            taken = interleaved(steps, count=count, seconds=seconds)
            for name, times in taken.items():
                yield {
                    "width": width,
                    "batch": count,
                    "model": name,
                    "tokens_per_second": count * CONTEXT / statistics.median(times),
                    "ratio": statistics.median(a / b for a, b in zip(taken["GPT2"], times, strict=True)),
                    "target": target,
                    "steps": len(times),
                    "load": os.getloadavg()[0],
                }


def windows(text: Tensor, *, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(QUALITY_STEPS):
        starts = torch.randint(len(text) - CONTEXT - 1, (8, 1), generator=generator)
        tokens = text[starts + torch.arange(CONTEXT + 1)].long()
        yield tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def final_loss(name: str, text: Tensor, *, lr: float, seed: int) -> float:
    """Mean training loss of the last `QUALITY_TAIL` steps, each on fresh windows, at width 64 (nats per byte)."""
    shape = {"width": 64, "depth": 3, "heads": 2}
    torch.manual_seed(seed)  # GPT2LMHeadModel draws from the global generator
    model, forward = gpt2(**shape) if name == "GPT2" else ours(**shape, seed=seed)
    optimizer = adamw(model, lr=lr)
    step = stepper(model, forward, optimizer)
    losses = []
    for t, batch in enumerate(windows(text, seed=seed)):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, (t + 1) / QUALITY_WARMUP_STEPS)
        losses.append(step(*batch).item())
    return statistics.mean(losses[-QUALITY_TAIL:])


def quality(folder: Path) -> Iterator[dict[str, Any]]:
    """One row for each model and learning rate: the loss of every seed, on the bytes of all files of a folder."""
    content = b"".join(path.read_bytes() for path in sorted(folder.rglob("*.py")))
    if len(content) < 1_000_000:
        raise SystemExit(f"--quality {folder} holds {len(content)} bytes of .py files; it needs at least 1000000")
    text = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    for name in ("GPT2", "ours"):
        for lr in QUALITY_RATES:
            losses = [final_loss(name, text, lr=lr, seed=seed) for seed in range(QUALITY_SEEDS)]
            yield {"model": name, "lr": lr, "mean_loss": statistics.mean(losses), "losses": losses}


def line(row: dict[str, Any]) -> str:
    cells = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values())
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too (needs a C++ compiler)")
    parser.add_argument("--seconds", type=float, default=40, help="time for each size and batch")
    parser.add_argument(
        "--quality", type=Path, metavar="FOLDER", help="compare losses on a folder of .py files instead"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    source = (
        quality(options.quality) if options.quality else throughput(seconds=options.seconds, compiled=options.compile)
    )
    for row in source:
        if not rows:
            print(f"| {' | '.join(row)} |\n|{'---|' * len(row)}", flush=True)
        rows.append(row)
        print(line(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
