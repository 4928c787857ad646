"""Known versions are consistent with themselves and with the rest of the package."""

import re

import pytest

from mpclean.errors import UserError
from mpclean.rules import RULES
from mpclean.sources import SOURCES
from mpclean.sources.versions import (
    PAPER_RULES,
    UNNAMED,
    find_version,
    known_versions,
    version_rows,
    version_tables,
)
from mpclean.vocabulary.schema import PARTS, TARGETS


def test_the_ones_that_scripts_rely_on():
    assert {name: version.release for name, version in known_versions().items()} == {
        "demo": "demo",
        "perov-5": "perov-5",
        "2021.05": "mp-v1",
    }


@pytest.mark.parametrize("name", known_versions())
def test_entry_refers_to_what_there_is(name):
    version = find_version(name)
    assert version.name == name
    assert set(version.rules) <= set(RULES)
    assert version.rules[0] == "record"  # unreadable records leave before anything else is asked
    assert set(version.sources) <= set(SOURCES)
    assert version.bonds in ("voronoi", "radius")
    assert [part.isdigit() for part in version.release_version.split(".")] == [True] * 3
    published = version.published
    assert set(published.get("stages", {})) <= {*version.rules, "insulators"}
    assert set(published.get("splits", {})) <= set(PARTS)
    assert set(published.get("statistics", {})) <= set(TARGETS)


@pytest.mark.parametrize(
    ("name", "files"), [("2021.05", find_version("2021.05").lists), ("perov-5", find_version("perov-5").data)]
)
def test_published_files_are_pinned(name, files):
    assert re.fullmatch(r"[\w-]+/[\w-]+", files.repository)
    assert re.fullmatch(r"[0-9a-f]{7,40}", files.commit)
    assert files.url.startswith(f"https://raw.githubusercontent.com/{files.repository}/{files.commit}/")
    assert files.url.endswith("/")
    assert all(re.fullmatch(r"[0-9a-f]{64}", sha256) for sha256 in files.sha256.values())
    assert len(files.sha256) == len(PARTS) == len(find_version(name).published["splits"])


def test_table_of_versions():
    head, rows = version_rows(known_versions().values())
    assert head[0] == "version"
    assert [row[0] for row in rows] == list(known_versions())
    assert {row[0]: row[3] for row in rows} == {
        "demo": "",
        "perov-5": "counts, records",
        "2021.05": "counts, statistics, lists",
    }


@pytest.mark.parametrize("name", known_versions())
def test_tables_of_a_version(name):
    """Every published number and every hash is in them; what there is not has no table."""
    version = find_version(name)
    tables = version_tables(version)
    assert all(rows and len(rows[0]) == len(head) for head, rows in tables)
    shown = {cell for _, rows in tables for row in rows for cell in row}
    assert {version.title, version.bonds, f"{version.release} 1.0.0"} <= shown
    published = version.published
    counts = published.get("stages", {}) | published.get("splits", {})
    assert {f"{count:,}" for count in counts.values()} <= shown
    for mean, deviation in published.get("statistics", {}).values():
        assert {f"{mean:.2f}", f"{deviation:.2f}"} <= shown
    for files in filter(None, (version.lists, version.data)):
        assert {*files.sha256, *files.sha256.values(), files.url} <= shown
    assert len(tables) == {"demo": 1, "perov-5": 3, "2021.05": 4}[name]


def test_paper():
    version = find_version("2021.05")
    assert version.rules == PAPER_RULES == tuple(RULES)
    assert version.published["stages"] == {
        "record": 126126, "duplicate": 114605, "size": 96315, "dimensionality": 82229,
        "graph": 78649, "insulators": 33971,
    }  # fmt: skip
    assert sum(version.published["splits"].values()) == version.published["stages"]["graph"]


def test_perov_5_runs_no_rule_that_excludes():
    version = find_version("perov-5")
    assert version.rules == ("record",)
    assert version.bonds == "radius"


def test_no_name_claims_nothing():
    assert find_version(None) is UNNAMED
    assert UNNAMED.name is None
    assert UNNAMED.rules == PAPER_RULES
    assert UNNAMED.database_versions == ()


def test_unknown_version_names_the_way_out():
    with pytest.raises(UserError, match=r"unknown version '2022'; known: demo, perov-5, 2021\.05") as caught:
        find_version("2022")
    assert "mpclean build --source PATH --out DIR" in str(caught.value)
