"""`codecheck.yml`: the figures and verdicts that an independent check makes again, and with which commands.

After the CODECHECK configuration file specification 2.0. What only a check knows (codechecker, report, summary,
certificate) is left to it, and no identifier of a person is made up. `make readme` writes the file.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from common.pipeline import script
from common.pipeline.studies import Studies
from common.runs.origin import ROOT

FILE = "codecheck.yml"
SPECIFICATION = "https://codecheck.org.uk/spec/config/2.0/"
CITATION = "CITATION.cff"
HEAD = "# Made by `make readme`. Codechecker, report, summary and certificate are added by whoever checks."


def citation(root: Path = ROOT) -> dict[str, Any]:
    """What CITATION.cff says."""
    found: dict[str, Any] = yaml.safe_load((root / CITATION).read_text(encoding="utf-8"))
    return found


def text(studies: Studies, cited: Mapping[str, Any]) -> str:
    """The file, from the studies and from what is cited."""
    lines = ["---", HEAD, f"version: {_quoted(SPECIFICATION)}", "paper:", f"  title: {_quoted(cited['title'])}"]
    lines += ["  authors:", *(f"    - name: {_quoted(author['name'])}" for author in cited["authors"])]
    lines += [f"  reference: {_quoted(CITATION)}", "manifest:"]
    for file, comment in manifest(studies):
        lines += [f"  - file: {_quoted(file)}", f"    comment: {_quoted(comment)}"]
    return "\n".join(lines) + "\n"


def manifest(studies: Studies) -> Iterator[tuple[str, str]]:
    """Files that are made again, each with what it shows and how it is made."""
    for name in studies:
        study = studies[name]
        for figure in study.figures:
            file = f"figures/{name}_{figure}.pdf"
            title = script.read(study.folder / f"plot_{figure}.py").title
            yield file, f"{title} Made by `make {file}`."
        file = f"results/{name}/claims.json"
        yield file, f"The verdicts on the {len(study.claims)} claims of {name}. Made by `make {file}`."


def _quoted(value: str) -> str:
    """A string of YAML, which takes those of JSON."""
    return json.dumps(value, ensure_ascii=False)
