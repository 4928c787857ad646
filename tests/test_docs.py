"""The site shows what the code is: every module, column, rule, source, split, model and command.

That it builds without a warning is for ``make docs`` to see, a step of its own of CI.
"""

import re
import runpy
from pathlib import Path

import pytest

from ecn.models import MODELS
from mpclean.cli import main
from mpclean.rules import RULES
from mpclean.sources import SOURCES
from mpclean.splits import STRATEGIES
from mpclean.vocabulary.schema import LEDGER, RELEASE, SOURCE_LABELS, SOURCE_WORDS

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def pages():
    """Generated parts of pages by their names."""
    return dict(runpy.run_path(str(DOCS / "conf.py"))["pages"]())


def test_every_public_module_has_its_place(pages):
    files = [path for name in ("mpclean", "ecn") for path in (DOCS.parent / name).rglob("*.py")]
    names = {
        ".".join(path.relative_to(DOCS.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in files
    }
    shown = [
        name
        for text in pages.values()
        for name in re.findall(r"^\.\. automodule:: (\S+)$", text, re.MULTILINE)
    ]
    assert sorted(shown) == sorted(name for name in names if "._" not in name)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("columns.md", RELEASE.names),
        ("more_columns.md", [*SOURCE_LABELS, *SOURCE_WORDS]),
        ("ledger.md", LEDGER.names),
        ("rules.md", RULES),
        ("sources.md", SOURCES),
        ("strategies.md", STRATEGIES),
    ],
)
def test_tables_are_those_of_the_code(pages, page, names):
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in pages[page].splitlines()[2:]]
    assert [row[0] for row in rows] == [f"`{name}`" for name in names]
    assert all(row[1] for row in rows)


def test_commands_and_models(pages):
    for name in main.commands:
        assert f"## mpclean {name}\n" in pages["commands.md"]
    assert re.findall(r"^```text\n(\w+): ", pages["models.md"], re.MULTILINE) == [*MODELS]


def test_every_page_is_in_the_contents(pages):
    contents = re.findall(r"^\w+$", pages["contents.md"], re.MULTILINE)
    assert sorted(contents) == sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")


def test_parts_that_are_included_are_made(pages):
    for path in DOCS.glob("*.md"):
        for name in re.findall(r"^```\{include\} generated/(\S+)$", path.read_text("utf-8"), re.MULTILINE):
            assert pages[name]


def test_names_of_the_code_in_the_text_are_those_of_the_code():
    """Dotted names in `adding.md` and elsewhere can be imported, and files are there."""
    for path in DOCS.glob("*.md"):
        text = path.read_text("utf-8")
        for name in re.findall(r"`((?:mpclean|ecn)(?:\.\w+)+)`", text):
            module, _, attribute = name.rpartition(".")
            assert hasattr(__import__(module, fromlist=["_"]), attribute), name
        for file in re.findall(r"`((?:mpclean|ecn)/[\w/.]+)`", text):
            assert (DOCS.parent / file).exists(), file
