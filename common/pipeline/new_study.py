"""`python -m common.pipeline.new_study NAME`: a small complete study to start from.

It trains in seconds, draws figures/NAME_loss.pdf with `snakemake figures/NAME_loss.pdf`, judges one claim, and is
meant to be changed line by line.
"""

import argparse
import re
import string
import sys
from itertools import count
from pathlib import Path
from string import Template

from common.pipeline import study
from common.runs.origin import ROOT

FILES = {
    "__init__.py": '''\
"""The study $name."""
''',
    "study.py": '''\
"""Does $title reach a lower loss with a larger learning rate? (Replace this by your question.)"""

from common.config import MLP, SGD, Digits, Figure, Run, Select

RUNS = [
    Run(
        f"lr{lr:g}-s{seed}",
        model=MLP(width=32, depth=2, activation="tanh"),
        data=Digits(),
        optimizer=SGD(momentum=0.9),
        lr=lr,
        steps=200,
        batch_size=32,
        evaluate_every=20,
        seed=seed,
    )
    for lr in (0.01, 0.1)
    for seed in range(8)
]

FIGURES = [Figure("loss", runs=Select(), claims=["$claim"])]
''',
    "plot_loss.py": '''\
"""Validation loss against update.

Mean and 95 % interval over seeds, for each learning rate.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Figure, draw_band, figure, label_lines, mark, mean_band, shades


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = mean_band(runs[runs.val_loss.notna()], by=["lr", "step"], value="val_loss")
    fig, ax = figure(xlabel="update", ylabel="validation loss (nats)")
    curves, labels = list(table.groupby("lr")), []
    for (lr, curve), color in zip(curves, shades("reported", len(curves)), strict=True):
        draw_band(ax, curve, color)
        labels.append((curve.step.iloc[-1], curve["mean"].iloc[-1], f"lr {lr:g}", color))
    label_lines(ax, labels)
    mark(ax, verdicts["$claim"])
    return fig, table
''',
    "claims.py": '''\
"""What the study $name claims, and on which runs each claim is judged."""

from common.config import Claim, Select

CLAIMS = [
    Claim(
        "$claim",
        "the larger rate ends lower",
        kind="ours",
        source="ours",
        verdict="larger_is_lower",
        settings={"bar": 0.02},
        runs=Select(),
        seeds=8,
    ),
]
''',
    "verdicts.py": '''\
"""When the claims of the study $name hold."""

import pandas as pd

from common.evidence.statistics import paired_differences
from common.evidence.verdicts import Verdict, less


def larger_is_lower(runs: pd.DataFrame, *, bar: float) -> Verdict:
    """The final validation loss is lower by at least the bar, paired by seed; weaker if it is lower by less."""
    final = runs[runs.step == runs.step.max()].pivot(index="seed", columns="lr", values="val_loss")
    return less(paired_differences(final[0.1], final[0.01]), than=-bar, null=0.0, unit="nats")
''',
    "README.md": """\
# $name

**Question.** Does $title reach a lower loss with a larger learning rate?

**Run it.** `snakemake figures/${name}_loss.pdf` draws the figure, `snakemake $name` adds the verdicts in
`results/$name/claims.json`.

**Make it count.** `make pilot STUDY=$name` trains three pilot seeds; with what they say, set the bar of each claim and
its seeds. `make register STUDY=$name` writes that down and draws fresh seeds, on which `snakemake $name` judges;
`make verdicts` keeps the verdicts, `make replicate STUDY=$name` tries them on further seeds (docs/evidence.md).

<!-- figures -->
<!-- end -->

<!-- claims -->
<!-- end -->

**Read it** in this order: `study.py` (the runs, and which of them feed which figure), `plot_loss.py` (the figure),
`claims.py` (what is claimed), `verdicts.py` (when it holds).
""",
}


def write(name: str, *, root: Path = ROOT) -> Path:
    """Write the files of a new study.

    Raises:
        ValueError: the name cannot be one of a study, or there is such a study already.
    """
    folder = root / "studies" / name
    if rule := study.name_problem(name):
        raise ValueError(f"NAME={name!r} {rule}")
    if folder.exists():
        raise ValueError(f"NAME={name!r}: {folder} exists already; choose another name")
    words = {"name": name, "title": name.replace("_", " "), "claim": _free_id(name, root)}
    folder.mkdir(parents=True)
    for file, text in FILES.items():
        (folder / file).write_text(Template(text).substitute(words), encoding="utf-8")
    return folder


def _free_id(name: str, root: Path) -> str:
    """An id for the first claim that no study has: with a letter of its own, of the name's if one is left."""
    texts = [path.read_text(encoding="utf-8") for path in root.glob("studies/*/claims.py")]
    taken: set[str] = {found for text in texts for found in re.findall(r'Claim\(\s*"([A-Z][0-9]+)', text)}
    letters = [letter for letter in (*name.upper(), *string.ascii_uppercase) if letter in string.ascii_uppercase]
    own = [letter for letter in letters if not any(found.startswith(letter) for found in taken)]
    ids = (f"{letter}{number}" for number in count(1) for letter in own or letters)
    return next(found for found in ids if found not in taken)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m common.pipeline.new_study", description="Write a small complete study."
    )
    parser.add_argument("name", metavar="NAME", help="name of the study: its folder, its rules and its figures")
    try:
        folder = write(parser.parse_args().name)
    except ValueError as error:
        sys.exit(str(error))
    print(f"{folder} is ready; now: snakemake figures/{folder.name}_loss.pdf")


if __name__ == "__main__":
    main()
