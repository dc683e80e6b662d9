"""`python -m common.new_study NAME`: a small complete study to start from (layer 3).

It trains in seconds, draws figures/NAME_loss.pdf with `snakemake figures/NAME_loss.pdf`, judges one claim, and is
meant to be changed line by line.
"""

import argparse
import sys
from pathlib import Path
from string import Template

from common import provenance, studies

FILES = {
    "study.py": '''\
"""Does $title reach a lower loss with a larger learning rate? (Replace this by your question.)"""

from common.config import Data, Model, Optimizer, Run

RUNS = {
    f"lr{lr:g}-s{seed}": Run(
        model=Model(kind="mlp", width=32, depth=2, activation="tanh"),
        data=Data(source="digits"),
        optimizer=Optimizer(kind="sgd", momentum=0.9),
        lr=lr,
        steps=200,
        batch_size=32,
        evaluate_every=20,
        seed=seed,
    )
    for lr in (0.01, 0.1)
    for seed in range(5)
}
''',
    "rules.smk": '''\
rule $name:
    """Every figure and verdict of the study $name."""
    input:
        STUDIES.figures("$name"),
        "results/$name/claims.json",


rule ${name}_loss:
    """Validation loss against update."""
    input:
        runs=STUDIES.outputs("$name"),
    output:
        report("figures/${name}_loss.pdf", category="$name"),
        multiext("figures/${name}_loss", ".png", ".csv", ".json"),
    log:
        "logs/figures/${name}_loss.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/$name/plot_loss.py"),
    script:
        "plot_loss.py"
''',
    "plot_loss.py": '''\
"""Validation loss against update, mean and 95 % interval over seeds ($name, figure 1)."""

from common.plotting import draw_band, figure, label_lines, mean_band, save, shades
from common.records import read_runs


def draw(runs):
    """The figure and the numbers drawn."""
    table = mean_band(runs[runs.val_loss.notna()], by=["lr", "step"], value="val_loss")
    fig, ax = figure(xlabel="update", ylabel="validation loss (nats)")
    curves, labels = list(table.groupby("lr")), []
    for (lr, curve), color in zip(curves, shades("reported", len(curves)), strict=True):
        draw_band(ax, curve, color)
        labels.append((curve.step.iloc[-1], curve["mean"].iloc[-1], f"lr {lr:g}", color))
    label_lines(ax, labels)
    return fig, table


if __name__ == "__main__":
    fig, table = draw(read_runs(snakemake.input.runs))
    save(fig, snakemake.output, data=table, runs=snakemake.input.runs)
''',
    "claims.py": '''\
"""Claims of the study $name."""

from common.claims import claim
from common.statistics import paired_differences
from common.verdicts import less


@claim("C1", "the larger rate ends lower", source="ours", published="", published_mark="none")
def larger_is_lower(runs):
    """The difference of the final validation losses, paired by seed, lies below 0."""
    final = runs[runs.step == runs.step.max()].pivot(index="seed", columns="lr", values="val_loss")
    return less(paired_differences(final[0.1], final[0.01]), than=0.0, unit="nats")
''',
    "README.md": """\
# $name

**Question.** Does $title reach a lower loss with a larger learning rate?

**Run it.** `snakemake figures/${name}_loss.pdf` draws the figure, `snakemake $name` adds the verdicts in
`results/$name/claims.json`.

**Read it** in this order: `study.py` (the runs), `rules.smk` (which runs feed which figure), `plot_loss.py` (the
figure), `claims.py` (what is claimed and when it holds).
""",
}


def write(name: str, *, root: Path = provenance.ROOT) -> Path:
    """Write the files of a new study.

    Raises:
        ValueError: the name cannot be one of a study, or there is such a study already.
    """
    folder = root / "studies" / name
    if rule := studies.name_problem(name):
        raise ValueError(f"NAME={name!r} {rule}")
    if folder.exists():
        raise ValueError(f"NAME={name!r}: {folder} exists already; choose another name")
    folder.mkdir(parents=True)
    for file, text in FILES.items():
        (folder / file).write_text(Template(text).substitute(name=name, title=name.replace("_", " ")), encoding="utf-8")
    return folder


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m common.new_study", description="Write a small complete study.")
    parser.add_argument("name", metavar="NAME", help="name of the study: its folder, its rules and its figures")
    try:
        folder = write(parser.parse_args().name)
    except ValueError as error:
        sys.exit(str(error))
    print(f"{folder} is ready; now: snakemake figures/{folder.name}_loss.pdf")


if __name__ == "__main__":
    main()
