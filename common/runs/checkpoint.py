"""States of a training on disk: safetensors with a SHA-256 of their own, written atomically.

Neither torch nor safetensors notices a flipped bit in tensor data, so each state carries the hash of its tensors and
is checked whenever it is read. No pickle anywhere.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from common.runs.damage import Damaged
from common.training.loop import State

FORMAT = 1


class DamagedState(Damaged):
    """A state file that is truncated, altered, or of another format."""


def save(path: Path, states: Mapping[str, State], *, about: Mapping[str, Any] | None = None) -> None:
    """Write labelled states to one file, complete or not at all.

    Args:
        path: target; its folder exists.
        states: label ("final", a kept step such as "360", with a prefix "member/" in a sweep) to state.
        about: anything else worth keeping, as plain JSON values.
    """
    tensors = {
        f"{label}|{name}": _plain(tensor) for label, state in states.items() for name, tensor in state.tensors.items()
    }
    record = {
        "format": FORMAT,
        "states": {
            label: {"step": state.step, "position": state.position, "sha256": _hash(state.tensors)}
            for label, state in states.items()
        },
        "about": dict(about or {}),
    }
    record["sha256"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.touch()
    mode = temporary.stat().st_mode
    save_file(tensors, temporary, metadata={"record": json.dumps(record, sort_keys=True)})
    temporary.chmod(mode)  # as any other file: safetensors lets nobody else read it
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def _plain(tensor: Tensor) -> Tensor:
    """A copy in memory of its own and in plain order, as safetensors wants it."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def labels(path: Path) -> list[str]:
    """Labels of the states in a file."""
    return list(_record(path)["states"])


def digest(path: Path, label: str) -> str:
    """SHA-256 of the tensors of a state, as they were written.

    Raises: as `load`.
    """
    return str(_state(path, label)["sha256"])


def about(path: Path) -> dict[str, Any]:
    """What was kept beside the states of a file."""
    kept: dict[str, Any] = _record(path)["about"]
    return kept


def load(path: Path, label: str) -> State:
    """Read one state and check it.

    Raises:
        LookupError: the file has no state of this label.
        DamagedState: the file is not what was written.
    """
    about_state = _state(path, label)
    try:
        with safe_open(path, framework="pt") as file:
            names = [key for key in file.keys() if key.startswith(f"{label}|")]  # noqa: SIM118
            tensors = {name.partition("|")[2]: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedState(f"{path} cannot be read ({error})") from None
    if _hash(tensors) != about_state["sha256"]:
        raise DamagedState(f"{path}: the tensors of state {label!r} do not match their SHA-256")
    return State(tensors=tensors, step=about_state["step"], position=about_state["position"])


def _state(path: Path, label: str) -> dict[str, Any]:
    states: dict[str, dict[str, Any]] = _record(path)["states"]
    if label not in states:
        raise LookupError(f"{path} has no state {label!r}; it has {', '.join(states)}")
    return states[label]


def _record(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            record: dict[str, Any] = json.loads((file.metadata() or {})["record"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DamagedState(f"{path} is no state of ours or is damaged ({error})") from None
    written = record.pop("sha256", None)
    if record.get("format") != FORMAT:
        raise DamagedState(f"{path} has format {record.get('format')}, this version reads {FORMAT}")
    if hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest() != written:
        raise DamagedState(f"{path}: the header does not match its SHA-256")
    return record


def _hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of tensors, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
