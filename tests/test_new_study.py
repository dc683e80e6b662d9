import pytest

from common import new_study
from common.studies import Studies


def test_a_new_study_is_sound_and_short(tmp_path):
    folder = new_study.write("fresh", root=tmp_path)
    studies = Studies.load(tmp_path)
    assert not studies.problems and len(studies["fresh"].runs) == 10
    assert studies.figures("fresh") == ["figures/fresh_loss.pdf"]
    lengths = [len((folder / file).read_text().splitlines()) for file in ("study.py", "plot_loss.py")]
    assert sum(lengths) <= 45


@pytest.mark.parametrize("name", ["data", "Fresh", "a-b", "../x", "class", ""])
def test_a_name_that_cannot_be_a_study_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="NAME="):
        new_study.write(name, root=tmp_path)


def test_an_existing_study_is_left_alone(tmp_path):
    new_study.write("fresh", root=tmp_path)
    with pytest.raises(ValueError, match="exists already"):
        new_study.write("fresh", root=tmp_path)
