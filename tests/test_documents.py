"""The documents: their examples run, their links lead somewhere, and what lists kinds lists all of them."""

import doctest
import re
import typing
from pathlib import Path

import pytest

from common.config import DecayShape, Schedule
from common.runs.origin import ROOT

EXAMPLES = {"continual", "curvature", "parametrization", "schedules"}
"""Documents with examples; those of README.md and of docstrings run with the modules."""
DOCUMENTS = sorted(ROOT.glob("docs/*.md"))
BESIDE = [ROOT / folder / "README.md" for folder in ("benchmarks", "figures", "results")]
PAGES = sorted([*ROOT.glob("*.md"), *DOCUMENTS, *BESIDE, *ROOT.glob("studies/*/README.md")])
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_examples_run(path: Path):
    result = doctest.testfile(str(path), module_relative=False)
    assert result.failed == 0
    assert (result.attempted > 5) == (path.stem in EXAMPLES)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path):
    targets = [target for target in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_every_schedule_and_decay_shape_is_explained():
    text = (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8")
    assert [kind for kind in Schedule.kinds().values() if f"| `{kind.__name__}(" not in text] == []
    assert [shape for shape in typing.get_args(DecayShape) if f"| `{shape}` |" not in text] == []
