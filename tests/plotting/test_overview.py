"""All claims at a glance."""

import pytest

from common.evidence.claims import SIGN, Report
from common.evidence.verdicts import OUTCOMES
from common.plotting import PALETTE, overview
from tests.evidence.test_claims import judged

REPORT = Report(study="toy", question="Does it?", judged=tuple(judged()))
TOY = {"paper": {"T2": "undecided", "T1": "supported", "T9": "reported"}}


def test_the_chips_are_the_verdicts_of_the_reports():
    assert overview.chips([REPORT]) == {"toy": TOY}
    assert list(overview.chips([REPORT])["toy"]["paper"]) == list(TOY["paper"])


def test_the_overview_has_a_chip_for_every_claim():
    (ax,) = overview.draw({"toy": TOY, "other": TOY}).axes
    texts = [text.get_text() for text in ax.texts]
    assert texts[:3] == ["6 claims", "✓ 2 supported", "↓ 0 weaker"]
    assert texts[6:] == ["toy", "T2 ?", "T1 ✓", "T9 •", "other", "T2 ?", "T1 ✓", "T9 •"]
    assert list(overview.table({"toy": TOY}).verdict) == ["undecided", "supported", "reported"]
    assert overview.table({"toy": TOY, "other": TOY}).values.tolist()[3] == ["other", "paper", "T2", "undecided"]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_chip_has_the_sign_beside_the_colour(outcome):
    (ax,) = overview.draw({"toy": {"paper": {"T1": outcome}}}).axes
    chip = ax.texts[-1]
    assert chip.get_text() == f"T1 {SIGN[outcome]}"
    words, hollow = chip.get_color(), outcome == "undecided"
    assert words == (PALETTE[outcome] if hollow else "white")
    assert [text.get_color() for text in ax.texts if text.get_text().endswith(outcome)] == [PALETTE[outcome]]


def test_all_text_can_be_read():
    (ax,) = overview.draw({"toy": TOY}).axes
    assert min(text.get_fontsize() for text in ax.texts) >= 7


def test_chips_of_a_line_do_not_touch_and_long_lines_are_broken():
    many = {f"W{i}b": OUTCOMES[i % len(OUTCOMES)] for i in range(10, 10 + overview.PER_LINE + 2)}
    fig = overview.draw({"stability_gap": {"paper": many}, "other": TOY})
    fig.draw_without_rendering()
    (ax,) = fig.axes
    chips = {
        text.get_text().partition(" ")[0]: text.get_bbox_patch().get_window_extent()
        for text in ax.texts[6:]
        if text.get_bbox_patch()
    }
    assert list(chips) == [*many, *TOY["paper"]]
    boxes = list(chips.values())
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    names = {
        text.get_text(): text.get_window_extent() for text in ax.texts if text.get_text() in ("stability_gap", "other")
    }
    assert names["stability_gap"].x1 < boxes[0].x0 and not any(names["other"].overlaps(box) for box in boxes)
    assert all(fig.bbox.x0 <= box.x0 and box.x1 <= fig.bbox.x1 for box in boxes)


def test_each_kind_of_claims_begins_a_line_with_its_name():
    (ax,) = overview.draw({"toy": {**TOY, "theory": {"T3": "supported"}, "ours": {"T4": "weaker"}}}).axes
    chips = {text.get_text().partition(" ")[0]: text.get_position() for text in ax.texts if text.get_bbox_patch()}
    assert chips["T2"][0] == chips["T3"][0] == chips["T4"][0] and chips["T2"][1] < chips["T3"][1] < chips["T4"][1]
    names = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert names["theory"] == chips["T3"][1] and names["ours"] == chips["T4"][1] and "paper" not in names


def test_a_study_without_claims_keeps_its_line():
    (ax,) = overview.draw({"empty": {}, "toy": TOY}).axes
    assert [text.get_text() for text in ax.texts[6:]] == ["empty", "toy", "T2 ?", "T1 ✓", "T9 •"]


def test_a_picture_says_what_it_shows(tmp_path):
    file = tmp_path / "verdicts.png"
    assert overview.shown(file) is None
    overview.write({"toy": TOY}, file)
    assert overview.shown(file) == overview.digest({"toy": TOY})
    assert overview.digest({"toy": TOY | {"T1": "undecided"}}) != overview.shown(file)
    assert overview.digest({"other": TOY}) != overview.shown(file)
    before = file.read_bytes()
    overview.write({"toy": TOY}, file)
    assert file.read_bytes() == before


def test_a_picture_of_another_program_says_nothing(tmp_path):
    overview.draw({"toy": TOY}).savefig(tmp_path / "other.png")
    assert overview.shown(tmp_path / "other.png") is None
