"""What is told of a build: how far it is, what has failed, what was meant, what it has made."""

import io
import json
import logging
import os
import re
import select
import threading
import time
from types import SimpleNamespace

import pytest

from common.config import MLP, SGD, Digits, Run
from common.pipeline import disk
from common.pipeline.terminal import ending, handler, hints, plan, screen
from common.pipeline.terminal.board import Board
from common.pipeline.terminal.running import Watch
from common.pipeline.terminal.work import Work
from common.runs.place import Place
from common.runs.progress import ATTEMPT, SHOWN, reason

RUN = Run(
    model=MLP(width=8, depth=2), data=Digits(), optimizer=SGD(), lr=0.1, steps=100, batch_size=10, seed=0, name="a"
)


def work(number: int, kind: str = "run", name: str = "tiny/a", output: str = "results/tiny/a/run.json") -> Work:
    return Work(number, kind, "tiny", name, (output,), f"logs/{name}.log", RUN if kind == "run" else None)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A build of two runs and a figure, told on paper."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(SHOWN, "")
    paper = io.StringIO()
    monkeypatch.setattr(handler.screen, "pen", lambda *_: screen.Paper(paper))
    figure = work(3, "figure", "tiny_loss", "figures/tiny_loss.pdf")
    monkeypatch.setattr(handler, "works", lambda *_: [work(1), work(2, name="tiny/b"), figure])
    dag = SimpleNamespace(needrun_jobs=list)
    problems = SimpleNamespace(scale="smoke", problems=[], report=lambda: None)
    settings = SimpleNamespace(cores=2)
    made = handler.Build(SimpleNamespace(dag=dag, resource_settings=settings, non_local_exec=False), problems)
    made.paper = paper
    yield made
    made.ended.set()


def told(build) -> list[str]:
    return build.paper.getvalue().splitlines()


def test_a_line_for_each_job_that_is_done_and_last_words(build, tmp_path):
    place = Place("tiny", "a")
    build.begin(1, 10.0)
    place.folder.mkdir(parents=True)
    place.record.write_text(json.dumps({"status": "complete", "updates": 100}))
    place.metrics.write_text("step,train_loss,val_loss\n0,3.0,3.1\n100,1.5,1.23456\n")
    build.finish(1, 12.5)
    build.begin(3, 12.5)
    build.finish(3, 13.0)
    assert [line.partition(" ")[2] for line in told(build)] == [
        "1/3  tiny/a  val_loss 1.235  100 updates  2.5 s",
        "2/3  figures/tiny_loss.pdf  0.5 s",
    ]
    build.close(["the same command goes on"])
    last = told(build)[2:]
    assert last[0].startswith("2 of 3 jobs done in ") and last[-1] == "the same command goes on"
    assert last[1] == f"figures: tiny_loss.pdf in {tmp_path}/figures" and len(last) == 3


def test_a_failure_is_told_once_with_reason_and_log(build, tmp_path):
    log = tmp_path / "logs/tiny/a.log"
    log.parent.mkdir(parents=True)
    build.begin(1, 0.0)
    log.write_text("Traceback\nImportError: no module\n")
    build.fail(1)
    assert told(build) == [f"{build.pen.sign('failed')} tiny/a: ImportError: no module (log: logs/tiny/a.log)"]
    build.begin(2, 0.0)
    (tmp_path / "logs/tiny/b.log").write_text("tiny/b: ValueError: said by the job\n")
    build.fail(2)
    assert len(told(build)) == 1
    build.close([])
    assert told(build)[-1] == "failed: tiny/a, tiny/b"


def test_what_a_person_stops_has_not_failed(build):
    build.begin(1, 0.0)
    build.fail(1)
    build.begin(2, 0.0)
    build.stop()
    build.fail(2)
    assert build.board.failed == [1] and build.board.stopped == [2]
    assert build.board.left(0.0, {}) == pytest.approx(handler.Board.of([work(3, "figure")], cores=2).left(0.0, {}))
    build.close(["the same command goes on"])
    first, stopping, _, *last = told(build)
    assert "tiny/a: ended without a word" in first and stopping.startswith("stopping; ")
    assert last == ["failed: tiny/a", "stopped: tiny/b", "the same command goes on"]


def test_the_message_of_ctrl_c_ends_a_build_in_our_words(build):
    terminal = handler.Terminal(SimpleNamespace(touch=False, dryrun=False), SimpleNamespace(problems=[]))
    terminal.executes, terminal.build = True, build
    text = "Terminating processes on user request, this might take some time."
    terminal.emit(logging.LogRecord("x", logging.INFO, "", 0, text, None, None))
    assert build.board.ending and told(build) == ["stopping; runs in training save their states first"]


def test_what_a_job_on_another_host_has_said_in_its_log_is_told_here(build, tmp_path):
    build.elsewhere = True
    (tmp_path / "logs/tiny").mkdir(parents=True)
    build.begin(1, 0.0)
    (tmp_path / "logs/tiny/a.log").write_text("tiny/a: stopped after update 3; its state is saved\n")
    build.fail(1)
    build.begin(1, 1.0)
    build.finish(1, 2.0)
    sign = build.pen.sign("failed")
    assert told(build)[0] == f"{sign} tiny/a: stopped after update 3; its state is saved (log: logs/tiny/a.log)"
    build.close([])
    assert not any(line.startswith("failed") for line in told(build)), "a later attempt has come to its end"


def test_a_further_attempt_that_said_nothing_is_not_told_by_the_words_of_the_one_before(tmp_path):
    log = tmp_path / "a.log"
    log.write_text(f"a: stopped\n{ATTEMPT}process 3\n")
    assert hints.reason(str(log), "a", since=0.0) == ("ended without a word; perhaps it was killed", False)


def test_an_old_log_or_none_says_nothing_of_a_job_that_was_killed(tmp_path):
    log = tmp_path / "a.log"
    silent = ("ended without a word; perhaps it was killed", False)
    assert hints.reason(str(log), "a", since=time.time()) == silent
    log.write_text("a: of an earlier build\n")
    os.utime(log, (1, 1))
    assert hints.reason(str(log), "a", since=time.time()) == silent


def test_totals_come_after_a_silent_minute_and_ever_more_rarely_otherwise(build):
    began = build.began
    told_at = []
    for second in range(0, 1000, 10):
        build.heard = began + second
        if build._due(began + second):
            told_at.append(second)
    assert told_at == [60, 120, 240, 480, 960]
    build.heard = began
    assert build._due(began + 61)


def test_time_left_follows_what_was_measured():
    board = Board.of([work(1), work(2), work(3), work(4)], cores=2)
    board.expected = dict.fromkeys((1, 2, 3, 4), 10.0)
    assert board.left(0.0, {}) == 20.0
    board.start(1, 0.0)
    board.finish(1, 40.0)
    assert board.left(40.0, {}) == pytest.approx(3 * 30 / 2)
    board.start(2, 40.0)
    assert board.left(41.0, {2: 2.0}) == pytest.approx(31.0)
    assert board.totals(5.0) == "all 1/4, about 5.0 s left"


def test_a_run_in_training_is_read_from_its_rows(tmp_path):
    place = Place("tiny", "a", tmp_path)
    watch = Watch(RUN, place)
    assert watch.look(0.0) is None
    place.progress.mkdir(parents=True)
    rows = place.progress / "metrics.csv"
    rows.write_text("step,train_loss,val_loss\n20,2.0,\n")
    assert (watch.look(0.0).done, watch.look(0.0).rate) == (20, "")
    rows.write_text("step,train_loss,val_loss\n20,2.0,\n60,1.5,\n7")
    seen = watch.look(2.0)
    assert (seen.done, seen.steps, seen.loss, seen.rate, seen.left) == (60, 100, 1.5, "0.2k ex/s", 2.0)


@pytest.mark.parametrize(("quiet", "ours"), [("RULES HOST", True), ("HOST REASON", False), ("ALL RULES", False)])
def test_other_messages_than_those_of_the_profiles_are_snakemakes(quiet, ours):
    names = [SimpleNamespace(name=name) for name in quiet.split()]
    assert handler.wanted(SimpleNamespace(quiet=names, verbose=False, debug_dag=False)) == ours


def test_no_terminal_no_table_no_colour():
    stream = io.StringIO()
    paper = screen.pen(stream, {"TERM": "xterm"})
    paper.table(lambda _: ["never"])
    paper.line("x", "done")
    assert isinstance(paper, screen.Paper) and "\x1b" not in stream.getvalue() and "never" not in stream.getvalue()
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert screen.Paper(ascii_only).marked("x", "failed") == "FAILED x"


def arrived(controller: int) -> str:
    """All that was written to a terminal, some of which comes a moment later."""
    text = b""
    while select.select([controller], [], [], 0.3)[0]:
        text += os.read(controller, 1 << 16)
    return text.decode()


@pytest.mark.parametrize("width", [20, 60, 200])
def test_lines_of_the_table_fit_the_terminal(width):
    controller, terminal = os.openpty()
    kept = os.dup(2)
    try:
        os.dup2(terminal, 2)
        drawn = screen.Screen({"NO_COLOR": "1"})
        drawn._size = lambda: (width, 5)
        drawn.table(lambda _: ["y" * 300] * 9)
        drawn.line("a line above", "done")
        os.write(2, b"said by a job\n")
        drawn.close()
        text = arrived(controller)
    finally:
        os.dup2(kept, 2)
        for number in (kept, controller, terminal):
            os.close(number)
    lines = [line for line in text.replace("\x1b[K", "").splitlines() if line.strip("\x1b[J\r").startswith("y")]
    assert {len(line.strip("\x1b[J\r")) for line in lines} == {width - 1} and "\x1b[32m" not in text
    assert "said by a job" in text and f"{drawn.sign('done')} a line above" in text and "\x1b[3A" in text


class Window:
    """A terminal that breaks lines anew when its width changes, as most do."""

    def __init__(self, width: int) -> None:
        self.width, self.lines, self.line, self.start = width, [""], 0, 0

    def rows(self) -> list[tuple[int, int]]:
        """Of each row on the glass the line that it is part of, and where in it the row starts."""
        found = enumerate(self.lines)
        return [(number, start) for number, line in found for start in range(0, max(len(line), 1), self.width)]

    def write(self, text: str) -> None:
        """Take text as it comes; the cursor is at the start of a row before each text."""
        for part in re.findall(r"\x1b\[\d*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
            if up := re.fullmatch(r"\x1b\[(\d+)A", part):
                here = self.rows().index((self.line, self.start))
                self.line, self.start = self.rows()[max(here - int(up[1]), 0)]
            elif part == "\x1b[J":
                self.lines[self.line :] = [self.lines[self.line][: self.start]]
            elif part == "\n":
                self.line, self.start = self.line + 1, 0
                self.lines += [""] * (self.line == len(self.lines))
            elif part[0] not in "\r\x1b":
                self.lines[self.line] = self.lines[self.line][: self.start] + part


def test_a_terminal_that_changes_its_width_keeps_no_remains_of_the_table():
    window, kept = Window(60), []
    drawn = screen.Screen.__new__(screen.Screen)
    screen.Signs.__init__(drawn, io.StringIO(), coloured=False)
    drawn.lock, drawn.lines, drawn._write = threading.RLock(), [], window.write
    drawn._size = lambda: (window.width, 40)
    for number, width in enumerate((60, 25, 25, 13, 80, 40)):
        window.width = width
        kept.append(f"done {number}")
        drawn.line(kept[-1])
        drawn.table(lambda width, number=number: [f"{number} {'x' * 90}"[:width], "", f"{number} short"])
        assert window.lines == [*kept, *drawn.lines, ""]
    drawn._write(drawn._erased())
    assert window.lines == [*kept, ""]


def test_did_you_mean():
    known = ["wsd", "figures/wsd_loss.pdf", "figures/wsd_loss.png"]
    studies = SimpleNamespace(problems=[SimpleNamespace(study="mine")], __iter__=None)
    assert hints.unknown("figures/wsd_los.pdf", studies, known) == (
        "no target figures/wsd_los.pdf; did you mean figures/wsd_loss.pdf?"
    )
    assert hints.unknown("wsdd", studies, known) == "no target wsdd; did you mean wsd?"
    assert hints.unknown("figures/mine_loss.pdf", studies, known).endswith("the study mine has problems, told below")


def test_reasons_in_words():
    empty = dict.fromkeys(plan.REASONS)
    changed = SimpleNamespace(only_new={"{'model': {}}"})
    assert plan.why(SimpleNamespace(**empty | {"params_changed": changed}), "run") == "its description has changed"
    assert plan.why(SimpleNamespace(**empty | {"missing_output": {"x"}, "updated_input": {"y"}}), "run") == (
        "not made yet"
    )
    assert "; install it (make .venv" in reason(ModuleNotFoundError("No module named 'datasets'"))


def test_a_folder_of_the_repository_is_named_from_its_root(monkeypatch, tmp_path):
    monkeypatch.setattr(ending, "ROOT", tmp_path)
    assert str(ending._place(tmp_path / "scales/smoke/figures")) == "scales/smoke/figures"
    assert ending._place(tmp_path.parent / "figures") == tmp_path.parent / "figures"


def test_changed_verdicts_are_named():
    [line] = ending._compared("tiny", {"T1": "supported", "T2": "weaker"}, {"T1": "undecided"}, claims=["T1", "T2"])
    assert line == "verdicts of tiny: 1 supported, 1 weaker; changed: T1 supported (was undecided)"
    [line] = ending._compared("tiny", {"T1": "supported"}, {}, claims=["T1"])
    assert line == "verdicts of tiny: 1 supported"


def test_chatter_is_not_told_and_warnings_are(capsys):
    own = logging.StreamHandler(io.StringIO())
    terminal = handler.Terminal(SimpleNamespace(touch=False, dryrun=False), SimpleNamespace(problems=[]))
    terminal.own, terminal.executes = own, True
    for level, text in (
        (20, "Select jobs to execute..."),
        (30, "a warning"),
        (40, "Exiting because a job execution failed."),
    ):
        terminal.emit(logging.LogRecord("x", level, "", 0, text, None, None))
    assert own.stream.getvalue() == "a warning\n"


def test_cleaning_leaves_what_took_time_to_make(tmp_path):
    for name in ("logs", "scales/smoke", "scales/pilot", "results", "figures", ".snakemake/log", ".snakemake/metadata"):
        (tmp_path / name).mkdir(parents=True)
    assert disk.clean(tmp_path) == ["logs", ".snakemake/log", "scales/smoke"]
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left >= {"scales/pilot", "results", "figures", ".snakemake/metadata"}
