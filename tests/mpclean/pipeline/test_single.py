"""One crystal by itself goes the way of a build, and only once."""

import json

import moyopy
import pytest
import spglib

from mpclean.crystal.crystal import Crystal
from mpclean.errors import RecordError
from mpclean.pipeline.plan import RADIUS_CUTOFF
from mpclean.pipeline.single import ExamineTask, examine, examine_tasks
from mpclean.pipeline.steps import Bonds
from mpclean.rules.choice import choose
from mpclean.sources.base import batched_documents
from mpclean.vocabulary.schema import BONDED

RULES = choose(("duplicate", "size", "dimensionality", "graph"), {})
BONDS = Bonds("voronoi", 1e-4, RADIUS_CUTOFF)


@pytest.fixture
def documents(rock_salt):
    return [rock_salt(n) | {"material_id": str(n)} for n in range(4)]


@pytest.fixture
def crystals(documents):
    from pymatgen.core import Structure

    return [Crystal.from_pymatgen(Structure.from_dict(document["structure"])) for document in documents]


def test_crystals_are_what_their_documents_are(documents, crystals):
    written = ((f"crystal {n}", json.dumps(document).encode(), None) for n, document in enumerate(documents))
    (batch,) = batched_documents(written)
    expected = examine(ExamineTask(batch, BONDS, RULES))
    (task,) = examine_tasks(crystals, BONDS, RULES)
    found = examine(task)
    names = [
        name
        for name in BONDED.names
        if name.startswith(("edge_", "lattice", "frac", "atomic", "n_", "material"))
    ]
    assert found.rows.select(names).equals(expected.rows.select(names))
    assert (found.verdicts, found.doubts) == (expected.verdicts, expected.doubts)


def test_one_that_could_not_be_read_keeps_its_place(crystals):
    (task,) = examine_tasks([crystals[0], RecordError("atoms coincide"), crystals[1]], BONDS, RULES)
    found = examine(task)
    assert found.verdicts["rule"].to_pylist() == [None, "record", None]
    assert "atoms coincide" in found.verdicts["detail"][1].as_py()
    assert [edges is not None for edges in found.rows["edge_source"].to_pylist()] == [True, False, True]


def test_crystals_are_numbered_on(crystals):
    tasks = list(examine_tasks(crystals * 100, BONDS, RULES))
    assert [task.first for task in tasks] == [0, 256]
    assert sum(len(task.given) for task in tasks) == 400


def test_symmetry_is_looked_for_once_at_each_tolerance(crystals, monkeypatch):
    """The primitive cell needs one search, the doubt about it two more; nothing goes through JSON."""
    searched = []
    search = moyopy.MoyoDataset

    def counted(cell, symprec, **options):
        searched.append(round(symprec, 6))
        return search(cell, symprec=symprec, **options)

    def never(*arguments, **options):
        raise AssertionError

    monkeypatch.setattr(moyopy, "MoyoDataset", counted)
    monkeypatch.setattr(spglib, "get_symmetry_dataset", never)
    monkeypatch.setattr(json, "loads", never)
    monkeypatch.setattr(json, "dumps", never)
    (task,) = examine_tasks(crystals[:1], BONDS, RULES)
    examine(task)
    assert sorted(searched) == [0.005, 0.01, 0.02]
