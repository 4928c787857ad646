"""Numbers of a release, and the tables that show them."""

import numpy as np
import pyarrow as pa
import pytest

from mpclean.release.manifest import make_manifest
from mpclean.release.tables import (
    funnel_rows,
    merge_note,
    merge_rows,
    merge_statistics,
    render,
    split_rows,
    target_rows,
    target_statistics,
)
from mpclean.vocabulary.schema import LEDGER


def labels(**columns):
    n = len(columns["is_insulator"])
    names = ("formation_energy_per_atom", "efermi", "band_gap")
    return pa.table(
        {name: pa.array(columns.get(name, [None] * n), pa.float64()) for name in names}
        | {"is_insulator": pa.array(columns["is_insulator"], pa.bool_())}
    )


def test_statistics():
    found = target_statistics(
        labels(
            formation_energy_per_atom=[-1.0, None, 2.0, 5.0],
            band_gap=[0.0, 1.0, 4.0, None],
            is_insulator=[False, True, True, None],
        )
    )
    assert found["formation_energy_per_atom"] == {"count": 3, "mean": 2.0, "std": pytest.approx(np.sqrt(6))}
    # Of insulators, as in the paper.
    assert found["band_gap"] == {"count": 2, "mean": 2.5, "std": 1.5}
    assert "efermi" not in found  # no value at all


def test_statistics_of_a_release(demo_release):
    table = demo_release.table()
    for name, found in demo_release.manifest.statistics.items():
        values = table[name].to_numpy()
        if name == "band_gap":
            values = values[np.nan_to_num(values) > 0]
        values = values[~np.isnan(values)]
        assert found.count == len(values)
        assert found.mean == pytest.approx(values.mean())
        assert found.std == pytest.approx(values.std())


PARTS = {"train": 800, "validation": 100, "test": 100}
MANIFEST = {
    "format_version": 1,
    "name": "tables",
    "release_version": "1.0.0",
    "content_hash": "0" * 64,
    "upstream": {
        **dict.fromkeys(("title", "source", "sha256", "licence", "citation"), "tests"),
        "claimed_version": None,
        "database_version": None,
        "stated_versions": [],
        "synthetic": False,
        "published": {},
    },
    "parameters": {
        "rules": ["duplicate", "size"],
        "dedup": "key",
        "bonds": "voronoi",
        "limit": None,
        "cell_tolerance": 0.01,
        "spacegroup_tolerance": 0.1,
        "min_area": 1e-4,
        "cutoff": None,
    },
    "libraries": {},
    "kept_by_source_formula": None,
    "duplicates": None,
    "replay": None,
    "spacegroups": {"stated": 0, "differ": []},
    "split": {"strategy": "random", "description": ""},
    "shards": PARTS,
    "counts": {"default": {part: {"num_examples": n, "num_bytes": n} for part, n in PARTS.items()}},
    "columns": [],
    "files": {},
    "stages": [
        {"name": "records", "title": "records read", "kept": 1234, "excluded": None},
        {"name": "size", "title": "at most 50 atoms", "kept": 1000, "excluded": 234},
    ],
    "splits": PARTS,
    "statistics": {"band_gap": {"count": 5, "mean": 1.23456, "std": 0.5}},
}


def changed(**values):
    """Make the manifest of these tests with other values."""
    return make_manifest(MANIFEST | values)


def test_tables():
    assert funnel_rows(changed()) == (
        ["stage", "kept", "excluded"],
        [["records read", "1,234", ""], ["at most 50 atoms", "1,000", "234"]],
    )
    assert split_rows(changed())[1] == [["train", "800"], ["validation", "100"], ["test", "100"]]
    assert target_rows(changed())[1] == [["band_gap (insulators)", "eV", "5", "1.235", "0.500"]]


def test_published_numbers_stand_beside():
    published = {
        "stages": {"size": 96315},
        "splits": {"train": 62919},
        "statistics": {"band_gap": [2.02, 1.56]},
    }
    manifest = changed(upstream={**MANIFEST["upstream"], "published": published})
    head, rows = funnel_rows(manifest)
    assert head[-1] == "published"
    assert [row[-1] for row in rows] == ["", "96,315"]
    assert split_rows(manifest)[1][0] == ["train", "800", "62,919"]
    assert target_rows(manifest)[1][0][-2:] == ["2.02", "1.56"]


def test_render():
    text = render(funnel_rows(changed()), "github")
    assert text.splitlines()[0].startswith("| stage")
    assert "1,234" in text
    assert render((["stage", "kept"], []))  # a table without rows is a table


def dropped(*rows):
    """Rows of a ledger: ids that say nothing, each with a verdict and an energy difference."""
    return pa.Table.from_pylist(
        [
            {"material_id": f"mp-{n}", "kept_id": "mp-99", "detail": "Fe1", "structures_match": verdict}
            | {"energy_difference": energy}
            for n, (verdict, energy) in enumerate(rows)
        ],
        schema=LEDGER,
    )


def test_merges_by_verdict():
    rows = [(False, n / 10) for n in range(10, -1, -1)]  # mp-0 is 1 eV/atom above, mp-10 nothing
    found = merge_statistics(
        {
            "key": dropped(*rows, (None, None), (True, 0.3), (False, None)),
            "structure": dropped((True, 0.3)),
        }.items()
    )
    assert found["excluded"] == {"key": 14, "structure": 1}
    distinct, equal, undecided = (found["verdicts"][name] for name in ("distinct", "equal", "undecided"))
    assert distinct["records"] == 12
    assert distinct["median"] == pytest.approx(0.5)
    assert distinct["percentile_90"] == pytest.approx(0.9)
    assert [example["material_id"] for example in distinct["examples"]] == [
        f"mp-{n}" for n in (10, 8, 5, 3, 0)
    ]
    assert distinct["examples"][0] == {
        "material_id": "mp-10", "kept_id": "mp-99", "detail": "Fe1", "energy_difference": 0.0
    }  # fmt: skip
    assert (equal["records"], equal["median"], equal["percentile_90"]) == (1, 0.3, 0.3)
    assert (undecided["records"], undecided["median"], undecided["percentile_90"]) == (1, None, None)
    assert [example["material_id"] for example in undecided["examples"]] == ["mp-11"]


def test_table_of_merges():
    found = merge_statistics(
        {"key": dropped((False, 0.25), (False, 0.5), (None, None)), "structure": dropped()}.items()
    )
    manifest = changed(duplicates=found)
    head, rows = merge_rows(manifest)
    assert rows == [
        ["distinct phases", "2", "0.375", "0.475", "mp-1 and mp-99", "Fe1"],
        ["beyond what is compared", "1", "", "", "mp-2 and mp-99", "Fe1"],
    ]
    assert "duplicates" in render((head, rows), width=200)
    assert merge_note(manifest) == "All of them were excluded; --rule dedup=structure would keep 3."
    manifest = changed(duplicates=found, parameters={**MANIFEST["parameters"], "dedup": "structure"})
    assert (
        merge_note(manifest)
        == "Only those with equal structures were excluded; the key would exclude 3 more."
    )


def test_no_merges_no_table():
    assert merge_rows(changed())[1] == []


def test_a_table_folds_to_the_terminal():
    head = ["split", "equal in", "validation to train", "test to train", "test to validation"]
    row = ["chemical-system", "structure (StructureMatcher)", *["1,234 (54.5%)"] * 3]
    wide, narrow = (render((head, [row]), width=width) for width in (200, 80))
    assert len(wide.splitlines()) == 3
    assert max(map(len, narrow.splitlines())) <= 80
    # Folded between words: no id and no number is broken.
    words = {word for line in narrow.splitlines() for word in line.split()}
    assert {word for cell in (*head, *row) for word in cell.split()} <= words


def test_only_a_long_word_is_broken():
    digest = "0123456789abcdef" * 4
    text = render((["file", "sha256"], [["a" * 30 + ".parquet", digest]]), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "".join(line.split()[-1] for line in text.splitlines()[2:]) == digest


def test_markdown_is_not_folded():
    text = render((["what", "value"], [["x", "word " * 60]]), "github")
    assert len(text.splitlines()) == 3
