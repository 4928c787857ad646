"""The embedded source holds what its docstring promises."""

import json
import re
from collections import Counter

import moyopy
import numpy as np
import pytest

from mpclean.crystal.bonding.graph import bond_graph
from mpclean.crystal.bonding.topology import topology
from mpclean.crystal.cells import primitive_cell
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.formula import formula
from mpclean.sources import demo
from mpclean.sources.demo import open_demo, source
from mpclean.sources.demo.defects import DEFECTS
from mpclean.sources.demo.distortions import OTHER_CELLS, rattled, recell
from mpclean.sources.demo.geometry import decorate
from mpclean.sources.demo.labels import _unpaired, labels
from mpclean.sources.demo.prototypes import PROTOTYPES
from mpclean.sources.demo.recipes import COUNTS, DECORATED, DERIVED, _decorated, decorations
from mpclean.sources.documents import read_documents
from mpclean.vocabulary.elements import ATOMIC_NUMBERS

# Dimensionality of the bonds of a case.
DIMENSIONALITY = {"layers": 2, "chains": 1, "molecules": 0, "disconnected": 3}

# Cases that are wrong in themselves, and why. Of the rest, some leave by a later rule.
UNREADABLE = {
    "energy 1e6": "label out of range",
    "energy -1e6": "label out of range",
    "gap below zero": "label out of range",
    "infinite Fermi energy": "label out of range",
    "magnetisation 1e9": "label out of range",
    "space group 999": "space group out of range",
    "null structure": "no structure",
    "no structure": "no structure",
    "no sites": "no atoms",
    "coordinate NaN": "coordinates are not finite",
    "zero volume": "cell has no volume",
    "coincident atoms": "atoms coincide",
    "partial occupancy": "partial occupancies",
    "no element": "unknown element",
    "no id": "no id",
}


@pytest.fixture(scope="module")
def documents():
    return list(demo.documents())


@pytest.fixture(scope="module")
def crystals(documents):
    """Crystals by case, without the defects."""
    cases = set(COUNTS) - {defect.case for defect in DEFECTS}
    found = {case: [] for case in cases}
    for document in documents:
        if document["case"] in cases:
            sites = document["structure"]["sites"]
            numbers = [ATOMIC_NUMBERS[site["species"][0]["element"]] for site in sites]
            lattice = np.array(document["structure"]["lattice"]["matrix"])
            crystal = Crystal(
                lattice, np.array(numbers, dtype=np.uint8), np.array([site["abc"] for site in sites])
            )
            found[document["case"]].append(crystal)
    return found


def connectivity(crystal):
    """Dimensionality, components on the supercell, isolated atoms."""
    graph = bond_graph(crystal)
    found = topology(np.array([len(crystal)]), graph.source, graph.target, graph.image)
    return int(found.dimensionality[0]), int(found.n_components[0]), int(found.n_isolated[0])


def first_decoration(prototype, seed=0):
    return decorate(*decorations(prototype, np.random.default_rng(seed))[0])


def test_two_readings_are_the_same_bytes(documents):
    read = [document for batch in open_demo().batches() for document in batch.column("document").to_pylist()]
    assert read == [json.dumps(document).encode() for document in documents]


def test_counts(documents):
    assert Counter(document["case"] for document in documents) == COUNTS
    assert open_demo().n_documents == len(documents)


def test_docstring_states_the_counts():
    table = dict(re.findall(r"^(\w[\w ,]*?) {2,}(\d+)  ", demo.__doc__, flags=re.MULTILINE))
    assert int(table.pop("defects")) == sum(defect.count for defect in DEFECTS)
    low = ("layers", "chains", "molecules")
    assert int(table.pop("layers, chains, molecules")) == sum(COUNTS[case] for case in low)
    assert {case: int(count) for case, count in table.items()} == {
        case: count for case, count in (DECORATED | DERIVED).items() if case not in low
    }


def test_marked_as_synthetic_everywhere(documents):
    identity = open_demo().identity
    assert identity.synthetic
    assert "synthetic" in identity.citation.lower()
    assert all(document["synthetic"] for document in documents)
    assert all(document.get("material_id", "demo-").startswith("demo-") for document in documents)


def test_ids_repeat_only_where_the_case_says_so(documents):
    ids = Counter(document["material_id"] for document in documents if "material_id" in document)
    assert {name: count for name, count in ids.items() if count > 1} == {
        "demo-1": 1 + COUNTS["id seen twice"]
    }
    assert documents[0]["case"] != "id seen twice"


def test_identity_depends_on_the_recipe(monkeypatch):
    before = open_demo().identity.sha256
    assert open_demo().identity.sha256 == before
    monkeypatch.setattr(source, "SEED", source.SEED + 1)
    assert open_demo().identity.sha256 != before


@pytest.mark.parametrize("prototype", PROTOTYPES, ids=lambda prototype: prototype.name)
def test_prototype_has_its_space_group_and_a_primitive_cell(prototype):
    crystal = first_decoration(prototype)
    cell = moyopy.Cell(
        crystal.lattice.tolist(), crystal.frac_coords.tolist(), crystal.atomic_numbers.tolist()
    )
    dataset = moyopy.MoyoDataset(cell, symprec=1e-3)
    assert dataset.number == prototype.spacegroup
    assert len(dataset.prim_std_cell.numbers) == len(crystal)


@pytest.mark.parametrize("case", DIMENSIONALITY)
def test_case_has_its_dimensionality(crystals, case):
    found = [connectivity(crystal) for crystal in crystals[case]]
    assert {dimensionality for dimensionality, _, _ in found} == {DIMENSIONALITY[case]}
    if case == "disconnected":
        assert all(components > 1 for _, components, _ in found)
        assert {isolated for _, _, isolated in found} == {0, 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    "prototype",
    [prototype for prototype in PROTOTYPES if prototype.case in DIMENSIONALITY],
    ids=lambda prototype: prototype.name,
)
def test_dimensionality_agrees_with_pymatgen(prototype):
    from pymatgen.analysis.dimensionality import get_dimensionality_larsen
    from pymatgen.analysis.graphs import StructureGraph
    from pymatgen.analysis.local_env import IsayevNN

    structure = first_decoration(prototype).to_pymatgen()
    graph = StructureGraph.from_local_env_strategy(structure, IsayevNN(tol=0.5, cutoff=6))
    assert get_dimensionality_larsen(graph) == DIMENSIONALITY[prototype.case]


def test_crystals_are_three_dimensional_and_connected(crystals):
    small = [crystal for crystal in crystals["crystal"] if len(crystal) <= 14]
    assert {connectivity(crystal) for crystal in small[::10]} == {(3, 1, 0)}


@pytest.mark.parametrize("case", ["large", "large supercell"])
def test_large_cells_stay_large_when_made_primitive(crystals, case):
    assert all(len(primitive_cell(crystal).crystal) > 50 for crystal in crystals[case])


def test_other_cells_are_not_primitive_or_in_another_basis(crystals):
    sizes = [(len(crystal), len(primitive_cell(crystal).crystal)) for crystal in crystals["other cell"]]
    assert {size // primitive for size, primitive in sizes} == {1, 2, 4}
    assert max(primitive for _, primitive in sizes) <= 50


@pytest.mark.parametrize("basis", OTHER_CELLS)
def test_recell_keeps_the_crystal_and_its_labels(basis):
    crystal = rattled(first_decoration(PROTOTYPES[10]), np.random.default_rng(0))
    again = recell(crystal, basis, origin=np.array([0.1, 0.2, 0.3]))
    factor = round(abs(np.linalg.det(basis)))
    assert len(again) == factor * len(crystal)
    assert again.volume == pytest.approx(factor * crystal.volume)
    assert formula(primitive_cell(again).crystal.atomic_numbers) == formula(crystal.atomic_numbers)
    old, new = labels(crystal)[0], labels(again)[0]
    assert new.pop("total_magnetization") == pytest.approx(factor * old.pop("total_magnetization"))
    assert new == pytest.approx(old, abs=2e-6)


def test_labels_of_zincblende_by_hand():
    """Four bonds per atom of exactly the sum of the radii, and no others."""
    prototype = next(prototype for prototype in PROTOTYPES if prototype.name.startswith("zincblende"))
    oxide, moments = labels(decorate(prototype, ("Mn", "O")))
    polar = (3.44 - 1.55) ** 2
    size = 0.5 * ((1.50 - 0.66) / (1.50 + 0.66)) ** 2
    assert oxide["formation_energy_per_atom"] == pytest.approx(size - 0.1 * 4 * polar, abs=1e-6)
    assert oxide["energy_above_hull"] == pytest.approx(size, abs=1e-6)
    assert oxide["band_gap"] == pytest.approx(1.4 * (polar - 1.2), abs=1e-6)
    assert moments == pytest.approx([5 * polar / (1 + polar), 0.0])
    assert oxide["total_magnetization"] == pytest.approx(moments[0], abs=1e-6)
    assert oxide["is_hubbard"]

    volume = (4 * 2.27 / np.sqrt(3)) ** 3 / 4
    sulfide, _ = labels(decorate(prototype, ("Zn", "S")))
    efermi = 1.5 * (1.65 + 2.58) / 2 + 30 * (2 / volume) ** (2 / 3) - 3
    assert sulfide["efermi"] == pytest.approx(efermi, abs=1e-6)
    assert sulfide["band_gap"] == 0.0
    assert sulfide["total_magnetization"] == 0.0
    assert not sulfide["is_hubbard"]


def test_unpaired_electrons():
    symbols = {
        "Ca": 0,
        "Cr": 4,
        "Mn": 5,
        "Ni": 2,
        "Zn": 0,
        "La": 0,
        "Eu": 6,
        "Gd": 7,
        "Yb": 1,
        "O": 0,
        "Nb": 0,
    }
    numbers = np.array([ATOMIC_NUMBERS[symbol] for symbol in symbols], dtype=np.uint8)
    assert _unpaired(numbers).tolist() == list(symbols.values())


def test_labels_are_of_all_kinds(documents):
    crystals = [document for document in documents if document["case"] == "crystal"]
    insulators = np.mean([document["band_gap"] > 0 for document in crystals])
    magnets = np.mean([document["total_magnetization"] > 0 for document in crystals])
    stated = np.mean(["symmetry" in document for document in crystals])
    assert 0.2 < insulators < 0.8
    assert 0.2 < magnets < 0.8
    assert 0.05 < stated < 0.5
    assert {document["is_hubbard"] for document in crystals} == {True, False}


def test_every_document_is_read_or_has_its_reason(documents):
    cases, reasons = [], []
    for batch in open_demo().batches():
        cases += [json.loads(document)["case"] for document in batch.column("document").to_pylist()]
        reasons += read_documents(batch).column("reason").to_pylist()
    assert set(zip(cases, reasons, strict=True)) == {(case, UNREADABLE.get(case)) for case in COUNTS}


def test_more_decorations_than_there_are_is_an_error():
    with pytest.raises(AssertionError, match="'chains' have only 27"):
        list(_decorated(np.random.default_rng(0), "chains", 28))
