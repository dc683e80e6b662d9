"""Frozen dataclasses that check themselves (layer 0, standard library only): the machinery behind `config`.

A description that breaks a rule raises `DescriptionError` where it is written. While a study is loaded (`collecting`),
the problems are kept on the description instead, so that the loader can report all of them with the run's name.
"""

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal, TypeVar, dataclass_transform

T = TypeVar("T")

_collecting: ContextVar[bool] = ContextVar("collecting", default=False)


class DescriptionError(ValueError):
    """A description breaks a rule. `problems` holds one sentence for each broken rule."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@contextmanager
def collecting() -> Iterator[None]:
    """Within this context a faulty description is built all the same and keeps its problems (see `problems`)."""
    token = _collecting.set(True)
    try:
        yield
    finally:
        _collecting.reset(token)


def problems(value: object) -> list[str]:
    """Sentences that say what is wrong with a description: field, value, rule and way out. Empty if it is sound."""
    return list(getattr(value, "_problems", []))


@dataclass_transform(kw_only_default=True, frozen_default=True)
def description(cls: type[T]) -> type[T]:
    """Class decorator: a frozen, keyword-only dataclass that checks its fields by their annotations and by `_rules`."""
    frozen = dataclass(frozen=True, kw_only=True)(cls)
    build: Callable[..., None] = frozen.__init__

    def init(self: T, **given: Any) -> None:
        known = {field.name: field for field in dataclasses.fields(frozen)}  # type: ignore[arg-type]
        found = [_unknown(cls, name, value, known) for name, value in given.items() if name not in known]
        missing = [name for name, field in known.items() if _required(field) and name not in given]
        found += [f"{name} is missing: every {cls.__name__} needs it" for name in missing]
        build(self, **{name: value for name, value in given.items() if name in known}, **dict.fromkeys(missing))
        if not found:
            _make_exact(self)
            found = list(_check(self))
        object.__setattr__(self, "_problems", found)
        if found and not _collecting.get():
            raise DescriptionError([f"{cls.__name__}: {problem}" for problem in found])

    init.__qualname__ = f"{cls.__name__}.__init__"
    frozen.__init__ = init  # type: ignore[method-assign, assignment]
    return frozen


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _make_exact(value: Any) -> None:
    """Write whole numbers in fields of type float as such, so that lr=1 and lr=1.0 describe the same training."""
    for name, hint in _hints(value.__class__).items():
        item = getattr(value, name)
        if float in (hint, *typing.get_args(hint)) and _fits(item, float):
            object.__setattr__(value, name, float(item))


def _unknown(cls: type, name: str, value: object, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(known)}"
    return f"{name}={value!r} is no field of {cls.__name__}; {hint}"


def _check(value: Any) -> Iterator[str]:
    """Problems of one description: its types, its nested descriptions, then its own rules if all of those hold."""
    hints = _hints(value.__class__)
    sound = True
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if wrong := _mismatch(item, hints[field.name]):
            sound = False
            yield f"{field.name}={item!r} must be {wrong}"
        for place, inner in _nested(field.name, item):
            for problem in problems(inner):
                sound = False
                yield f"{place}.{problem}"
    if sound:
        yield from value._rules()


def _nested(name: str, item: object) -> Iterator[tuple[str, object]]:
    if dataclasses.is_dataclass(item):
        yield name, item
    elif isinstance(item, tuple | dict):
        entries = item.items() if isinstance(item, dict) else enumerate(item)
        yield from ((f"{name}[{key!r}]", entry) for key, entry in entries if dataclasses.is_dataclass(entry))


def _mismatch(value: object, hint: Any) -> str | None:
    """What `value` should have been, in words, or None if it fits the annotation `hint`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        wrongs = [_mismatch(value, arg) for arg in args]
        return None if None in wrongs else " or ".join(wrong for wrong in wrongs if wrong)
    if origin is Literal:
        return _no_choice(value, args)
    if origin in (tuple, dict):
        return _no_collection(value, origin, args[0] if origin is tuple else args[1])
    return None if _fits(value, hint) else WORDS.get(hint) or f"made with {hint.__name__}(...)"


WORDS = {float: "a finite number", int: "a whole number", bool: "True or False", str: "a text", type(None): "None"}


def _fits(value: Any, hint: type) -> bool:
    if hint is float:
        return _fits(value, int) or (isinstance(value, float) and abs(value) <= sys.float_info.max)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return isinstance(value, hint)


def _no_choice(value: object, choices: tuple[str, ...]) -> str | None:
    if isinstance(value, str) and value in choices:
        return None
    near = get_close_matches(str(value), choices, n=1)
    return f"one of {', '.join(map(repr, choices))}" + (f" (did you mean {near[0]!r}?)" if near else "")


def _no_collection(value: Any, kind: type, hint: Any) -> str | None:
    fits = isinstance(value, kind)
    if not fits:
        return "a tuple, written (a, b)" if kind is tuple else "a dictionary"
    items = value.values() if kind is dict else value
    wrong = next((wrong for item in items if (wrong := _mismatch(item, hint))), None)
    return wrong and f"a {'dictionary' if kind is dict else 'tuple'} in which each value is {wrong}"


def at_least(smallest: float, value: Any, *names: str) -> Iterator[str]:
    """Problems of the fields, among those named, that are set and below `smallest`."""
    for name in names:
        number = getattr(value, name)
        if number is not None and number < smallest:
            yield f"{name}={number} must be at least {smallest}"


def between(low: float, high: float, value: Any, *names: str) -> Iterator[str]:
    """Problems of the fields, among those named, that are set and lie outside the half-open interval [low, high)."""
    for name in names:
        number = getattr(value, name)
        if number is not None and not low <= number < high:
            yield f"{name}={number} must lie in [{low:g}, {high:g})"


def fits_kind(value: Any, kind: str, fields: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Problems with optional fields: what a kind needs must be set, what it ignores must not.

    `fields` maps a kind to the fields that it uses; a name that ends in "?" may be left out.
    """
    uses = fields[kind]
    for name in uses:
        if not name.endswith("?") and getattr(value, name) is None:
            yield f"{name} is missing: {kind!r} needs it"
    allowed = {name.rstrip("?") for name in uses}
    for name in sorted({name.rstrip("?") for names in fields.values() for name in names} - allowed):
        if getattr(value, name) is not None:
            can = ", ".join(repr(other) for other, names in fields.items() if {name, name + "?"} & set(names))
            yield f"{name}={getattr(value, name)!r} has no meaning for {kind!r}; it belongs to {can}"
