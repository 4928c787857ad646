"""From files to numbers: the cell does not matter, what is wrong is said."""

import math

import ase.build
import numpy as np
import pytest

import ecn
from ecn.data import load_split, open_release
from ecn.evaluation import evaluate
from ecn.tasks import Goal, task
from mpclean.crystal import Crystal


def rock_salt(cation, anion, a):
    lattice = 0.5 * a * np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    return Crystal(lattice, np.array([anion, cation], np.uint8), np.array([[0.0] * 3, [0.5] * 3]))


@pytest.fixture(scope="module")
def model(run):
    return ecn.load(run)


def test_predictions_are_those_of_the_release(model, release, rows, run):
    data = load_split(open_release(release), "test", [task("formation_energy")])
    by_id = {row["material_id"]: row for row in rows["test"]}
    crystals = [
        Crystal(
            np.reshape(by_id[k]["lattice"], (3, 3)),
            by_id[k]["atomic_numbers"],
            np.reshape(by_id[k]["frac_coords"], (-1, 3)),
        )
        for k in data.material_ids
    ]
    values = [float(p) for p in model.predict(crystals)]
    np.testing.assert_allclose(values, evaluate(run)[0].output, atol=1e-5)


def test_cell_and_package_do_not_matter(model):
    crystal = rock_salt(11, 17, 5.64)
    conventional = crystal.to_pymatgen()
    conventional.make_supercell([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64)
    found = model.predict([crystal, conventional, atoms])
    values = [p.value for p in found]
    assert len(conventional) == 8
    assert np.ptp(values) < 1e-5
    assert {(p.formula, p.unit, p.warning) for p in found} == {("NaCl", "eV/atom", "")}


def test_a_graph_that_is_not_valid_has_a_number_and_a_warning(model):
    (far,) = model.predict([rock_salt(11, 17, 12.0)])
    assert math.isfinite(far.value)
    assert far.warning.startswith("2 atoms without a bond")


def test_layers_are_not_connected(model):
    layers = Crystal(np.diag([2.5, 2.5, 20.0]), np.array([6], np.uint8), np.zeros((1, 3)))
    (found,) = model.predict([layers])
    assert math.isfinite(found.value)
    assert "components" in found.warning or "without a bond" in found.warning


def test_a_lattice_in_doubt_has_a_number_and_a_warning(model):
    almost, clearly = (rock_salt(11, 17, 5.64) for _ in range(2))
    almost.lattice[:, 2] *= 1.002  # tetragonal, by 0.01 A
    clearly.lattice[:, 2] *= 1.02
    almost, clearly = model.predict([almost, clearly])
    assert math.isfinite(almost.value)
    assert almost.warning == "lattice in doubt: tI4 or cF8 at a tolerance of about 0.01 A"
    assert clearly.warning == ""


@pytest.mark.parametrize(
    ("element", "message"), [(98, "no covalent radius is known for Cf"), (106, "does not know Sg")]
)
def test_an_element_without_a_graph_has_no_number(model, element, message):
    strange, salt = model.predict([rock_salt(element, 17, 5.64), rock_salt(11, 17, 5.64)])
    assert math.isnan(strange.value)
    assert message in strange.warning
    assert math.isfinite(salt.value)


def test_nothing_in_nothing_out(model):
    assert model.predict([]) == []


def test_probabilities_of_a_classifier(model, monkeypatch):
    monkeypatch.setattr(model, "goal", Goal.named("is_metal"))
    (found,) = model.predict([rock_salt(11, 17, 5.64)])
    assert found.unit == "probability of metal"
    assert 0 < found.value < 1
