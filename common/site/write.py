"""Write a site into a folder; a site of before is replaced, anything else is left alone."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from common.pipeline.studies import Studies
from common.runs.place import RESULTS
from common.site import pages
from common.site.content import Site
from common.site.gather import gather
from common.site.pages import GENERATOR, HERE, STATIC, Pages

FOLDERS = ("studies", "claims", "runs", "pictures")
"""What a site consists of, beside its front page and `STATIC`."""


def write(site: Site, out: Path, *, repository: str = "") -> int:
    """Write all pages and what they need.

    Args:
        site: what they say.
        out: folder; made anew if it holds a site.
        repository: address at which commits and code can be read.
    Returns: how many pages there are.
    Raises: ValueError if the folder holds something else.
    """
    clear(out)
    made, count = Pages(site, repository=repository), 0
    for path, text in made.all():
        file = out / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
        count += 1
    for name in STATIC:
        shutil.copyfile(HERE / "static" / name, out / name)
    for path, picture in made.pictures().items():
        (out / path).parent.mkdir(exist_ok=True)
        shutil.copyfile(picture, out / path)
    return count


def clear(out: Path) -> None:
    """Remove the site in a folder.

    Raises: ValueError if the folder holds something else.
    """
    if not out.exists() or not any(out.iterdir()):
        return
    index = out / "index.html"
    if not index.is_file() or f'content="{GENERATOR}"' not in index.read_text(encoding="utf-8"):
        raise ValueError(f"{out} holds something that is no site; choose another folder with --out, or remove it")
    for folder in FOLDERS:
        shutil.rmtree(out / folder, ignore_errors=True)
    for name in ("index.html", *STATIC):
        (out / name).unlink(missing_ok=True)


def make(params: Mapping[str, Any], inputs: Any, outputs: Sequence[str], *, terminal: TextIO) -> None:  # noqa: ARG001
    """As a job: the site of the build in this folder; `params` has the folder to write."""
    out = Path(params["out"])
    count = write(gather(Studies.load(), results=RESULTS), out)
    print(f"{pages.plural(count, 'page')}: {out / 'index.html'}", file=terminal)
