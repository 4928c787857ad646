"""Real releases against changed snapshots of theirs: what was planted is found, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mpclean
from mpclean.inspection.diff import diff

N = 10


@pytest.fixture(scope="module")
def rows(data: Path) -> list[dict]:
    return pq.read_table(data / "mp_records.parquet").slice(0, 250).to_pylist()


@pytest.fixture(scope="module")
def release(rows: list[dict], tmp_path_factory: pytest.TempPathFactory) -> mpclean.Release:
    folder = tmp_path_factory.mktemp("real")
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    return mpclean.build(source=folder / "a.parquet", out=folder / "a", workers=1)


def moved_atoms(row: dict, rng: np.random.Generator, by: float) -> str:
    """The structure of a row with every coordinate and vector moved by up to so much, A."""
    structure = json.loads(row["structure"])
    matrix = np.array(structure["lattice"]["matrix"])
    structure["lattice"]["matrix"] = (matrix + rng.uniform(-by, by, (3, 3))).tolist()
    for site in structure["sites"]:
        step = rng.uniform(-by, by, 3) @ np.linalg.inv(matrix)
        site["abc"] = (np.array(site["abc"]) + step).tolist()
    return json.dumps(structure)


@pytest.mark.slow
def test_what_was_planted(rows: list[dict], release: mpclean.Release, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kept = release.table(columns=["material_id"])["material_id"].to_pylist()
    went, *planted = (set(part) for part in np.split(rng.permutation(kept)[: 4 * N], 4))
    gap, energy, structure = planted
    changed = []
    for number, row in enumerate(rows):
        if number < N:
            changed.append(row | {"material_id": f"new-{number}"})
        if row["material_id"] in went:
            continue
        new = dict(row)
        if row["material_id"] in gap:
            new["band_gap"] = (row["band_gap"] or 0.0) + 0.25
        if row["material_id"] in energy:
            new["formation_energy_per_atom"] += 1e-5
        if row["material_id"] in structure:
            new["structure"] = moved_atoms(row, rng, 0.05)
        changed.append(new)
    pq.write_table(pa.Table.from_pylist(changed), tmp_path / "b.parquet")
    found = diff(release.path, tmp_path / "b.parquet", workers=1)
    assert set(found.came["material_id"].to_pylist()) == {f"new-{n}" for n in range(N)}
    assert set(found.went["material_id"].to_pylist()) == went
    ids = {name: set(table["material_id"].to_pylist()) for name, table in found.changed.items()}
    assert ids["band_gap"] == gap
    assert ids["formation_energy_per_atom"] == energy
    assert ids["structure"] == structure
    # A crystal out of its symmetry may be of another Bravais type, and a metal with a gap is none.
    assert ids.keys() - {"band_gap", "formation_energy_per_atom", "structure"} <= {
        *("bravais_lattice", "nsites", "is_insulator"),
    }


@pytest.mark.slow
def test_last_digits_are_no_difference(rows: list[dict], release: mpclean.Release, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noisy = [row | {"structure": moved_atoms(row, rng, 1e-6)} for row in rows]
    pq.write_table(pa.Table.from_pylist(noisy), tmp_path / "b.parquet")
    assert not diff(release.path, tmp_path / "b.parquet", workers=1)
