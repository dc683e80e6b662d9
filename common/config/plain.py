"""Descriptions as plain dictionaries, and back."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from common.config.description import DescriptionError, Kind, is_neutral
from common.config.run import Run

__all__ = ["identity", "run_from_dict", "to_dict"]

T = typing.TypeVar("T")


def to_dict(value: Any) -> Any:
    """A description as plain dictionaries, lists, strings and numbers, with every field: what run.json shows."""
    return _plain(value, leave_out=lambda *_: False)


def identity(value: Any) -> Any:
    """The same without what changes no number: labels, and values that mean what was done before a field existed.

    Two descriptions of equal identity are one training; Snakemake compares it (`params.run`).
    """
    return _plain(value, leave_out=lambda item, about: about.metadata.get("label") or is_neutral(item, about))


def _plain(value: Any, *, leave_out: typing.Callable[[Any, dataclasses.Field[Any]], Any]) -> Any:
    if dataclasses.is_dataclass(value):
        items = [(about, getattr(value, about.name)) for about in dataclasses.fields(value)]
        kind: dict[str, Any] = {"kind": value.kind} if isinstance(value, Kind) else {}
        return kind | {
            about.name: _plain(item, leave_out=leave_out) for about, item in items if not leave_out(item, about)
        }
    if isinstance(value, tuple):
        return [_plain(item, leave_out=leave_out) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, leave_out=leave_out) for key, item in value.items()}
    return value


def run_from_dict(plain: Mapping[str, Any]) -> Run:
    """The inverse of `to_dict`, and of `identity` up to labels, for a run.

    Raises: DescriptionError if there is no such kind or field, or a value breaks a rule.

    >>> from common.config import MLP, Digits
    >>> run = Run(model=MLP(), data=Digits(), lr=0.1, steps=3, seed=0)
    >>> run_from_dict(to_dict(run)) == run_from_dict(identity(run)) == run
    True
    """
    if not isinstance(plain, Mapping):
        raise DescriptionError([f"Run: {plain!r:.50} is no description: it must be a dictionary"])
    return typing.cast(Run, _from_plain(plain, Run))


def _from_plain(plain: Any, hint: Any) -> Any:
    """A value as the annotation wants it; one that cannot be made so stays, for the description to refuse."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(plain, Mapping):
        build, fields = _class_of(plain, typing.cast(type, hint))
        hints = typing.get_type_hints(build)
        return build(
            **{name: _from_plain(item, hints.get(name, Any)) for name, item in (_before(build) | fields).items()}
        )
    if origin in (typing.Union, types.UnionType) and plain is not None:
        return _from_plain(plain, next((arg for arg in args if _takes(arg, plain)), Any))
    if origin is tuple and isinstance(plain, list | tuple):
        return tuple(_from_plain(item, args[0]) for item in plain)
    if origin is dict and isinstance(plain, Mapping):
        return {key: _from_plain(item, args[1]) for key, item in plain.items()}
    return plain


def _before(build: type) -> dict[str, Any]:
    """Values of fields that did not exist when a description was written without them."""
    about = {each.name: each.metadata for each in dataclasses.fields(build)}
    return {name: kept["neutral"] for name, kept in about.items() if "neutral" in kept}


def _takes(hint: Any, plain: Any) -> bool:
    """Whether an alternative of a union is the one that a plain value was written from."""
    return hint is not type(None) and isinstance(plain, list) == (typing.get_origin(hint) is tuple)


def _class_of(plain: Mapping[str, Any], family: type) -> tuple[type, dict[str, Any]]:
    """The class that a plain description was written from, and its fields."""
    if not issubclass(family, Kind):
        return family, dict(plain)
    kinds, word = family.kinds(), plain.get("kind")
    if not isinstance(word, str) or word not in kinds:
        raise DescriptionError([f"{family.__name__}: kind={word!r:.50} must be one of {', '.join(kinds)}"])
    return kinds[word], {name: item for name, item in plain.items() if name != "kind"}
