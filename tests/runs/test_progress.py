import io
import subprocess
import sys

from common.runs.progress import Progress


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
        f"with logged({str(tmp_path / 'log')!r}) as terminal:\n"
        "    print('out'); os.system('echo child'); print('err', file=sys.stderr); print('seen', file=terminal)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "seen\n")
    assert sorted((tmp_path / "log").read_text().split()) == ["child", "err", "out"]
