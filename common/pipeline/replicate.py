"""Train a study's claims once more on seeds that nobody has seen: `python -m common.pipeline.replicate STUDY`.

The next block of seeds of the study's ledger is built in a folder of its own, scales/replication-N (an interrupted
build goes on with the same command), and each claim's committed verdict is set beside the new one. The outcome is kept
in studies/STUDY/replications/; docs/replication.md is made of it. Ends with 1 if a verdict flips.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from common.evidence import claims, committed, comparison, replications, seeds
from common.evidence.replications import Replication
from common.evidence.verdicts import Verdict
from common.pipeline.studies import Studies
from common.pipeline.study import Study
from common.runs import origin
from common.runs.place import RESULTS


def before(study: Study) -> dict[str, Verdict]:
    """The committed verdicts of a study that are registered, with their seeds.

    Raises: ValueError if it has not registered, or none is kept.
    """
    if study.registration is None:
        raise ValueError(f"{study.name} has registered nothing: make pilot, then make register STUDY={study.name}")
    found = committed.verdicts(study.folder)
    if not found:
        raise ValueError(f"{study.name} has no verdicts with seeds to replicate: build it, then make verdicts")
    return found


def build(name: str, block: str, arguments: list[str]) -> Path:
    """Train and judge a study with a block of seeds; the folder in which it was built.

    Raises: ValueError if the build fails.
    """
    folder = Path("scales") / block
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), *arguments]
    config = ["--config", f"seeds={block}", "scale=default"]
    target = f"{RESULTS}/{name}/claims.json"
    if subprocess.run([*command, *config, "--", target], check=False).returncode:
        raise ValueError(f"the build in {folder} did not reach its end; the same command goes on")
    return folder


def replicate(studies: Studies, name: str, arguments: list[str]) -> Replication:
    """Build the next replication of a study and keep how its verdicts compare."""
    study = studies[name]
    old = before(study)
    number = replications.next_number(study.folder)
    folder = build(name, seeds.replication(number), arguments)
    report = claims.read(folder / RESULTS / name / "claims.json")
    new = {item.id: item.verdict for item in report.judged}
    found = Replication(
        study=name,
        number=number,
        commit=str(origin.git_state()["commit"]),
        machine=origin.machine(_cpu(folder / RESULTS / name)),
        claims=[comparison.compare(each, old[each], new[each], fresh=True) for each in old if each in new],
    )
    replications.write(found, study.folder)
    return found


def _cpu(results: Path) -> str:
    record = next(iter(sorted(results.glob("*/run.json"))), None)
    return str(json.loads(record.read_text(encoding="utf-8"))["cpu"]) if record else ""


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m common.pipeline.replicate", description=__doc__)
    parser.add_argument("study", metavar="STUDY")
    given, arguments = parser.parse_known_args()
    try:
        found = replicate(Studies.load(), given.study, arguments)
    except (ValueError, LookupError) as error:
        sys.exit(str(error))
    print(comparison.table(found.claims))
    print(found.summary)
    sys.exit(1 if found.flips else 0)


if __name__ == "__main__":
    main()
