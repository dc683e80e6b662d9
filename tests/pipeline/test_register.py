"""A study that writes down what it claims, is trained on seeds it could not know, and is changed afterwards."""

import dataclasses
import importlib
import io
import json
import sys

import pytest

import studies as package
from common.evidence import claims, committed, ledger, power, registration, seeds
from common.evidence.claims import Statement
from common.evidence.ledger import Entry
from common.evidence.readings import RATIO, TYPICAL
from common.evidence.verdicts import exact, greater, less, reported
from common.pipeline import new_study, prml, provenance, readme, register, replicate, standing, steps
from common.pipeline.studies import Studies
from common.runs import origin
from common.tracking.summary import Summary

PILOT = [-0.07, -0.075, -0.08]
FIRM = less(PILOT, than=-0.02, null=0.0, unit="nats")
WEAK = less([-0.07, 0.01, -0.12], than=-0.02, null=0.0, unit="nats")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with the study that the generator writes, and nothing else."""
    for name in [name for name in sys.modules if name.startswith("studies.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in vars(package) if not name.startswith("__")]:
        monkeypatch.delattr(package, name)
    monkeypatch.setattr(package, "__path__", [str(tmp_path / "studies")])
    monkeypatch.setattr(origin, "git_state", lambda: {"commit": "c" * 40, "dirty": False})
    monkeypatch.setattr(provenance, "digest", lambda starts: "0123456789ab")
    monkeypatch.chdir(tmp_path)
    new_study.write("fresh", root=tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("studies.")]:
        del sys.modules[name]


def load(**options) -> Studies:
    """The studies as a new process sees them."""
    for name in [name for name in sys.modules if name.startswith("studies.")]:
        del sys.modules[name]
        vars(package).pop(name.split(".")[1], None)
    importlib.invalidate_caches()
    found = Studies.load(**options)
    assert not found.problems
    return found


def edit(root, file: str, old: str, new: str) -> None:
    path = root / "studies/fresh" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def pilot(root, verdict=FIRM) -> None:
    """The claims.json of a pilot."""
    [words] = load(block="pilot").statements("fresh")
    words.pop("registered_rule")
    judged = claims.Judged(**words, runs=6, verdict=verdict)
    path = root / "scales/pilot/results/fresh/claims.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    claims.write([judged], path, study="fresh", question="?")


def registered(root, *, verdict=FIRM, underpowered=()) -> list[str]:
    pilot(root, verdict)
    studies = {scale: load(scale=scale) for scale in ("default", "large")}
    return register.register(studies, "fresh", pilot=root / "scales/pilot", underpowered=underpowered)


def entry(root) -> registration.Registered:
    return registration.read(root / "studies/fresh").claims["F1"]


def judged(root, verdict=FIRM, **options) -> claims.Judged:
    """The claim as it is written to claims.json."""
    studies = load(**options)
    folder = root / "results/fresh"
    (folder / "claims").mkdir(parents=True, exist_ok=True)
    claims.keep("F1", claims.Found(verdict, 16), folder / "claims/F1.json")
    about = {"study": "fresh", "question": "?", "statements": studies.statements("fresh"), "scale": studies.scale}
    steps.collect(about, {"": [str(folder / "claims/F1.json")]}, [str(folder / "claims.json")], terminal=io.StringIO())
    [item] = claims.read(folder / "claims.json").judged
    return item


# Seeds


def test_the_seeds_of_a_registration_follow_from_it_and_from_nothing_else(root):
    assert standing.trained_seeds(load()["fresh"]) == list(range(8)), "as written, until something is registered"
    registered(root)
    first = standing.trained_seeds(load()["fresh"])
    assert len(set(first)) == 8 and min(first) >= 200 and load()["fresh"].block == "confirmatory"
    assert first == standing.trained_seeds(load()["fresh"])
    blocks = [standing.trained_seeds(load(block=seeds.replication(number))["fresh"]) for number in (1, 2)]
    assert not set(first) & set(blocks[0]) and not set(blocks[0]) & set(blocks[1])
    assert list(load()["fresh"].runs) == list(load(block="replication-1")["fresh"].runs), "names say which, not what"
    assert load()["fresh"].runs["lr0.1-s0"].seed == load()["fresh"].runs["lr0.01-s0"].seed, "pairs stay pairs"


def test_a_pilot_has_three_seeds_of_its_own_and_the_smoke_scale_those_that_are_written(root):
    for _ in range(2):
        assert standing.trained_seeds(load(block="pilot")["fresh"]) == [100, 101, 102]
        assert standing.trained_seeds(load(scale="smoke")["fresh"]) == [0, 1]
        registered(root)


def test_seeds_of_sweeps_are_drawn_too(root):
    edit(root, "study.py", "for seed in range(8)", "for seed in (0,)")
    edit(root, "study.py", "seed=seed,", "seed=seed, sweep={'seed': tuple(range(8))},")
    registered(root)
    study = load()["fresh"]
    assert len(standing.trained_seeds(study)) == 8
    assert standing.trained_seeds(load(block="pilot")["fresh"]) == [100, 101, 102]


def test_a_measurement_that_draws_seeds_itself_is_given_those_of_the_block(root):
    edit(root, "study.py", "FIGURES = ", "MEASURES = [Measure('toy', seeds=[0, 1], smoke={'seeds': [0]})]\nFIGURES = ")
    edit(root, "study.py", "Figure, Run", "Figure, Measure, Run")
    edit(root, "claims.py", "runs=Select(),", "runs=Select(), tables=['toy'],")
    edit(root, "verdicts.py", "runs: pd.DataFrame, *", "runs: pd.DataFrame, toy: pd.DataFrame, *")
    edit(root, "study.py", 'claims=["F1"]', "tables=['toy'], claims=['F1']")
    edit(root, "plot_loss.py", "runs: pd.DataFrame, verdicts", "runs: pd.DataFrame, toy: pd.DataFrame, verdicts")
    (root / "studies/fresh/measure_toy.py").write_text("def measure(seeds=(0, 1)):\n    pass\n")
    registered(root)

    def given(**options):
        studies = load(**options)
        return studies.arguments("fresh", studies["fresh"].measures["toy"])["seeds"]

    assert given(block="written") == [0, 1] and given(block="pilot") == [100, 101] and given(scale="smoke") == [0]
    digest = registration.read(root / "studies/fresh").digest
    assert given() == [seeds.seed_of(number, "confirmatory", digest) for number in (0, 1)]
    edit(root, "study.py", "seeds=[0, 1]", "seeds=[0, 1, 2]")
    assert judged(root).because == "not as registered: its runs"


def test_a_block_that_does_not_exist_is_one_line(root):
    with pytest.raises(SystemExit, match="seeds='replication-0' must be written, pilot, confirmatory, replication-1"):
        load(block="replication-0")
    with pytest.raises(ValueError, match="has none in a pilot, whose seeds are 100 to 199"):
        seeds.seed_of(100, "pilot", "")


# Registering


def test_what_is_registered_reads_back_with_rule_settings_and_power(root):
    assert registered(root) == ["F1"]
    found = entry(root)
    assert (found.settings, found.seeds, found.kind) == ({"bar": 0.02}, 8, "ours")
    assert found.rule["threshold"] == [None, -0.02] and found.rule["null"] == 0.0
    assert found.pilot["n"] == 3 and found.power >= power.ENOUGH and not found.underpowered
    assert set(found.runs) == {"default", "large"} and found.commit == "c" * 40
    assert registered(root) == [], "as registered"


def test_a_plan_that_will_not_decide_is_refused_with_the_seeds_that_would(root):
    with pytest.raises(ValueError, match=r"F1: with 8 seeds \d+ % of studies .* decide, .*--underpowered F1"):
        registered(root, verdict=WEAK)
    assert registration.read(root / "studies/fresh") is None
    assert registered(root, verdict=WEAK, underpowered=["F1"]) == ["F1"]
    assert judged(root).standing == "underpowered"


def test_without_a_pilot_or_with_something_else_nothing_is_registered(root):
    studies = {"default": load()}
    with pytest.raises(ValueError, match="run the pilot first, make pilot STUDY=fresh"):
        register.register(studies, "fresh", pilot=root / "nowhere", underpowered=())
    judged(root)
    with pytest.raises(ValueError, match=r"is of no pilot \(not registered\)"):
        register.register(studies, "fresh", pilot=root, underpowered=())
    with pytest.raises(ValueError, match="--underpowered: X9: no claim of fresh"):
        register.register(studies, "fresh", pilot=root, underpowered=["X9"])


def test_a_registration_of_uncommitted_changes_is_refused(root, monkeypatch):
    monkeypatch.setattr(origin, "git_state", lambda: {"commit": "c" * 40, "dirty": True})
    with pytest.raises(ValueError, match="commit your changes first"):
        registered(root)


def test_a_damaged_registration_is_one_line(root):
    registered(root)
    (root / "studies/fresh/registration.json").write_text("{")
    assert "is no registration or is damaged" in str(Studies.load().problems[0])


# Changes afterwards


CHANGES = {
    "bar": ("claims.py", '"bar": 0.02', '"bar": 0.01', "its settings"),
    "statement": ("claims.py", "the larger rate ends lower", "the larger rate may end lower", "its statement"),
    "kind": ("claims.py", 'kind="ours"', 'kind="paper"', "its kind"),
    "planned seeds": ("claims.py", "seeds=8", "seeds=5", "its seeds"),
    "seeds trained": ("study.py", "range(8)", "range(7)", "its runs"),
    "setting of a run": ("study.py", "momentum=0.9", "momentum=0.8", "its runs"),
    "arm left out": ("study.py", "(0.01, 0.1)", "(0.02, 0.1)", "its runs"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_is_changed_after_registration_makes_the_claim_exploratory(root, name):
    registered(root)
    assert judged(root).standing == "registered"
    file, old, new, what = CHANGES[name]
    edit(root, file, old, new)
    item = judged(root)
    assert (item.standing, item.because) == ("exploratory", f"not as registered: {what}")


def test_another_rule_of_the_same_code_makes_it_exploratory_too(root):
    registered(root)
    for other in (
        less(PILOT, than=-0.03, null=0.0, unit="nats"),
        less(PILOT, than=-0.02, unit="nats"),
        less(PILOT, than=-0.02, null=0.0, unit="nats", negligible=0.01),
        less(PILOT, than=-0.02, null=0.0, unit="nats", reading=TYPICAL),
    ):
        item = judged(root, other)
        assert (item.standing, item.because) == ("exploratory", "not as registered: its rule")
    values = less([-0.5, -0.6, -0.4, -0.5], than=-0.02, null=0.0, unit="nats")
    assert judged(root, values).standing == "registered", "other values are no other rule"


def test_code_device_and_comments_are_no_other_claim(root):
    registered(root)
    edit(root, "verdicts.py", "final = runs[", "last = runs.step.max()  # the end\n    final = runs[")
    edit(root, "study.py", '"""Does', '"""Perhaps: does')
    assert judged(root).standing == "registered"
    assert judged(root, device="cuda").standing == "registered"


def test_the_mark_is_seen_wherever_the_claim_is(root):
    registered(root)
    edit(root, "claims.py", '"bar": 0.02', '"bar": 0.01')
    item = judged(root)
    assert "Exploratory (not as registered: its settings)." in claims.sentence(item)
    page = claims.scoreboard([root / "results/fresh/claims.json"])
    assert "| exploratory (not as registered: its settings) |" in page
    summary = Summary.read(root / "results", "fresh", [])
    assert "(ours, exploratory)" in summary.note
    run = root / "results/fresh/lr0.1-s0"
    run.mkdir(parents=True)
    record = {"scale": "default", "git": {"commit": "d" * 40}, "cpu": "AVX2", "versions": {}}
    (run / "run.json").write_text(json.dumps(record))
    study = load()["fresh"]
    kept = committed.taken(
        claims.read(root / "results/fresh/claims.json"), root / "results", before=committed.read(study.folder)
    )
    assert "exploratory (not as registered: its settings)" in readme.verdicts(study, kept)


def test_smoke_and_pilot_verdicts_count_nowhere(root):
    registered(root)
    assert judged(root, scale="smoke").standing == "smoke"
    assert judged(root, block="pilot").standing == "pilot"
    assert judged(root, block="replication-1").standing == "registered"


def test_a_later_registration_keeps_the_seeds_and_says_whether_they_had_been_seen(root):
    registered(root)
    before = standing.trained_seeds(load()["fresh"])
    edit(root, "claims.py", '"bar": 0.02', '"bar": 0.01')
    assert registered(root) == ["F1"]
    assert judged(root, less(PILOT, than=-0.02, null=0.0, unit="nats")).standing == "registered", "nobody saw a seed"
    standing.note(load(), ["fresh"])
    edit(root, "claims.py", '"bar": 0.01', '"bar": 0.015')
    assert registered(root) == ["F1"]
    item = judged(root)
    assert (item.standing, item.because) == ("exploratory", "registered after its seeds had been seen")
    found = registration.read(root / "studies/fresh")
    assert [old["settings"] for old in found.earlier] == [{"bar": 0.02}, {"bar": 0.01}]
    assert standing.trained_seeds(load()["fresh"]) == before


# The ledger


def test_the_ledger_says_which_seeds_were_trained_for_what(root):
    standing.note(load(), ["fresh"])
    standing.note(load(scale="smoke", block="pilot"), ["fresh"])
    assert ledger.read(root / "studies/fresh") == [], "seeds that are written, or of the smoke scale, do not count"
    standing.note(load(block="pilot"), ["fresh", "fresh"])
    registered(root)
    for _ in range(2):
        standing.note(load(), ["fresh"])
    found = ledger.read(root / "studies/fresh")
    assert [entry.block for entry in found] == ["pilot", "confirmatory"]
    assert found[0].seeds == [100, 101, 102] and found[0].claims == ["F1"] and len(found[1].seeds) == 8
    assert ledger.seen(root / "studies/fresh")


def test_a_ledger_only_grows(tmp_path):
    made = [
        Entry(block="pilot", seeds=[k], scale="default", claims=[], commit="c", machine="m", date="d") for k in range(3)
    ]
    for each in made:
        ledger.note(each, tmp_path)
    plain = json.loads((tmp_path / ledger.NAME).read_text())
    (tmp_path / ledger.NAME).write_text(json.dumps([plain[0], plain[2]]))
    with pytest.raises(ValueError, match="entry 2 does not follow from those before it"):
        ledger.read(tmp_path)
    (tmp_path / ledger.NAME).write_text("[3]")
    with pytest.raises(ValueError, match="is no ledger or is damaged"):
        ledger.read(tmp_path)


# PRML


def test_a_manifest_has_the_fields_of_the_specification_and_its_receipt(root):
    registered(root)
    found = registration.read(root / "studies/fresh")
    plain = prml.manifest(found, "F1")
    assert set(plain) == {
        *("version", "claim_id", "created_at", "metric", "comparator", "threshold"),
        *("dataset", "seed", "producer", "notes"),
    }
    assert plain["claim_id"][14] == "7" and plain["claim_id"][19] in "89ab", "a UUID of version 7"
    assert len(plain["dataset"]["hash"]) == 64 and plain["seed"] in standing.trained_seeds(load()["fresh"])
    file = root / "studies/fresh/prml/F1.prml.yaml"
    assert file.read_bytes() == prml.canonical(plain)
    assert file.read_text().splitlines()[0].startswith("claim_id: ") and file.read_text().endswith("prml/0.1\n")
    edited = dataclasses.replace(found, claims={"F1": dataclasses.replace(entry(root), settings={"bar": 0.03})})
    assert prml.canonical(prml.manifest(edited, "F1")) != file.read_bytes()


# Power


def test_power_of_simple_plans_is_that_of_the_t_test():
    """Margins of 1 and 2 standard deviations, from many pilot seeds: 40 % and 91 % with five seeds."""
    rng = power.np.random.default_rng(0)
    values = rng.normal(size=4000)
    values = (values - values.mean()) / values.std(ddof=1)
    for margin, expected in ((1.0, 0.41), (2.0, 0.91)):
        found = power.power(greater((values + margin).tolist(), than=0.0, unit=""), 5)
        assert found == pytest.approx(expected, abs=0.07)


def test_power_counts_any_decision_and_nothing_that_is_only_reported():
    assert power.power(less([5.0, 5.1, 5.2], than=0.0, unit=""), 5) > 0.95, "it would be contradicted"
    assert power.power(reported([1.0, 2.0], unit=""), 5) is None
    assert power.power(exact([1.0], low=0.0, unit=""), 1) == 1.0
    assert power.power(greater([1.1, 1.2, 1.3], than=1.0, unit="", reading=RATIO), 12) > 0.5
    with pytest.raises(ValueError, match="has 1 seed in the pilot: two are needed"):
        power.power(greater([1.0], than=0.0, unit=""), 5)


def test_needed_seeds_have_the_power_and_fewer_do_not():
    pilot_verdict = greater([0.6, 1.0, 1.4, 0.9], than=0.0, unit="")
    enough = power.needed(pilot_verdict)
    assert power.power(pilot_verdict, enough) >= 0.74 > power.power(pilot_verdict, enough - 2)
    assert power.needed(greater([-1.0, 0.0, 1.0], than=0.0, unit="")) is None


# Replication


def test_a_replication_is_compared_kept_and_shown(root, monkeypatch):
    with pytest.raises(ValueError, match="fresh has registered nothing"):
        replicate.replicate(load(), "fresh", [])
    registered(root)
    with pytest.raises(ValueError, match="has no verdicts with seeds to replicate"):
        replicate.replicate(load(), "fresh", [])
    study = load()["fresh"]
    kept = committed.Kept(verdict="supported", ours="a number", details=FIRM.to_dict())
    committed.write(committed.Committed(2, "default", "c", "m", "", {}, {"F1": kept}), study.folder)
    flipped = less([0.07, 0.075, 0.08], than=-0.02, null=0.0, unit="nats")
    for number, verdict in ((1, FIRM), (2, flipped)):
        [words] = load(block=seeds.replication(number)).statements("fresh")
        words.pop("registered_rule")
        path = root / f"scales/replication-{number}/results/fresh/claims.json"
        path.parent.mkdir(parents=True)
        claims.write([claims.Judged(**words, runs=16, verdict=verdict)], path, study="fresh", question="?")
    monkeypatch.setattr(replicate, "build", lambda name, block, arguments: root / "scales" / block)
    first, second = (replicate.replicate(load(), "fresh", []) for _ in range(2))
    assert (first.number, first.flips, first.changed) == (1, [], []) and first.claims[0].shift == 0
    assert (second.number, second.flips, second.changed) == (2, ["F1"], ["F1"])
    page = readme.replicated([first, second])
    assert "## fresh, replication 2" in page and "| FLIP |" in page and "flips: F1" in page
    assert readme.held([first, second]).startswith("On fresh seeds 1 of 2 verdicts were the same and 1 flipped")


def test_statements_are_read_with_the_rule_that_was_registered(root):
    registered(root)
    [plain] = load().statements("fresh")
    rule = plain.pop("registered_rule")
    assert rule == entry(root).rule and Statement(**plain).standing == "registered"


def test_a_claim_that_its_seeds_do_not_decide_or_that_was_changed_is_no_headline(root):
    edit(root, "claims.py", "seeds=8,", "seeds=8, headline=True,")
    studies = load()
    for stands, shown in (("registered", True), ("underpowered", False), ("exploratory", False)):
        kept = committed.Kept(verdict="supported", ours="-0.07 nats", standing=stands)
        found = readme.headlines(studies, {"fresh": committed.Committed(2, "default", "c", "m", "", {}, {"F1": kept})})
        assert ("the larger rate ends lower. Here -0.07 nats." in found) == shown
        assert found.endswith("All of them: ours 1 supported.")


def test_a_study_has_one_headline_at_most(root):
    more = 'Claim("F2", "it is", verdict="larger_is_lower", source="ours", headline=True, runs=Select(), **MORE),\n]'
    edit(root, "claims.py", "\n]", f"\n{more}")
    edit(root, "claims.py", "seeds=8,", "seeds=8, headline=True,")
    edit(root, "claims.py", "CLAIMS = ", "MORE = {'settings': {'bar': 0.02}}\nCLAIMS = ")
    assert "F1, F2: one claim of a study at most is its headline" in str(Studies.load().problems[0])
