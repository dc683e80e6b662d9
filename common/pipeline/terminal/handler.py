"""Snakemake's messages on their way to a person: which are told, in which words, and which are not.

This takes the place of the handler that writes to the terminal, and nothing else: the file in .snakemake/log has all
messages. It is put there by the Snakefile, not as a plugin that a profile names, so that a checkout which is not
installed says what it has to say as well, and it sees the graph of jobs. Whoever asks Snakemake for other messages than
the profiles do, as by `--quiet host` or `--verbose`, gets its own.
"""

import atexit
import logging
import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from common.pipeline import build, cost
from common.pipeline.studies import Studies
from common.pipeline.terminal import ending, hints, plan, screen, words
from common.pipeline.terminal.board import Board
from common.pipeline.terminal.running import Progress, Watch
from common.pipeline.terminal.work import Work, works
from common.runs import progress
from common.runs.place import RESULTS, Place

LOGGER = "snakemake.logging"
OWN = "DefaultStreamHandler"
"""Name of Snakemake's handler for the terminal."""

MINUTE = 60.0
"""Seconds without a word after which a log has the totals; they come at 1, 2, 4, 8, ... minutes anyway."""

CHATTER = (
    "Assuming unrestricted",
    "Restored previous version of",
    "Cannot restore",
    "Exiting because a job execution failed",
)
"""How messages begin that say nothing to a person, or what is told in other words."""
TOLD = ("CalledProcessError", "At least one job did not complete successfully")
"""What is in messages about failures that are told as those of a run."""
STOPPING = "Terminating processes"
"""How the message begins that somebody has asked the build to end."""
SAID = (STOPPING, "Will exit after finishing", "Nothing to be done", "Trying to restart")
"""How those messages begin that are told although they are no warnings."""


def attach(workflow: Any, studies: Studies) -> "Terminal":
    """Put a handler of ours in the place of Snakemake's own, if that is there and is to say what the profiles ask for.

    The problems of studies are told last, whatever is asked.
    """
    terminal = Terminal(workflow, studies)
    if not workflow.is_main_process:
        return terminal
    atexit.register(studies.report)
    logger = logging.getLogger(LOGGER)
    for handler in logger.handlers if wanted(workflow.output_settings) else ():
        if handler.name == OWN:
            terminal.own = handler
            logger.removeHandler(handler)
            logger.addHandler(terminal)
            break
    return terminal


def wanted(settings: Any) -> bool:
    """Whether the messages are those that the profiles ask for."""
    quiet = {item.name for item in settings.quiet or ()}
    return "RULES" in quiet and not quiet & {"ALL", "PROGRESS"} and not settings.verbose and not settings.debug_dag


class Terminal(logging.Handler):
    """What is told of a start of Snakemake, from its messages and its graph."""

    def __init__(self, workflow: Any, studies: Studies) -> None:
        super().__init__()
        self.workflow, self.studies = workflow, studies
        self.own: logging.Handler | None = None
        self.executes = False
        self.planned = False
        self.build: Build | None = None
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Tell a message, in other words, or not at all."""
        try:
            self._tell(record)
        except Exception:
            self.handleError(record)

    def _tell(self, record: logging.LogRecord) -> None:
        event, text = str(getattr(record, "event", None) or ""), str(record.msg or "")
        if event == "workflow_started":
            self.executes = not self.workflow.touch
        if text.startswith(CHATTER) or (event == "error" and any(part in text for part in TOLD)):
            return
        hint = hints.told(text, self.workflow, self.studies) if record.levelno >= logging.ERROR else None
        if hint is not None:
            self._write(hint)
        elif not self.executes:
            self._pass(record)
        elif self.workflow.dryrun:
            self._plan(record, event)
        else:
            self._follow(record, event)

    def _pass(self, record: logging.LogRecord) -> None:
        """Let Snakemake's own handler tell it."""
        if self.own is not None:
            self.own.handle(record)

    def _write(self, text: str) -> None:
        if self.build is not None:
            self.build.pen.line(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def _plan(self, record: logging.LogRecord, event: str) -> None:
        """Of a dry run: what would be done, once; of all else only warnings."""
        if event == "run_info" and not self.planned:
            self.planned = True
            found = plan.due(self.workflow, self.studies)
            wish = self.workflow.config.get("plan") if hasattr(self.workflow, "config") else None
            if wish == "json":
                print(plan.as_json(found), flush=True)
                return
            cores = build.cores(self.workflow)
            told = plan.lines(found, self.studies, cores=cores, results=RESULTS, whole=wish == "whole")
            print("\n".join(told) or "only targets without files of their own: nothing to be made", flush=True)
        elif event == "" and (record.levelno > logging.INFO or str(record.msg).startswith(SAID)):
            self._pass(record)

    def _follow(self, record: logging.LogRecord, event: str) -> None:
        """Of a build: each job as it ends; of all else only warnings, and what a person has asked for."""
        now = time.monotonic()
        if event == "run_info":
            self.studies.report()
            self.build = Build(self.workflow, self.studies)
        elif self.build is not None and event == "job_info":
            self.build.begin(record.__dict__["jobid"], now)
        elif self.build is not None and event == "job_finished":
            self.build.finish(record.__dict__["job_id"], now)
        elif self.build is not None and event == "job_error":
            self.build.fail(record.__dict__["jobid"])
        elif self.build is not None and str(record.msg).startswith(STOPPING):
            self.build.stop()
        elif event in ("", "error") and (record.levelno > logging.INFO or str(record.msg).startswith(SAID)):
            self._pass(record)

    def stopped(self) -> None:
        """Say, as the last word, that the same command goes on."""
        if self.build is not None:
            self.words.append(build.STOPPED)
        else:
            print(build.STOPPED, file=sys.stderr)

    def close(self) -> None:
        """The last words."""
        if self.build is not None:
            self.build.close(self.words)
            self.build = None
        if self.own is not None:
            self.own.close()
        super().close()


class Build:
    """A build as it is told: lines for what has ended, a table of what runs."""

    def __init__(self, workflow: Any, studies: Studies) -> None:
        self.studies = studies
        self.elsewhere = workflow.non_local_exec
        self.began, self.heard, self.totals = time.monotonic(), time.monotonic(), MINUTE
        self.board = Board.of(works(workflow.dag.needrun_jobs(), studies), cores=build.cores(workflow))
        judged = {work.study for work in self.board.works.values() if work.kind == "judgement"}
        self.before = {study: self._before(study) for study in judged}
        self.begun: dict[int, float] = {}
        self.files: dict[int, int] = {}
        self.watches: dict[int, Watch] = {}
        self.looks: dict[int, Progress] = {}
        self.lock = threading.RLock()
        self.pen = screen.pen(sys.stderr, os.environ)
        os.environ[progress.SHOWN] = "yes"
        self.ended = threading.Event()
        self.ticker = threading.Thread(target=self._tick, daemon=True)
        self.ticker.start()

    def _before(self, study: str) -> ending.Verdicts:
        """Verdicts of a study before this build; where there are none, those that the repository keeps."""
        return ending.verdicts(study) or (
            ending.kept(self.studies[study].folder) if self.studies.scale == "default" else {}
        )

    def begin(self, number: int, now: float) -> None:
        """A job begins."""
        with self.lock:
            self.board.start(number, now)
            work = self.board.works.get(number)
            self.begun[number] = time.time()
            self.files[number] = _inode(work.output) if work else 0
            if work is not None and work.run is not None:
                self.watches[number] = Watch(work.run, Place.of(work.output))

    def finish(self, number: int, now: float) -> None:
        """A job is done."""
        with self.lock:
            work = self._end(number, self.board.finish(number, now))
            if work is not None and not self._kept(work, number):
                total = str(len(self.board.works))
                count = f"{len(self.board.done):{len(total)}}/{total}"
                self._line(f"{count}  {ending.finished(work, self.board.done[number])}", "done")

    def _kept(self, work: Work, number: int) -> bool:
        """Whether a run was trained before, which its job has told."""
        return work.run is not None and _inode(work.output) == self.files.get(number)

    def fail(self, number: int) -> None:
        """A job has failed; what has not been told of it is told."""
        with self.lock:
            work = self._end(number, self.board.fail(number))
            if work is not None and not self.board.ending:
                reason, own = hints.reason(work.log, work.name, since=self.begun.get(number, 0.0))
                if not own or self.elsewhere:
                    self._line(f"{work.name}: {reason} (log: {work.log})", "failed")

    def stop(self) -> None:
        """Somebody has asked for the end: what ends from now on has not failed."""
        with self.lock:
            self.board.ending = True
            self._line("stopping; runs in training save their states first")

    def _end(self, number: int, work: Work | None) -> Work | None:
        self.watches.pop(number, None)
        self.looks.pop(number, None)
        return work

    def _line(self, text: str, mark: str = "") -> None:
        self.heard = time.monotonic()
        self.pen.line(text, mark)

    def close(self, last: list[str]) -> None:
        """Say what has been made, and what to do next."""
        self.ended.set()
        self.ticker.join(timeout=2)
        self.pen.close()
        whole = len(self.board.done) == len(self.board.works)
        taken = time.monotonic() - self.began
        for line in ending.summary(self.board, self.before, self.studies, seconds=taken):
            self.pen.line(line)
        if whole and (found := ending.doors(Path.cwd())):
            last = [*last, found]
        for line in last:
            self.pen.line(line)

    def _tick(self) -> None:
        """Look at what runs, now and then, beside all else."""
        speed = cost.measured(RESULTS)
        with self.lock:
            self.board.expect(speed)
        while not self.ended.wait(self.pen.every_seconds):
            now = time.monotonic()
            with self.lock:
                self.looks = {number: look for number, watch in self.watches.items() if (look := watch.look(now))}
                seen = {number: look.left for number, look in self.looks.items() if look.left is not None}
                left = self.board.left(now, seen)
                if isinstance(self.pen, screen.Paper):
                    self._total(now, left)
                else:
                    self.pen.table(partial(self._table, now=now, left=left))

    def _total(self, now: float, left: float) -> None:
        """The totals, in a log that should have them."""
        if self._due(now):
            self._line(self.board.totals(left))

    def _due(self, now: float) -> bool:
        """Whether a log should have the totals."""
        if now - self.began >= self.totals:
            self.totals *= 2
            return True
        return now - self.heard >= MINUTE

    def _table(self, width: int, *, now: float, left: float) -> list[str]:
        """Each study, all of them together, and the jobs that run."""
        bar = max(min(width - 60, 24), 0)
        studies = self.board.studies()
        counted = [*studies.items()] if len(studies) > 1 else []
        rows = [(study, f"{done}/{total}", self.pen.bar(done / total, bar), "") for study, (done, total) in counted]
        part = len(self.board.done) / max(len(self.board.works), 1)
        last = f"about {words.time(left)} left, {words.time(now - self.began)} so far"
        rows.append(("all" if counted else next(iter(studies), ""), self.board.count(), self.pen.bar(part, bar), last))
        running = [self._running(number, now) for number in self.board.began]
        return [*words.columns(rows), *words.columns(running)]

    def _running(self, number: int, now: float) -> tuple[str, ...]:
        work, look = self.board.works[number], self.looks.get(number)
        spent = words.time(now - self.board.began[number])
        if look is None:
            return (f"  {work.label}", "", "", "", spent)
        loss = "" if look.loss is None else f"loss {look.loss:.3f}"
        return (f"  {work.label}", f"{look.done}/{look.steps}", loss, look.rate, spent)


def _inode(file: str) -> int:
    """What tells a file from the one that takes its place; 0 if there is none."""
    try:
        return Path(file).stat().st_ino
    except OSError:
        return 0
