"""One study as MLflow is to show it: its question, and its figures and claims as one more run."""

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from common.runs import identity, origin
from common.runs.place import VERDICTS
from common.tracking import links, views
from common.tracking.record import EDITION, Record, digest

NEVER_MS = 1
"""Time of a study without runs: the earliest that MLflow does not take for "now"."""

FIGURES = ("pdf", "png", "csv", "json")

UNSAID = {"statement": "", "kind": "", "standing": "just judged"}
"""What is not known of a claim yet that has been judged alone, not with all others of its study."""

EXPERIMENT_NOTE = """**{question}**

**Step** is the number of updates behind the model, those of the runs it continues included. `train_loss` (minibatch)
and `val_loss` (fixed examples) are mean losses: nats per token for text (a token is a byte), else nats per example, or
half the squared error. `learning_rate` is the rate of the last update, `gradient_norm` is taken before clipping.

**Tags**: `arm` names the group that a run belongs to in comparisons, `seed` its random numbers, `parent` the run that
it continues; `status` is running, complete, diverged (a result; the reason is in `diverged`) or interrupted (the same
command resumes it). **Parameters** are the run's description, flattened.

`budget` is the number of updates behind a run's end, `figures` names the figures that it feeds.
The verdicts and figures are in the run **{study} figures and claims**. This is a mirror: all of it is read from
`results/`, and `snakemake mlflow` builds it again.
"""


def experiment_note(study: str) -> str:
    """What a reader of a study's experiment has to know."""
    return EXPERIMENT_NOTE.format(study=study, question=_question(study))


def _question(study: str) -> str:
    """First paragraph of the docstring of a study's study.py."""
    file = origin.ROOT / "studies" / study / "study.py"
    if not file.exists():
        return f"Study {study}"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or f"Study {study}"
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


@dataclass(frozen=True)
class Summary:
    """Figures and claims of a study."""

    study: str
    experiment: str
    files: tuple[tuple[str, Path], ...]
    """Artifact folder and file."""
    claims: tuple[dict[str, Any], ...]
    ended_ms: int
    """Unix milliseconds at which the last of the study's runs ended."""
    runs: tuple[Record, ...] = ()

    @classmethod
    def read(cls, results: Path, study: str, runs: Sequence[Record]) -> "Summary | None":
        """What a study has to show, or None if there is no figure and no claim yet."""
        figures, (found, sources) = _figures(results, study), _claims(results / study)
        if not sources and not figures:
            return None
        files = [("figures", file) for file in figures]
        files += [("claims", file) for file in (*sources, results / "claims.md") if file.exists()]
        experiment = runs[0].experiment if runs else study
        ended_ms = max((run.ended_ms for run in runs), default=NEVER_MS)
        return cls(study, experiment, tuple(files), tuple(found), ended_ms, tuple(runs))

    @property
    def name(self) -> str:
        """Name of the MLflow run."""
        return f"{self.study} figures and claims"

    @cached_property
    def digest(self) -> str:
        """Changes with any of the files, and with the runs that feed the figures, to which the note links."""
        parts = [f"{folder}/{file.name} {digest(file.read_bytes())}" for folder, file in self.files]
        parts += [f"{run.name} {run.figures}" for run in self.runs]
        return digest("\n".join([EDITION, str(self.ended_ms), *parts]).encode())

    def views(self, checkout: str | None) -> list[views.View]:
        """A saved view for each figure that the study's own runs feed."""
        fed = {name: [run for run in self.runs if f"{name};" in run.figures.split()] for name in self._drawn}
        return [
            views.of_figure(name, runs, checkout=checkout, saved_ms=self.ended_ms) for name, runs in fed.items() if runs
        ]

    @property
    def _drawn(self) -> list[str]:
        return [file.stem for folder, file in self.files if folder == "figures" and file.suffix == ".json"]

    def links(self, experiment: str, checkout: str | None = None) -> str:
        """A list of the views, as the end of a note."""
        found = [(view.name, view.key) for view in [views.overview(), *self.views(checkout)]]
        lines = [f"* {links.link(name, links.address_of(experiment, key))}" for name, key in found]
        study = links.link("Figures and verdicts", links.search(experiment, self.name))
        return "\n".join(["", "Views:", "", f"* {study}", *lines, ""])

    @property
    def tags(self) -> dict[str, str]:
        """Verdict and number of each claim, and where all this comes from; the note has the rest, and MLflow shows it
        below the tags where a window is narrow.
        """
        verdicts = {f"{claim['id']}.verdict": claim["verdict"]["verdict"] for claim in self.claims}
        verdicts |= {f"{claim['id']}.estimate": _ours(claim["verdict"]) for claim in self.claims}
        source = {"mlflow.source.name": f"studies/{self.study}", "mlflow.source.type": "LOCAL"}
        return {"study": self.study, "status": "complete", **verdicts, **source, "mlflow.note.content": self.note}

    @property
    def note(self) -> str:
        """The claims as a table."""
        lines = ["Figures (artifacts) and verdicts of this study.", ""]
        if self.claims:
            lines += ["| claim | verdict | ours | threshold | paper | statement |", "| --- " * 6 + "|"]
        for claim in self.claims:
            verdict = claim["verdict"]
            words = f"**{verdict['verdict']}** ({', '.join(filter(None, (claim['kind'], claim['standing'])))})"
            bar, paper = verdict.get("rule", ""), claim.get("published", "")
            cells = [claim["id"], words, _ours(verdict), bar, paper, claim["statement"]]
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
        return "\n".join([*lines, ""])


def _ours(verdict: dict[str, Any]) -> str:
    low, high = ("open" if verdict[end] is None else f"{verdict[end]:.3g}" for end in ("low", "high"))
    return f"{verdict['estimate']:.3g} [{low}, {high}] {verdict['unit']}"


def _claims(study: Path) -> tuple[list[dict[str, Any]], list[Path]]:
    """The claims of a study with the newest verdict on each, and the files that say so.

    They are put together in claims.json when all are judged; until then some verdicts are newer, or all there is.
    """
    whole = study / "claims.json"
    known = json.loads(whole.read_text(encoding="utf-8"))["claims"] if whole.exists() else []
    found, sources = {claim["id"]: claim for claim in known}, [whole] if whole.exists() else []
    for file in sorted((study / VERDICTS).glob("*.json")):
        judged = identity.read(file) or {}
        before = found.get(file.stem, {} if whole.exists() else UNSAID)
        if before and "verdict" in judged and judged["verdict"] != before.get("verdict"):
            found[file.stem] = {**before, **judged}
            sources.append(file)
    return list(found.values()), sources


def _figures(results: Path, study: str) -> list[Path]:
    """Files figures/<study>_*, without those of a study whose name begins with this one's name and an underscore."""
    longer = [path.name for path in results.glob(f"{study}_*/") if path.is_dir()]
    found = (file for end in FIGURES for file in (results.parent / "figures").glob(f"{study}_*.{end}"))
    return sorted(file for file in found if not any(file.name.startswith(f"{name}_") for name in longer))
