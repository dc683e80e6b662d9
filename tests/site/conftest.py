"""A small repository with one study, its results and its kept verdicts, and the sites that are made of them."""

import importlib
import json
import sys
from pathlib import Path

import pytest

import studies as package
from common import config
from common.evidence import claims, committed, replications
from common.evidence.claims import Judged
from common.evidence.combinations import all_of
from common.evidence.committed import Committed, Kept
from common.evidence.comparison import compare
from common.evidence.replications import Replication
from common.evidence.verdicts import Verdict, greater, less, reported
from common.pipeline.studies import Studies
from common.site import write
from common.site.content import Site
from common.site.gather import gather

HOSTILE = "<script>alert('x')</script> & \"more\""
"""A text that must never become an element."""

STUDY = '''"""Is it <b>low</b>? After Wen et al. 2024 (arXiv:2410.05192)."""

from common.config import *

SMALL = {"model": MLP(), "data": Digits(), "optimizer": SGD()}
RUNGS = [Rung("1k", parameters=1000, bytes_per_parameter=30, batch=4, large=True)]
RUNS = [
    Run("trunk", **SMALL, arm="trunk", lr=0.1, steps=8, seed=0, sweep={"seed": (0, 1, 2)}, keep_steps=(4,)),
    Run("branch", **SMALL, arm="branch", lr=0.1, steps=6, seed=0, sweep={"seed": (0, 1, 2)}, parent="trunk",
        parent_step=4),
    Run("rates+1.5", **SMALL, arm="rates", lr=0.1, steps=8, seed=0, sweep={"lr": (0.01, 0.1, 1.0), "seed": (0, 1)}),
]
FIGURES = [
    Figure("loss", runs=Select(arm=["trunk", "branch"]), claims=["X1"]),
    Figure("rates", runs=Select(arm="rates")),
]
'''
CLAIMS = f'''"""What is claimed."""

from common.config import Claim, Select

CLAIMS = [
    Claim("X1", {HOSTILE!r}, verdict="is_low", source="Wen et al. 2024, figure 1", published="gap 0.5",
          mark="published", runs=Select(arm="branch"), settings={{"bar": 0.1}}, caveat="one size <only>"),
    Claim("X2", "all of it holds", verdict="holds", kind="theory", source="derived here", runs=Select()),
    Claim("X3", "a number", verdict="is_low", kind="ours", source="ours", runs=Select(arm="rates")),
]
'''
VERDICTS = '''"""When it holds."""


def is_low(runs, bar=0.1):
    """Below <the bar>."""
    return None


def holds(runs):
    """All parts."""
'''
PLOT = '"""Loss & <i>more</i>.\n\nThe second paragraph names `code`."""\n\n\ndef draw(runs{more}):\n    return None\n'
README = "# toy\n\n**Question.** Is it?\n\n**Answer.** It is **low**, see [x](y.md) <b>.\n\n## More\n"
CHANGELOG = """# Changelog

## [0.2.0] - unreleased

### Verdicts

* `toy`: X1 was judged
  again.

### Code

* Nothing.

## [0.1.0] - 2026-01-01
"""
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c63606060f80f0001040100a2d5b1290000000049454e44ae426082"
)


def verdicts() -> dict[str, Verdict]:
    low = greater([0.5, 0.6, 0.7], than=0.1, unit="nats", null=0.0, published=0.5, label="low")
    parts = [low, less([0.1, 0.2, 0.3], than=0.5, unit="x", label="part <2>"), greater([1, 2, 9], than=0, unit="nats")]
    return {"X1": low, "X2": all_of(*parts), "X3": reported([1.0, 2.0], unit="")}


def _repository(root: Path) -> None:
    home = root / "studies" / "toy"
    home.mkdir(parents=True)
    texts = {"study.py": STUDY, "claims.py": CLAIMS, "verdicts.py": VERDICTS, "README.md": README}
    texts |= {"plot_loss.py": PLOT.format(more=", verdicts"), "plot_rates.py": PLOT.format(more="")}
    for name, text in texts.items():
        (home / name).write_text(text, encoding="utf-8")
    (root / "CHANGELOG.md").write_text(CHANGELOG, encoding="utf-8")
    (root / "docs").mkdir()
    (root / "docs" / "toy_loss.png").write_bytes(PIXEL)
    old = {"verdict": "undecided", "ours": "0.2 <old>", "from": "first edition"}
    known = Kept("contradicted", "0.3 [0.1, 0.5]", earlier=(old,), details=verdicts()["X1"].to_dict())
    kept = {"X1": known, "X2": Kept("supported", "in words")}
    found = Committed(1, "default", "0123456789", "2 cores <x>", "3 min", {"torch": "2"}, kept)
    committed.write(found, home)
    again = compare("X1", verdicts()["X1"], verdicts()["X1"])
    replications.write(Replication(study="toy", number=1, commit="c", machine="m", claims=[again]), home)


def _results(root: Path, studies: Studies, scale: str) -> Path:
    results = root / scale / "results"
    for name, run in studies["toy"].runs.items():
        folder = results / "toy" / name
        folder.mkdir(parents=True)
        start, members = 4 if run.parent else 0, config.combinations(run.sweep)
        fields = list(run.sweep)
        rows = [",".join(["member", *fields, "step", "learning_rate", "val_loss", "val_loss_bound"])]
        for index, swept in enumerate(members):
            for step in range(start, start + run.steps + 1):
                values = [index, *swept.values(), step, "" if step == start else run.lr, 3 / (1 + step) + index, 9]
                rows.append(",".join(map(str, values)))
        (folder / "metrics.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        facts = {"study": "toy", "name": name, "scale": scale, "status": "complete", "reason": None, "seconds": 2.0}
        facts |= {"description": config.to_dict(run), "start_step": start, "git": {"commit": "abcdef0123"}}
        facts |= {"data": {"name": "digits", "digest": "feed"}, "versions": {"torch": "2"}, "device": "cpu"}
        facts |= {"members": [{}] * len(members), "updates": run.steps * len(members), "cpu": "AVX2"}
        (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    words = studies.statements("toy")
    for each in words:
        each.pop("registered_rule")
    judged = [Judged(**each, runs=2, verdict=verdicts()[each["id"]]) for each in words]
    claims.write(judged, results / "toy" / "claims.json", study="toy", question=studies["toy"].question)
    for folder, name, content in (("figures", "toy_loss.png", PIXEL), ("logs/toy", "trunk.log", HOSTILE.encode())):
        (root / scale / folder).mkdir(parents=True)
        (root / scale / folder / name).write_bytes(content)
    return results


def _forget() -> None:
    for name in [name for name in sys.modules if name.startswith("studies.toy")]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def sites(tmp_path_factory) -> dict[str, Site]:
    """From what is kept, from a build, and from a build at the smoke scale."""
    root = tmp_path_factory.mktemp("repository")
    _repository(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "__path__", [str(root / "studies")])
        importlib.invalidate_caches()
        studies, small = Studies.load(), Studies.load(scale="smoke")
        assert not studies.problems
        built, smoke = (_results(root, each, scale) for each, scale in ((studies, "default"), (small, "smoke")))
        made = {
            "kept": gather(studies, root=root),
            "built": gather(studies, results=built, root=root),
            "smoke": gather(studies, results=smoke, root=root),
        }
    _forget()
    return made


@pytest.fixture(scope="session")
def written(sites, tmp_path_factory) -> dict[str, Path]:
    """The folders of these sites."""
    top = tmp_path_factory.mktemp("sites")
    for name, site in sites.items():
        write.write(site, top / name, repository="https://example.org/x" if name == "built" else "")
    return {name: top / name for name in sites}


@pytest.fixture(scope="session")
def real(tmp_path_factory) -> Path:
    """The site of this repository, of what is kept."""
    out = tmp_path_factory.mktemp("real") / "site"
    write.write(gather(Studies.load()), out)
    return out
