"""A script of a study as it is written, read without running it."""

import ast
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Script:
    """What can be seen of a script before it runs."""

    text: str = ""
    """Its docstring."""
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    """Those at its top level, by name."""
    problem: str | None = None
    """What keeps it from being read: line and error, as it follows the name of the file."""

    @property
    def title(self) -> str:
        """First line of its docstring; empty if it has none."""
        return self.text.partition("\n")[0]


def read(path: Path) -> Script:
    """The script in a file; read once for each version of it."""
    return _read(path, path.stat().st_mtime_ns)


@cache
def _read(path: Path, _stamp: int) -> Script:
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:  # Python 3.11.3 has a ValueError for null bytes
        line, text = (error.lineno, error.msg) if isinstance(error, SyntaxError) else (None, error)
        return Script(problem=(f":{line}" if line else "") + f": {type(error).__name__}: {text}")
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return Script(ast.get_docstring(tree) or "", functions)
