import dataclasses
import json
import math
import multiprocessing
import time
from itertools import pairwise

import pytest

from common import config
from common.config import MLP, Digits, Run
from common.runs import records
from common.runs.place import FILES, Place

RUN = Run(model=MLP(width=8), data=Digits(), lr=0.1, steps=4, seed=3, arm="a")


def write_run(results, name, run, rows, *, study="study", start_step=0, status="complete"):
    place = Place(study, name, results)
    place.folder.mkdir(parents=True)
    record = {
        "study": study, "name": name, "status": status, "reason": None, "start_step": start_step,
        "description": config.to_dict(run),
    }  # fmt: skip
    place.record.write_text(json.dumps(record))
    table = records.Rows(place.metrics, sorted({key for row in rows for key in row}))
    for row in rows:
        table.append(row)
    table.close()
    return place.metrics


def test_numbers_read_back_exactly_and_gaps_are_nan(tmp_path):
    value = 0.1 + 0.2
    path = write_run(tmp_path, "r", RUN, [{"step": 0, "val_loss": value}, {"step": 1, "train_loss": 1 / 3}])
    table = records.read_runs([path])
    assert table.val_loss[0] == value and table.train_loss[1] == 1 / 3
    assert math.isnan(table.val_loss[1])
    assert table[["study", "run", "arm", "seed", "lr", "width", "data"]].iloc[0].tolist() == [
        "study", "r", "a", 3, 0.1, 8, "digits",
    ]  # fmt: skip


def test_a_lineage_has_the_parents_rows_up_to_the_branch(tmp_path):
    write_run(tmp_path, "trunk", RUN, [{"step": s, "val_loss": float(s)} for s in range(5)])
    child = dataclasses.replace(RUN, parent="trunk", parent_step=None)
    path = write_run(tmp_path, "child", child, [{"step": s, "val_loss": 10.0 + s} for s in (2, 3)], start_step=2)
    assert records.read_runs([path]).step.tolist() == [2, 3]
    assert records.read_runs([path], lineage=True).val_loss.tolist() == [0.0, 1.0, 2.0, 12.0, 13.0]
    assert set(records.read_runs([path], lineage=True).run) == {"child"}


def test_a_lineage_may_begin_in_another_study(tmp_path):
    write_run(tmp_path, "trunk", RUN, [{"step": 0, "val_loss": 0.0}, {"step": 2, "val_loss": 1.0}], study="other")
    child = dataclasses.replace(RUN, parent="other/trunk")
    path = write_run(tmp_path, "child", child, [{"step": 2, "val_loss": 12.0}], start_step=2)
    table = records.read_runs([path], lineage=True)
    assert table.val_loss.tolist() == [0.0, 1.0, 12.0] and set(table.study) == {"study"}


def test_swept_fields_are_the_members_own(tmp_path):
    run = dataclasses.replace(RUN, sweep={"lr": (0.1, 0.2)})
    rows = [{"member": i, "lr": lr, "step": 0, "val_loss": lr} for i, lr in enumerate((0.1, 0.2))]
    assert records.read_runs([write_run(tmp_path, "r", run, rows)]).lr.tolist() == [0.1, 0.2]


def test_members_have_the_rows_of_their_own_parents(tmp_path):
    def rows(steps, members):
        return [{"member": i, "seed": s, "step": n, "val_loss": 10 * s + n} for i, s in members for n in steps]

    trunk = dataclasses.replace(RUN, steps=2, sweep={"seed": (5, 6)})
    child = dataclasses.replace(RUN, steps=2, parent="trunk", sweep={"seed": (6, 5)})
    write_run(tmp_path, "trunk", trunk, rows((0, 1, 2), ((0, 5), (1, 6))))
    path = write_run(tmp_path, "child", child, rows((2, 3, 4), ((0, 6), (1, 5))), start_step=2)
    table = records.read_runs([path], lineage=True)
    for seed, member in ((6, 0), (5, 1)):
        own = table[table.seed == seed]
        assert own.val_loss.tolist() == [10 * seed + n for n in (0, 1, 2, 2, 3, 4)]
        assert set(own.member) == {member}


def test_what_was_evaluated_is_that_of_one_step_and_one_member(tmp_path):
    def rows(**member):
        scale = 10.0 ** member.get("member", 0)
        return [
            {**member, "step": n, "train_loss": 9.0} | ({"val_loss": scale * n, "average_val_loss": 0.5} if n else {})
            for n in range(4)
        ]

    path = write_run(tmp_path, "r", RUN, rows())
    assert records.evaluated(path, step=2) == {"val_loss": 2.0, "average_val_loss": 0.5}
    assert records.evaluated(path, step=0) == records.evaluated(path, step=7) == {}
    swept = write_run(tmp_path, "s", RUN, [*rows(member=0), *rows(member=1)])
    assert [records.evaluated(swept, step=3, member=m)["val_loss"] for m in (0, 1)] == [3.0, 30.0]


def test_a_missing_run_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"study/gone/run.json is missing"):
        records.read_runs([tmp_path / "study" / "gone" / "metrics.csv"])
    with pytest.raises(ValueError, match="no runs to read"):
        records.read_runs([])


def test_rows_continue_where_the_saved_size_ends(tmp_path):
    path = tmp_path / "metrics.csv"
    first = records.Rows(path, ["step", "loss"])
    first.append({"step": 0, "loss": 1.5})
    size = first.size()
    first.append({"step": 1})
    first.close()
    with path.open("a") as torn:
        torn.write("2,0.")
    second = records.Rows(path, ["step", "loss"], size=size)
    second.append({"step": 1, "loss": 0.5})
    second.close()
    assert path.read_text() == "step,loss\n0,1.5\n1,0.5\n"


def test_json_is_strict(tmp_path):
    with pytest.raises(ValueError):
        records.write_json(tmp_path / "x.json", {"loss": math.nan})


def test_publish_leaves_only_the_outputs(tmp_path):
    place = Place("study", "r", tmp_path)
    place.progress.mkdir(parents=True)
    for name in FILES:
        (place.progress / name).write_text(name)
    records.publish(place)
    assert sorted(path.name for path in place.folder.iterdir()) == sorted(FILES)


def hold(place, spans, seconds):
    with records.exclusive(place):
        begin = time.monotonic()
        time.sleep(seconds)
        spans.put((begin, time.monotonic()))


def test_two_writers_take_turns(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=hold, args=(Place("study", "r", tmp_path), queue, 0.2)) for _ in range(3)]
    for worker in workers:
        worker.start()
    spans = sorted(queue.get(timeout=10) for _ in workers)
    for worker in workers:
        worker.join(10)
    assert all(end - begin >= 0.19 for begin, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
