import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.data import DataError
from common.runs.progress import ATTEMPT, Progress, reason


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


def test_a_further_attempt_leaves_what_the_one_before_has_said(tmp_path):
    log = tmp_path / "log"
    (tmp_path / ".log").write_text("of another training\n")
    for further in (False, True):
        log.unlink(missing_ok=True)  # as Snakemake does
        code = (
            "from common.runs.progress import logged\n"
            f"with logged({str(log)!r}, what='wsd/a', further={further}):\n    print('{further}')\n"
        )
        subprocess.run(
            [sys.executable, "-c", code], check=True, env=os.environ | {"SLURM_JOB_ID": "8", "SLURMD_NODENAME": "n1"}
        )
    first, heading, second = log.read_text().splitlines()
    assert (first, second) == ("False", "True")
    assert re.fullmatch(rf"{ATTEMPT}process \d+, host n1, slurm job 8", heading)


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (DataError("too few\nmore words"), "DataError: too few"),
        (KeyError("last"), "KeyError: 'last'"),
        (MemoryError(), "MemoryError"),
        (RuntimeError(400 * "x"), "RuntimeError: " + 286 * "x" + "..."),
        (SystemExit("stopped after update 3; its state is saved"), "stopped after update 3; its state is saved"),
        (SystemExit(3), "ended with status 3"),
    ],
)
def test_the_reason_of_a_failure_is_one_line(problem, told):
    assert reason(problem) == told


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        ("ValueError('no')", 1, "wsd/a: ValueError: no"),
        ("SystemExit('stopped; saved')", 1, "wsd/a: stopped; saved"),
        ("SystemExit(3)", 1, "wsd/a: ended with status 3"),
        ("SystemExit(0)", 0, ""),
        ("KeyboardInterrupt()", 1, "wsd/a: KeyboardInterrupt"),
    ],
)
def test_a_failure_is_told_on_the_terminal_with_the_path_of_its_log(tmp_path, raised, code, told):
    log = tmp_path / "log"
    done = failed(log, raised)
    assert (done.returncode, done.stderr) == (code, f"{told} (log: {log})\n" if told else "")
    assert log.read_text().endswith(f"{told}\n" if told else "")


def test_a_failure_is_told_where_the_disk_of_its_log_is_full():
    done = failed(Path("/dev/full"), "OSError(28, 'No space left on device')")
    assert done.returncode == 1
    assert done.stderr == "wsd/a: OSError: [Errno 28] No space left on device (log: /dev/full)\n"


def failed(log: Path, raised: str) -> subprocess.CompletedProcess:
    """A process that raises something while its output goes to a log."""
    program = f"from common.runs.progress import logged\nwith logged({str(log)!r}, what='wsd/a'):\n    raise {raised}\n"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
