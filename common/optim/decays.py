"""Shapes of a decay: each is a function named like the word of `config.DecayShape`.

A shape maps the share u of the decay that is done after an update, and the floor, to a factor: from 1 (u = 0) to
exactly `floor` (u = 1). The shapes inverse and exponential need a floor above 0.
"""

import math


def linear(u: float, floor: float) -> float:
    """Factor 1 - (1 - floor) u (Defazio et al. 2023, arXiv:2310.07831)."""
    return floor + (1 - floor) * (1 - u)


def cosine(u: float, floor: float) -> float:
    """Factor floor + (1 - floor)(1 + cos(pi u))/2 (Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5)."""
    return floor + (1 - floor) * (1 + math.cos(math.pi * u)) / 2


def sqrt(u: float, floor: float) -> float:
    """The factor floor + (1 - floor)(1 - root of u) (Haegele et al. 2024, arXiv:2405.18392)."""
    return floor + (1 - floor) * (1 - math.sqrt(u))


def inverse(u: float, floor: float) -> float:
    """1/factor = u/floor + (1 - u): linear in 1/rate; the floor must be above 0 (Wen et al. 2024, arXiv:2410.05192)."""
    return floor / (floor + (1 - floor) * u)


def exponential(u: float, floor: float) -> float:
    """Factor floor**u; the floor must be above 0 (Haegele et al. 2024, arXiv:2405.18392, in the authors' code)."""
    return float(floor**u)


def square(u: float, floor: float) -> float:
    """Factor floor + (1 - floor)(1 - u**2) (Haegele et al. 2024, arXiv:2405.18392, in the authors' code)."""
    return floor + (1 - floor) * (1 - u * u)


def inverse_sqrt(u: float, floor: float) -> float:
    """Factor 1 - (1 - floor) h(u)/h(1), h(u) = 1/sqrt(1 + 10 u) - 1 (Ibrahim et al. 2024, arXiv:2403.08763).

    The steepness 10 is ours.
    """
    steepness = 10.0
    done = (1 - 1 / math.sqrt(1 + steepness * u)) / (1 - 1 / math.sqrt(1 + steepness))
    return floor + (1 - floor) * (1 - done)
