"""A study as a Workflow Run RO-Crate: `python -m common.pipeline.crate wsd` writes the folder crates/wsd.

It has the workflow, the descriptions of the study, the lock file of its environment, and what a build has made of them:
records, rows, tables, verdicts and figures, each with its SHA-256. After the profiles Process Run Crate 0.5,
Workflow Run Crate 0.5 and Workflow RO-Crate 1.0. `--check FOLDER` compares a crate with what those
require, and with its digests.
"""

import argparse
import hashlib
import json
import mimetypes
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from common.evidence import claims
from common.pipeline import archive, codecheck, script
from common.pipeline.archive import ArchiveError
from common.pipeline.studies import Studies
from common.runs import identity
from common.runs.origin import ROOT
from common.runs.place import FILES, RESULTS, VERDICTS

METADATA = "ro-crate-metadata.json"
WORKFLOW = "Snakefile"
LOCK = "envs/requirements.lock"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
ABSENT = (
    f"rocrate is not installed; `make .venv` installs it, and so does: pip install --no-deps --require-hashes -r {LOCK}"
)
LIBRARY = "https://pypi.org/project/{name}/"

Graph = Mapping[str, Mapping[str, Any]]
"""The entities of a crate by id."""


def write(studies: Studies, study: str, out: Path, *, root: Path = Path()) -> list[str]:
    """Write the crate of a study to a folder; its problems are returned.

    Args:
        studies: as they are described now.
        study: one of them, built.
        out: a folder that is not there yet.
        root: folder of the build.
    Raises: ArchiveError if rocrate is missing, the folder is there, or a file of the study is missing.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise ArchiveError(ABSENT) from None
    if out.exists():
        raise ArchiveError(f"{out} is there already; remove it, or say --out")
    names = archive.members(studies, study, "none")
    if missing := [name for name in names if not (root / name).is_file()]:
        raise ArchiveError(f"{missing[0]} is missing, one of {len(missing)}: build it first")
    records = [identity.read(root / name) or {} for name in names if PurePosixPath(name).name == FILES[0]]
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    _describe(crate, studies, study, records)
    sources = [_file(crate, ROOT / name, name, about) for name, about in _sources(studies, study)]
    results = [_file(crate, root / name, name, about) for name, about in _results(studies, study, names, root)]
    _act(crate, study, records, sources, results)
    crate.write(out)
    return list(problems(out))


def _describe(crate: Any, studies: Studies, study: str, records: Iterable[Mapping[str, Any]]) -> None:
    """What the crate is, who made it, and its workflow with what it needs."""
    cited = codecheck.citation()
    names = " and ".join(author["name"] for author in cited["authors"])
    who = _entity(crate, "#authors", "Organization", name=names)
    licence = f"https://spdx.org/licenses/{cited['license']}"
    known = _entity(crate, licence, "CreativeWork", name=f"{cited['license']} License", url=licence)
    crate.name, crate.description = f"{cited['title']}: {study}", studies[study].question
    crate.datePublished = _ended(records)
    crate.license, crate.root_dataset["author"] = known, who
    crate.root_dataset["conformsTo"] = [
        _entity(crate, each, "CreativeWork", name=name, version=each.rpartition("/")[2])
        for each, name in PROFILES.items()
    ]
    versions = {name: each for record in records for name, each in record.get("versions", {}).items()}
    about = {"name": cited["title"], "version": cited["version"], "description": cited["abstract"].strip()}
    workflow = crate.add_workflow(
        ROOT / WORKFLOW,
        WORKFLOW,
        main=True,
        lang="snakemake",
        lang_version=versions.get("snakemake"),
        properties=about
        | {"encodingFormat": "text/plain", "conformsTo": {"@id": BIOSCHEMAS}, "sha256": _digest(ROOT / WORKFLOW)},
    )
    workflow["author"], workflow["license"] = who, known
    workflow["softwareRequirements"] = [
        _entity(
            crate,
            LIBRARY.format(name=name),
            "SoftwareApplication",
            name=name,
            softwareVersion=each,
            url=LIBRARY.format(name=name),
        )
        for name, each in versions.items()
        if name != "python"
    ]
    _entity(crate, BIOSCHEMAS, "CreativeWork", name="Bioschemas ComputationalWorkflow", version="1.0-RELEASE")


def _act(
    crate: Any, study: str, records: Iterable[Mapping[str, Any]], sources: Iterable[Any], results: Iterable[Any]
) -> None:
    """The execution of the workflow, from the first training to the end of the last."""
    found = list(records)
    action = _entity(crate, f"#build-{study}", "CreateAction", name=f"snakemake {study}")
    commits = ", ".join(sorted({str((record.get("git") or {}).get("commit")) for record in found}))
    action["description"] = f"{len(found)} runs trained from commit {commits}, measured, judged and drawn"
    action["instrument"], action["agent"] = crate.mainEntity, crate.get("#authors")
    action["startTime"], action["endTime"] = _moment(min(record["started_ms"] for record in found)), _ended(found)
    action["actionStatus"] = "http://schema.org/CompletedActionStatus"
    action["object"], action["result"] = list(sources), list(results)
    crate.root_dataset["mentions"] = action


def _ended(records: Iterable[Mapping[str, Any]]) -> str:
    return max(_moment(record["started_ms"], record["seconds"]) for record in records)


def _moment(milliseconds: int, seconds: float = 0) -> str:
    """A time as ISO 8601 has it."""
    found = datetime.fromtimestamp(milliseconds // 1000, UTC) + timedelta(seconds=round(seconds))
    return found.isoformat()


def _sources(studies: Studies, study: str) -> Iterator[tuple[str, str]]:
    """Files that the workflow reads, with what they are."""
    yield LOCK, "The packages of the environment, with hashes; PyTorch is named beside it."
    yield "envs/torch.txt", "The version of PyTorch."
    for name in ("CITATION.cff", "LICENSE"):
        yield name, f"{name} of the repository."
    for path in sorted((ROOT / "common/pipeline/rules").iterdir()):
        if path.is_file():
            yield str(path.relative_to(ROOT)), "A rule of the workflow, or what it calls."
    for path in sorted(studies[study].folder.iterdir()):
        if path.is_file():
            title = script.read(path).title if path.suffix == ".py" else ""
            yield f"studies/{study}/{path.name}", title or f"{path.name} of the study."


def _results(studies: Studies, study: str, names: Iterable[str], root: Path) -> Iterator[tuple[str, str]]:
    """Files that a build has made, with what they are."""
    judged = {each.id: each for each in claims.read(root / RESULTS / study / "claims.json").judged}
    titles = {
        f"figures/{study}_{name}": script.read(studies[study].folder / f"plot_{name}.py").title
        for name in studies[study].figures
    }
    for name in names:
        path = PurePosixPath(name)
        if path.parent.name == VERDICTS:
            found = judged[path.stem]
            yield name, f"{found.verdict.verdict}: {found.statement}"
        else:
            yield name, titles.get(name.removesuffix(path.suffix)) or f"{path.name} of {path.parent}"


def _file(crate: Any, source: Path, name: str, about: str) -> Any:
    kind = mimetypes.guess_type(name)[0] or "text/plain"
    properties: dict[str, Any] = {"name": name, "description": about, "encodingFormat": kind, "sha256": _digest(source)}
    if name == LOCK or source.suffix == ".md":
        properties["about"] = {"@id": WORKFLOW if name == LOCK else "./"}
    return crate.add_file(source, name, record_size=True, properties=properties)


def _entity(crate: Any, identifier: str, kind: str, **properties: str) -> Any:
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, identifier, properties={"@type": kind, **properties}))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def problems(folder: Path) -> Iterator[str]:
    """What of a crate is not as its profiles require, and files that are not as it says; needs no package."""
    try:
        plain = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        graph = {entity["@id"]: entity for entity in plain["@graph"]}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        yield f"{folder / METADATA} cannot be read ({problem!r})"
        return
    yield from _root_problems(graph)
    yield from _action_problems(graph)
    yield from _file_problems(graph, folder)


def _root_problems(graph: Graph) -> Iterator[str]:
    descriptor, dataset = graph.get(METADATA, {}), graph.get("./", {})
    if "https://w3id.org/ro/crate/1.1" not in _ids(descriptor, "conformsTo") or _ids(descriptor, "about") != ["./"]:
        yield f"{METADATA} does not describe ./ after RO-Crate 1.1"
    for name in ("name", "description", "datePublished", "license", "hasPart", "mentions"):
        if not dataset.get(name):
            yield f"./ has no {name}"
    for profile in PROFILES:
        if profile not in _ids(dataset, "conformsTo") or "CreativeWork" not in _kinds(graph.get(profile, {})):
            yield f"./ does not conform to {profile}"
    [main, *_] = _ids(dataset, "mainEntity") or [""]
    workflow = graph.get(main, {})
    if not {"File", "SoftwareSourceCode", "ComputationalWorkflow"} <= _kinds(workflow):
        yield "./ has no mainEntity that is a workflow"
    elif not all(graph.get(each, {}).get("name") for each in _ids(workflow, "programmingLanguage") or [""]):
        yield f"{main} has no programmingLanguage"


def _action_problems(graph: Graph) -> Iterator[str]:
    main = _ids(graph.get("./", {}), "mainEntity")
    actions = [entity for entity in graph.values() if "CreateAction" in _kinds(entity)]
    if not any(_ids(action, "instrument") == main for action in actions):
        yield "no CreateAction has the workflow as its instrument"
    for action in actions:
        label = action["@id"]
        if label not in _ids(graph.get("./", {}), "mentions"):
            yield f"./ does not mention {label}"
        for name in ("instrument", "object", "result", "agent"):
            found = _ids(action, name)
            if not found or any(each not in graph for each in found):
                yield f"{label}: its {name} is not described"
        if not any(_kinds(graph.get(each, {})) & {"Person", "Organization"} for each in _ids(action, "agent")):
            yield f"{label}: its agent is nobody"
        if not _in_order(action.get("startTime"), action.get("endTime")):
            yield f"{label}: startTime and endTime are no times in order"


def _in_order(start: Any, end: Any) -> bool:
    try:
        return datetime.fromisoformat(start) <= datetime.fromisoformat(end)
    except (TypeError, ValueError):
        return False


def _file_problems(graph: Graph, folder: Path) -> Iterator[str]:
    for name in _ids(graph.get("./", {}), "hasPart"):
        entity = graph.get(name, {})
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            yield f"{name} is not in the crate"
        elif entity.get("sha256") != _digest(path):
            yield f"{name} does not match its SHA-256"


def _kinds(entity: Mapping[str, Any]) -> set[str]:
    found = entity.get("@type", ())
    return {found} if isinstance(found, str) else set(found)


def _ids(entity: Mapping[str, Any], name: str) -> list[str]:
    """Ids of the entities that a property refers to."""
    found = entity.get(name, ())
    several = found if isinstance(found, list) else [found]
    return [each["@id"] for each in several if isinstance(each, Mapping) and "@id" in each]


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m common.pipeline.crate", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("study", nargs="?", help="which to export")
    what.add_argument("--check", type=Path, metavar="FOLDER", help="only check a crate")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="in place of crates/STUDY")
    given = parser.parse_args()
    try:
        folder = given.check or given.out or Path("crates", given.study)
        if given.check:
            found = list(problems(folder))
        else:
            found = write(Studies.load(scale=archive.scale_of()), given.study, folder)
    except (ArchiveError, LookupError, OSError, ValueError) as problem:
        sys.exit(str(problem))
    if found:
        sys.exit("\n".join(found))
    print(f"{folder}: as Workflow Run Crate 0.5 requires, and every file as its SHA-256 says")


if __name__ == "__main__":
    main()
