"""Pages of a small study: what they say, where they lead, and that equal inputs give equal bytes."""

import dataclasses
import re
import shutil
import sys
from types import SimpleNamespace

import pytest

from common.config import Claim, Select
from common.evidence import committed
from common.evidence.registration import Registered
from common.site import __main__ as command
from common.site import axes, curves, intervals, prose, write
from common.site.content import NOT_JUDGED
from common.site.gather import Build, _Gathered
from common.site.pages import HERE, Pages
from common.site.rows import Reader, _thinned
from tests.site.checker import broken, read
from tests.site.conftest import HOSTILE, verdicts


def page(folder, path):
    return read(folder / path)


@pytest.mark.parametrize("name", ["kept", "built", "smoke"])
def test_no_link_is_broken(written, name):
    assert broken(written[name]) == []


def test_no_link_of_this_repository_is_broken(real):
    assert broken(real) == []
    assert len(list(real.glob("claims/*.html"))) > 90


def test_the_checker_sees_what_is_broken(written, tmp_path):
    shutil.copytree(written["kept"], tmp_path / "copy")
    (tmp_path / "copy" / "claims" / "X2.html").unlink()
    path = tmp_path / "copy" / "index.html"
    path.write_text(path.read_text().replace('id="claims"', "") + "<p><b></p>")
    found = "\n".join(broken(tmp_path / "copy"))
    assert "claims/X2.html leads nowhere" in found and "#claims: there is no such place" in found
    assert "p closes something else" in found


@pytest.mark.parametrize("name", ["kept", "built", "smoke"])
def test_hostile_text_stays_text(written, name):
    for path in written[name].rglob("*.html"):
        scripts = [given for tag, given in page(path.parent, path.name).tags if tag == "script"]
        assert all(given == {"src": "claims.js"} for given in scripts)
        assert not {tag for tag, _ in read(path).tags} & {"i", "only", "x", "old", "the"}
    assert HOSTILE in page(written[name], "claims/X1.html").text


def test_equal_inputs_give_equal_bytes(sites, written, tmp_path):
    count = write.write(sites["smoke"], tmp_path / "again")
    files = {path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file()}
    assert files == {path.relative_to(written["smoke"]) for path in written["smoke"].rglob("*") if path.is_file()}
    assert all((tmp_path / "again" / file).read_bytes() == (written["smoke"] / file).read_bytes() for file in files)
    assert count == sum(file.suffix == ".html" for file in files)


def test_figures_runs_and_claims_are_linked_both_ways(written):
    built = written["built"]
    claim, study, run = (page(built, path) for path in ("claims/X1.html", "studies/toy.html", "runs/toy/branch.html"))
    assert {"../studies/toy.html#figure-loss", "../runs/toy/branch.html", "../runs/toy/trunk.html"} <= set(claim.links)
    assert {"../claims/X1.html", "../runs/toy/branch.html", "../pictures/toy_loss.png"} <= set(study.links)
    assert {"../../claims/X1.html", "../../studies/toy.html#figure-loss", "trunk.html"} <= set(run.links)
    assert "branch.html" in page(built, "runs/toy/trunk.html").links


def test_a_claim_says_all_of_itself(written):
    text = page(written["built"], "claims/X1.html").text
    for words in ("✓ supported", "gap 0.5", "read in the paper", "bar = 0.1", "One size <only>", "not registered"):
        assert words in text, words
    for words in ("contradicted 0.3 [0.1, 0.5]", "undecided 0.2 <old>", "feed", "lines 4 to 6", "Below <the bar>"):
        assert words in text, words
    assert "snakemake results/toy/claims/X1.json" in text and "4 s of one core, 2 runs, parents included" in text
    links = page(written["built"], "claims/X1.html").links
    assert "https://arxiv.org/abs/2410.05192" in links
    assert "https://example.org/x/blob/abcdef0123/studies/toy/verdicts.py#L4-L6" in links


def test_a_registered_claim_shows_its_registration(sites):
    entry = Registered(
        statement="s",
        kind="paper",
        published="",
        settings={},
        rule={},
        runs={},
        seeds=8,
        pilot={"verdict": "supported", "estimate": 0.060686, "low": -0.02, "high": 0.14177, "n": 3},
        power=0.84,
        date="2026-11-30T10:20:30+00:00",
        commit="feedbeef00",
    )
    site = sites["built"]
    claims = {**site.claims, "X1": dataclasses.replace(site.claims["X1"], registered=entry)}
    text = dict(Pages(dataclasses.replace(site, claims=claims)).all())["claims/X1.html"]
    assert "2026-11-30, commit <code>feedbee</code>: 8 seeds planned, power 84 %" in text
    assert "pilot: supported, 0.0607 [-0.0200, 0.142; n = 3]" in text


def test_commands_are_those_of_the_scale(written):
    for path, made in (("studies/toy.html", "toy"), ("runs/toy/branch.html", "results/toy/branch/metrics.csv")):
        assert f"snakemake --workflow-profile profiles/smoke {made}" in page(written["smoke"], path).text
        assert f"snakemake {made}" in page(written["built"], path).text


def test_what_is_not_judged_yet_may_be_registered(tmp_path):
    claim = Claim("X4", "it is low", verdict="is_low", source="ours", runs=Select())
    known = {"id": "X4", "standing": "registered", "because": "", "registered_rule": None}
    gathered = _Gathered(SimpleNamespace(statements=lambda *_: [known]), "toy", Build(None), tmp_path)
    vars(gathered)["kept"] = committed.read(tmp_path)
    words, found = gathered._kept(claim)
    assert (words.standing, found["outcome"]) == ("registered", NOT_JUDGED)


def test_smoke_verdicts_are_no_changes(written):
    assert "was contradicted" not in page(written["smoke"], "index.html").text


def test_a_combined_claim_shows_its_parts(written):
    found = page(written["built"], "claims/X2.html")
    assert "All of them must hold" in found.text and "part <2>" in found.text
    assert [given["class"] for tag, given in found.tags if tag == "svg"][1:] == [
        f"interval small {each.verdict}" for each in verdicts()["X2"].parts
    ]


def test_the_front_page_counts_kinds_apart(written):
    front = page(written["built"], "index.html")
    tiles = [given for tag, given in front.tags if tag == "a" and given.get("class", "").startswith("tile")]
    assert {given["data-kind"] for given in tiles} == {"paper"} and len(tiles) == 5
    assert "was contradicted, is supported" in front.text and "toy: X1 was judged again." in front.text
    assert "Commit abcdef0" in front.text and "Machine: cpu, AVX2" in front.text and "Scale: default" in front.text


def test_smoke_numbers_say_that_they_mean_nothing(written):
    for path in written["smoke"].rglob("*.html"):
        assert "these numbers mean nothing" in read(path).text, path
    assert not [path for path in written["built"].rglob("*.html") if "mean nothing" in read(path).text]


def test_without_a_build_the_kept_verdicts_are_shown(written, sites):
    assert not (written["kept"] / "runs").exists() and (written["kept"] / "pictures/toy_loss.png").is_file()
    found = page(written["kept"], "claims/X1.html").text
    assert "✗ contradicted" in found and "First edition." in found and "2 cores <x>" in found
    assert "known in words only" in page(written["kept"], "claims/X2.html").text
    assert sites["kept"].claims["X3"].outcome == NOT_JUDGED
    assert "number 1" not in found and "+0.0 standard errors" in found


def test_a_run_shows_its_trunk_and_its_log(written, sites):
    run = page(written["built"], "runs/toy/branch.html")
    assert "after update 4" in run.text and "learning_rate" in run.text and "val_loss_bound" not in run.text
    assert [given["class"] for tag, given in run.tags if tag == "path" and "line" in given.get("class", "")][:2] == [
        "line trunk",
        "line shade5",
    ]
    assert HOSTILE in page(written["built"], "runs/toy/trunk.html").text
    panels = Reader(sites["built"].runs).panels(sites["built"].runs["toy/branch"])
    trunk, own = panels[0].curves
    assert trunk.trunk and [point[0] for point in trunk.points] == [0, 1, 2, 3, 4] and own.points[0][0] == 4
    assert trunk.points[-1] == own.points[0] == (4.0, pytest.approx(1.6), pytest.approx(0.6), pytest.approx(2.6))


def test_a_sweep_has_a_curve_for_each_of_its_values(written, sites):
    [loss, _] = Reader(sites["built"].runs).panels(sites["built"].runs["toy/rates+1.5"])
    assert [curve.label for curve in loss.curves] == ["lr 0.01", "lr 0.1", "lr 1"]
    assert curves.legend(loss) == [(0, "lr 0.01"), (2, "lr 0.1"), (5, "lr 1")]
    assert (written["built"] / "runs/toy/rates+1.5.html").is_file()


def test_many_points_are_averaged_and_the_ends_stay():
    points = _thinned([{step: float(step) for step in range(1000)}])
    assert points[0] == (0.0, 0.0, 0.0, 0.0) and points[-1] == (999.0, 999.0, 999.0, 999.0)
    assert 50 < len(points) < 100 and all(low <= mean <= high for _, mean, low, high in points)


def test_a_damaged_run_costs_its_page_and_no_more(sites, tmp_path):
    runs = dict(sites["built"].runs)
    (tmp_path / "metrics.csv").write_text("member,seed,step,val_loss\n0,0,1,2.0\n0,0,2")
    object.__setattr__(runs["toy/trunk"], "metrics", tmp_path / "metrics.csv")
    [panel] = Reader(runs).panels(runs["toy/trunk"])
    assert len(panel.curves[0].points) == 1
    assert "<circle" in curves.draw(panel, name="x")


def test_intervals_show_what_is_known():
    low = intervals.large(verdicts()["X1"], name="x")
    assert low.count("<circle") == 3 and 'class="paper"' in low and 'class="null-line"' in low
    assert "<title" in low and "interval from" in low and 'aria-labelledby="x-title x-desc"' in low
    one_sided = intervals.small(verdicts()["X3"], name="y")
    assert "claimed" not in one_sided


def test_axes_hold_equal_and_wide_values():
    flat = axes.around([2.0, 2.0], 0, 100)
    assert flat(2.0) == pytest.approx(50)
    assert axes.around([1.0, 1e6], 0, 100, log=True).log and not axes.around([0.0, 1e6], 0, 100, log=True).log


def test_papers_with_two_numbers_are_not_linked():
    texts = [
        "Wen et al. 2024 (arXiv:2410.05192)",
        "Wen et al. 2024, arXiv:2410.00001; Kim and Li 2023 (arXiv:2301.00001)",
    ]
    assert prose.papers(texts) == {"Kim 2023": "2301.00001"}
    assert str(prose.cited("Kim and Li 2023, <b>", {"Kim 2023": "2301.00001"})).endswith(
        "Kim and Li 2023</a>, &lt;b&gt;"
    )


def test_a_folder_of_somebody_else_is_left_alone(sites, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(ValueError, match="no site"):
        write.write(sites["kept"], tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"


def test_what_is_gone_leaves_no_page(sites, tmp_path):
    write.write(sites["built"], tmp_path / "site")
    write.write(sites["kept"], tmp_path / "site")
    assert not (tmp_path / "site" / "runs").exists()


def test_every_template_is_used_and_every_style_named(sites):
    templates = {path.name.removesuffix(".html.j2") for path in (HERE / "templates").iterdir()}
    assert templates == {"base", "parts", "index", "study", "claim", "run"}
    assert all("://" not in re.sub(r"https://arxiv.org\S+", "", path.read_text()) for path in HERE.rglob("*.css"))
    assert dict(Pages(sites["kept"]).all()).keys() == {"index.html", "studies/toy.html", *_claims("X1", "X2", "X3")}


def _claims(*names):
    return {f"claims/{name}.html" for name in names}


@pytest.mark.parametrize(
    ("given", "said"),
    [(["--results", "nowhere"], "nowhere holds no verdicts"), (["--out", "taken"], "taken holds something that is no")],
)
def test_the_command_says_what_is_wrong(given, said, tmp_path, monkeypatch):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["site", *given])
    monkeypatch.setattr(command, "gather", lambda *_, **__: None)
    with pytest.raises(SystemExit, match=said):
        command.main()
