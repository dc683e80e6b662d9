import io
import subprocess
import sys

import pytest

from common.runs.progress import Progress, reason


def test_lines_come_after_their_interval_and_not_before():
    out = io.StringIO()
    progress = Progress("wsd/run", steps=10, tokens_per_step=4, every_seconds=0.0, to=out)
    progress.update(2, None)
    assert out.getvalue() == ""
    progress.update(4, 1.25)
    assert out.getvalue().startswith("wsd/run  step 4/10  loss 1.250  ") and "s left" in out.getvalue()
    quiet = Progress("wsd/run", steps=10, tokens_per_step=4, every_seconds=3600.0, to=out)
    quiet.update(0, None)
    quiet.update(9, 1.0)
    assert out.getvalue().count("\n") == 1


def test_a_log_takes_everything_and_the_terminal_stays_reachable(tmp_path):
    code = (
        "import os, sys; from common.runs.progress import logged\n"
        f"with logged({str(tmp_path / 'log')!r}, what='wsd/a') as terminal:\n"
        "    print('out'); os.system('echo child'); print('err', file=sys.stderr); print('seen', file=terminal)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "seen\n")
    assert sorted((tmp_path / "log").read_text().split()) == ["child", "err", "out"]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", "ended without a word; perhaps it was killed, or there was not enough memory"),
        ("one\ntwo\n\n", "two"),
        ("Traceback ...\n  x\ncommon.data.DataError: too few\nmore words\n", "DataError: too few"),
        ("ValueError: first\nDuring handling ...\nKeyError: 'last'\n", "KeyError: 'last'"),
        ("RuntimeError: " + 400 * "x", "RuntimeError: " + 286 * "x" + "..."),
        ("stopped after update 3; its state is saved\n", "stopped after update 3; its state is saved"),
    ],
)
def test_the_reason_of_a_failure_is_one_line(tmp_path, written, told):
    (tmp_path / "log").write_text(written)
    assert reason(tmp_path / "log") == told


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        ("ValueError('no')", 1, "wsd/a: ValueError: no (log: {log})\n"),
        ("SystemExit('stopped; saved')", 1, "wsd/a: stopped; saved (log: {log})\n"),
        ("SystemExit(3)", 1, "wsd/a: ended without a word"),
        ("SystemExit(0)", 0, ""),
        ("KeyboardInterrupt()", 1, "wsd/a: KeyboardInterrupt (log: {log})\n"),
    ],
)
def test_a_failure_is_told_on_the_terminal_with_the_path_of_its_log(tmp_path, raised, code, told):
    log = str(tmp_path / "log")
    program = f"from common.runs.progress import logged\nwith logged({log!r}, what='wsd/a'):\n    raise {raised}\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code and done.stderr.startswith(told.format(log=log))
    assert done.stderr.count("\n") == (1 if told else 0)
