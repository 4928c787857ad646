"""Tables in the column layout of LeMat-Bulk."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mpclean.crystal.reading import read_structure
from mpclean.sources.documents import read_documents
from mpclean.sources.lemat import is_lemat, open_lemat

_MATRIX = pa.list_(pa.list_(pa.float64()))

#: Columns of LeMat-Bulk with their types, all but a few that nothing is read from.
LAYOUT = pa.schema(
    [
        ("elements", pa.list_(pa.string())),
        ("nsites", pa.int32()),
        ("chemical_formula_reduced", pa.string()),
        ("dimension_types", pa.list_(pa.int8())),
        ("lattice_vectors", _MATRIX),
        ("immutable_id", pa.string()),
        ("cartesian_site_positions", _MATRIX),
        ("species", pa.string()),
        ("elements", pa.list_(pa.string())),
        ("nperiodic_dimensions", pa.int8()),
        ("structure_features", pa.list_(pa.string())),
        ("species_at_sites", pa.list_(pa.string())),
        ("last_modified", pa.string()),
        ("energy", pa.float64()),
        ("energy_corrected", pa.float64()),
        ("magnetic_moments", pa.list_(pa.float64())),
        ("forces", _MATRIX),
        ("total_magnetization", pa.float64()),
        ("dos_ef", pa.float64()),
        ("band_gap_indirect", pa.float64()),
        ("functional", pa.string()),
        ("cross_compatibility", pa.bool_()),
        ("space_group_it_number", pa.int32()),
        ("bawl_fingerprint", pa.string()),
    ]
)


MG = {"name": "Mg", "chemical_symbols": ["Mg"], "concentration": [1.0]}


@pytest.fixture
def row(rock_salt):
    """A row of a rock salt by its number."""

    def row(number, **changes):
        document = rock_salt(number)
        crystal = read_structure(document["structure"]).crystal
        return {
            "immutable_id": f"agm{number:09d}",
            "lattice_vectors": crystal.lattice.tolist(),
            "cartesian_site_positions": (crystal.frac_coords @ crystal.lattice).tolist(),
            "species_at_sites": [
                site["species"][0]["element"] for site in document["structure"]["sites"]
            ],
            "magnetic_moments": [1.0, -0.5],
            "total_magnetization": 0.5,
            "energy": -9.0,
            "energy_corrected": -10.0,
            "dos_ef": 2.0,
            "band_gap_indirect": 0.25,
            "functional": "pbe",
            "cross_compatibility": True,
            "space_group_it_number": 225,
        } | changes  # fmt: skip

    return row


def write(path, *rows):
    pq.write_table(pa.Table.from_pylist(rows, schema=LAYOUT), path)
    return path


def read(path, **options):
    source = open_lemat(path, **options)
    rows = [row for batch in source.batches() for row in read_documents(batch).to_pylist()]
    assert len(rows) == source.n_documents
    return rows


def test_a_row(tmp_path, row, rock_salt):
    (found,) = read(write(tmp_path / "train.parquet", row(5)))
    crystal = read_structure(rock_salt(5)["structure"]).crystal
    assert found["reason"] is None
    assert found["material_id"] == "agm000000005"
    assert found["lattice"] == crystal.lattice.ravel().tolist()
    assert found["atomic_numbers"] == crystal.atomic_numbers.tolist()
    assert found["frac_coords"] == pytest.approx(crystal.frac_coords.ravel().tolist(), abs=1e-12)
    assert found["magnetic_moments"] == [1.0, -0.5]
    assert found["magnetization_per_atom"] == 0.25
    assert found["band_gap"] == 0.25
    assert found["spacegroup_source"] == 225
    assert found["formation_energy_per_atom"] is None  # total energies are none
    assert found["efermi"] is None  # nor is a density of states at the Fermi energy


def test_functionals(tmp_path, row):
    rows = [row(n, functional=name) for n, name in enumerate(("pbe", "pbesol", "scan", None))]
    path = write(tmp_path / "train.parquet", *rows)
    assert [found["reason"] for found in read(path)] == [
        None,
        "computed with PBEsol, not PBE",
        "computed with SCAN, not PBE",
        None,
    ]
    assert [found["reason"] for found in read(path, functional="PBEsol")][:2] == [
        "computed with PBE, not PBEsol",
        None,
    ]
    assert [found["material_id"] for found in read(path)] == [f"agm{n:09d}" for n in range(4)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lattice_vectors": None}, "structure is malformed"),
        ({"lattice_vectors": [[1.0, 0.0, 0.0]] * 3}, "cell has no volume"),
        ({"lattice_vectors": [[1.0, 0, 0], [0, 1.0, 0], [0, 0, float("nan")]]}, "cell is not finite"),
        ({"lattice_vectors": [[1.0, 0.0, 0.0]]}, "structure is malformed"),
        ({"species_at_sites": None}, "structure is malformed"),
        ({"species_at_sites": ["Mg"]}, "structure is malformed"),
        ({"species_at_sites": ["Mg", "X"]}, "unknown element"),
        ({"cartesian_site_positions": [[0.0, 0.0, 0.0]]}, "structure is malformed"),
        ({"cartesian_site_positions": [[0.0, 0.0, 0.0], None]}, "structure is malformed"),
        ({"cartesian_site_positions": [[0.0, 0.0, 0.0]] * 2}, "atoms coincide"),
        ({"magnetic_moments": [1.0, 1.0, 1.0]}, "structure is malformed"),
        ({"species_at_sites": None, "cartesian_site_positions": None, "magnetic_moments": None},
         "no atoms"),
        ({"immutable_id": None}, "no id"),
        ({"nperiodic_dimensions": 2}, "not periodic in three directions"),
        ({"structure_features": ["disorder"]}, "partial occupancies"),
        ({"structure_features": ["implicit_atoms"]}, "file disagrees with its crystal"),
        ({"elements": ["Mg", "O", "H"]}, "file disagrees with its crystal"),
        ({"species": json.dumps([MG | {"attached": ["H"]}])}, "file disagrees with its crystal"),
        ({"species": json.dumps([MG | {"concentration": [0.9]}])}, "partial occupancies"),
        ({"species": str([MG | {"concentration": [0.9], "mass": None}])}, "partial occupancies"),
        ({"species": "Mg"}, "structure is malformed"),
        ({"species": json.dumps([MG])}, None),
        ({"species": str([MG | {"mass": None}])}, None),
        ({"space_group_it_number": 231}, "space group out of range"),
    ],
)  # fmt: skip
def test_bad_rows(tmp_path, row, change, reason):
    rows = read(write(tmp_path / "train.parquet", row(0, **change), row(1)))
    assert [found["reason"] for found in rows] == [reason, None]
    assert reason is None or rows[0]["detail"].startswith("train.parquet, row 0")


def test_moments_that_are_not_known(tmp_path, row):
    (found,) = read(write(tmp_path / "train.parquet", row(0, magnetic_moments=None)))
    assert (found["reason"], found["magnetic_moments"]) == (None, None)


def test_parts_of_a_folder(tmp_path, row):
    write(tmp_path / "train-00001.parquet", row(1))
    write(tmp_path / "train-00000.parquet", row(0))
    assert [found["material_id"] for found in read(tmp_path)] == ["agm000000000", "agm000000001"]


def test_identity(tmp_path, row):
    source = open_lemat(write(tmp_path / "train.parquet", row(0)))
    assert (source.identity.name, source.identity.licence) == ("lemat", "unknown")
    assert source.parameters == {"functional": "PBE"}


def test_recognised(tmp_path, row):
    assert is_lemat(write(tmp_path / "train.parquet", row(0)))
    assert is_lemat(tmp_path)
    pq.write_table(pa.table({"material_id": ["mp-1"]}), tmp_path / "other.parquet")
    assert not is_lemat(tmp_path / "other.parquet")
    (tmp_path / "damaged.parquet").write_bytes(b"x")
    assert not is_lemat(tmp_path / "damaged.parquet")
    assert not is_lemat(tmp_path / "nowhere.parquet")
