"""From files to numbers: the cell does not matter, what is wrong is said."""

import math
from dataclasses import replace

import ase.build
import numpy as np
import pytest
import torch

import ecn
from ecn.data.rows import load_part, open_release
from ecn.inference.evaluation import evaluate
from ecn.inference.predict import Predictor
from ecn.runs import checkpoint
from ecn.targets.goal import Goal
from ecn.targets.tasks import task
from mpclean.crystal.crystal import Crystal
from mpclean.errors import UserError


def rock_salt(cation, anion, a):
    lattice = 0.5 * a * np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    return Crystal(lattice, np.array([anion, cation], np.uint8), np.array([[0.0] * 3, [0.5] * 3]))


@pytest.fixture(scope="module")
def model(run):
    return ecn.load(run)


def test_predictions_are_those_of_the_release(model, release, rows, run):
    data = load_part(open_release(release), "test", [task("formation_energy")])
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
    crystal = rock_salt(11, 17, 4.6)
    conventional = crystal.to_pymatgen()
    conventional.make_supercell([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    atoms = ase.build.bulk("NaCl", "rocksalt", a=4.6)
    found = model.predict([crystal, conventional, atoms])
    values = [p.value for p in found]
    assert len(conventional) == 8
    assert np.ptp(values) < 1e-5
    assert {(p.formula, p.unit, p.warning, p.valid) for p in found} == {("NaCl", "eV/atom", "", True)}
    assert all(math.isnan(p.standard_deviation) for p in found)


def test_a_graph_that_is_not_valid_has_a_number_and_a_warning(model):
    (far,) = model.predict([rock_salt(11, 17, 12.0)])
    assert math.isfinite(far.value)
    assert far.warning == (
        "the rule dimensionality excludes such crystals: not three-dimensional (dimensionality 0)"
    )
    assert (far.valid, far.rule) == (False, "dimensionality")


def test_layers_are_not_connected(model):
    layers = Crystal(np.diag([2.5, 2.5, 20.0]), np.array([6], np.uint8), np.zeros((1, 3)))
    (found,) = model.predict([layers])
    assert math.isfinite(found.value)
    assert "the rule dimensionality excludes such crystals" in found.warning


def test_a_lattice_in_doubt_has_a_number_and_a_warning(model):
    almost, clearly = (rock_salt(11, 17, 4.6) for _ in range(2))
    almost.lattice[:, 2] *= 1.002  # tetragonal, by 0.01 A
    clearly.lattice[:, 2] *= 1.02
    almost, clearly = model.predict([almost, clearly])
    assert math.isfinite(almost.value)
    assert almost.warning == "lattice in doubt: tI4 or cF8 at a tolerance of about 0.01 A"
    assert clearly.warning == ""


@pytest.mark.parametrize(
    ("element", "message"),
    [(98, "no covalent radius is known for Cf"), (106, "no covalent radius is known for Sg")],
)
def test_an_element_without_a_graph_has_no_number(model, element, message):
    strange, salt = model.predict([rock_salt(element, 17, 4.6), rock_salt(11, 17, 4.6)])
    assert math.isnan(strange.value)
    assert message in strange.warning
    assert math.isfinite(salt.value)


def test_nothing_in_nothing_out(model):
    assert model.predict([]) == []


def test_probabilities_of_a_classifier(model, monkeypatch):
    monkeypatch.setattr(model, "goal", Goal.named("is_metal"))
    (found,) = model.predict([rock_salt(11, 17, 4.6)])
    assert found.unit == "probability of metal"
    assert 0 < found.value < 1


def test_a_crystal_of_too_many_atoms_has_a_number_and_the_rule(model):
    (large,) = model.predict([jiggled(27)])
    assert math.isfinite(large.value)
    assert (large.valid, large.rule) == (False, "size")
    assert "54 atoms" in large.warning


def jiggled(n):
    """Rock salt of n cells in a row, whose atoms stand a little aside, so that no smaller cell serves."""
    atoms = ase.build.bulk("NaCl", "rocksalt", a=4.6).repeat((n, 1, 1))
    atoms.positions += np.random.default_rng(0).normal(0.0, 0.05, atoms.positions.shape)
    return atoms


def test_atoms_on_one_another_have_no_number(model):
    twice = Crystal(5.0 * np.eye(3), np.array([11, 17], np.uint8), np.array([[0.0] * 3, [0.001] * 3]))
    (found,) = model.predict([twice])
    assert math.isnan(found.value)
    assert (found.valid, found.rule) == (False, "record")
    assert "atoms coincide" in found.warning


def test_an_ensemble_has_the_mean_and_the_deviation_of_its_members(run):
    saved = [checkpoint.load(run), checkpoint.load(run)]
    with torch.no_grad():
        for parameter in saved[1].model.parameters():
            parameter.mul_(1.01)
    crystals = [rock_salt(11, 17, 4.6), rock_salt(3, 9, 4.1), rock_salt(98, 9, 4.1)]
    alone = np.array([[p.value for p in Predictor(member).predict(crystals)] for member in saved])
    together = Predictor(*saved).predict(crystals)
    np.testing.assert_allclose([p.value for p in together], alone.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose([p.standard_deviation for p in together], alone.std(axis=0, ddof=1), rtol=1e-9)
    assert together[0].standard_deviation > 0
    assert math.isnan(together[2].standard_deviation)


def test_models_of_different_things_are_no_ensemble(run):
    saved = checkpoint.load(run)
    with pytest.raises(UserError, match="trained for different targets, so they cannot be averaged"):
        Predictor(saved, replace(saved, goal=Goal.named("band_gap")))
    featuriser = replace(saved.config.featuriser, min_area=0.5)
    with pytest.raises(UserError, match="trained for different bonds or rules"):
        Predictor(saved, replace(saved, config=replace(saved.config, featuriser=featuriser)))


def test_several_targets_are_rows_beside_one_another(run, monkeypatch):
    saved = checkpoint.load(run)
    monkeypatch.setattr(saved.model, "forward", lambda batch: torch.ones(batch.n_crystals, 2))
    config = replace(saved.config, coverage=None)
    two = replace(saved, config=config, goal=Goal.named("formation_energy,band_gap"))
    found = Predictor(two).predict([rock_salt(11, 17, 4.6), rock_salt(98, 17, 4.6)])
    assert [(p.formula, p.target, p.unit) for p in found] == [
        ("NaCl", "formation_energy", "eV/atom"),
        ("NaCl", "band_gap", "eV"),
        ("CfCl", "formation_energy", "eV/atom"),
        ("CfCl", "band_gap", "eV"),
    ]
    assert [math.isnan(p.value) for p in found] == [False, False, True, True]


def test_rows_of_a_release_and_the_same_crystals_are_predicted_alike(model, release):
    opened = open_release(release)
    (table,) = model.predict_release(opened, "test")
    found = model.predict([crystal for crystal, _ in opened.crystals("test")])
    np.testing.assert_allclose(table["value"].to_numpy(), [p.value for p in found], atol=1e-5)
    assert table["valid"].to_pylist() == [p.valid for p in found]
    assert all(table["valid"].to_pylist())
    assert table["material_id"].to_pylist() == opened.table("test")["material_id"].to_pylist()


def test_a_release_with_other_bonds_is_refused(run, release):
    saved = checkpoint.load(run)
    featuriser = replace(saved.config.featuriser, bonds="radius", cutoff=5.0)
    other = Predictor(replace(saved, config=replace(saved.config, featuriser=featuriser)))
    with pytest.raises(UserError, match=r"built with other bond settings \(bonds voronoi"):
        next(other.predict_release(open_release(release)))


def test_a_disordered_structure_among_others_has_a_warning_and_no_number(model):
    from pymatgen.core import Lattice, Structure

    mixed = Structure(Lattice.cubic(3.0), [{"Na": 0.5, "K": 0.5}, "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    bad, good = model.predict([mixed, rock_salt(11, 17, 4.6)])
    assert math.isnan(bad.value)
    assert "partial occupancies: site 0: Na 0.5, K 0.5" in bad.warning
    assert math.isfinite(good.value)


def test_what_is_no_structure_is_named_by_its_place(model):
    with pytest.raises(UserError, match="structure 1: a str where a periodic Structure of pymatgen"):
        model.predict([rock_salt(11, 17, 4.6), "NaCl"])
