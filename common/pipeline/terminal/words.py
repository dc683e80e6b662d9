"""Numbers, names and times in few words."""

from collections.abc import Iterable, Sequence


def time(seconds: float) -> str:
    """A duration for people.

    >>> time(0.44), time(12.4), time(119.6), time(1_560), time(5_700)
    ('0.4 s', '12 s', '2 min', '26 min', '1 h 35 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if round(seconds) < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "run"), count(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def some(names: Sequence[str], *, most: int = 3) -> str:
    """The first of some names, and how many there are beside.

    >>> some(["a", "b"]), some(["a", "b", "c", "d", "e"])
    ('a, b', 'a, b, c and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def columns(rows: Iterable[Sequence[str]], *, gap: str = "  ") -> list[str]:
    """Rows as lines whose columns are aligned; the last column is as long as it likes.

    >>> columns([("wsd", "12/180", "left"), ("sharpness", "1/9", "")])
    ['wsd        12/180  left', 'sharpness  1/9']
    """
    table = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in table), strict=True)]
    return [
        gap.join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in table
    ]
