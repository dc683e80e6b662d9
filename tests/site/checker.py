"""Reads pages as a browser would: their elements, texts and links, and what is wrong with these."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

VOID = {"meta", "link", "img", "br", "input", "hr", "path", "rect", "circle"}


@dataclass
class Page(HTMLParser):
    """A page that has been read."""

    path: Path
    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(self.path.read_text(encoding="utf-8"))
        self.wrong += [f"{tag} is not closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("href", "src") if name in given]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"{tag} closes something else")

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def problems(self) -> Iterator[str]:
        """What is broken: nesting, ids, links to files and places that are not there."""
        yield from self.wrong
        yield from (f"id {name} twice" for name in set(self.ids) if self.ids.count(name) > 1)
        for link in self.links:
            parts = urlsplit(link)
            if parts.scheme in ("https", "data"):
                continue
            target = (self.path.parent / unquote(parts.path)).resolve() if parts.path else self.path.resolve()
            if parts.scheme or link.startswith("/") or not target.is_file():
                yield f"{link} leads nowhere"
            elif parts.fragment and parts.fragment not in read(target).ids:
                yield f"{link}: there is no such place"


@cache
def read(path: Path) -> Page:
    return Page(path)


def broken(folder: Path) -> list[str]:
    """All problems of all pages in a folder."""
    pages = sorted(folder.rglob("*.html"))
    assert pages
    return [f"{path.relative_to(folder)}: {problem}" for path in pages for problem in read(path).problems()]
