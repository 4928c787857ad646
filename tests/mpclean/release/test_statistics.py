"""Numbers of a release, and the tables that show them."""

import numpy as np
import pyarrow as pa
import pytest

from mpclean.release.statistics import funnel_rows, render, split_rows, target_rows, target_statistics


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
    for name, found in demo_release.manifest["statistics"].items():
        values = table[name].to_numpy()
        if name == "band_gap":
            values = values[np.nan_to_num(values) > 0]
        values = values[~np.isnan(values)]
        assert found["count"] == len(values)
        assert found["mean"] == pytest.approx(values.mean())
        assert found["std"] == pytest.approx(values.std())


MANIFEST = {
    "upstream": {"published": {}},
    "stages": [
        {"name": "records", "title": "records read", "left": 1234, "dropped": None},
        {"name": "size", "title": "at most 50 atoms", "left": 1000, "dropped": 234},
    ],
    "splits": {"train": 800, "validation": 100, "test": 100},
    "statistics": {"band_gap": {"count": 5, "mean": 1.23456, "std": 0.5}},
}


def test_tables():
    assert funnel_rows(MANIFEST) == (
        ["stage", "left", "dropped"],
        [["records read", "1,234", ""], ["at most 50 atoms", "1,000", "234"]],
    )
    assert split_rows(MANIFEST)[1] == [["train", "800"], ["validation", "100"], ["test", "100"]]
    assert target_rows(MANIFEST)[1] == [["band_gap (insulators)", "eV", "5", "1.235", "0.500"]]


def test_published_numbers_stand_beside():
    published = {
        "stages": {"size": 96315},
        "splits": {"train": 62919},
        "statistics": {"band_gap": [2.02, 1.56]},
    }
    manifest = MANIFEST | {"upstream": {"published": published}}
    head, rows = funnel_rows(manifest)
    assert head[-1] == "published"
    assert [row[-1] for row in rows] == ["", "96,315"]
    assert split_rows(manifest)[1][0] == ["train", "800", "62,919"]
    assert target_rows(manifest)[1][0][-2:] == ["2.02", "1.56"]


def test_render():
    text = render(funnel_rows(MANIFEST), "github")
    assert text.splitlines()[0].startswith("| stage")
    assert "1,234" in text
    assert render((["stage", "left"], []))  # a table without rows is a table
