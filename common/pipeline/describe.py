"""Print descriptions: `python -m common.pipeline.describe parametrizations`, or a run, as study/run."""

import argparse
import json
import math
import sys
from collections.abc import Iterable
from fractions import Fraction

from common.config import to_dict
from common.config.parametrization import DepthRule, Parametrization, rows
from common.pipeline.studies import Studies


def run(name: str) -> str:
    """The whole description of a run, defaults included, as JSON."""
    study, _, short = name.partition("/")
    return json.dumps(to_dict(Studies.load().run(study, short)), indent=1)


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
    parser.add_argument("what", metavar="WHAT", help="parametrizations, or a run as study/run")
    what = parser.parse_args().what
    try:
        print(parametrizations() if what == "parametrizations" else run(what))
    except LookupError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
