"""A release that was changed and sealed again: its rows do not bear out what it says."""

import json

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import mpclean
from mpclean.release.manifest import seal_values
from mpclean.release.seal import describe_files

TRAIN, LEDGER = "data/train-00000-of-00001.parquet", "ledger/excluded.parquet"


def set_column(table, name, values):
    place = table.column_names.index(name)
    return table.set_column(place, table.schema.field(name), pa.chunked_array([values]))


def scaled(table, name, change):
    column = table[name].combine_chunks()
    if pa.types.is_list(column.type):
        values = change(column.flatten()).cast(column.type.value_type)
        return set_column(table, name, pa.ListArray.from_arrays(column.offsets, values, column.type))
    return set_column(table, name, change(column).cast(column.type))


def first_word(table, name, word):
    return set_column(table, name, pa.array([word, *table[name].to_pylist()[1:]], pa.string()))


def sealed(release, tables, change):
    """The lines of `verify` after tables and manifest were changed and all was hashed again."""
    for name, edit in tables.items():
        pq.write_table(edit(pq.read_table(release.path / name)), release.path / name)
    manifest = json.loads((release.path / "manifest.json").read_bytes())
    files = {name: file.model_dump() for name, file in describe_files(release.path).items()}
    manifest["files"] = {name: file for name, file in files.items() if name != "manifest.json"}
    change(manifest)
    (release.path / "manifest.json").write_bytes(seal_values(manifest))
    return mpclean.open_release(release.path).verify()


def nothing(manifest):
    pass


@pytest.mark.parametrize(
    ("tables", "change", "said"),
    [
        (
            {TRAIN: lambda t: scaled(t, "formation_energy_per_atom", lambda c: pc.add(c, 1.0))},
            nothing,
            "content_hash is not that of the rows",
        ),
        (
            {TRAIN: lambda t: scaled(t, "edge_length", lambda c: pc.multiply(c, 2.0))},
            nothing,
            "lengths of bonds do not follow from lattice",
        ),
        ({TRAIN: lambda t: first_word(t, "formula", "Xx7")}, nothing, "formula is not that of the atoms"),
        ({TRAIN: lambda t: first_word(t, "reduced_formula", "H2O")}, nothing, "reduced_formula is not that"),
        ({}, lambda m: m["stages"][1].update(kept=7), "stage record: 7 kept"),
        ({}, lambda m: m["stages"][-1].update(kept=10**6), "stage insulators: 1,000,000"),
        ({}, lambda m: m.update(content_hash="0" * 64), "content_hash is not that of the rows"),
        ({}, lambda m: m["statistics"]["band_gap"].update(mean=9.0), "statistics of band_gap"),
        ({}, lambda m: m["counts"]["default"]["train"].update(num_examples=3), "counts of default, train: 3"),
    ],
    ids=["energies", "lengths", "formula", "reduced", "stage", "insulators", "hash", "statistics", "counts"],
)
def test_a_claim_that_the_rows_do_not_bear_out(copied, tables, change, said):
    lines = sealed(copied, tables, change)
    assert any(said in line for line in lines), lines


def test_a_kept_record_that_is_excluded_as_well(copied):
    kept = copied.table()["material_id"][0].as_py()

    def edit(table):
        row = dict.fromkeys(table.column_names)
        row |= {"material_id": kept, "rule": "size", "reason": "too large", "detail": "99"}
        return pa.concat_tables([table, pa.Table.from_pylist([row], table.schema)])

    def change(manifest):
        for stage in manifest["stages"]:
            stage["kept"] += stage["name"] == "records"

    lines = sealed(copied, {LEDGER: edit}, change)
    assert any("1 excluded records are in the data as well" in line for line in lines), lines


def test_what_was_only_sealed_again_is_intact(copied):
    assert sealed(copied, {}, nothing) == []
