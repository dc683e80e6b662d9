"""Marks: which characters of a source are English, and what splits them into bytes and a mask."""

import ast
import inspect
import io
import json
import tokenize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.data import corpora, marks

SOURCE = '''\
#!/usr/bin/env python
"""Module text."""

import numpy  # A comment, with "quotes".
import os  # noqa: F401
import sys  # type: ignore

#: Told of x: \u03bb.
x = "# no comment"
#
# -----


def outer(a="not this", \u03bb="\u03bb"):  "Inline."; y = "nor this"


def inner():
    (
        r\'\'\'First.

        Second \u03bb line.   \n\
    >>> code
    ... more
    result
        \'\'\' "Joined."
    )
    """Not a docstring."""  # But this is.
'''

ENGLISH = [
    "Module text.",
    'A comment, with "quotes".',
    "Told of x: \u03bb.",
    "-----",
    "Inline.",
    "First.",
    "Second \u03bb line.",
    "result",
    "Joined.",
    "But this is.",
]


def docstrings(source):
    return [statement for statement, _ in corpora._docstrings(corpora._nodes(ast.parse(source)))]


def marked_pieces(text):
    return [piece.partition(marks.CLOSES)[0] for piece in text.split(marks.OPENS)[1:]]


def test_comments_and_docstrings_are_marked_and_nothing_else():
    assert marked_pieces(marks.marked(SOURCE, docstrings=docstrings(SOURCE))) == ENGLISH


@pytest.mark.parametrize("module", [ast, inspect, json, tokenize, st, pytest.approx])
def test_of_real_modules_the_words_of_docstrings_and_comments_are_marked(module):
    """Slow twin: the values of the docstrings, and the comments, word by word; the text itself stays what it was."""
    source = inspect.getsource(inspect.getmodule(module))
    found = marks.marked(source, docstrings=docstrings(source))
    content, mask = marks.unmarked(found.encode())
    assert content == source.encode()
    assert len(mask) == len(content) and set(mask) <= {0, 1}
    texts = [node.value.value for node in docstrings(source)]
    lines = [line.strip() for text in texts for line in text.split("\n")]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    read = [comment.lstrip("#:").strip() for comment in comments if not marks.DIRECTIVE.match(comment)]
    wanted = [line for line in lines if not line.startswith((">>> ", "... "))]
    pieces = marked_pieces(found)
    assert {line for line in wanted + read if line and "\\" not in line} == {
        line for line in pieces if "\\" not in line
    }
    assert len(pieces) > 10


lines = st.lists(st.tuples(st.text("ab\u03bb #", max_size=5), st.text("xy\u03bb", max_size=5)), max_size=9)


@given(lines)
def test_a_mask_has_one_entry_for_each_byte(pairs):
    text = "".join(f"{plain}{marks.OPENS}{english}{marks.CLOSES}\n" for plain, english in pairs)
    wanted = b"".join(bytes(len(plain.encode())) + b"\1" * len(english.encode()) + b"\0" for plain, english in pairs)
    content = "".join(f"{plain}{english}\n" for plain, english in pairs).encode()
    assert marks.unmarked(text.encode()) == (content, wanted)


@pytest.mark.parametrize("mark", [marks.OPENS, marks.CLOSES])
def test_a_source_with_a_mark_is_refused(mark):
    with pytest.raises(ValueError, match="serve as marks"):
        marks.marked(f"x = '{mark}'\n", docstrings=[])
