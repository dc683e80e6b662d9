"""The byte corpora: what is taken from a package, how it is split, and that a build is reproducible."""

import ast
import inspect
import json
import os
import random
import re
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import CORPORA
from common.data import corpora, marks
from common.data.corpora import CorpusError, assemble, build, clean_docstring, cpp, documented, prose, python
from common.pipeline import provenance

SOURCE = '''\
# Copyright (c) 2020 Someone
# All rights reserved.

"""Module text.

Second paragraph: \u03bb.
"""

import numpy  # a comment that stays


class A:
    "One line."


class B: "Inline."


def outer(x):
    """Outer.

        Indented.
    Not.
    """  # trailing comment
    if x:
        async def inner():
            (
                """Parenthesised."""
            )

        text = """not a docstring"""
    return text


add_newdoc("module", "name", """
    Attached.

    Licensed under some terms.
    """)
'''


def test_prose_holds_the_docstrings_in_order():
    expected = """\
        Module text.

        Second paragraph: \u03bb.

        One line.

        Inline.

        Outer.

            Indented.
        Not.

        Parenthesised.

        Attached.
        """
    assert prose(SOURCE) == textwrap.dedent(expected)


def test_python_keeps_everything_but_docstrings_and_licences():
    expected = """\

        import numpy  # a comment that stays


        class A:
            pass


        class B: pass


        def outer(x):
            pass  # trailing comment
            if x:
                async def inner():
                    pass

                text = \"\"\"not a docstring\"\"\"
            return text
        """
    assert (
        python(SOURCE).strip()
        == textwrap.dedent(expected).strip() + SOURCE[SOURCE.index("\n\n\nadd_newdoc") :].rstrip()
    )


@pytest.mark.parametrize("module", [ast, inspect, json, random, textwrap, st, pytest.approx])
def test_python_leaves_the_code_of_real_modules_as_it_was(module):
    """The syntax tree without docstrings is the same before and after, and no docstring is left."""
    source = inspect.getsource(inspect.getmodule(module))
    assert ast.dump(undocumented(python(source))) == ast.dump(undocumented(source))
    assert not list(corpora._docstrings(corpora._nodes(ast.parse(python(source)))))


def undocumented(source: str) -> ast.Module:
    """Slow twin: drop docstrings, and the `pass` that may stand for one, from the tree."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
            if node.body and isinstance(node.body[0], ast.Pass):
                node.body = node.body[1:]
    return tree


def test_cpp_loses_its_licence_only():
    licences = ["/* Copyright X\n * more */", "// Licensed under Y\n// more\n"]
    code = ["\n#pragma once\n", "\nint a; // the copyright of a\n// kept\n"]
    assert cpp(licences[0] + code[0] + licences[1] + code[1]) == "".join(code)


@given(st.lists(st.text(alphabet=" ab", max_size=8), min_size=1, max_size=6).map("\n".join))
def test_docstrings_are_cleaned_as_by_inspect(text):
    twin = "\n".join(line.rstrip() for line in inspect.cleandoc(text).split("\n")).strip()
    assert clean_docstring(text) == twin


texts = st.dictionaries(
    st.text(alphabet="abc/", min_size=1, max_size=6),
    st.lists(st.sampled_from(["short", "x" * 90, "y" * 90, "z" * 80 + "\n  z"]), min_size=1, max_size=4).map(
        "\n\n".join
    ),
    min_size=1,
    max_size=40,
)


@given(texts=texts, seed=st.integers(0, 9))
def test_the_order_of_the_files_does_not_matter(texts, seed):
    shuffled = list(texts.items())
    random.Random(seed).shuffle(shuffled)
    assert assemble(dict(shuffled)) == assemble(texts)


@given(texts=texts)
def test_no_long_paragraph_occurs_twice(texts):
    train, validation, _ = assemble(texts)
    paragraphs = [part for part in (train + b"\n\n" + validation).decode().split("\n\n") if len(part) >= 80]
    assert len(paragraphs) == len(set(paragraphs))


def test_what_stands_in_both_parts_stays_in_training():
    texts = {f"m{i}": f"own {i}\n\n{'x' * 90}\n" for i in range(200)}
    train, validation, repeated = assemble(texts)
    assert (train.count(b"x" * 90), validation.count(b"x" * 90), repeated["paragraphs"]) == (1, 0, 199)
    alone = next(name for name in texts if texts[name].split("\n")[0].encode() in validation.split(b"\n"))
    assert b"x" * 90 in assemble({alone: texts[alone]})[1]
    assert not any(
        b"x" * 90 in assemble({alone: texts[alone], f"m{i}": texts[f"m{i}"]})[1]
        for i in range(200)
        if f"own {i}\n".encode() in train
    )


def test_indentation_does_not_hide_a_repeated_paragraph():
    long = "word " * 30 + "\nword"
    contents = assemble({"a": f"start\n\n{long}\n", "b": textwrap.indent(f"{long}\n\nend\n", "    ")})
    assert b"".join(contents[:2]).count(b"word") == 31
    assert contents[2] == {"files": 0, "paragraphs": 1}


def test_a_file_of_one_paragraph_is_no_repetition_of_itself():
    assert sum(map(len, assemble({"a": "x" * 90 + "\n"})[:2])) == 91


def test_about_one_file_in_twenty_is_held_out_and_no_file_is_in_both():
    train, validation, _ = assemble({f"package/module_{i}.py": f"unique_{i}\n" for i in range(4000)})
    names = [part.decode().split() for part in (train, validation)]
    assert not set(names[0]) & set(names[1])
    assert len(names[0]) + len(names[1]) == 4000
    assert 140 < len(names[1]) < 260  # 200 expected, standard deviation 14


def package(root, *, name="fakelib", version="1.5.0", reverse=False):
    """An installed package with two hundred modules, and with files that no corpus takes."""
    folder = root / name
    files = {
        f"part{i % 7}/m{i}.py": f'"""Module {i} tells of {i}."""\n\n\ndef f{i}():\n    return {i}\n' for i in range(200)
    }
    files |= {f"include/ATen/h{i}.h": f"// Copyright X\n\n#pragma once\nint h{i}();\n" for i in range(200)}
    files |= {
        "__init__.py": '"""Root."""\n',
        "tests/test_a.py": '"""Tests."""\n',
        "version.py": '"""Version."""\n',
        "made.py": '"""Auto-generated."""\n',
        "broken.py": '"""Broken."""\ndef (\n',
        "table.py": '"""' + "0123456789" * 9 + '"""\nx = ' + "123," * 99 + "\n",
    }
    for path, content in sorted(files.items(), reverse=reverse):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    (folder / "latin.py").write_bytes(b'"""Caf\xe9."""\n')
    (root / f"{name}-{version}.dist-info").mkdir()
    (root / f"{name}-{version}.dist-info/METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    return folder


@pytest.fixture
def fakelib(tmp_path, monkeypatch):
    root = tmp_path / "site-packages"
    package(root)
    monkeypatch.syspath_prepend(root)
    return root / "fakelib"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["prose", "python"])
def test_two_builds_are_equal_whatever_the_file_system_lists_first(name, fakelib, tmp_path, monkeypatch):
    build(name, out=tmp_path / "one", packages=["fakelib"])
    walk = os.walk
    monkeypatch.setattr(corpora.os, "walk", lambda *args: reversed([(a, b, c[::-1]) for a, b, c in walk(*args)]))
    build(name, out=tmp_path / "two", packages=["fakelib"])
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert set(contents(tmp_path / "one")) == {"train.bin", "validation.bin", "manifest.json"}


def test_a_documented_corpus_has_masks_of_what_it_says(fakelib, tmp_path):
    build("documented", out=tmp_path / "out", packages=["fakelib"])
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    contents_found = contents(tmp_path / "out")
    assert set(contents_found) == {"train.bin", "train.mask", "validation.bin", "validation.mask", "manifest.json"}
    for part in ("train", "validation"):
        text, mask = (contents_found[f"{part}.{suffix}"] for suffix in ("bin", "mask"))
        sizes = manifest["masks"]
        assert (sizes["bytes"][part], sizes["sha256"][part]) == (len(mask), corpora.sha256(mask))
        assert len(text) == len(mask)
        scored = bytes(byte if flag else 10 for byte, flag in zip(text, mask, strict=True)).decode()
        sentences = [line for line in scored.split("\n") if line]
        assert sentences and all(re.fullmatch(r"Module \d+ tells of \d+\.|Root\.", line) for line in sentences)
        assert len(sentences) == text.count(b'"""') / 2
        assert b"return" in text


def test_documented_source_loses_licences_only():
    source = SOURCE.replace("Second paragraph", "Licensed under X,\n    and Y.\n\nSecond paragraph")
    text, mask = marks.unmarked(documented(source).encode())
    kept = source.replace("# Copyright (c) 2020 Someone\n# All rights reserved.\n", "")
    assert text.decode() == kept.replace("Licensed under X,\n    and Y.\n", "")
    assert ast.dump(undocumented(text.decode())) == ast.dump(undocumented(source))
    assert sum(mask) > 100


def test_parts_of_a_corpus_by_package_share_none():
    torch, science = (set(corpora.PACKAGES[f"python_{part}"]) for part in ("torch", "science"))
    assert not torch & science
    assert torch | science <= set(corpora.PACKAGES["python"])
    others = {package for name, found in corpora.PACKAGES.items() if name != "documented" for package in found}
    assert not others & set(corpora.PACKAGES["documented"])


def test_the_manifest_tells_what_was_built(fakelib, tmp_path):
    build("prose", out=tmp_path / "out", packages=["fakelib"], pins={"fakelib": "1.5.0"})
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["packages"] == {"fakelib": "1.5.0"}
    assert manifest["files"] == 201
    skipped = {"tests": 1, "depends on the platform": 1, "generated": 1, "not parsable": 1, "not UTF-8": 1}
    assert manifest["skipped"] == skipped | {"table of numbers": 1}
    for part in ("train", "validation"):
        content = (tmp_path / f"out/{part}.bin").read_bytes()
        assert (manifest["bytes"][part], manifest["sha256"][part]) == (len(content), corpora.sha256(content))
        assert b"tells of" in content
        assert b"return" not in content
    assert len(manifest["digest"]) == 64


def test_cpp_takes_the_headers(tmp_path, monkeypatch):
    package(tmp_path, name="torch", version="9.9.9+cpu")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(corpora.importlib.util, "find_spec", lambda name: Spec(str(tmp_path / name)))
    build("cpp", out=tmp_path / "out", packages=["torch"])
    text = (tmp_path / "out/train.bin").read_text() + (tmp_path / "out/validation.bin").read_text()
    assert text.count("#pragma once") == 200
    assert "Copyright" not in text


class Spec:
    def __init__(self, folder):
        self.submodule_search_locations = [folder]


def test_a_build_that_fails_leaves_the_former_one_whole(fakelib, tmp_path, monkeypatch):
    build("prose", out=tmp_path / "out", packages=["fakelib"])
    before = contents(tmp_path / "out")
    monkeypatch.setattr(corpora.os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        build("python", out=tmp_path / "out", packages=["fakelib"])
    after = contents(tmp_path / "out")
    assert {name: after[name] for name in before} == before


def test_another_version_than_pinned_is_refused(fakelib, tmp_path):
    message = r"package 'fakelib' is installed as 1.5.0 but pinned as 1.6.0 in envs/requirements.lock.*run `make .venv`"
    with pytest.raises(CorpusError, match=message):
        build("prose", out=tmp_path / "out", packages=["fakelib"], pins={"fakelib": "1.6.0"})
    assert not (tmp_path / "out").exists()


def test_a_local_build_of_the_pinned_version_is_accepted(tmp_path, monkeypatch):
    package(tmp_path, name="locallib", version="2.13.0+cpu")
    monkeypatch.syspath_prepend(tmp_path)
    assert corpora.installed_versions(["locallib"], pins={"locallib": "2.13.0"}) == {"locallib": "2.13.0"}


def test_a_missing_package_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"'no-such-package' is not installed; run `make .venv`"):
        build("prose", out=tmp_path, packages=["no-such-package"])


def test_every_corpus_of_the_descriptions_can_be_built():
    assert set(corpora.PACKAGES) == set(corpora.SMOKE_PACKAGES) == set(corpora.EXTRACTORS) == set(CORPORA)
    for name, packages in corpora.SMOKE_PACKAGES.items():
        assert set(packages) <= set(corpora.PACKAGES[name])


def test_what_builds_a_corpus_is_what_its_rule_counts():
    """A change elsewhere in the package must not build the corpora, and train all text, again."""
    found = provenance.walk("common.data.corpora").statements
    assert {path.relative_to(provenance.ROOT).as_posix() for path in found} == {
        "common/data/corpora.py",
        "common/data/marks.py",
    }
    rule = (provenance.ROOT / "common/pipeline/rules/corpus.smk").read_text()
    assert 'provenance.later("common.data.corpora")' in rule
