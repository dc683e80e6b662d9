"""READMEs say what the committed verdicts, the claims and the figures say, and a hand that changes a number is seen."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.config import Claim
from common.evidence import committed
from common.evidence.claims import KINDS
from common.evidence.committed import Committed, Kept
from common.pipeline import readme
from common.pipeline.studies import Studies
from common.runs.origin import ROOT

STUDIES = Studies.load()


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Studies:
    """The studies with a copy of all documents, verdicts and figure scripts."""
    for path in ("README.md", "codecheck.yml", "docs/claims.md", "docs/replication.md", "docs/verdicts.png"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    shutil.copytree(ROOT / "studies", tmp_path / "studies", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(readme, "ROOT", tmp_path)
    sound = {
        name: dataclasses.replace(study, folder=tmp_path / "studies" / name) for name, study in STUDIES.sound.items()
    }
    return dataclasses.replace(STUDIES, sound=sound)


def names(studies: Studies) -> set[str]:
    return {str(path.relative_to(readme.ROOT)) for path in readme.differing(studies)}


def test_the_committed_documents_are_what_they_should_be():
    done = subprocess.run(
        [sys.executable, "-m", "common.pipeline.readme", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_claim_stands_in_its_readme_and_on_the_page_of_all():
    page = (ROOT / readme.SCOREBOARD).read_text(encoding="utf-8")
    for study in STUDIES:
        text = (STUDIES[study].folder / "README.md").read_text(encoding="utf-8")
        kept = committed.read(STUDIES[study].folder)
        assert kept.claims.keys() <= STUDIES[study].claims.keys()
        for name in STUDIES[study].claims:
            verdict = kept.claims[name].verdict if name in kept.claims else "not judged yet"
            row = re.compile(rf"^\| {name} \|.* {verdict}(?: \(.*\))?(?:;[^|]*)? \|[^|]*\|$", re.MULTILINE)
            assert row.search(text) and row.search(page), name
        for kind, chosen in readme.by_kind(STUDIES[study]).items():
            tally = kept.tally(chosen)
            assert KINDS[kind] in text and tally in text
            assert not tally or f"{kind}: {tally}" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("README.md", "paper: 6 supported", "paper: 5 supported"),
        ("studies/rewarming/README.md", "✓ supported", "✗ contradicted"),
        ("studies/wsd/README.md", "| W3a | the fall", "| W3a | that the fall"),
        ("studies/lr_transfer/README.md", "first edition, commit", "second edition, commit"),
        ("docs/claims.md", "| W1 | the decay", "| W1 | that the decay"),
    ],
)
def test_a_document_that_was_edited_by_hand_fails_the_check(copy, file, old, new):
    assert names(copy) == set()
    path = readme.ROOT / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert names(copy) == {file}
    readme.fill(copy)
    assert names(copy) == set() and path.read_text(encoding="utf-8") == text


def test_words_between_the_blocks_are_free(copy):
    path = readme.ROOT / "studies/wsd/README.md"
    path.write_text(path.read_text(encoding="utf-8").replace("# wsd", "# wsd\n\nOur own words.", 1), encoding="utf-8")
    assert names(copy) == set()


def test_other_verdicts_reach_every_document_and_the_picture(copy):
    folder = copy["rewarming"].folder
    kept = committed.read(folder)
    changed = dataclasses.replace(kept.claims["R2"], verdict="supported")
    committed.write(dataclasses.replace(kept, claims=kept.claims | {"R2": changed}), folder)
    assert names(copy) == {"README.md", "docs/claims.md", "docs/verdicts.png", "studies/rewarming/README.md"}
    readme.fill(copy)
    assert names(copy) == set()
    assert "paper: 7 supported" in (readme.ROOT / "README.md").read_text(encoding="utf-8")


def test_an_unknown_block_is_an_error(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("a\n<!-- costs -->\nold\n<!-- end -->\nb\n")
    assert readme.filled(file, {"costs": lambda: "new"}) == "a\n<!-- costs -->\nnew\n<!-- end -->\nb\n"
    with pytest.raises(LookupError, match="there is no block 'costs'; known are claims"):
        readme.filled(file, {"claims": lambda: ""})


def test_a_headline_has_interval_and_paper_and_one_that_is_not_judged_says_so():
    claim = Claim(
        "X1", "it holds", verdict="holds", source="Wen et al. 2024, figure 1", published="gap 0.5", mark="published"
    )
    kept = Kept("supported", "0.4 [0.3, 0.5]", standing="registered")
    assert readme.headline(claim, kept) == (
        "**✓ supported**: it holds. Here 0.4 [0.3, 0.5]. Wen et al. 2024: gap 0.5. X1, registered."
    )
    assert readme.headline(claim, None) == "**– not judged yet**: it holds. Wen et al. 2024: gap 0.5. X1."


def test_bars_and_line_ends_do_not_break_a_table():
    assert readme.table(("a",), [("x | y\nz",)]) == "| a |\n| --- |\n| x \\| y z |"


RECORD = {"scale": "default", "git": {"commit": "a" * 40}, "cpu": "AVX2", "versions": {"torch": "2.13.0"}}
VERDICT = {
    "verdict": "undecided",
    "estimate": 0.02,
    "low": -0.03,
    "high": 0.09,
    "n": 5,
    "unit": "nats/byte",
    "threshold": [0.0, None],
    "confidence": 0.95,
    "direction": "unclear",
    "size": "no number",
    "null": 0.0,
    "negligible": 0.0,
    "published": None,
    "factor": 2.0,
    "reading": {"kind": "mean", "minimum": 3, "tail": "none", "spread": 0.0, "shared_error": 0.0},
    "rule": "95 % interval above 0",
    "note": "decided by the fall",
    "label": "",
    "values": [0.01, 0.03],
    "combination": None,
    "parts": [],
}


@pytest.fixture
def results(tmp_path) -> Path:
    """Results of a build of wsd."""
    folder = tmp_path / "build/results"
    (folder / "wsd/stable").mkdir(parents=True)
    (folder / "wsd/stable/run.json").write_text(json.dumps(RECORD))
    words = {"statement": "it falls", "source": "x", "published": "", "mark": "none", "seeds": 5}
    words |= {"kind": "paper", "caveat": "", "standing": "registered", "because": ""}
    claims = [{"id": "W1", **words, "runs": 9, "verdict": VERDICT}]
    (folder / "wsd/claims.json").write_text(json.dumps({"study": "wsd", "question": "?", "claims": claims}))
    (folder.parent / "figures").mkdir()
    (folder.parent / "figures/wsd_loss.png").write_bytes(b"picture")
    return folder


def test_a_build_is_taken_with_its_seeds_and_its_origin(copy, results):
    readme.take(copy, results)
    kept = committed.read(copy["wsd"].folder)
    assert (kept.edition, kept.scale, kept.commit, kept.cost) == (
        2,
        "default",
        "a" * 40,
        committed.read(STUDIES["wsd"].folder).cost,
    )
    assert kept.machine.endswith("(AVX2)") and kept.versions == {"torch": "2.13.0"}
    [(name, claim)] = kept.claims.items()
    assert (name, claim.verdict, claim.note, claim.runs) == ("W1", "undecided", "decided by the fall", 9)
    assert claim.ours == "0.0200 nats/byte [-0.0300, 0.0900; n = 5]" and claim.details["values"] == [0.01, 0.03]
    assert (readme.ROOT / "docs/wsd_loss.png").read_bytes() == b"picture"
    assert committed.read(copy["lr_transfer"].folder).edition == 1
    readme.fill(copy)
    text = (copy["wsd"].folder / "README.md").read_text(encoding="utf-8")
    assert f"Verdicts: commit {'a' * 7}, " in text and "1 undecided" in text and "not judged yet" in text


def test_results_of_another_scale_are_not_taken(copy, results):
    (results / "wsd/stable/run.json").write_text(json.dumps(RECORD | {"scale": "smoke"}))
    with pytest.raises(ValueError, match="at the scale smoke; only those of `default` are kept"):
        readme.take(copy, results)


def test_verdicts_without_runs_are_not_taken(copy, results):
    shutil.rmtree(results / "wsd/stable")
    with pytest.raises(ValueError, match="holds no runs; build the study first"):
        readme.take(copy, results)


def test_what_is_kept_reads_back_and_damage_is_named(tmp_path):
    kept = Committed(
        2, "default", "abc", "2 cores", "1 min", {"torch": "2"}, {"X1": Kept("reported", "3 [2, 4]", "so")}
    )
    committed.write(kept, tmp_path)
    assert committed.read(tmp_path) == kept
    assert "details" not in (tmp_path / committed.NAME).read_text()
    (tmp_path / committed.NAME).write_text("{")
    with pytest.raises(ValueError, match=r"verdicts\.json holds no verdicts or is damaged"):
        committed.read(tmp_path)
    assert committed.read(tmp_path / "nowhere").claims == {}
