"""A throw-away copy of this repository, and Snakemake in it: for tests of the real graph."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("Snakefile", "common", "envs", "profiles", "studies")

TINY = '''\
"""Does the tiny model learn? (A study of the tests.)"""

from common.config import WSD, AdamW, Bigram, Figure, Run, Select, Transformer

SETTINGS = {
    "model": Transformer(width=16, depth=1, heads=2),
    "data": Bigram(vocabulary=16, successors=4, context=16, validation_windows=16),
    "optimizer": AdamW(clip=1.0),
    "lr": 0.01,
    "batch_size": 4,
    "log_every": 2,
    "evaluate_every": 20,
}
TRUNKS = [Run(f"trunk-s{seed}", **SETTINGS, arm="trunk", steps=200, keep_steps=(100,), seed=seed) for seed in range(2)]
BRANCHES = [
    Run(
        f"branch-s{seed}",
        **SETTINGS,
        arm="branch",
        parent=f"trunk-s{seed}",
        parent_step=100,
        schedule=WSD(decay_steps=100),
        steps=100,
        seed=seed,
    )
    for seed in range(2)
]
SWEEP = Run("sweep", **SETTINGS, arm="sweep", steps=60, seed=7, sweep={"seed": (7, 8), "lr": (0.01, 0.02)})
RUNS = [*TRUNKS, *BRANCHES, SWEEP]

FIGURES = [Figure("loss", runs=Select(), claims=["ID"])]
'''

TINY_CLAIMS = '''\
"""Claims of the tiny study."""

from common.config import Claim, Select

CLAIMS = [
    Claim(
        "ID",
        "the decay ends below 3 nats",
        verdict="decay_is_low",
        source="ours",
        seeds=2,
        runs=Select(arm="branch"),
    ),
]
'''

TINY_VERDICTS = '''\
"""When the claims of the tiny study hold."""

from common.evidence.verdicts import less


def decay_is_low(runs):
    """Final validation loss of the branches."""
    return less(runs[runs.step == 200].set_index("seed").val_loss, than=3.0, unit="nats")
'''


class Repository:
    """A copy in a folder of its own.

    Args:
        root: where to put it.
        studies: names of the studies to keep; all if left out.
        mirror: whether its builds bring their runs to MLflow.
    """

    def __init__(self, root: Path, *, studies: tuple[str, ...] | None = None, mirror: bool = False) -> None:
        self.root = root
        self.mirror = mirror
        root.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, root / part)
        for folder in (root / "studies").iterdir():
            if studies is not None and folder.is_dir() and folder.name not in studies:
                shutil.rmtree(folder)

    def command(self, *arguments: str) -> list[str]:
        """How Snakemake is called in this copy."""
        return [sys.executable, "-m", "snakemake", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment without what a surrounding build may have set."""
        hidden = ("PYTHONPATH", "TRAINING_OWNER", "MLFLOW_TRACKING_URI")
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        return kept | ({} if self.mirror else {"TRAINING_MIRROR": "no"})

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end; its whole output is in `stdout`."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.root,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=3000,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"snakemake {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}")
        return done

    def due(self, *arguments: str) -> set[str]:
        """Outputs that Snakemake would make again, the first one of each job."""
        dry = self.snakemake(*arguments, "--dry-run", "--quiet", "host", "reason").stdout
        return {
            line.split(",")[0].removesuffix(" (update)")
            for line in re.findall(r"^    output: (.+)$", dry, flags=re.MULTILINE)
        }

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands in a file."""
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def add_tiny_study(self, name: str = "tiny") -> str:
        """A study with a trunk, a branch and a sweep that trains in seconds, and the figure of a new study.

        Returns: id of its claim, which no other study has.
        """
        new = [sys.executable, "-m", "common.pipeline.new_study", name]
        subprocess.run(new, cwd=self.root, env=self.environment, check=True, capture_output=True)
        folder = self.root / "studies" / name
        [claim] = re.findall(r'Claim\(\s*"(.+?)"', (folder / "claims.py").read_text(encoding="utf-8"))
        for file, text in {"study": TINY, "claims": TINY_CLAIMS, "verdicts": TINY_VERDICTS}.items():
            (folder / f"{file}.py").write_text(text.replace('"ID"', f'"{claim}"'), encoding="utf-8")
        return str(claim)

    def metrics(self) -> dict[str, bytes]:
        """Bytes of every metrics.csv, by path."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.glob("results/*/*/metrics.csv"))
        }
