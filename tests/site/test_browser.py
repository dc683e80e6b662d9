"""The pages in a real browser at the width of a phone: no scrolling sideways, no error, every link in reach, in both
schemes readable. Skipped where no chromium is installed (Debian: apt-get install chromium).
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium here: apt-get install chromium")
WIDTH = 390
SCHEMES = {"dark": 0, "light": 1}

CHECK = """
const found = {};
const light = (c) => {
  const linear = (x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = c.slice(0, 3).map((x) => linear(x / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (view, at) => {
  for (; at; at = at.parentElement) {
    const color = parse(view.getComputedStyle(at).backgroundColor);
    if (color.length < 4 || color[3] > 0) return color;
  }
  return [255, 255, 255];
};
const check = (frame) => {
  const view = frame.contentWindow, page = frame.contentDocument, wrong = [];
  page.querySelectorAll("details").forEach((each) => (each.open = true));
  const root = page.documentElement;
  if (view.innerWidth !== WIDTH) wrong.push(`width ${view.innerWidth}`);
  if (root.scrollWidth > WIDTH) wrong.push(`scrolls to ${root.scrollWidth}`);
  page.querySelectorAll("a[href], button, select, input, summary").forEach((each) => {
    each.focus();
    if (page.activeElement !== each) wrong.push(`out of reach: ${each.outerHTML.slice(0, 80)}`);
  });
  if (page.activeElement) page.activeElement.blur();
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  let texts = 0, least = 21;
  while (walker.nextNode()) {
    const at = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !at.getClientRects().length) continue;
    const style = view.getComputedStyle(at), behind = ground(view, at);
    const ink = parse(at instanceof view.SVGElement ? style.fill : style.color);
    const [one, two] = [light(ink), light(behind)].sort((a, b) => b - a), ratio = (one + 0.05) / (two + 0.05);
    texts += 1;
    least = Math.min(least, ratio);
    if (ratio < 4.5) wrong.push(`contrast ${ratio.toFixed(2)}: ${walker.currentNode.data.trim().slice(0, 40)}`);
  }
  const form = page.getElementById("filters");
  if (form) {
    const shown = () => [...page.querySelectorAll("#table tbody tr")].filter((row) => !row.hidden).length;
    const all = shown();
    form.elements.text.value = "no such words anywhere";
    form.dispatchEvent(new view.Event("input"));
    if (form.hidden || shown() !== 0 || all === 0) wrong.push(`the filter shows ${shown()} of ${all}`);
  }
  found[frame.title] = { wrong, texts, least, dark: view.matchMedia("(prefers-color-scheme: dark)").matches };
};
addEventListener("load", () => {
  document.querySelectorAll("iframe").forEach(check);
  document.getElementById("found").textContent = JSON.stringify(found);
});
"""


def browse(pages: list[Path], folder: Path, *, scheme: str) -> tuple[dict, list[str]]:
    """What the script above finds on some pages, and what the browser's console says."""
    frames = [
        f'<iframe title="{html.escape(str(path))}" width="{WIDTH}" height="844" style="border:0" srcdoc="'
        + html.escape(_based(path))
        + '"></iframe>'
        for path in pages
    ]
    harness = folder / f"{scheme}.html"
    script = f"const WIDTH = {WIDTH};{CHECK}"
    text = f'<!doctype html><meta charset="utf-8">{"".join(frames)}<pre id="found"></pre><script>{script}</script>'
    harness.write_text(text, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    options += [f"--user-data-dir={folder}/user", f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"]
    done = subprocess.run([BROWSER, *options, harness.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(found[1])), said


def _based(path: Path) -> str:
    """A page as it is, that finds its files from where it is shown."""
    return path.read_text(encoding="utf-8").replace("<head>", f'<head><base href="{path.as_uri()}">', 1)


@needs_browser
@pytest.mark.parametrize("scheme", SCHEMES)
def test_pages_in_a_browser(written, real, tmp_path, scheme):
    pages = [
        *(written["smoke"] / path for path in ("index.html", "claims/X2.html", "runs/toy/branch.html")),
        *(written["built"] / path for path in ("claims/X1.html", "studies/toy.html")),
        *(real / path for path in ("index.html", "claims/W1.html", "studies/wsd.html")),
    ]
    found, said = browse(pages, tmp_path, scheme=scheme)
    assert said == []
    assert len(found) == len(pages) and all(page["texts"] > 30 for page in found.values())
    assert {page["dark"] for page in found.values()} == {scheme == "dark"}
    assert {path: page["wrong"] for path, page in found.items() if page["wrong"]} == {}


@needs_browser
def test_the_browser_sees_what_is_wrong(written, tmp_path):
    page = tmp_path / "wrong.html"
    text = (written["built"] / "claims/X1.html").read_text(encoding="utf-8")
    bad = '<p style="width:800px;color:#eee;background:#fff">pale</p><a href="#" style="display:none">x</a>'
    page.write_text(text.replace("</main>", f"{bad}<script>nothing.here()</script></main>"), encoding="utf-8")
    found, said = browse([page], tmp_path, scheme="light")
    [seen] = found.values()
    text = "\n".join(seen["wrong"])
    assert "scrolls to" in text and "contrast" in text and "out of reach" in text
    assert any("nothing is not defined" in line for line in said)
