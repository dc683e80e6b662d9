"""How alike curves of networks of several widths are: before the edge of stability, in reaching it, and without it.

A table of curves holds one quantity by update (rows, ascending) and width (columns, ascending) for one seed. Measures
are taken by seed, so that an interval over seeds follows.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from common.evidence.statistics import log_log_slope

ARRIVED = 0.95
"""Share of 2/lr at which a curve counts as arrived."""
LAST_SHARE = 1 / 3
"""Part of a run, at its end, over which its ending is averaged."""
SHARPNESS = "effective_sharpness"
Measure = Callable[[pd.DataFrame], float]


def tables(runs: pd.DataFrame, *, arm: str, parametrization: str, value: str = SHARPNESS) -> dict[int, pd.DataFrame]:
    """Curves of a column by seed; updates at which it was not measured for every width are NaN there."""
    rows = runs[(runs.arm == arm) & (runs.parametrization == parametrization) & runs[value].notna()]
    if rows.empty:
        raise LookupError(f"no run with arm={arm!r} and parametrization={parametrization!r} has measured {value!r}")
    return {
        int(str(seed)): part.pivot(index="step", columns="width", values=value) for seed, part in rows.groupby("seed")
    }


def edge(runs: pd.DataFrame, *, arm: str) -> float:
    """2/lr of an arm whose runs share one base rate.

    Raises: ValueError if they do not.
    """
    rates = runs.lr[runs.arm == arm].unique()
    if len(rates) != 1:
        raise ValueError(f"arm={arm!r} has the rates {sorted(rates)}: curves of one edge need one base rate")
    return float(2 / rates[0])


def arrivals(curves: pd.DataFrame, edge: float) -> pd.Series:
    """First update at which each curve is at least 0.95 of the edge, NaN if it never is.

    ASSUME: between two measurements the logarithm is linear in the update.
    """
    return curves.apply(_arrival, level=np.log(ARRIVED * edge))


def _arrival(curve: pd.Series, *, level: float) -> float:
    known = np.log(curve.dropna())
    above = np.flatnonzero(known >= level)
    if not len(above):
        return float("nan")
    if above[0] == 0:
        return float(known.index[0])
    steps, heights = known.index[above[0] - 1 : above[0] + 1], known.iloc[above[0] - 1 : above[0] + 1]
    return float(np.interp(level, heights, steps))


def censored(curves: pd.DataFrame, edge: float) -> pd.Series:
    """Arrivals, at least 1, with the last measured update for curves that never arrive: a lower bound of their time."""
    return arrivals(curves, edge).fillna(float(curves.index[-1])).clip(lower=1)


def arrival_spread(curves: pd.DataFrame, edge: float) -> float:
    """Octaves between the first and the last arrival over widths; censored, so a lower bound if one never arrives."""
    times = np.log2(censored(curves, edge))
    return float(times.max() - times.min())


def arrival_delay(curves: pd.DataFrame, edge: float) -> float:
    """Octaves by which the widest arrives after the narrowest; a lower bound if the widest never arrives."""
    times = np.log2(censored(curves, edge))
    return float(times.iloc[-1] - times.iloc[0])


def distances(curves: pd.DataFrame, edge: float) -> pd.Series:
    """For each width but the widest: mean |log ratio| to the widest over the updates measured before either arrives."""
    widest = curves.columns[-1]
    times = arrivals(curves, edge).fillna(np.inf)
    gaps = curves.div(curves[widest], axis=0).map(np.log).abs()
    return pd.Series(
        {width: gaps[width][gaps.index < min(times[width], times[widest])].mean() for width in curves.columns[:-1]}
    )


def distance(curves: pd.DataFrame, edge: float) -> float:
    """Mean of `distances` over widths: 0 if all curves coincide before the edge."""
    return float(distances(curves, edge).mean())


def never(curves: pd.DataFrame, edge: float) -> int:
    """How many of the curves have not arrived by the end: their times are not known."""
    return int(arrivals(curves, edge).isna().sum())


def window(tables: Iterable[pd.DataFrame], edge: float) -> float:
    """First update at which any curve of any table arrives; infinite if none does."""
    return min(float(arrivals(curves, edge).fillna(np.inf).min()) for curves in tables)


def distance_until(curves: pd.DataFrame, end: float) -> float:
    """Mean over widths but the widest of mean |log ratio| to the widest, over the updates before `end`."""
    early = curves[curves.index < end]
    gaps = early.div(early[early.columns[-1]], axis=0).map(np.log).abs()
    return float(gaps.iloc[:, :-1].mean().mean())


def sharpening(curves: pd.DataFrame) -> pd.Series:
    """Largest over first value, by width."""
    return curves.max() / curves.iloc[0]


def sharpening_slope(curves: pd.DataFrame) -> float:
    """Slope of log2 of the sharpening factor per doubling of the width."""
    factors = sharpening(curves)
    return log_log_slope(list(factors.index), list(factors))


def ending(curves: pd.DataFrame) -> pd.Series:
    """Mean over the last third of the updates, by width."""
    late: pd.DataFrame = curves[curves.index >= (1 - LAST_SHARE) * curves.index[-1]]
    return late.mean()


def spread(curves: pd.DataFrame) -> float:
    """Standard deviation of the endings over widths, relative to their mean."""
    values = ending(curves)
    return float(values.std() / values.mean())


def errors(curves: pd.DataFrame) -> pd.DataFrame:
    """Finite-width error of each width but the widest: |value / value of the widest - 1|."""
    widest = curves.columns[-1]
    return curves.div(curves[widest], axis=0).sub(1).abs().drop(columns=widest)


def power_law(x: pd.Series, y: pd.Series) -> tuple[float, float]:
    """Factor a and exponent b of y = a x**b by least squares on the logarithms, NaN with fewer than two different x.

    Rows with x or y not above 0 are left out.
    """
    known = (x > 0) & (y > 0)
    if x[known].nunique() < 2:
        return float("nan"), float("nan")
    exponent = log_log_slope(list(x[known]), list(y[known]))
    factor = float(np.exp(np.mean(np.log(y[known]) - exponent * np.log(x[known]))))
    return factor, exponent
