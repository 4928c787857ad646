"""Every door on real records: all are accounted for, and no key that means something is passed over."""

import gzip
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.analysis.phase_diagram import PhaseDiagram
from pymatgen.core import Composition, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

import mpclean
from mpclean.crystal.crystal import Crystal
from mpclean.sources import open_source, recognise
from mpclean.sources.base import batched_documents
from mpclean.sources.documents import read_documents
from mpclean.sources.entries import ANOTHER
from mpclean.vocabulary.schema import COLUMNS

SYSTEMS = {"Li-Fe-P-O": 732, "Si-O-K-Al": 518}

Rows = list[dict[str, Any]]


@cache
def documents(path: Path) -> Rows:
    source = open_source(recognise(path), path)
    return [
        orjson.loads(document) for batch in source.batches() for document in batch["document"].to_pylist()
    ]


@cache
def records(path: Path) -> Rows:
    source = open_source(recognise(path), path)
    return [row for batch in source.batches() for row in read_documents(batch).to_pylist()]


def entries(data: Path, system: str) -> Rows:
    return json.loads(gzip.decompress((data / "mp_chemsys_entries" / f"{system}.json.gz").read_bytes()))


@pytest.mark.parametrize(
    ("name", "kind", "number"),
    [
        ("mp_summary_docs.jsonl.gz", "records", 2000),
        ("mp_legacy_docs", "records", 3),
        *((f"mp_chemsys_entries/{system}.json.gz", "entries", number) for system, number in SYSTEMS.items()),
    ],
)
def test_every_document_is_a_record(data: Path, name: str, kind: str, number: int) -> None:
    assert recognise(data / name) == kind
    rows = records(data / name)
    assert len(rows) == number
    assert Counter(row["reason"] for row in rows) == {None: number}
    assert len({row["material_id"] for row in rows}) == number


def test_elements_of_both_systems_are_taken_once(data: Path) -> None:
    rows = records(data / "mp_chemsys_entries")
    assert len(rows) == sum(SYSTEMS.values())
    ids = Counter(row["material_id"] for row in rows if row["reason"] is None)
    again = [row["material_id"] for row in rows if row["reason"] is not None]
    assert set(ids.values()) == {1}
    assert set(again) <= set(ids)
    assert Counter(row["reason"] for row in rows) == {None: len(ids), ANOTHER: len(again)}


@pytest.mark.slow
def test_entries_in_are_entries_kept_and_in_the_ledger(data: Path, tmp_path: Path) -> None:
    release = mpclean.build(source=data / "mp_chemsys_entries", out=tmp_path / "entries", workers=1)
    assert release.manifest.stages[0].kept == sum(SYSTEMS.values())
    assert release.table().num_rows + release.ledger().num_rows == sum(SYSTEMS.values())
    assert release.table()["formation_energy_per_atom"].null_count == 0
    assert release.manifest.parameters.as_dict()["functional"] == "PBE"
    assert release.verify() == []


# ---------------------------------------------------------------- keys

#: Keys that are read, each with a value that shows it in the record.
READ: dict[str, Any] = {
    "material_id": "mp-1",
    "task_id": "mp-1",
    "structure": None,
    "formation_energy_per_atom": -7.0,
    "e_form_per_atom": -7.0,
    "e_above_hull": 7.0,
    "energy_above_hull": 7.0,
    "band_gap": 7.0,
    "efermi": 7.0,
    "magnetism": {"total_magnetization": 7.0},
    "total_magnetization": 7.0,
    "symmetry": {"number": 7},
    "spacegroup": {"number": 7},
    "is_hubbard": "yes",
    "run_type": "other",
    "builder_meta": {"database_version": "7"},
    "license": "MIT",
    "correction_scheme": "other",
    "created_at": "2077-07-07",
    "last_updated": "2077-07-07",
    "deprecated": True,
}

#: Keys of summary documents, legacy documents and entries that no column is made of, and why.
UNUSED_BY_REASON = {
    "the crystal once more: the structure says it all": (
        "nsites elements nelements composition composition_reduced chemsys formula_pretty formula_anonymous "
        "volume density density_atomic anonymous_formula full_formula pretty_formula reduced_cell_formula "
        "unit_cell_formula is_ordered cif cifs exp_lattice delta_volume oxidation_states possible_species "
    ),
    "other structures than the final one": (
        "initial_structure bv_structure snl snl_final snlgroup_id snlgroup_id_final snlgroup_changed "
    ),
    "total energies, and what follows from the hull beside the energy above it": (
        "energy_per_atom uncorrected_energy_per_atom final_energy final_energy_per_atom energy correction "
        "equilibrium_reaction_energy_per_atom decomposes_to is_stable is_compatible "
    ),
    "electrons beyond the gap, the Fermi energy and the total moment": (
        "cbm vbm is_gap_direct is_metal es_source_calc_id bandstructure band_structure "
        "band_structure_uniform has_bandstructure dos dos_energy_up dos_energy_down is_magnetic "
        "magnetic_type ordering total_magnetization_normalized_vol "
        "total_magnetization_normalized_formula_units num_magnetic_sites num_unique_magnetic_sites "
        "types_of_magnetic_species hubbards oxide_type aspherical bond_valence "
    ),
    "other properties": (
        "xas xrd grain_boundaries bulk_modulus shear_modulus universal_anisotropy homogeneous_poisson "
        "e_total e_ionic e_electronic n e_ij_max weighted_surface_energy_EV_PER_ANG2 weighted_surface_energy "
        "weighted_work_function surface_anisotropy shape_factor has_reconstructed elasticity "
        "elasticity_third_order diel piezo exp "
    ),
    "how it was computed, and by whom": (
        "input pseudo_potential potcar_spec encut nkpts cpu_time run_stats ionic_steps static theoretical "
        "task_ids ntask_ids blessed_tasks original_task_id pf_ids icsd_id icsd_ids database_IDs origins doi "
        "doi_bibtex sbxd sbxn entry_id property_name has has_props warnings deprecation_reasons "
        "fields_not_requested updated_at _id _bt _meta @module @version "
    ),
    "read by the source of entries itself": "@class data parameters energy_adjustments",
}
UNUSED = frozenset(key for keys in UNUSED_BY_REASON.values() for key in keys.split())


@pytest.mark.parametrize(
    "name",
    ["mp_summary_docs.jsonl.gz", "mp_legacy_docs", *(f"mp_chemsys_entries/{s}.json.gz" for s in SYSTEMS)],
)
def test_no_key_is_passed_over(data: Path, name: str) -> None:
    keys = {key for document in documents(data / name) for key in document}
    assert keys - READ.keys() - UNUSED == set()


def test_no_column_is_made_of_the_unused(data: Path) -> None:
    assert READ.keys() & UNUSED == set()
    assert UNUSED & COLUMNS.keys() == {"nsites"}  # counted in the structure
    for document in documents(data / "mp_legacy_docs"):
        assert document["nsites"] == len(document["structure"]["sites"])


@pytest.mark.parametrize("key", READ)
def test_a_key_that_is_read_shows_in_the_record(data: Path, key: str) -> None:
    structure = documents(data / "mp_summary_docs.jsonl.gz")[0]["structure"]
    before = {"material_id": None, "task_id": "mp-7", "structure": structure}
    after = before | {key: READ[key]}
    rows = [(f"document {n}", orjson.dumps(document), None) for n, document in enumerate((before, after))]
    (batch,) = batched_documents(rows)
    first, second = read_documents(batch).to_pylist()
    assert first["reason"] is None
    assert first != second


# ---------------------------------------------------------------- energies of entries


@pytest.mark.parametrize("system", SYSTEMS)
def test_formation_energies_are_those_that_entries_state(data: Path, tmp_path: Path, system: str) -> None:
    """Computed again where they are taken away; elements differ a little from those of the whole database."""
    stated = entries(data, system)
    bare = [{key: value for key, value in entry.items() if key != "e_form_per_atom"} for entry in stated]
    (tmp_path / "bare.json").write_bytes(orjson.dumps(bare))
    computed = [row["formation_energy_per_atom"] for row in records(tmp_path / "bare.json")]
    difference = np.abs(np.array(computed) - [entry["e_form_per_atom"] for entry in stated])
    assert difference.max() < {"Li-Fe-P-O": 0.003, "Si-O-K-Al": 1e-12}[system]


def test_energies_of_entries_are_those_of_pymatgen(data: Path) -> None:
    """The sum that is taken here of a dict is the corrected energy of the object."""
    for entry in entries(data, "Li-Fe-P-O")[::50]:
        assert ComputedStructureEntry.from_dict(entry).energy == pytest.approx(
            entry["energy"] + entry["correction"], abs=1e-9
        )


def test_a_hull_of_a_file_is_too_high(data: Path) -> None:
    """Why energies above it are never computed: a file that looks like a whole system lacks phases."""
    of_file = entries(data, "Si-O-K-Al")
    points = [ComputedStructureEntry.from_dict(entry) for entry in of_file]
    diagram = PhaseDiagram(points)
    difference = [
        entry["e_above_hull"] - diagram.get_e_above_hull(point)
        for entry, point in zip(of_file, points, strict=True)
    ]
    assert min(difference) > -1e-9
    assert max(difference) > 0.02


# ---------------------------------------------------------------- the same crystals through every door


def as_cif_folder(folder: Path, rows: Rows) -> Path:
    for row in rows:
        Structure.from_dict(row["structure"]).to_file(str(folder / f"{row['material_id']}.cif"))
    lines = [f"{row['material_id']},{row['formation_energy_per_atom']}\n" for row in rows]
    (folder / "id_prop.csv").write_text("".join(lines))
    return folder


def as_xyz(folder: Path, rows: Rows) -> Path:
    names = ("material_id", "formation_energy_per_atom", "band_gap", "efermi", "total_magnetization")
    frames = []
    for row in rows:
        atoms = Structure.from_dict(row["structure"]).to_ase_atoms()
        atoms.info = {name: row[name] for name in names}
        frames.append(atoms)
    ase.io.write(folder / "frames.xyz", frames, format="extxyz")
    return folder / "frames.xyz"


def as_lemat(folder: Path, rows: Rows) -> Path:
    structures = [Structure.from_dict(row["structure"]) for row in rows]
    columns = {
        "immutable_id": [row["material_id"] for row in rows],
        "lattice_vectors": [structure.lattice.matrix.tolist() for structure in structures],
        "species_at_sites": [[site.specie.symbol for site in structure] for structure in structures],
        "cartesian_site_positions": [structure.cart_coords.tolist() for structure in structures],
        "band_gap_indirect": [row["band_gap"] for row in rows],
        "total_magnetization": [row["total_magnetization"] for row in rows],
        "functional": ["pbe"] * len(rows),
    }
    pq.write_table(pa.table(columns), folder / "train.parquet")
    return folder / "train.parquet"


def as_entries(folder: Path, rows: Rows) -> Path:
    made = []
    for row in rows:
        structure = Structure.from_dict(row["structure"])
        names = ("material_id", "formation_energy_per_atom", "band_gap", "efermi", "total_magnetization")
        data = {name: row[name] for name in names} | {"run_type": "GGA"}
        energy = row["energy_per_atom"] * Composition(structure.composition).num_atoms
        made.append(ComputedStructureEntry(structure, energy, data=data).as_dict())
    (folder / "entries.json").write_text(json.dumps(made))
    return folder / "entries.json"


@pytest.mark.parametrize(
    ("write", "labels"),
    [
        (as_cif_folder, ()),
        (as_xyz, ("formation_energy_per_atom", "band_gap", "efermi", "magnetization_per_atom")),
        (as_lemat, ("band_gap", "magnetization_per_atom")),
        (as_entries, ("formation_energy_per_atom", "band_gap", "efermi", "magnetization_per_atom")),
    ],
)
def test_a_crystal_is_the_same_through_every_door(
    data: Path, tmp_path: Path, write: Any, labels: tuple[str, ...]
) -> None:
    some = documents(data / "mp_summary_docs.jsonl.gz")[::40]
    (tmp_path / "docs.json").write_bytes(orjson.dumps(some))
    (tmp_path / "door").mkdir()
    expected, found = records(tmp_path / "docs.json"), records(write(tmp_path / "door", some))
    assert len(expected) == len(found) == 50
    for first, second in zip(expected, found, strict=True):
        assert second["reason"] is None
        for name in ("material_id", "formula", *labels):
            assert first[name] == pytest.approx(second[name], abs=1e-7)
        # Another door may turn the cell; lengths between all atoms stay.
        assert lengths(second) == pytest.approx(lengths(first), abs=2e-5)


def lengths(row: dict[str, Any]) -> list[float]:
    """Lengths of the cell vectors, and from every site to the nearest image of the first one, sorted, A."""
    lattice, coords = np.reshape(row["lattice"], (3, 3)), np.reshape(row["frac_coords"], (-1, 3))
    structure = Crystal(lattice, np.array(row["atomic_numbers"]), coords).to_pymatgen()
    return sorted([*structure.lattice.abc, *structure.distance_matrix[0]])
