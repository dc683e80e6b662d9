"""The list of planted faults is true: each stands where it says, and its tests exist. None is planted here."""

import ast

import pytest

from tests import mutants
from tests.mutants import MUTANTS, ROOT, NotPlantedError

every_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@every_mutant
def test_the_text_of_a_fault_stands_once_in_its_file_and_changes_what_the_file_does(mutant):
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    before, after = (ast.dump(ast.parse(each)) for each in (text, mutants.planted(text, mutant)))
    assert before != after


@every_mutant
def test_its_one_or_two_test_files_exist_and_its_harm_is_said(mutant):
    assert 1 <= len(mutant.tests) <= 2
    assert [file for file in mutant.tests if not (ROOT / file).is_file()] == []
    assert mutant.harm


def test_each_fault_has_a_name_and_a_text_of_its_own():
    assert len({mutant.name for mutant in MUTANTS}) == len({(m.file, m.old, m.new) for m in MUTANTS}) == len(MUTANTS)


def test_what_is_copied_exists():
    assert [part for part in mutants.PARTS if not (ROOT / part).exists()] == []


@pytest.mark.parametrize("text", ["", MUTANTS[0].old * 2])
def test_a_text_that_does_not_stand_once_cannot_be_planted(text):
    with pytest.raises(NotPlantedError, match=f"stands {len(text) and 2} times in {MUTANTS[0].file}"):
        mutants.planted(text, MUTANTS[0])


def test_faults_are_chosen_by_name():
    assert mutants.chosen([]) == MUTANTS
    assert mutants.chosen([MUTANTS[3].name, MUTANTS[1].name]) == [MUTANTS[3], MUTANTS[1]]
    with pytest.raises(LookupError, match=f"no mutant '{MUTANTS[0].name}s'; closest: {MUTANTS[0].name}"):
        mutants.chosen([f"{MUTANTS[0].name}s"])
