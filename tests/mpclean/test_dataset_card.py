"""The card of the data set says what the code does and what was measured."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from mpclean.crystal.bonding.graph import BOND_TOLERANCE, MAX_BOND_LENGTH, MIN_AREA
from mpclean.crystal.cells import CELL_TOLERANCE, SPACEGROUP_TOLERANCE
from mpclean.pipeline.plan import RADIUS_CUTOFF
from mpclean.release.configurations import configurations
from mpclean.rules.size import Size
from mpclean.sources.versions import find_version
from mpclean.vocabulary.schema import COLUMNS, LEDGER, RELEASE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def card():
    return (ROOT / "DATASET_CARD.md").read_text(encoding="utf-8")


def tables(text):
    """Cells of every table of a Markdown text, the ruler left out."""
    found = [rows.splitlines() for rows in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)]
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in [head, *rows]]
        for head, _, *rows in found
    ]


def type_name(type_):
    if pa.types.is_list(type_):
        return f"list of {type_name(type_.value_type)}"
    return {"double": "float64", "float": "float32"}.get(str(type_), str(type_))


@pytest.mark.parametrize(("number", "schema"), [(0, RELEASE), (1, LEDGER)])
def test_columns(card, number, schema):
    head, *rows = tables(card)[number]
    assert head == ["column", "type", "unit", "meaning"]
    assert rows == [
        [f"`{field.name}`", type_name(field.type), COLUMNS[field.name].unit, COLUMNS[field.name].meaning]
        for field in schema
    ]


def test_counts_are_the_papers(card):
    published = find_version("2021.05").published
    head, *rows = tables(card)[2]
    assert head == ["stage", "records"]
    assert [row[1] for row in rows] == [f"{count:,}" for count in published["stages"].values()]
    for split, count in published["splits"].items():
        assert f"{count:,} {split}" in card


def test_numbers_are_those_of_the_code(card):
    steps = " ".join(card[card.index("## How it was made") : card.index("## What is known")].split())
    for number in (
        f"at most {Size().max_atoms} atoms",
        f"tolerance {CELL_TOLERANCE:g} A",
        f"symprec {SPACEGROUP_TOLERANCE:g} A",
        f"at least {MIN_AREA:.4f} A^2",
        f"plus {BOND_TOLERANCE:g} A",
        f"more than {MAX_BOND_LENGTH:g} A",
    ):
        assert number in steps
    assert f"at most {RADIUS_CUTOFF:g} A apart" in " ".join(card.split())
    assert f"{find_version('perov-5').published['stages']['record']:,} perovskites" in card


def test_numbers_are_those_that_were_measured(card):
    results = json.loads((ROOT / "benchmarks" / "results" / "published_list.json").read_text("utf-8"))
    for row in results["table"]["rows"]:
        for number in row[1:3]:
            assert re.search(rf"(?<![\d,.]){number}(?![,.]?\d)", card), number


def test_what_it_shows_can_be_asked_for(card):
    (snippet,) = re.findall(r"```python\n(.+?)```", card, re.DOTALL)
    names = {configuration.name for configuration in configurations(RELEASE.names)}
    assert set(re.findall(r'load_dataset\("org/name", "(\w+)"', snippet)) < names
    compile(snippet, "DATASET_CARD.md", "exec")


def test_head(card):
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["license"] == "cc-by-4.0"
    assert head["pretty_name"] in card.split("---\n", 2)[2]


def test_links_lead_somewhere(card):
    links = [link for link in re.findall(r"\]\(([^)]+)\)", card) if not link.startswith("http")]
    assert links
    assert all((ROOT / link).is_file() for link in links)
