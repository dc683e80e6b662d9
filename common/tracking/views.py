"""What leads from a figure to its runs in MLflow: the tag that says so, and a saved view for each figure."""

import base64
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.tracking.links import OVERVIEW, owner_of
from common.tracking.record import Record

COLUMNS = (
    *(f"metrics.`{name}`" for name in ("val_loss", "best_val_loss", "mean_val_loss")),
    *(f"params.`{name}`" for name in ("schedule.kind", "lr")),
    *(f"tags.`{name}`" for name in ("budget", "arm", "seed", "parent", "status", "figures")),
)
"""Columns of the run table in every view; MLflow's own show no number."""

MOST_LINES = 12
"""A view of more runs than this shows those of one learning rate, the most frequent."""

CHARTS = {
    "val_loss": "Validation loss",
    "learning_rate": "Learning rate",
    "train_loss": "Training loss",
    "gradient_norm": "Gradient norm",
}


def figures_of(results: Path) -> dict[str, str]:
    """By full name of a run, the figures that it feeds, as the value of the tag `figures`: `wsd_loss; wsd_bound;`."""
    fed: dict[str, list[str]] = defaultdict(list)
    for file in sorted((results.parent / "figures").glob("*_*.json")):
        for run in _runs(file):
            fed[run].append(f"{file.stem};")
    return {run: " ".join(names) for run, names in fed.items()}


def _runs(file: Path) -> list[str]:
    """Full names of the runs that a figure was drawn from; none if its file is no provenance of a figure."""
    try:
        return [str(run) for run in json.loads(file.read_text(encoding="utf-8"))["runs"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


@dataclass(frozen=True)
class View:
    """A saved view: what MLflow calls it, under which key, and what it shows."""

    key: str
    name: str
    state: Mapping[str, Any]
    saved_ms: int

    @property
    def tag(self) -> tuple[str, str]:
        """Key and value of the experiment's tag that holds it."""
        packed = base64.b64encode(zlib.compress(json.dumps(self.state).encode(), 9)).decode()
        times = {"createdAt": self.saved_ms, "updatedAt": self.saved_ms}
        return f"{prefix('')}{self.key}", json.dumps({"name": self.name, **times, "state": f"deflate;{packed}"})


def prefix(owner: str) -> str:
    """How the tags of the views of an owner begin (see `owner_of`)."""
    return f"mlflow.sharedViewState.{owner}"


def views_of(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """Key and name of each saved view among the tags of an experiment, that of all runs first."""
    found = {key.removeprefix(prefix("")): value for key, value in tags.items() if key.startswith(prefix(""))}
    named = [(key, str(json.loads(value).get("name", key))) for key, value in sorted(found.items())]
    return sorted(named, key=lambda item: item[0] != OVERVIEW)


def overview() -> View:
    """All runs of an experiment as a table."""
    return View(OVERVIEW, "All runs", _state("", [], order="attributes.start_time"), 1)


def of_figure(figure: str, runs: Sequence[Record], *, checkout: str | None, saved_ms: int) -> View:
    """The runs that feed a figure, one seed of each, as charts."""
    members = [(record, swept) for record in runs for swept in record.sweep or [{}]]
    described = [(record, record.description | swept) for record, swept in members]
    seed = min((fields["seed"] for _, fields in described), default=0)
    shown = [(record, fields) for record, fields in described if fields["seed"] == seed]
    wanted = [f"tags.figures LIKE '%{figure};%'", f"tags.seed = '{seed}'"]
    if len(shown) > MOST_LINES:
        rate, _ = max(Counter(fields["lr"] for _, fields in shown).items(), key=lambda item: (item[1], item[0]))
        wanted.append(f"params.lr = '{rate}'")
        shown = [(record, fields) for record, fields in shown if fields["lr"] == rate]
    if checkout:
        wanted.append(f"tags.checkout = '{checkout}'")
    charts = [_chart(name, title, {}) for name, title in CHARTS.items()]
    charts[0]["range"] = _range(value for record, _ in shown for value in record.finals("val_loss"))
    name = f"Figure {figure}, seed {seed}" + (f" ({checkout})" if checkout else "")
    return View(
        f"{owner_of(checkout)}{figure}", name, _state(" and ".join(wanted), charts, order="tags.`arm`"), saved_ms
    )


def _range(finals: Iterable[float]) -> dict[str, float]:
    """Axis of a loss that shows its ends, and of the falls to them the last part; MLflow's own without any."""
    values = sorted(finals)
    if not values:
        return {}
    low, high = values[0], values[len(values) // 2]
    span = max(high - low, 0.1 * abs(low))
    return {"yMin": float(f"{low - span:.3g}"), "yMax": float(f"{high + 3 * span:.3g}")}


def _chart(metric: str, title: str, axis: Mapping[str, float]) -> dict[str, Any]:
    """A line chart of MLflow's; it drops one in which a field is missing."""
    return {
        "uuid": metric,
        "type": "LINE",
        "runsCountToCompare": 30,
        "metricSectionId": "section",
        "deleted": False,
        "isGenerated": False,
        "displayName": title,
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "lineSmoothness": 0,
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "range": dict(axis),
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }


def _state(query: str, charts: list[dict[str, Any]], *, order: str) -> dict[str, Any]:
    """What a view shows. MLflow folds the members of sweeps, and so hides their curves, in the order of starts only."""
    section = {"uuid": "section", "name": "Curves", "display": True}
    section |= {"isReordered": False, "deleted": False, "isGenerated": False}
    shown: dict[str, Any] = {"compareRunCharts": charts, "compareRunSections": [section]} if charts else {}
    return shown | {
        "searchFilter": query,
        "orderByKey": order,
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(COLUMNS),
        "runsHiddenMode": "SHOWALL",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
