"""A few real-looking documents, snapshots of them, and small releases built once per run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import mpclean
from mpclean.crystal.bonding.radii import COVALENT_RADII
from mpclean.crystal.crystal import Crystal
from mpclean.sources import demo
from mpclean.sources.versions import known_versions
from mpclean.vocabulary.elements import ATOMIC_NUMBERS

_CATIONS = "Mg Ca Sr Ba Ti V Cr Mn Fe Co Ni Zn Li Na K"
_ANIONS = "O S Se Te N F Cl Br"
_FACE_CENTRED = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])


def structure_dict(lattice, symbols, frac_coords, **properties):
    """The part of a pymatgen dict that carries the crystal."""
    sites = [
        {"species": [{"element": symbol, "occu": 1}], "abc": list(abc), "properties": {}}
        for symbol, abc in zip(symbols, frac_coords, strict=True)
    ]
    for name, values in properties.items():
        for site, value in zip(sites, values, strict=True):
            site["properties"][name] = value
    return {"lattice": {"matrix": np.asarray(lattice).tolist()}, "sites": sites}


def rock_salt(number, **changes):
    """A document of a rock salt in its primitive cell; every number up to 119 has another formula."""
    cation, anion = list(product(_CATIONS.split(), _ANIONS.split()))[number]
    bond = COVALENT_RADII[ATOMIC_NUMBERS[cation]] + COVALENT_RADII[ATOMIC_NUMBERS[anion]]
    moments = [number / 10, -0.5]
    document = {
        "material_id": f"mp-{number + 1}",
        "structure": structure_dict(
            bond * _FACE_CENTRED, (cation, anion), [(0, 0, 0), (0.5, 0.5, 0.5)], magmom=moments
        ),
        "formation_energy_per_atom": -1.0 - number / 100,
        "energy_above_hull": number / 1000,
        "efermi": 2.0 + number / 50,
        "band_gap": 0.0 if number % 3 == 0 else 0.5 + number / 20,
        "total_magnetization": sum(moments),
        "is_hubbard": number % 5 == 0,
    }
    return document | changes


def write_lines(path, documents):
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    return path


def rewrite(crystal, rng, how="basis"):
    """The same crystal as somebody else might have written it.

    Another basis (with `how` a supercell, or a left-handed one), another origin, a rotation,
    another order of the atoms, each in any of its images.
    """
    change = np.eye(3, dtype=np.int64)
    for _ in range(4):
        step = np.eye(3, dtype=np.int64)
        i, j = rng.permutation(3)[:2]
        step[i, j] = rng.choice([-1, 1])
        change = step @ change
    if how == "supercell":
        multiples = np.diag(rng.permutation([1, 1, int(rng.integers(2, 4))]))
        multiples[2, 0] = rng.integers(0, 2)
        change = multiples @ change
    if how == "mirrored basis":
        change = -change
    inverse = np.linalg.inv(change)
    reach = int(np.abs(change).sum())
    cells = np.array(list(product(range(-reach, reach + 1), repeat=3)))
    inside = cells @ inverse
    cells = cells[np.all((inside > -1e-9) & (inside < 1 - 1e-9), axis=1)]
    coords = ((crystal.frac_coords + rng.random(3))[:, None] + cells).reshape(-1, 3) @ inverse
    order = rng.permutation(len(coords))
    coords = coords[order] + rng.integers(-2, 3, (len(coords), 3))
    moments = crystal.magnetic_moments
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    return Crystal(
        change @ crystal.lattice @ rotation,
        np.repeat(crystal.atomic_numbers, len(cells))[order],
        coords,
        None if moments is None else np.repeat(moments, len(cells))[order],
    )


@pytest.fixture(scope="session", name="rewrite")
def rewrite_fixture():
    return rewrite


@pytest.fixture(scope="session", name="structure_dict")
def structure_dict_fixture():
    return structure_dict


@pytest.fixture(scope="session", name="rock_salt")
def rock_salt_fixture():
    return rock_salt


@pytest.fixture(scope="session", name="write_lines")
def write_lines_fixture():
    return write_lines


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory):
    """Twenty rock salts as JSON lines; all of them pass every rule."""
    return write_lines(tmp_path_factory.mktemp("snapshot") / "docs.jsonl", map(rock_salt, range(20)))


@pytest.fixture
def published_salts(tmp_path, monkeypatch):
    """Published lists of version 2021.05, in a cache: the rock salts mp-3 to mp-20; all but mp-1 and mp-2."""
    ids = [f"mp-{n}" for n in range(3, 21)]
    lists = {"train": ids[:14], "valid": ids[14:16], "test": ids[16:]}
    folder = tmp_path / "cache" / "2021.05"
    folder.mkdir(parents=True)
    sha256 = {}
    for name, listed in lists.items():
        content = json.dumps(listed).encode()
        (folder / f"salts_{name}.json").write_bytes(content)
        sha256[f"salts_{name}.json"] = hashlib.sha256(content).hexdigest()
    version = known_versions()["2021.05"]
    pinned = replace(version.lists, url="http://127.0.0.1:9/", sha256=sha256)  # nobody listens there
    monkeypatch.setitem(known_versions(), "2021.05", replace(version, lists=pinned))
    monkeypatch.setenv("MPCLEAN_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture(scope="session")
def small_release(snapshot, tmp_path_factory):
    """A release of the twenty rock salts; not to be changed."""
    return mpclean.build(source=snapshot, out=tmp_path_factory.mktemp("small") / "salts", workers=1)


@pytest.fixture(scope="session")
def demo_documents():
    """All documents of the source `demo`; to make them takes seconds."""
    return list(demo.documents())


@pytest.fixture(scope="session")
def demo_release(demo_documents, tmp_path_factory):
    """A release of the first 150 demo records; not to be changed."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "documents", lambda: iter(demo_documents))
        return mpclean.build(version="demo", limit=150, out=out, workers=1)


@pytest.fixture(scope="session")
def every_case(demo_documents, tmp_path_factory) -> Path:
    """The first two demo records of every case, one of them twice, and two lines that are no JSON."""
    seen: dict[str, int] = {}
    chosen = []
    for document in demo_documents:
        seen[document["case"]] = seen.get(document["case"], 0) + 1
        if seen[document["case"]] <= 2:
            chosen.append(document)
    original = next(document for document in chosen if document["case"] == "crystal")
    energy = original["formation_energy_per_atom"] + 0.5
    chosen.append(
        original | {"case": "duplicate", "material_id": "demo-again", "formation_energy_per_atom": energy}
    )
    path = write_lines(tmp_path_factory.mktemp("cases") / "cases.jsonl", chosen)
    with path.open("ab") as file:
        file.write(b"{cut off\n\xff\xfe\n")
    return path
