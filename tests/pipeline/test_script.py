"""What is seen of a study's script without running it."""

import os

from common.pipeline import script

SCRIPT = '''"""The loss against the update.

One line for each run.
"""

import nothing_that_exists


def draw(runs):
    ...
'''


def test_docstring_and_functions_are_read_without_running_it(tmp_path):
    (tmp_path / "plot_loss.py").write_text(SCRIPT)
    found = script.read(tmp_path / "plot_loss.py")
    assert found.title == "The loss against the update."
    assert found.text.endswith("One line for each run.")
    assert found.functions.keys() == {"draw"} and found.problem is None


def test_without_a_docstring_there_is_no_title(tmp_path):
    (tmp_path / "plot_loss.py").write_text("import math\n")
    assert script.read(tmp_path / "plot_loss.py").title == ""


def test_what_keeps_it_from_being_read_is_said_with_its_line(tmp_path):
    (tmp_path / "plot_loss.py").write_text("import math\ndef draw(:\n")
    assert script.read(tmp_path / "plot_loss.py").problem == ":2: SyntaxError: invalid syntax"


def test_another_version_is_read_again(tmp_path):
    path = tmp_path / "plot_loss.py"
    for number, text in enumerate(("One.", "Two.")):
        path.write_text(f'"""{text}"""\n')
        os.utime(path, ns=(number, number))
        assert script.read(path).title == text
