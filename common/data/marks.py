"""Marks around the English of a Python source, which the text carries until it is split into bytes and a mask."""

import ast
import io
import re
import tokenize
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator

OPENS, CLOSES = "\ue000", "\ue001"
"""Characters for private use, which no text has a meaning for."""

DIRECTIVE = re.compile(r"#!|#+\s*(?:-\*-|noqa|(?:type|pragma|fmt|mypy|pylint|isort|pyright|ruff|flake8)\s*:)", re.I)
"""A comment for a tool, not for a reader."""

SESSION = (">>> ", "... ")
"""How a line of an interactive session begins."""

Place = tuple[int, int]
"""Line from 1 and column from 0, in characters."""
Span = tuple[int, int, int]
"""Line from 0, first column and the one after the last."""


def marked(source: str, *, docstrings: Iterable[ast.Expr]) -> str:
    """Python source with marks around the text of its comments and of some docstrings.

    A pair of marks lies within one line, from the first to the last character that is not blank: neither quotes, `#`,
    indentation nor line ends are marked. Not marked either are comments for tools and, in docstrings, the lines of code
    of an interactive session (after `>>>` or `...`).

    Args:
        source: lines that end in a newline.
        docstrings: statements of its syntax tree.
    Raises: ValueError if the source holds the marks already.
    """
    if OPENS in source or CLOSES in source:
        raise ValueError("source holds the characters that serve as marks")
    lines = source.split("\n")
    spans: dict[int, list[Span]] = defaultdict(list)
    for span in _spans(source, lines, docstrings):
        spans[span[0]].append(span)
    for row, found in spans.items():
        for _, start, end in sorted(found, reverse=True):
            text = lines[row][start:end]
            core = text.strip()
            if core:
                blank = len(text) - len(text.lstrip())
                rest = text[blank + len(core) :] + lines[row][end:]
                lines[row] = lines[row][: start + blank] + OPENS + core + CLOSES + rest
    return "\n".join(lines)


def unmarked(content: bytes) -> tuple[bytes, bytes]:
    r"""Marked text in UTF-8 without its marks, and for each of its bytes 1 if it was marked, else 0.

    >>> text, mask = unmarked("x  # \ue000A word.\ue001\n".encode())
    >>> text
    b'x  # A word.\n'
    >>> list(mask)
    [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0]
    """
    pieces = re.split(b"|".join((OPENS.encode(), CLOSES.encode())), content)
    return b"".join(pieces), b"".join(bytes([i % 2]) * len(piece) for i, piece in enumerate(pieces))


def _spans(source: str, lines: list[str], docstrings: Iterable[ast.Expr]) -> Iterator[Span]:
    places = sorted(_place(lines, statement) for statement in docstrings)
    starts = [start for start, _ in places]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not DIRECTIVE.match(token.string):
            row, column = token.start
            yield row - 1, column + len(token.string) - len(token.string.lstrip("#:")), token.end[1]
        elif token.type == tokenize.STRING:
            before = bisect_right(starts, token.start) - 1
            if before >= 0 and token.start < places[before][1]:
                yield from _content(token, lines)


def _place(lines: list[str], node: ast.Expr) -> tuple[Place, Place]:
    """Start and end of a statement, whose columns the syntax tree counts in bytes."""

    def place(line: int, column: int) -> Place:
        return line, len(lines[line - 1].encode()[:column].decode())

    return place(node.lineno, node.col_offset), place(node.end_lineno or node.lineno, node.end_col_offset or 0)


def _content(token: tokenize.TokenInfo, lines: list[str]) -> Iterator[Span]:
    """What stands between the quotes of a docstring, line by line, but for code."""
    prefix = len(token.string) - len(token.string.lstrip("rRuU"))
    quotes = 3 if token.string[prefix : prefix + 3] in ('"""', "'''") else 1
    (first, start), (last, end) = token.start, token.end
    for row in range(first - 1, last):
        left = start + prefix + quotes if row == first - 1 else 0
        right = end - quotes if row == last - 1 else len(lines[row])
        if not lines[row][left:right].lstrip().startswith(SESSION):
            yield row, left, right
