"""Plant faults in a copy of this repository, one at a time, and see that the tests catch each.

As a script: `python -m tests.mutants`, or with the names of some faults. A test that has never failed may be one that
cannot: each fault here is a slip that a person could make, with what it would do to whoever uses the numbers, and the
test files that have to notice it. tests/test_mutants.py keeps the list true.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("common", "studies", "tests", "README.md", "docs", "pyproject.toml", "Snakefile", "profiles", "envs")


class Mutant(NamedTuple):
    """A planted fault."""

    name: str
    file: str
    old: str
    """Text that stands exactly once in the file."""
    new: str
    tests: tuple[str, ...]
    """One or two test files that catch it."""
    harm: str
    """What it would do to a user."""


LOOP, EVALUATION = "common/training/loop.py", "common/training/evaluation.py"
SCHEDULES, OPTIMIZERS = "common/optim/schedules.py", "common/optim/optimizers.py"
STATISTICS, VERDICTS = "common/evidence/statistics.py", "common/evidence/verdicts.py"
READINGS, COMBINATIONS = "common/evidence/readings.py", "common/evidence/combinations.py"
RECORDS, STUDIES = "common/runs/records.py", "common/pipeline/studies.py"
TEST_LOOP, TEST_SCHEDULES = ("tests/training/test_loop.py",), ("tests/optim/test_schedules.py",)
TEST_OPTIMIZERS, TEST_EVALUATION = ("tests/optim/test_optimizers.py",), ("tests/training/test_evaluation.py",)
TEST_STATISTICS, TEST_VERDICTS = ("tests/evidence/test_statistics.py",), ("tests/evidence/test_verdicts.py",)
TEST_RECORDS, TEST_PARENT = ("tests/runs/test_records.py",), ("tests/runs/test_parent.py",)
TEST_PROVENANCE, TEST_TRACKING = ("tests/pipeline/test_provenance.py",), ("tests/tracking/test_tracking.py",)
TEST_STUDIES = ("tests/pipeline/test_studies.py",)

MUTANTS = [
    # The training loop
    Mutant(
        "rate_of_the_update_before",
        LOOP,
        "self.run.lr * self.schedule(self.done))",
        "self.run.lr * self.schedule(max(self.done - 1, 0)))",
        TEST_LOOP,
        "every update has the rate of the one before: a decay never reaches its floor",
    ),
    Mutant(
        "position_one_short",
        LOOP,
        "self.position += self.run.batch_size or self.dataset.size",
        "self.position += (self.run.batch_size or self.dataset.size) - 1",
        TEST_LOOP,
        "the last example of a batch is the first of the next: an epoch is no epoch",
    ),
    Mutant(
        "kept_steps_of_the_lineage",
        LOOP,
        "if self.done in self.run.keep_steps:",
        "if self.start_step + self.done in self.run.keep_steps:",
        TEST_LOOP,
        "a run that continues another keeps other states than it was asked for",
    ),
    Mutant(
        "saved_position_of_the_batch_before",
        LOOP,
        "step=self.start_step + self.done, position=self.position)",
        "step=self.start_step + self.done, position=self.position - (self.run.batch_size or 0))",
        TEST_LOOP,
        "a run that was interrupted or is continued sees a batch twice",
    ),
    Mutant(
        "stacked_gradient_of_the_mean",
        "common/training/vectorised.py",
        "torch.autograd.grad(losses.sum(),",
        "torch.autograd.grad(losses.mean(),",
        ("tests/training/test_vectorised.py",),
        "the rate of a member depends on how many train beside it",
    ),
    # Evaluation
    Mutant(
        "right_answers_of_the_last_chunk",
        EVALUATION,
        "right += int((logits",
        "right = int((logits",
        TEST_EVALUATION,
        "an accuracy counts the last images only",
    ),
    Mutant(
        "all_classes_within",
        EVALUATION,
        "within[logits[:, within].argmax(-1)]",
        "logits.argmax(-1)",
        TEST_EVALUATION,
        "classes that are still known look forgotten",
    ),
    # Schedules and decays
    Mutant(
        "warm_up_from_rate_zero",
        SCHEDULES,
        "start + (1 - start) * ((i + 1) / steps))",
        "start + (1 - start) * (i / steps))",
        TEST_SCHEDULES,
        "the first update is wasted, and the warm-up ends below the peak",
    ),
    Mutant(
        "decay_short_of_its_floor",
        SCHEDULES,
        "lambda i: curve((i + 1) / steps, floor))",
        "lambda i: curve(i / steps, floor))",
        TEST_SCHEDULES,
        "the last update is above the floor: losses after a decay are too high",
    ),
    Mutant(
        "cosine_cut_off_at_its_floor",
        "common/optim/decays.py",
        "floor + (1 - floor) * (1 + math.cos(math.pi * u)) / 2",
        "max(floor, (1 + math.cos(math.pi * u)) / 2)",
        ("tests/optim/test_decays.py",),
        "a cosine to a floor is cut off and not scaled: another baseline than the paper's",
    ),
    Mutant(
        "phase_before_at_a_boundary",
        SCHEDULES,
        "k = bisect_right(ends, t)",
        "k = bisect_right(ends, t - 1)",
        TEST_SCHEDULES,
        "the first update of a phase runs on in the one before",
    ),
    Mutant(
        "wsd_s_warms_again_from_zero",
        SCHEDULES,
        "fall(length, curve, schedule.floor)]\n        warm = rise(schedule.rewarm_steps, start=schedule.floor)",
        "fall(length, curve, schedule.floor)]\n        warm = rise(schedule.rewarm_steps)",
        TEST_SCHEDULES,
        "WSD-S drops to almost no rate after each of its ends",
    ),
    # Optimizers
    Mutant(
        "one_rate_for_all_groups",
        OPTIMIZERS,
        'group["lr"] = float(lr) * group["lr_factor"]',
        'group["lr"] = float(lr)',
        TEST_OPTIMIZERS,
        "every parametrization trains like the standard one: no rate transfers",
    ),
    Mutant(
        "clipping_that_amplifies",
        OPTIMIZERS,
        "(max_norm / norm).clamp(max=1.0)",
        "max_norm / norm",
        TEST_OPTIMIZERS,
        "small gradients are blown up to the bound: no run settles",
    ),
    Mutant(
        "schedule_free_weighs_by_the_rate",
        "common/optim/schedule_free.py",
        'weight: float = group["rate_max"] ** 2',
        'weight: float = group["rate_max"]',
        ("tests/optim/test_schedule_free.py",),
        "a warm-up counts too much in the average: another optimizer than the paper's",
    ),
    Mutant(
        "moments_forgotten_by_a_branch",
        LOOP,
        'if "optimizer" not in reset:',
        'if "optimizer" not in reset and state is self.resumed:',
        TEST_LOOP,
        "a branch begins with empty moments: its loss jumps, and the trunk is blamed",
    ),
    Mutant(
        "sum_of_weights_forgotten",
        OPTIMIZERS,
        '].item() for key in group["counts"]})',
        '].item() for key in group["counts"] if key != "weight_sum"})',
        TEST_OPTIMIZERS,
        "the average of Schedule-Free starts over when a run is resumed",
    ),
    Mutant(
        "adamw_in_muon_at_the_full_rate",
        "common/optim/muon.py",
        'group["lr_factor"] *= rule.adam_lr_factor',
        'group["lr"] *= rule.adam_lr_factor',
        ("tests/optim/test_muon.py",),
        "embeddings and readout move at the rate of the hidden matrices",
    ),
    # Data
    Mutant(
        "one_order_for_all_epochs",
        "common/data/__init__.py",
        "_permutation(seed, epoch, size)[offset",
        "_permutation(seed, 0, size)[offset",
        ("tests/data/test_data.py",),
        "every epoch repeats the order of the first",
    ),
    Mutant(
        "validation_windows_overlap",
        "common/data/text.py",
        "np.arange(validation_windows) * held // validation_windows",
        "np.arange(validation_windows) * (held - context) // validation_windows",
        ("tests/data/test_text.py",),
        "some bytes are validated twice and others never",
    ),
    Mutant(
        "share_of_the_other_part",
        "common/data/mixture.py",
        "places * above // below",
        "places * (below - above) // below",
        ("tests/data/test_mixture.py",),
        "5 % replay replays 95 %",
    ),
    # Curvature
    Mutant(
        "products_of_every_chunk_in_full",
        "common/curvature/objective.py",
        "images = [share * image for image in images]",
        "pass",
        ("tests/curvature/test_objective.py",),
        "a sharpness grows with the number of chunks that it is measured in",
    ),
    Mutant(
        "always_converged",
        "common/curvature/lanczos.py",
        "converged=ritz.settled and not space.coarse,",
        "converged=True,",
        ("tests/curvature/test_lanczos.py",),
        "a search that was cut off passes for an eigenvalue",
    ),
    Mutant(
        "no_weight_reached_is_flat",
        "common/curvature/objective.py",
        "    if all(one is None for one in found):",
        "    if False:",
        ("tests/curvature/test_refusals.py",),
        "a network whose outputs are detached has a sharpness of 0, converged",
    ),
    # What is kept
    Mutant(
        "whatever_is_published_stays",
        "common/runs/published.py",
        "return damage.ROWS in record and identity(record) == identity(facts)",
        "return True",
        ("tests/runs/test_published.py",),
        "another learning rate, code or parent trains nothing: old numbers under a new name",
    ),
    Mutant(
        "parents_do_not_count",
        "common/runs/identity.py",
        '"other_data", "parent_states")',
        '"other_data")',
        ("tests/runs/test_published.py",),
        "a branch of a trunk that was trained anew stays that of the old one",
    ),
    Mutant(
        "rows_are_not_checked",
        "common/runs/damage.py",
        "if ROWS in record and hashlib",
        "if False and hashlib",
        ("tests/runs/test_damage.py",),
        "a changed digit of metrics.csv decides a claim",
    ),
    Mutant(
        "digests_of_edited_sources_stay",
        "common/pipeline/memory.py",
        'return dict(kept["digests"]) if kept["sources"] == self.sources else {}',
        'return dict(kept["digests"])',
        ("tests/pipeline/test_memory.py",),
        "an edit trains nothing again",
    ),
    Mutant(
        "states_in_another_order",
        "common/optim/fused.py",
        "return torch.empty_like(weight, dtype=tensor.dtype, requires_grad=False).copy_(tensor)",
        "return tensor.to(weight.device, copy=True)",
        ("tests/optim/test_contract.py",),
        "a resumed run of a network in channels_last is another training, silently",
    ),
    # Evidence
    Mutant(
        "ninety_per_cent",
        VERDICTS,
        "CONFIDENCE = 0.95",
        "CONFIDENCE = 0.9",
        TEST_VERDICTS,
        "twice as many claims are supported by chance",
    ),
    Mutant(
        "two_seeds_decide",
        READINGS,
        'MEAN = Reading(kind="mean", minimum=3)',
        'MEAN = Reading(kind="mean", minimum=2)',
        TEST_VERDICTS,
        "two runs that happen to agree decide a claim",
    ),
    Mutant(
        "a_degree_of_freedom_too_many",
        STATISTICS,
        "half = _t_quantile(n - 1, confidence)",
        "half = _t_quantile(n, confidence)",
        TEST_STATISTICS,
        "intervals over three seeds are a quarter too short",
    ),
    Mutant(
        "less_means_greater",
        VERDICTS,
        "_Against((None, than), than if null is None",
        "_Against((than, None), than if null is None",
        TEST_VERDICTS,
        "claims of a lower loss are supported by a higher one",
    ),
    Mutant(
        "one_part_of_ten_contradicts",
        COMBINATIONS,
        "return any(_has(part, answer, _shared(confidence, len(parts))) for part in parts)",
        "return any(_has(part, answer, confidence) for part in parts)",
        ("tests/evidence/test_calibration.py",),
        "a claim of ten parts is contradicted by chance in one study of five",
    ),
    Mutant(
        "weaker_without_the_direction",
        VERDICTS,
        """return "weaker" if direction == "confirmed" and place != "across" else "undecided\"""",
        """return "weaker" if place != "across" else "undecided\"""",
        TEST_VERDICTS,
        "an effect that may be reversed is called weaker",
    ),
    Mutant(
        "an_unseen_tail_decides",
        READINGS,
        "high = math.inf if reading.tail in",
        "high = found.high if reading.tail in",
        TEST_VERDICTS,
        "a loss that jumps in one run of ten is called low by studies that saw no jump",
    ),
    Mutant(
        "order_statistics_alone",
        STATISTICS,
        "min(found.low, ordered[k - 1] - moved)",
        "ordered[k - 1] - moved",
        ("tests/evidence/test_statistics.py",),
        "six values that lie close together by chance decide",
    ),
    Mutant(
        "the_text_has_no_error",
        STATISTICS,
        "/ n + shared_error**2)",
        "/ n)",
        ("tests/evidence/test_estimators.py",),
        "a verdict of a short validation text does not hold on another text",
    ),
    Mutant(
        "replications_share_their_seeds",
        "common/evidence/seeds.py",
        'f"{digest}/{block}/{number}"',
        'f"{digest}/{number}"',
        ("tests/pipeline/test_register.py",),
        "a replication repeats the seeds that were seen",
    ),
    Mutant(
        "settings_may_change",
        "common/evidence/registration.py",
        'COMPARED = ("statement", "kind", "published", "settings", "seeds")',
        'COMPARED = ("statement", "kind", "published", "seeds")',
        ("tests/pipeline/test_register.py",),
        "a bar that was moved after the runs counts as registered",
    ),
    Mutant(
        "any_rule_is_the_registered_one",
        "common/evidence/registration.py",
        "and rule_of(verdict) != rule:",
        "and rule is rule_of(verdict):",
        ("tests/pipeline/test_register.py",),
        "a claim judged by another rule counts as registered",
    ),
    Mutant(
        "seen_seeds_confirm",
        "common/pipeline/register.py",
        "seen=ledger.seen(study.folder)",
        "seen=False",
        ("tests/pipeline/test_register.py",),
        "a bar set after the confirmatory seeds counts as registered before",
    ),
    Mutant(
        "pairs_by_position",
        STATISTICS,
        "{label: value - right[label] for label, value in left.items()}",
        "{label: value - other for (label, value), other in zip(left.items(), right.values(), strict=True)}",
        TEST_STATISTICS,
        "a seed is compared with another one, and what seeds share stays in the difference",
    ),
    # Records
    Mutant(
        "rows_of_a_lost_attempt_stay",
        RECORDS,
        "os.truncate(path, size)",
        "os.truncate(path, max(size, path.stat().st_size))",
        TEST_RECORDS,
        "rows after the saved state stand twice in metrics.csv, the last one torn",
    ),
    Mutant(
        "all_rows_of_the_parent",
        RECORDS,
        'before = rows[rows["step"] <= record["start_step"]]',
        "before = rows",
        TEST_RECORDS,
        "curves of a branch hold what its trunk did after they parted",
    ),
    Mutant(
        "evaluated_at_a_later_step",
        RECORDS,
        'if int(row["step"]) == step]',
        'if int(row["step"]) >= step]',
        TEST_RECORDS,
        "a branch begins with the loss at the end of its trunk",
    ),
    Mutant(
        "hash_without_names",
        "common/runs/checkpoint.py",
        'f"{name} {tensor.dtype} {tuple(tensor.shape)}"',
        'f"{tensor.dtype} {tuple(tensor.shape)}"',
        ("tests/runs/test_checkpoint.py",),
        "a state whose tensors have changed places passes for sound",
    ),
    # Parents
    Mutant(
        "inherited_although_other_sets_are_watched",
        "common/runs/parent.py",
        'deciding = ("data", "watched",',
        'deciding = ("data",',
        TEST_PARENT,
        "a run starts with losses of other data under its words",
    ),
    # Digests
    Mutant(
        "late_imports_ignored",
        "common/pipeline/provenance.py",
        "late = found.late(node)",
        "late = dict[str, Imported]()",
        TEST_PROVENANCE,
        "an edit of what a function imports itself keeps old results",
    ),
    Mutant(
        "optional_code_followed",
        "common/pipeline/provenance.py",
        "digest(training_code(run), without=optional_code())",
        "digest(training_code(run))",
        TEST_PROVENANCE,
        "an edit of what only some runs use trains all of them again",
    ),
    Mutant(
        "a_default_for_the_neutral_value",
        "common/config/description.py",
        'value == about.metadata["neutral"]',
        "value == about.default",
        ("tests/config/test_config.py",),
        "a changed default keeps old results under the new value",
    ),
    # Studies
    Mutant(
        "a_value_that_no_run_has",
        STUDIES,
        "if missing := [value for value in wanted if value not in present]:",
        "if len(missing := [value for value in wanted if value not in present]) == len(wanted):",
        TEST_STUDIES,
        "a misspelt arm is left out of a figure and its claims without a word",
    ),
    # Tracking
    Mutant(
        "rows_sent_again",
        "common/tracking/record.py",
        "self.metrics[max(after, first) :]",
        "self.metrics[first:]",
        TEST_TRACKING,
        "every look at a run in training sends all of it: the longer the run, the slower the mirror",
    ),
    Mutant(
        "torn_row_sent",
        "common/tracking/record.py",
        'rows[: rows.rfind(b"\\n") + 1]',
        "rows",
        TEST_TRACKING,
        "half of a number is shown as a measurement, and the next look begins within its row",
    ),
    Mutant(
        "infinite_values_sent",
        "common/tracking/record.py",
        "if math.isfinite(value)]",
        "if not math.isnan(value)]",
        TEST_TRACKING,
        "one diverged run hides the curves of all others in MLflow",
    ),
    # Claims
    Mutant(
        "claims_shown_without_some_inputs",
        STUDIES,
        "if missing := [path for path in needed if path not in had]:",
        "if len(missing := [path for path in needed if path not in had]) == len(needed):",
        TEST_STUDIES,
        "a figure shows a verdict on runs that it does not draw",
    ),
]


class NotPlantedError(Exception):
    """A fault cannot be planted, or nothing could be learnt from it."""


def planted(text: str, mutant: Mutant) -> str:
    """A module with a fault.

    Raises: NotPlantedError if the text that it replaces does not stand there exactly once.
    """
    if (count := text.count(mutant.old)) != 1:
        raise NotPlantedError(f"its text stands {count} times in {mutant.file}")
    return text.replace(mutant.old, mutant.new)


class Copy:
    """A copy of this repository in a folder, in which tests run on its own modules."""

    def __init__(self, root: Path) -> None:
        self.root = root
        skip = shutil.ignore_patterns("__pycache__", ".*")
        for part in PARTS:
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            root.mkdir(exist_ok=True)
            copy(source, root / part, **({"ignore": skip} if source.is_dir() else {}))
        self.failure = cache(self._failure)  # of the tests without a fault: asked for many, run once

    def python(self, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Call Python so that the modules of the copy come first; no bytecode, which may outlive a fault."""
        environment = os.environ | {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    def check(self) -> None:
        """End the program if modules come from elsewhere, such as an editable install."""
        code = "import common, studies, tests; print(common.__file__, studies.__file__, tests.__file__, sep='\\n')"
        for folder in (self.root, self.root.parent):
            done = self.python("-c", code, folder=folder)
            found = done.stdout.split() or [done.stderr]
            if foreign := [file for file in found if not file.startswith(f"{self.root}{os.sep}")]:
                raise SystemExit(f"modules would come from {foreign[0]}, not from the copy in {self.root}")

    def test(self, files: Sequence[str]) -> tuple[int, str]:
        """Run test files to the first failure: pytest's exit status, and what failed."""
        options = ("-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", "-o", "addopts=")
        done = self.python("-m", "pytest", *options, *files, folder=self.root)
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, flags=re.MULTILINE)
        return done.returncode, failed[1] if failed else (done.stdout + done.stderr).strip()[-300:]

    def _failure(self, files: tuple[str, ...]) -> str | None:
        status, failed = self.test(files)
        return failed if status else None

    @contextmanager
    def fault(self, mutant: Mutant) -> Iterator[None]:
        """Within this context the copy has a fault."""
        file = self.root / mutant.file
        sound = file.read_text(encoding="utf-8")
        file.write_text(planted(sound, mutant), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(sound, encoding="utf-8")

    def catching(self, mutant: Mutant) -> str | None:
        """The test that catches a fault; None if it survives.

        Raises: NotPlantedError if it cannot be planted, or its tests fail without it or do not even start with it.
        """
        planted((self.root / mutant.file).read_text(encoding="utf-8"), mutant)
        if failed := self.failure(mutant.tests):
            raise NotPlantedError(f"its tests fail without it: {failed}")
        with self.fault(mutant):
            status, failed = self.test(mutant.tests)
        if status > 1:
            raise NotPlantedError(f"with it pytest ends with status {status}: {failed}")
        return failed if status else None


def chosen(names: Sequence[str]) -> list[Mutant]:
    """Mutants by name; all without any.

    Raises: LookupError for a name that none has.
    """
    known = {mutant.name: mutant for mutant in MUTANTS}
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=3) or sorted(known)
            raise LookupError(f"there is no mutant {name!r}; closest: {', '.join(near)}")
    return [known[name] for name in names] if names else MUTANTS


def main() -> int:
    """Entry point: 0 if all are caught, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a fault; all if left out")
    try:
        mutants = chosen(parser.parse_args().names)
    except LookupError as error:
        parser.error(str(error))
    began, caught = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder).resolve() / "copy")
        copy.check()
        for mutant in mutants:
            try:
                found = copy.catching(mutant)
            except NotPlantedError as problem:
                print(f"CANNOT BE PLANTED  {mutant.name}: {problem}", flush=True)
                continue
            caught += found is not None
            said = f"caught    {mutant.name}: {found}" if found else f"SURVIVED  {mutant.name}: {mutant.harm}"
            print(said, flush=True)
    print(f"{caught} of {len(mutants)} caught in {(time.monotonic() - began) / 60:.1f} minutes")
    return 0 if caught == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
