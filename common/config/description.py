"""Frozen dataclasses that check themselves: the machinery behind every description.

A description that breaks a rule raises `DescriptionError` where it is written. While a study is loaded (`collecting`),
the problems are kept on the description instead, so that the loader can report all of them with the run's name.

What can be chosen is a *kind*: a class with its fields and their defaults, such as `AdamW(beta2=0.95)`. Its `code`
names what carries it out, and nothing lists the kinds: a new one is a class here and a definition there.
"""

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import MISSING, dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any, ClassVar, Literal, TypeVar, dataclass_transform

__all__ = ["DescriptionError", "chosen", "codes", "implementation", "named"]

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


def field(
    *,
    default: Any = MISSING,
    kw_only: bool = True,
    neutral: Any = None,
    code: str | None = None,
    choice: str | None = None,
    label: bool = False,
) -> Any:
    """A field of a description, with what its value means for the identity and the code of a run.

    Args:
        default: value where it is left out; without one the field is required.
        kw_only: whether it must be named.
        neutral: value that means what was done before the field existed, and does not count in the identity; neither do
            None, False and empty tuples where they are the default. Give a field that is added later a neutral default,
            and nothing runs again; change the default, and its users do.
        code: "module:name" of what is used only where the field is not neutral (see `codes`).
        choice: module in which the value, a word, names a definition (see `chosen`).
        label: the value changes no number, so it does not count in the identity.
    """
    meant = {"neutral": neutral, "code": code, "choice": choice, "label": label or None}
    about = {name: value for name, value in meant.items() if value is not None}
    return dataclasses.field(default=default, kw_only=kw_only, metadata=about)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def description(cls: type[T]) -> type[T]:
    """Class decorator: a frozen, keyword-only dataclass that checks its fields by their annotations and by `_rules`."""
    frozen = dataclass(frozen=True, kw_only=True)(cls)
    build: Callable[..., None] = frozen.__init__
    known = {field.name: field for field in dataclasses.fields(frozen)}  # type: ignore[arg-type]
    placed = [name for name, field in known.items() if not field.kw_only]

    def init(self: T, *values: Any, **given: Any) -> None:
        first = dict(zip(placed, values, strict=False))
        if len(values) > len(placed):
            hint = f"only {', '.join(placed)} may stand without its name" if placed else "name every field"
            count = f"{len(values)} value{'s' if len(values) > 1 else ''}"
            raise TypeError(f"{cls.__name__} was given {count} without a name; {hint}")
        if twice := [name for name in first if name in given]:
            raise TypeError(f"{cls.__name__} was given {', '.join(twice)} twice: in its place and by its name")
        given = {name: _plain(value) for name, value in (given | first).items()}
        found = [_unknown(cls, name, value, known) for name, value in given.items() if name not in known]
        missing = [name for name, field in known.items() if _required(field) and name not in given]
        found += [f"{name} is missing: every {cls.__name__} needs it" for name in missing]
        build(self, **{name: value for name, value in given.items() if name in known}, **dict.fromkeys(missing))
        if issubclass(cls, Kind) and not hasattr(cls, "kind"):
            found = [cls._respelt(given)]
        if not found:
            _make_exact(self)
            found = list(_check(self))
        object.__setattr__(self, "_problems", found)
        if found and not _collecting.get():
            raise DescriptionError([f"{cls.__name__}: {problem}" for problem in found])

    init.__qualname__ = f"{cls.__name__}.__init__"
    frozen.__init__ = init  # type: ignore[method-assign, assignment]
    return frozen


class Kind:
    """What can be chosen for one purpose. A family is a subclass (`Optimizer`), its kinds are subclasses of that."""

    kind: ClassVar[str]
    """The word for it in run.json and in tables."""
    code: ClassVar[str]
    """"module:name" of the definition that carries it out; it is given the description first."""

    formerly: ClassVar[str | None] = None
    """The kind that a family was in the first edition, `Optimizer(clip=1.0)`, where none was named."""
    moved: ClassVar[Mapping[str, str]] = {}
    """What is written now in place of a field of the first edition."""

    @classmethod
    def kinds(cls) -> dict[str, type[typing.Self]]:
        """The kinds of a family by their words."""
        below = [cls, *(inner for child in cls.__subclasses__() for inner in child.kinds().values())]
        return {one.kind: one for one in below if "kind" in vars(one)}

    @classmethod
    def _respelt(cls, given: Mapping[str, Any]) -> str:
        """What to write in place of a family: most often it was written as in the first edition."""
        told = next((name for name in ("kind", "source") if name in given), "kind")
        word, kinds = str(given.get(told, cls.formerly)), cls.kinds()
        fields = {name: value for name, value in given.items() if value is not None and name not in ("kind", "source")}
        kept = {name: value for name, value in fields.items() if name not in cls.moved}
        fitting = [kind for kind in kinds.values() if kept.keys() <= _names(kind)]
        near = get_close_matches(word, kinds, n=1)
        listed = ", ".join(kind.__name__ for kind in (fitting if told not in given and fitting else kinds.values()))
        if told not in given and kinds.get(word) in fitting:
            text = f"{told} is not named: it was {word} in the first edition, so write {kinds[word]._spelt(kept)}"
        elif told not in given:
            text = f"{told} is not named: write {cls.__name__} as one of its kinds, {listed}"
        elif word in kinds:
            text = f"{told}={word!r} is a class now: write {kinds[word]._spelt(kept)}"
        elif near:
            text = f"{told}={word!r} is no kind of {cls.__name__}; did you mean {kinds[near[0]]._spelt(kept)}?"
        else:
            text = f"{told}={word!r} is no kind of {cls.__name__}; the kinds are {listed}"
        return "; ".join([text, *dict.fromkeys(cls.moved[name] for name in fields if name in cls.moved)])

    @classmethod
    def _spelt(cls, given: Mapping[str, Any]) -> str:
        """The call that describes a kind with these fields."""
        placed = [about.name for about in dataclasses.fields(cls) if not about.kw_only]  # type: ignore[arg-type]
        first = placed if given.keys() >= set(placed) else []
        rest = [f"{name}={value!r}" for name, value in given.items() if name not in first]
        return f"{cls.__name__}({', '.join([*(repr(given[name]) for name in first), *rest])})"


def implementation(described: Kind) -> Any:
    """The definition that carries out a kind, imported when it is asked for."""
    return named(described.code)


def chosen(described: object, name: str) -> Any:
    """The definition that the word in a field with `choice` names."""
    return named(choice(described, name))


def choice(described: object, name: str) -> str:
    """Where that definition is, as "module:name"."""
    about = {each.name: each for each in dataclasses.fields(described)}  # type: ignore[arg-type]
    return f"{about[name].metadata['choice']}:{getattr(described, name)}"


def named(code: str) -> Any:
    """The definition behind "module:name"."""
    module, _, name = code.partition(":")
    return getattr(import_module(module), name)


def descriptions(value: object) -> Iterator[Any]:
    """A description and all descriptions in it."""
    if dataclasses.is_dataclass(value):
        yield value
        for each in dataclasses.fields(value):
            yield from descriptions(getattr(value, each.name))
    elif isinstance(value, tuple | dict):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from descriptions(entry)


def is_neutral(value: object, about: dataclasses.Field[Any]) -> bool:
    """Whether the value of a field means what was done before the field existed."""
    if "neutral" in about.metadata:
        return bool(value == about.metadata["neutral"])
    return value == about.default and (value is None or value is False or value == ())


def codes(value: object) -> list[str]:
    """All code that a description chooses, as "module:name": its kinds, its words, and what its set fields need."""
    found: dict[str, None] = {}
    for described in descriptions(value):
        if isinstance(described, Kind):
            found[described.code] = None
        for each in dataclasses.fields(described):
            item = getattr(described, each.name)
            if each.metadata.get("choice") and item is not None:
                found[choice(described, each.name)] = None
            if each.metadata.get("code") and not is_neutral(item, each):
                found[each.metadata["code"]] = None
    return list(found)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


@cache
def _hints(cls: type) -> dict[str, Any]:
    return {name: hint for name, hint in typing.get_type_hints(cls).items() if typing.get_origin(hint) is not ClassVar}


def _plain(value: Any) -> Any:
    """A number of numpy as Python's, also within a tuple or a dictionary; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value)) if any(type(entry).__module__ == "numpy" for entry in value) else value
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    is_number = type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0
    return value.item() if is_number else value


@cache
def _floats(cls: type) -> list[str]:
    """Fields that may hold a float."""
    return [name for name, hint in _hints(cls).items() if float in (hint, *typing.get_args(hint))]


def _make_exact(value: Any) -> None:
    """Write whole numbers in fields of type float as such, so that lr=1 and lr=1.0 describe the same training."""
    for name in _floats(value.__class__):
        item = getattr(value, name)
        if _is_float(item):
            object.__setattr__(value, name, float(item))


def _unknown(cls: type, name: str, value: object, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(known)}"
    if owners := _owners(cls, name):
        hint = f"it belongs to {', '.join(owners)}"
    if issubclass(cls, Kind) and name in ("kind", "source"):
        hint = "the class is the kind, so leave it out"
    if issubclass(cls, Kind) and name in cls.moved:
        hint = cls.moved[name]
    shown = "..." if dataclasses.is_dataclass(value) else repr(value)
    return f"{name}={shown} is no field of {cls.__name__}; {hint}"


def _owners(cls: type, name: str) -> list[str]:
    """Kinds of the same family that have a field of this name."""
    families = [base for base in cls.__mro__ if issubclass(base, Kind) and Kind in base.__bases__]
    kinds = [kind for family in families for kind in family.kinds().values()]
    return [kind.__name__ for kind in kinds if name in _names(kind)]


def _names(cls: type) -> set[str]:
    """Names of the fields."""
    return {each.name for each in dataclasses.fields(cls)}


def _check(value: Any) -> Iterator[str]:
    """Problems of one description: its types, its nested descriptions, then its own rules if all of those hold."""
    sound = True
    for name, fits, hint in _plan(value.__class__):
        item = getattr(value, name)
        if not fits(item):
            sound = False
            yield f"{name}={item!r} must be {_wanted(item, hint)}"
        for place, inner in _nested(name, item):
            for problem in problems(inner):
                sound = False
                yield f"{place}.{problem}"
    if sound:
        yield from value._rules()


@cache
def _plan(cls: type) -> list[tuple[str, Callable[[Any], bool], Any]]:
    """Each field with the check of its type, and its annotation; made once for each class."""
    hints = _hints(cls)
    return [(name, _fits(hints[name]), hints[name]) for name in (each.name for each in dataclasses.fields(cls))]


def _nested(name: str, item: object) -> Iterator[tuple[str, object]]:
    if isinstance(item, tuple | dict):
        entries = item.items() if isinstance(item, dict) else enumerate(item)
        yield from ((f"{name}[{key!r}]", entry) for key, entry in entries if dataclasses.is_dataclass(entry))
    elif dataclasses.is_dataclass(item):
        yield name, item


@cache
def _fits(hint: Any) -> Callable[[Any], bool]:
    """Whether a value fits an annotation; made once for each."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        parts = [_fits(arg) for arg in args]
        return lambda value: any(part(value) for part in parts)
    if origin is Literal:
        return lambda value: isinstance(value, str) and value in args
    if origin is tuple:
        entry = _fits(args[0])
        return lambda value: isinstance(value, tuple) and all(map(entry, value))
    if origin is dict:
        entry = _fits(args[1])
        return lambda value: isinstance(value, dict) and all(map(entry, value.values()))
    return {float: _is_float, int: _is_int}.get(hint, lambda value: isinstance(value, hint))


def _is_float(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, float) and abs(value) <= sys.float_info.max)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _wanted(value: Any, hint: Any) -> str:
    """What a value that does not fit an annotation should have been, in words."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_wanted(value, arg) for arg in args)
    if origin is Literal:
        near = get_close_matches(str(value), args, n=1)
        return f"one of {', '.join(map(repr, args))}" + (f" (did you mean {near[0]!r}?)" if near else "")
    if origin in (tuple, dict):
        return _wanted_collection(value, origin, args[0] if origin is tuple else args[1])
    return WORDS.get(hint) or _made_with(value, hint)


WORDS = {float: "a finite number", int: "a whole number", bool: "True or False", str: "a text", type(None): "None"}


def _made_with(value: object, hint: type) -> str:
    kinds = {kind.__name__: word for word, kind in hint.kinds().items()} if issubclass(hint, Kind) else {}
    if len(kinds) < 2:
        return f"made with {hint.__name__}(...)"
    given = value.__name__ if isinstance(value, type) else str(value)
    near = get_close_matches(given, [*kinds, *kinds.values()], n=1)
    written = next((name for name, word in kinds.items() if near and near[0] in (name, word)), None)
    return f"one of {', '.join(kinds)}" + (f" (did you mean {written}(...)?)" if written else "")


def _wanted_collection(value: Any, kind: type[Any], hint: Any) -> str:
    if not isinstance(value, kind):
        return "a tuple, written (a, b)" if kind is tuple else "a dictionary"
    items = value.values() if kind is dict else value
    wrong = next(item for item in items if not _fits(hint)(item))
    return f"a {'dictionary' if kind is dict else 'tuple'} in which each value is {_wanted(wrong, hint)}"


def at_least(smallest: float, value: Any, *names: str) -> Iterator[str]:
    """Problems of the fields, among those named, that are set and below `smallest`."""
    for name in names:
        number = getattr(value, name)
        if number is not None and number < smallest:
            yield f"{name}={number} must be at least {smallest}"


def above(limit: float, value: Any, *names: str) -> Iterator[str]:
    """Problems of the fields, among those named, that are set and not greater than `limit`."""
    for name in names:
        number = getattr(value, name)
        if number is not None and number <= limit:
            yield f"{name}={number} must be greater than {limit}"


def between(low: float, high: float, value: Any, *names: str) -> Iterator[str]:
    """Problems of the fields, among those named, that are set and lie outside the half-open interval [low, high)."""
    for name in names:
        number = getattr(value, name)
        if number is not None and not low <= number < high:
            yield f"{name}={number} must lie in [{low:g}, {high:g})"
