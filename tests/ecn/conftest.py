"""A small release made by hand, and random crystals for the networks."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ecn.cli import main
from mpclean.crystal.bonding import bond_graph
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.formula import formula
from mpclean.release.layout import FORMAT_VERSION, LEDGER, split_table
from mpclean.release.manifest import seal_values
from mpclean.release.seal import describe_files
from mpclean.release.writer import write_table
from mpclean.vocabulary.schema import LEDGER as LEDGER_SCHEMA
from mpclean.vocabulary.schema import PARTS, RELEASE, SPLIT

#: The rules that the releases of tests claim to have passed.
RULES = ["record", "duplicate", "size", "dimensionality", "graph"]

#: Rock salts A+ B-: an element pair and a lattice parameter give a crystal with a known label.
CATIONS, ANIONS = (3, 11, 19, 37), (9, 17, 35, 53)


def rock_salt(cation: int, anion: int, a: float) -> Crystal:
    lattice = 0.5 * a * np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    return Crystal(lattice, np.array([anion, cation], np.uint8), np.array([[0.0] * 3, [0.5] * 3]))


def release_row(k: int, rng: np.random.Generator) -> dict:
    cation, anion = rng.choice(CATIONS), rng.choice(ANIONS)
    a = 4.0 + 0.02 * (cation + anion) ** 0.7 + rng.uniform(0.0, 0.3)
    crystal = rock_salt(int(cation), int(anion), a)
    graph = bond_graph(crystal)
    gap = max(0.0, 1.0 - 0.05 * float(cation))  # those of rubidium are metals
    return {
        "material_id": f"test-{k}",
        "formula": formula(crystal.atomic_numbers),
        "reduced_formula": formula(crystal.atomic_numbers),
        "spacegroup_number": 225,
        "nsites": 2,
        "lattice": crystal.lattice.ravel(),
        "atomic_numbers": crystal.atomic_numbers,
        "frac_coords": crystal.frac_coords.ravel(),
        "bravais_lattice": "cF",
        "magnetic_moments": None,
        "edge_source": graph.source,
        "edge_target": graph.target,
        "edge_image": graph.image.ravel(),
        "edge_length": graph.length,
        "edge_area": graph.area,
        "formation_energy_per_atom": None
        if k % 10 == 9
        else -0.02 * float(cation) - 0.01 * float(anion) + a / 5,
        "efermi": None,
        "band_gap": gap,
        "magnetization_per_atom": float(k % 3),
        "e_above_hull": 0.0,
        "is_insulator": gap > 0,
        "is_hubbard": None,
    }


def write_release(folder: Path, rows: dict[str, list[dict]], *, synthetic: bool = False) -> Path:
    """Write a release with the given rows in its parts, from which nothing was excluded."""
    (folder / "data").mkdir(parents=True)
    for split, content in rows.items():
        if content:
            name = f"data/{split}-00000-of-00001.parquet"
            pq.write_table(pa.Table.from_pylist(content, RELEASE), folder / name)
    parts = {part: rows.get(part, []) for part in PARTS}
    pairs = [(row["material_id"], part) for part, content in parts.items() for row in content]
    write_table(
        folder / split_table("random"), pa.table([*map(pa.array, zip(*pairs, strict=True))], schema=SPLIT)
    )
    write_table(folder / LEDGER, LEDGER_SCHEMA.empty_table())
    counts = {part: len(content) for part, content in parts.items()}
    manifest = {
        "format_version": FORMAT_VERSION,
        "name": folder.name,
        "release_version": "1.0.0",
        "content_hash": "0" * 64,
        "upstream": {
            "claimed_version": None,
            "database_version": None,
            "stated_versions": [],
            "published": {},
            "synthetic": synthetic,
            "title": "rock salts of the tests",
            "source": "tests",
            "sha256": "1" * 64,
            "licence": "CC0-1.0",
            "citation": "these tests",
        },
        "columns": RELEASE.names,
        "split": {"strategy": "random", "description": "as the tests say"},
        "splits": counts,
        "shards": {part: int(n > 0) for part, n in counts.items()},
        "counts": {"default": {part: {"num_examples": n, "num_bytes": n} for part, n in counts.items()}},
        "stages": [{"name": "records", "title": "records read", "kept": len(pairs), "excluded": None}],
        "libraries": {},
        "kept_by_source_formula": None,
        "duplicates": None,
        "replay": None,
        "spacegroups": {"stated": 0, "differ": []},
        "statistics": {},
        "files": {name: file.model_dump() for name, file in describe_files(folder).items()},
        "parameters": {
            "bonds": "voronoi",
            "min_area": 1e-4,
            "cutoff": 6.0,
            "rules": RULES,
            "dedup": "key",
            "cell_tolerance": 0.01,
            "spacegroup_tolerance": 0.1,
            "limit": None,
        },
    }
    (folder / "manifest.json").write_bytes(seal_values(manifest))
    return folder


@pytest.fixture(scope="session")
def _rows() -> dict[str, list[dict]]:
    rng = np.random.default_rng(0)
    sizes = {"train": 60, "validation": 20, "test": 20}
    start = np.cumsum([0, *sizes.values()])
    return {
        split: [release_row(int(k + s), rng) for k in range(n)]
        for (split, n), s in zip(sizes.items(), start, strict=False)
    }


@pytest.fixture
def rows(_rows: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """The rows of `release`, for a test to change."""
    return copy.deepcopy(_rows)


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, _rows: dict[str, list[dict]]) -> Path:
    return write_release(tmp_path_factory.mktemp("releases") / "tiny", _rows)


@pytest.fixture
def make_release(tmp_path: Path):
    return lambda synthetic=False, **rows: write_release(tmp_path / "release", rows, synthetic=synthetic)


@pytest.fixture(scope="session")
def run(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run, small and short, by the command."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    arguments = [
        "fit",
        str(release),
        "--preset",
        "fast",
        "--epochs",
        "30",
        "--batch-size",
        "8",
        "--out",
        str(folder),
    ]
    result = CliRunner().invoke(main, [*arguments, "--device", "cpu"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder
