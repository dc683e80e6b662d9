"""Jobs that a build was to do are incomplete until they are done."""

from types import SimpleNamespace

from common.pipeline import unfinished


def test_the_jobs_with_files_of_an_earlier_build_are_incomplete_until_they_are_done(tmp_path):
    registered = []
    for name in ("old", "older"):
        (tmp_path / name).touch()
    jobs = [
        SimpleNamespace(
            output=[str(tmp_path / name) for name in names], register=lambda names=names: registered.append(names)
        )
        for names in (("new",), ("new", "old"), ("older",), ())
    ]
    unfinished.remember(SimpleNamespace(dag=SimpleNamespace(needrun_jobs=lambda: iter(jobs))))
    assert registered == [("new", "old"), ("older",)]
