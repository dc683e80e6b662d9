import os
import time

from common.runs import dates


def date(path, seconds: float) -> None:
    """Give a file a date so far ahead."""
    os.utime(path, (time.time() + seconds,) * 2)


def test_what_is_dated_in_the_future_is_dated_now_and_all_else_stays(tmp_path):
    past, future = tmp_path / "past", tmp_path / "future"
    for path, seconds in ((past, -3600), (future, 3600)):
        path.touch()
        date(path, seconds)
    before = past.stat().st_mtime_ns
    dates.correct([past, str(future), tmp_path / "missing"])
    assert past.stat().st_mtime_ns == before
    assert before < future.stat().st_mtime_ns <= time.time_ns()


def test_a_file_of_somebody_else_costs_nothing(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError

    (tmp_path / "file").touch()
    date(tmp_path / "file", 3600)
    monkeypatch.setattr(os, "utime", refuse)
    dates.correct([tmp_path / "file"])
