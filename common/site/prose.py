"""Text that is written elsewhere, for pages: a little Markdown, the answer of a README, the changelog, papers."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from markupsafe import Markup, escape

ANSWER = re.compile(r"^\*\*Answer[.*]{1,3}(.*?)\n\n", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^## \[(.+?)\] - (\S+)\n(.*?)(?=^## \[|\Z)", re.MULTILINE | re.DOTALL)
VERDICTS = re.compile(r"^### Verdicts\n\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<bold>.+?)\*\*|\[(?P<words>[^\]]+)\]\([^)]*\)")
AUTHORS = r"(?P<name>[A-Z][\w-]+)(?: et al\.| and [A-Z][\w-]+)?,? (?P<year>(?:19|20)\d\d)"
CITED = re.compile(AUTHORS + r"(?:, \"[^\"]{1,200}\")?,? ?\(?arXiv:(?P<number>\d{4}\.\d{4,5})")
NAMED = re.compile(r"arXiv:(?P<number>\d{4}\.\d{4,5})|" + AUTHORS)


def inline(text: str) -> Markup:
    """Code, bold words and links of Markdown as HTML; links keep their words alone, since they lead to other files.

    >>> str(inline("**Yes**, as `a < b` in [docs](docs/x.md)"))
    '<strong>Yes</strong>, as <code>a &lt; b</code> in docs'
    """
    parts, end = [], 0
    for match in INLINE.finditer(text):
        parts += [escape(text[end : match.start()])]
        tag = {"code": "code", "bold": "strong"}.get(match.lastgroup or "")
        inner = escape(match[match.lastgroup or 0])
        parts += [Markup("<{0}>{1}</{0}>").format(tag, inner) if tag else inner]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def answer(readme: str) -> str:
    """The answer that the README of a study gives; empty if it has none."""
    found = ANSWER.search(readme)
    return " ".join(found[1].replace("**", "", 1).split()) if found else ""


def news(changelog: str) -> tuple[str, str, tuple[str, ...]]:
    """The newest version of a changelog, the one released before it, and its entries on verdicts."""
    sections = SECTION.findall(changelog)
    if not sections:
        return "", "", ()
    version, _, text = sections[0]
    entries = VERDICTS.search(text)
    listed = re.findall(r"^\* (.*?)(?=^\* |\Z)", entries[1], re.MULTILINE | re.DOTALL) if entries else []
    before = sections[1][0] if len(sections) > 1 else ""
    return version, before, tuple(" ".join(entry.split()) for entry in listed)


def papers(texts: Iterable[str]) -> dict[str, str]:
    """Numbers on arXiv by "Surname year", where some texts cite them so; an ambiguous name is left out."""
    found: dict[str, set[str]] = defaultdict(set)
    for text in texts:
        for match in CITED.finditer(" ".join(text.split())):
            found[f"{match['name']} {match['year']}"].add(match["number"])
    return {name: numbers.pop() for name, numbers in sorted(found.items()) if len(numbers) == 1}


def cited(text: str, known: Mapping[str, str]) -> Markup:
    """A source with links to the papers that it names."""
    given = {match["number"] for match in CITED.finditer(text)}
    parts, end = [], 0
    for match in NAMED.finditer(text):
        number = match["number"] or known.get(f"{match['name']} {match['year']}")
        if number is None or (match["number"] is None and number in given):
            continue
        link = Markup('<a href="https://arxiv.org/abs/{}">{}</a>').format(number, match[0])
        parts += [escape(text[end : match.start()]), link]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])
