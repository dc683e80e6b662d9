"""How often verdicts are wrong on simulated studies: `python -m tests.evidence.calibration` fills docs/evidence.md.

In every study the truth (mean, geometric mean or median, as the reading says) lies exactly on the threshold, so that
each verdict that is reached is wrong, and the share of either should be 2.5 % at most. Skewed noise has its tail above.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.evidence.combinations import all_of, any_of
from common.evidence.readings import MEAN, RATIO, TYPICAL, Reading
from common.evidence.verdicts import Verdict, greater
from tests.repository import ROOT

STUDIES = 4000
PAGE = ROOT / "docs/evidence.md"
SIZES = {"mean": (3, 5, 10), "ratio": (3, 5, 10), "typical": (3, 5, 6, 10)}
OTHERS = 3
"""Arms on other seeds whose scatter, pooled, is the least that is believed."""

Sample = Callable[[np.random.Generator, int], np.ndarray]


def evaluations(rng: np.random.Generator, n: int) -> np.ndarray:
    """A seed's own level, and the mean of its last 20 evaluations, which hang together (AR(1), 0.9)."""
    noise = rng.normal(size=(n, 60))
    for step in range(1, 60):
        noise[:, step] = 0.9 * noise[:, step - 1] + np.sqrt(1 - 0.9**2) * noise[:, step]
    return rng.normal(size=n) + noise[:, -20:].mean(axis=1)


def lognormal(sigma: float) -> Sample:
    return lambda rng, n: np.exp(sigma * rng.normal(size=n))


class Noise(NamedTuple):
    """Values of one seed each, with the numbers of the law that a reading may speak of."""

    draw: Sample
    mean: float
    median: float


NOISES = {
    "normal": Noise(lambda rng, n: 10 + rng.normal(size=n), 10, 10),
    "t with 3 degrees": Noise(lambda rng, n: 10 + rng.standard_t(3, size=n), 10, 10),
    "last 20 evaluations": Noise(lambda rng, n: 10 + evaluations(rng, n), 10, 10),
    "lognormal 0.5": Noise(lognormal(0.5), np.exp(0.125), 1),
    "lognormal 1.2": Noise(lognormal(1.2), np.exp(0.72), 1),
    "exponential": Noise(lambda rng, n: rng.exponential(size=n), 1, np.log(2)),
    "one seed in ten jumps": Noise(lambda rng, n: 10 + rng.normal(size=n) + 10 * (rng.random(n) < 0.1), 11, 10.1397),
}
SKEWED = ("lognormal 0.5", "lognormal 1.2", "exponential", "one seed in ten jumps")


class Rates(NamedTuple):
    """Shares of studies, in %."""

    above: float
    """That conclude "above", on the side of the tail."""
    below: float
    """That conclude "below", on the side where a tail that was not seen is missed."""

    @property
    def coverage(self) -> float:
        """Of the interval."""
        return 100 - self.above - self.below


def rates(judge: Callable[[np.random.Generator], Verdict], *, studies: int, seed: tuple[int, ...]) -> Rates:
    """Shares of supported and contradicted verdicts, of a claim that says "above"."""
    rng = np.random.default_rng(seed)
    words = [judge(rng).verdict for _ in range(studies)]
    return Rates(*(100 * words.count(word) / studies for word in ("supported", "contradicted")))


def readings(reading: Reading, noise: Noise, n: int, *, way: str) -> Callable[[np.random.Generator], Verdict]:
    """Judges one study whose truth lies on the threshold."""
    threshold = {"mean": noise.mean, "typical": noise.median, "ratio": noise.median}[reading.kind]

    def judge(rng: np.random.Generator) -> Verdict:
        used = reading
        if way == "spread":
            pooled = np.sqrt(np.mean([noise.draw(rng, n).var(ddof=1) for _ in range(OTHERS)]))
            used = replace(reading, spread=float(pooled))
        return greater(noise.draw(rng, n).tolist(), than=float(threshold), unit="", reading=used)

    return judge


WAYS = {
    "mean": (MEAN, "plain"),
    "mean, tail declared": (replace(MEAN, tail="up"), "plain"),
    "mean, spread of three other arms": (MEAN, "spread"),
    "ratio": (RATIO, "plain"),
    "typical": (TYPICAL, "plain"),
}


def cells() -> Iterator[tuple[str, str, int]]:
    """Every way of reading, noise and number of seeds of the table."""
    for way, (reading, _) in WAYS.items():
        noises = [name for name in NOISES if name.startswith("lognormal")] if reading.kind == "ratio" else NOISES
        noises = SKEWED if "declared" in way else noises
        yield from ((way, noise, n) for noise, n in product(noises, SIZES[reading.kind]))


def cell(way: str, noise: str, n: int, *, studies: int = STUDIES) -> Rates:
    """One cell of the table."""
    reading, how = WAYS[way]
    place = list(cells()).index((way, noise, n))
    return rates(readings(reading, NOISES[noise], n, way=how), studies=studies, seed=(1, place))


def combined(how: Callable[..., Verdict], parts: int, n: int, *, studies: int = STUDIES) -> Rates:
    """Claims of several parts, all truths on the threshold; each seed shares half of its variance between parts."""

    def judge(rng: np.random.Generator) -> Verdict:
        shared = rng.normal(size=n)
        return how(*(greater((shared + rng.normal(size=n)).tolist(), than=0.0, unit="") for _ in range(parts)))

    return rates(judge, studies=studies, seed=(2, parts, n, how is all_of))


def table() -> str:
    """Both tables as Markdown."""
    lines = ["| reading | noise | n | wrong towards the tail, % | wrong away from it, % | coverage, % |"]
    lines += ["|---|---|---|---|---|---|"]
    for way, noise, n in cells():
        found = cell(way, noise, n)
        lines.append(f"| {way} | {noise} | {n} | {found.above:.1f} | {found.below:.1f} | {found.coverage:.1f} |")
    lines += ["", "| claim | parts | n | falsely supported, % | falsely contradicted, % |", "|---|---|---|---|---|"]
    for how, parts, n in product((all_of, any_of), (2, 4, 8), (3, 5, 10)):
        found = combined(how, parts, n)
        lines.append(f"| `{how.__name__}` | {parts} | {n} | {found.above:.1f} | {found.below:.1f} |")
    return "\n".join(lines)


def main(page: Path = PAGE) -> None:
    """Fill in the page."""
    text = page.read_text(encoding="utf-8")
    block = f"<!-- calibration -->\n{table()}\n<!-- end -->"
    page.write_text(re.sub(r"<!-- calibration -->.*?<!-- end -->", lambda _: block, text, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    main()
