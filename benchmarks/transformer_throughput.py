"""Training throughput against nanoGPT and Hugging Face's GPT2LMHeadModel at equal sizes, and quality at equal steps.

A step is forward, backward, clip at norm 1 and torch's fused AdamW, on one thread. Needs the extra `benchmarks`, for
compiled steps a C++ compiler, and for nanoGPT its file model.py (github.com/karpathy/nanoGPT). Candidates take turns
by tenths of a second, each in a process of its own; a ratio is the median over neighbouring turns, in CPU seconds.

    python benchmarks/transformer_throughput.py --nanogpt nanoGPT/model.py --json throughput.json
    python benchmarks/transformer_throughput.py --quality TEXT_FOLDER
"""

import argparse
import contextlib
import importlib.util
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
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

VOCABULARY = 256
CELLS = ((64, 2, 2, 64, 4), (128, 4, 4, 128, 8), (192, 6, 6, 256, 4), (384, 6, 6, 128, 8))
"""Width, depth, heads, context, batch."""
PRECISIONS = ("fp32", "bf16")
QUALITY_STEPS, QUALITY_WARMUP_STEPS, QUALITY_TAIL = 300, 30, 50
QUALITY_SEEDS, QUALITY_RATES, QUALITY_CONTEXT = 3, (2e-3, 4e-3, 8e-3), 128

Forward = Callable[[Tensor], Tensor]
"""Tokens (count, context) to logits."""
Loss = Callable[[Tensor, Tensor], Tensor]
"""Tokens and targets (count, context) to the mean loss, shape ()."""


def gpt2(*, width: int, depth: int, heads: int, context: int) -> tuple[nn.Module, Forward]:
    """GPT-2 without dropout, with its default attention, from random weights."""
    shape = {"vocab_size": VOCABULARY, "n_positions": context, "n_embd": width, "n_layer": depth, "n_head": heads}
    quiet = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": None, "eos_token_id": None}
    model = GPT2LMHeadModel(GPT2Config(**shape, **quiet))
    return model, lambda tokens: model(input_ids=tokens).logits


def ours(*, width: int, depth: int, heads: int, context: int, seed: int) -> tuple[nn.Module, Forward]:
    shapes = {"inputs": VOCABULARY, "outputs": VOCABULARY, "context": context}
    generator = torch.Generator().manual_seed(seed)
    model = models.build(Transformer(width=width, depth=depth, heads=heads), **shapes, generator=generator)
    return model, model


def nanogpt(file: Path, *, width: int, depth: int, heads: int, context: int) -> tuple[nn.Module, Loss]:
    """The model of nanoGPT without dropout and biases, as it recommends, with the loss that it computes itself."""
    spec = importlib.util.spec_from_file_location("nanogpt", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dynamo looks for its globals
    spec.loader.exec_module(module)
    shape = {"block_size": context, "vocab_size": VOCABULARY, "n_layer": depth, "n_head": heads, "n_embd": width}
    with contextlib.redirect_stdout(io.StringIO()):
        model = module.GPT(module.GPTConfig(**shape, dropout=0.0, bias=False))
    return model, lambda tokens, targets: model(tokens, targets)[1]


def cross_entropy(forward: Forward) -> Loss:
    return lambda tokens, targets: functional.cross_entropy(forward(tokens).flatten(0, 1), targets.flatten())


def adamw(model: nn.Module, *, lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True)


def stepper(model: nn.Module, loss_of: Loss, optimizer: torch.optim.Optimizer, *, precision: str = "fp32") -> Loss:
    parameters = list(model.parameters())

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_of(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss

    return step


PRODUCTS = "its products alone"
CANDIDATES = ("ours", "nanoGPT", "GPT2", PRODUCTS, "ours, compiled", "nanoGPT, compiled")
TURN_SECONDS = 0.1


def candidate(name: str, shape: dict[str, int], *, nano: str) -> tuple[nn.Module, Loss]:
    """A model and its loss by the name of the candidate."""
    kind, _, compiled = name.partition(", ")
    if kind == "nanoGPT":
        model, loss = nanogpt(Path(nano), **shape)
    else:
        model, forward = ours(**shape, seed=0) if kind == "ours" else gpt2(**shape)
        loss = cross_entropy(forward)
    return model, torch.compile(loss) if compiled else loss


def products(width: int, depth: int, tokens: int, *, kind: torch.dtype) -> Loss:
    """All matrix products of a step of ours and nothing else: what no step of this model can be faster than."""
    shapes = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)] * depth + [
        (width, VOCABULARY)
    ]
    sides = [(torch.randn(tokens, a, dtype=kind), torch.randn(b, a, dtype=kind)) for a, b in shapes]
    upstream = [torch.randn(tokens, b, dtype=kind) for _, b in shapes]

    def step(_: Tensor, targets: Tensor) -> Tensor:
        for x, weight in sides:
            x @ weight.t()
        for (x, weight), slope in zip(sides, upstream, strict=True):
            slope @ weight
            slope.t() @ x
        return targets

    return step


def stepping(name: str, *, cell: int, precision: str, nano: str) -> Loss:
    """One step of a candidate."""
    width, depth, heads, context, count = CELLS[cell]
    if name == PRODUCTS:
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        return products(width, depth, count * context, kind=kind)
    shape = {"width": width, "depth": depth, "heads": heads, "context": context}
    model, loss = candidate(name, shape, nano=nano)
    return stepper(model, loss, adamw(model, lr=1e-3), precision=precision)


def serve(name: str, *, cell: int, precision: str, nano: str) -> None:
    """Make steps for a turn at each line of standard input, and say the median of their CPU seconds."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    *_, context, count = CELLS[cell]
    step = stepping(name, cell=cell, precision=precision, nano=nano)
    inputs, targets = torch.randint(
        VOCABULARY, (2, count, context), generator=torch.Generator().manual_seed(1)
    ).unbind()
    for _ in range(5):
        step(inputs, targets)
    print("ready", flush=True)
    for _ in sys.stdin:
        taken: list[float] = []
        while sum(taken) < TURN_SECONDS:
            start = time.process_time()
            step(inputs, targets)
            taken.append(time.process_time() - start)
        print(statistics.median(taken), flush=True)


def raced(
    names: Sequence[str], *, cell: int, precision: str, nano: Path | None, seconds: float
) -> dict[str, list[float]]:
    """CPU seconds of a step in each turn: every candidate in a process of its own, one after the other."""
    command = [sys.executable, "-W", "ignore", __file__, "--cell", str(cell), "--precision", precision]
    command += ["--nanogpt", str(nano)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    running = {name: subprocess.Popen([*command, "--serve", name], **pipes) for name in names}
    taken: dict[str, list[float]] = {name: [] for name in names}
    for process in running.values():
        assert process.stdout.readline() == "ready\n", f"{process.args} ended"
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, process in running.items():
            process.stdin.write("\n")
            taken[name].append(float(process.stdout.readline()))
    for process in running.values():
        process.stdin.close()
        process.wait()
    return taken


def throughput(*, seconds: float, nano: Path | None) -> Iterator[dict[str, Any]]:
    """One row for each cell, precision and candidate, with its time over that of ours."""
    names = [name for name in CANDIDATES if nano or not name.startswith("nanoGPT")]
    for cell, (width, depth, _, context, count) in enumerate(CELLS):
        for precision in PRECISIONS:
            taken = raced(names, cell=cell, precision=precision, nano=nano, seconds=seconds)
            for name, times in taken.items():
                mine = taken["ours, compiled" if name.endswith("compiled") else "ours"]
                yield {
                    "width, depth, context, batch": f"{width}, {depth}, {context}, {count}",
                    "precision": precision,
                    "model": name,
                    "tokens/s": count * context / statistics.median(times),
                    "over ours": statistics.median(a / b for a, b in zip(times, mine, strict=True)),
                    "over ours, eager": statistics.median(a / b for a, b in zip(times, taken["ours"], strict=True)),
                    "turns": len(times),
                }


def windows(text: Tensor, *, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(QUALITY_STEPS):
        starts = torch.randint(len(text) - QUALITY_CONTEXT - 1, (8, 1), generator=generator)
        tokens = text[starts + torch.arange(QUALITY_CONTEXT + 1)].long()
        yield tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def final_loss(name: str, text: Tensor, *, lr: float, seed: int) -> float:
    """Mean training loss of the last `QUALITY_TAIL` steps, each on fresh windows, at width 64 (nats per byte)."""
    shape = {"width": 64, "depth": 3, "heads": 2, "context": QUALITY_CONTEXT}
    torch.manual_seed(seed)  # GPT2LMHeadModel draws from the global generator
    model, forward = gpt2(**shape) if name == "GPT2" else ours(**shape, seed=seed)
    optimizer = adamw(model, lr=lr)
    step = stepper(model, cross_entropy(forward), optimizer)
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
    parser.add_argument("--nanogpt", type=Path, metavar="FILE", help="its model.py")
    parser.add_argument("--seconds", type=float, default=40, help="time for each cell and precision")
    parser.add_argument(
        "--quality", type=Path, metavar="FOLDER", help="compare losses on a folder of .py files instead"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--serve", metavar="CANDIDATE", help=argparse.SUPPRESS)
    parser.add_argument("--cell", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, cell=options.cell, precision=options.precision, nano=options.nanogpt)
        return
    torch.set_num_threads(1)
    rows = []
    source = quality(options.quality) if options.quality else throughput(seconds=options.seconds, nano=options.nanogpt)
    for row in source:
        if not rows:
            print(f"| {' | '.join(row)} |\n|{'---|' * len(row)}", flush=True)
        rows.append(row)
        print(line(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
