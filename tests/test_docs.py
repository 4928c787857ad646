"""The site shows what the code is: every public name, column, rule, source, split, model and command.

That it builds without a warning is for ``make docs`` to see, a step of its own of CI.
"""

import re
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

import ecn
import ecn.testing
import mpclean
from ecn.models import MODELS, options
from mpclean.cli import main
from mpclean.rules import RULES
from mpclean.sources import SOURCES
from mpclean.splits import STRATEGIES
from mpclean.vocabulary.schema import LEDGER, RELEASE, SOURCE_LABELS, SOURCE_WORDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ENTRY_POINT_GROUPS = {"mpclean.rules", "mpclean.sources", "mpclean.splits", "mpclean.formats", "ecn.models"}


@pytest.fixture(scope="module")
def pages():
    """Generated parts of pages by their names."""
    return dict(runpy.run_path(str(DOCS / "conf.py"))["pages"]())


def test_the_api_is_the_public_names(pages):
    """No name that is internal, and none that is missing."""
    shown = re.findall(r"^\.\. auto\w+:: (\S+)$", pages["api.md"], re.MULTILINE)
    public = [
        f"{module.__name__}.{name}" for module in (mpclean, ecn, ecn.testing) for name in module.__all__
    ]
    assert shown == public
    assert len(shown) > 5


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
    assert re.findall(r"^### (\w+)$", pages["models.md"], re.MULTILINE) == [*MODELS]


@pytest.mark.parametrize("name", MODELS)
def test_every_option_of_a_model_is_explained(pages, name):
    text = pages["models.md"].split(f"### {name}\n")[1].split("\n### ")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:2] == "| "
    ]
    assert [row[0] for row in rows[1:]] == [f"`{option}`" for option in options(name)]
    assert all(len(row[2]) > 5 for row in rows[1:])


def test_every_page_is_in_the_contents(pages):
    contents = re.findall(r"^\w+$", pages["contents.md"], re.MULTILINE)
    assert sorted(contents) == sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")


def test_parts_that_are_included_are_made(pages):
    included = [
        name
        for path in DOCS.glob("*.md")
        for name in re.findall(r"^```\{include\} generated/(\S+)$", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert sorted(included) == sorted(pages)
    assert all(pages.values())


def test_names_of_the_code_in_the_text_are_those_of_the_code():
    """Dotted names in `adding.md` and elsewhere can be imported, and files are there."""
    text = "\n".join(path.read_text("utf-8") for path in [*DOCS.glob("*.md"), *ROOT.glob("*.md")])
    names = set(re.findall(r"`((?:mpclean|ecn)(?:\.\w+)+)`", text)) - ENTRY_POINT_GROUPS
    files = set(re.findall(r"`((?:mpclean|ecn|docs|benchmarks|tests)/[\w/.]+)`", text))
    assert len(names) > 3
    assert len(files) > 5
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=["_"]), attribute) or find_spec(name), name
    for file in files:
        assert (ROOT / file).exists(), file
