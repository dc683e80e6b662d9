"""Descriptions as plain dictionaries, and back."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from common.config.run import Run


def to_dict(value: Any) -> Any:
    """A description as plain dictionaries, lists, strings and numbers. Fields that are None are left out."""
    if dataclasses.is_dataclass(value):
        items = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: to_dict(item) for name, item in items if item is not None}
    if isinstance(value, tuple):
        return [to_dict(item) for item in value]
    if isinstance(value, dict):
        return {key: to_dict(item) for key, item in value.items()}
    return value


def run_from_dict(plain: Mapping[str, Any]) -> Run:
    """The inverse of `to_dict` for a run.

    >>> from common.config import Data, Model
    >>> run = Run(model=Model(kind="mlp"), data=Data(source="digits"), lr=0.1, steps=3, seed=0)
    >>> run_from_dict(to_dict(run)) == run
    True
    """
    return typing.cast(Run, _from_plain(plain, Run))


def _from_plain(plain: Any, hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        build = typing.cast(type, hint)
        return build(**{name: _from_plain(item, hints.get(name, Any)) for name, item in plain.items()})
    if origin in (typing.Union, types.UnionType) and plain is not None:
        return _from_plain(plain, next(arg for arg in args if arg is not type(None)))
    if origin is tuple:
        return tuple(_from_plain(item, args[0]) for item in plain)
    if origin is dict:
        return {key: _from_plain(item, args[1]) for key, item in plain.items()}
    return plain
