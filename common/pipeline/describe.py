"""Print descriptions: `python -m common.pipeline.describe parametrizations`, a run as study/run, or a study by name."""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Iterable, Mapping
from fractions import Fraction

from common.config import to_dict
from common.config.parametrization import DepthRule, Parametrization, rows
from common.pipeline import cost
from common.pipeline.studies import Studies
from common.pipeline.terminal import words
from common.runs import identity
from common.runs.origin import ROOT
from common.runs.place import RESULTS, Place


def run(name: str) -> str:
    """The whole description of a run, defaults included, as JSON."""
    study, _, short = name.partition("/")
    return json.dumps(to_dict(Studies.load().run(study, short)), indent=1)


def study(name: str) -> str:
    """The runs of a study: what each costs, whether it is done, and which would run now, and why."""
    studies = Studies.load()
    described, speed = studies[name], cost.measured(RESULTS)
    due = planned(name)
    lines = [("run", "updates", "about", "state")]
    for short, each in described.runs.items():
        seconds = words.time(cost.seconds(each, speed))
        label = f"{name}/{short}"
        lines.append((short, f"{cost.own_updates([each]):,}", seconds, _state(Place(name, short), due.get(label))))
    others = [f"{label}: {why}" for label, why in due.items() if label.partition("/")[2] not in described.runs]
    also = ["", "besides, it would make", *(f"  {line}" for line in others)] if others else []
    counted = (
        f"{len(due.keys() & {f'{name}/{short}' for short in described.runs})} of {len(described.runs)} runs to train"
    )
    return "\n".join([f"{name}: {described.question}", counted, "", *words.columns(lines), *also])


def planned(name: str) -> Mapping[str, str]:
    """What `snakemake NAME` would run now, and why, by run or by file."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--dry-run", name]
    asked = [*command, "--config", "plan=json"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        raise LookupError(done.stderr.strip().rpartition("\n")[2])
    plan: dict[str, str] = json.loads(found[-1]) if found else {}
    return plan


def _state(place: Place, why: str | None) -> str:
    """How far a run is, and why it would be trained."""
    record = identity.read(place.record)
    done = "not trained" if record is None else f"{record.get('status')}, {words.time(float(record.get('seconds', 0)))}"
    if place.progress.exists():
        done = "begun" if record is None else f"{done}, begun again"
    return done if why is None else f"{done}; would be trained: {why}"


def parametrizations() -> str:
    """All rules and their sources, in Markdown."""
    head = ("role", "initial std", "product", "rate, sgd", "rate, adam", "epsilon")
    parts = []
    for name, entry in rows(Parametrization).items():
        cells = [(f"`{role}`", *(_power("m", power) for power in rule)) for role, rule in entry.rules.items()]
        logits = f"Attention logits: {_power('h', entry.attention)}."
        parts += [f"### `{name}`", f"{_sentence(entry.source)} {logits}", _table(head, cells)]
    deep = [
        (f"`{name}`", *(_power("r", power) for power in (rule.branch, rule.sgd, rule.adam, rule.epsilon)), rule.source)
        for name, rule in rows(DepthRule).items()
    ]
    parts += ["### Depth rules", _table(("rule", "branch", *(f"{name}, inside" for name in head[3:]), "source"), deep)]
    return "\n\n".join(parts)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _power(base: str, exponent: float) -> str:
    """A factor in words, such as 1, m, 1/m or m^(-1/2)."""
    if math.isnan(exponent):
        return "-"
    if exponent in (0, 1, -1):
        return {0: "1", 1: base, -1: f"1/{base}"}[int(exponent)]
    return f"{base}^({Fraction(exponent).limit_denominator(12)})"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m common.pipeline.describe", description=__doc__)
    parser.add_argument("what", metavar="WHAT", help="parametrizations, a run as study/run, or a study")
    what = parser.parse_args().what
    try:
        if what == "parametrizations":
            print(parametrizations())
        else:
            print(run(what) if "/" in what else study(what))
    except LookupError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
