"""Crystals with equal nodes computed once, against the same crystals atom by atom."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from ecn.data.rows import rows_of
from ecn.data.tensors import CrystalTensors, cell_tensors
from ecn.models import resolve
from ecn.models.cgcnn import AtomNorm
from ecn.testing import equivalent_cells, random_batch
from mpclean.crystal.bonding import bond_graph
from mpclean.crystal.cells import PrimitiveCell
from mpclean.crystal.crystal import Crystal

#: Every network that sees no positions, on one cell and on eight.
NETWORKS = [
    *(
        ("ecn", {"group": group, "symmetry_breaking": False})
        for group in ("S8n", "S8", "P1bar", "cF", "lattice")
    ),
    *(("ecn", {"group": group}) for group in ("S8n", "S8")),
    ("ecn", {"group": "S8n", "symmetry_breaking": False, "pooling": "sum"}),
    ("ecn", {"group": "S8n", "symmetry_breaking": False, "fade_area": 0.3, "fade_length": 0.5}),
    ("ecn", {"group": "S8", "symmetry_breaking": False, "envelope": 5.0, "n_outputs": 2}),
    *((name, {}) for name in ("cgcnn", "megnet", "schnet")),
    *((name, {"fade_area": 0.3}) for name in ("cgcnn", "megnet", "schnet")),
]


def spinel_like():
    """Sixteen atoms of which symmetry leaves few: eight cells of CsCl with two atoms exchanged."""
    corners = np.stack(np.meshgrid(*[[0.0, 0.5]] * 3, indexing="ij"), -1).reshape(-1, 3)
    elements = np.array([55] * 8 + [17] * 8, np.uint8)
    elements[[0, 8]] = 17, 55
    return Crystal(8.2 * np.eye(3), elements, np.concatenate([corners, corners + 0.25]))


def crystals():
    rock_salt = Crystal(
        2.82 * (1.0 - np.eye(3)), np.array([11, 17], np.uint8), np.array([[0.0] * 3, [0.5] * 3])
    )
    perovskite = Crystal(
        3.9 * np.eye(3),
        np.array([38, 22, 8, 8, 8], np.uint8),
        np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]),
    )
    rng = np.random.default_rng(0)
    glass = Crystal(6.0 * np.eye(3), np.array([8, 8, 14, 8, 8, 14], np.uint8), rng.random((6, 3)))
    return [rock_salt, perovskite, spinel_like(), glass]


@pytest.fixture(scope="module")
def tensors():
    """In double precision, with lengths that are equal where the crystal says so, and made-up areas."""
    found = cell_tensors([(PrimitiveCell(crystal, "cP"), bond_graph(crystal)) for crystal in crystals()])
    values = {f.name: getattr(found, f.name) for f in fields(found)}
    length = found.edge_length.double().round(decimals=5)
    area = (length * 1e5).long() % 7 / 10.0  # some of no area at all, some that fade, equal for equal lengths
    return CrystalTensors(**{**values, "edge_length": length, "edge_area": area}).to("cpu", torch.float64)


def make(name, options):
    torch.manual_seed(0)
    cls = resolve(name)
    return cls(cls.Config(width=12, n_layers=2, **options)).double()


def outputs_and_gradients(model, batch):
    model.zero_grad()
    output = model(batch)
    (output * torch.arange(1.0, 1.0 + output.numel()).reshape(output.shape)).sum().backward()
    return output.detach(), [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=str)
def test_outputs_and_gradients_are_those_atom_by_atom(name, options, training, tensors):
    model, everything = make(name, options).train(training), torch.arange(len(tensors))
    reduced = model.prepare(tensors)
    if not options.get("symmetry_breaking", name == "ecn"):
        assert len(reduced.atomic_numbers) < len(tensors.atomic_numbers)
    assert len(reduced.edge_source) <= len(tensors.edge_source)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    expected = outputs_and_gradients(model, tensors.batch(everything))
    after = {key: value.clone() for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    found = outputs_and_gradients(model, reduced.batch(everything))
    # Where a channel hardly varies, the batch norm of a training divides rounding by a small number.
    tolerance = 1e-8 if training and name == "cgcnn" else 1e-10
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    for key, value in model.state_dict().items():  # running statistics too
        torch.testing.assert_close(value, after[key], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("group", ["S8n", "S8", "P1bar"])
@pytest.mark.parametrize("symmetry_breaking", [False, True])
def test_numbers_of_atoms_are_handed_back_to_each(group, symmetry_breaking, tensors):
    model = make("ecn", {"group": group, "per_site": True, "symmetry_breaking": symmetry_breaking})
    reduced, order = model.prepare(tensors), torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        expected, found = (
            rows_of(model(crystals.batch(order)), crystals.batch(order), per_site=True)
            for crystals in (tensors, reduced)
        )
    assert len(found) == len(tensors.atomic_numbers)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_classes_are_the_orbits_of_symmetric_crystals(tensors):
    reduced = make("schnet", {}).prepare(tensors)
    assert reduced.node_start.diff().tolist()[:2] == [2, 3]  # rock salt; Sr, Ti and one O for three
    assert reduced.edge_start.diff().tolist()[0] == 2  # six bonds each way, one either way
    sizes = reduced.node_size[reduced.node_start[1] : reduced.node_start[2]]
    assert sorted(sizes.tolist()) == [1, 1, 3]
    assert reduced.atom_start.tolist() == tensors.atom_start.tolist()


def test_a_reduced_crystal_is_smaller_than_its_asymmetric_unit_never_larger(tensors):
    """Space groups from spglib: every orbit of atoms lies in one class."""
    import spglib

    reduced = make("schnet", {}).prepare(tensors)
    for k, crystal in enumerate(crystals()[:3]):
        cell = (crystal.lattice, crystal.frac_coords, crystal.atomic_numbers)
        orbits = spglib.get_symmetry_dataset(cell, symprec=1e-3).equivalent_atoms
        node = reduced.atom_node[reduced.atom_start[k] : reduced.atom_start[k + 1]].numpy()
        for orbit in np.unique(orbits):
            assert len(set(node[orbits == orbit])) == 1


def test_prepared_crystals_stay_as_they_are_and_positions_are_never_merged(tensors):
    reduced = make("schnet", {}).prepare(tensors)
    assert make("schnet", {}).prepare(reduced) is reduced
    assert make("e3ecn", {}).prepare(tensors) is tensors


@pytest.mark.parametrize("tolerance", [1e-6, 1e-4, 1e-3])
def test_what_a_tolerance_changes_is_bounded_by_the_spread_of_lengths(tolerance, tensors):
    """Lengths that count as equal become their mean: none moves by more than a chain of them spans."""
    noise = 0.4 * tolerance * torch.rand(len(tensors.edge_length), generator=torch.Generator().manual_seed(0))
    values = {f.name: getattr(tensors, f.name) for f in fields(tensors)}
    noisy = CrystalTensors(**{**values, "edge_length": tensors.edge_length + noise})
    model = make("schnet", {"same_length": tolerance})
    reduced, everything = model.prepare(noisy), torch.arange(len(tensors))
    assert len(reduced.edge_source) == len(make("schnet", {}).prepare(tensors).edge_source)
    with torch.no_grad():
        moved = (model(reduced.batch(everything)) - model(noisy.batch(everything))).abs().max()
    length = noisy.edge_length.clone().requires_grad_()
    slope = 0.0
    for k in range(len(tensors)):  # the largest change if every bond moved by the tolerance
        batch = CrystalTensors(**{**values, "edge_length": length}).batch(torch.tensor([k]))
        (gradient,) = torch.autograd.grad(model(batch).sum(), length)
        slope = max(slope, float(gradient.abs().sum()))
    assert 0.0 < moved < 1.1 * slope * 0.4 * tolerance


def test_equivalent_descriptions_reduce_to_equal_sizes():
    """Another basis, origin and order of the atoms: the same classes."""
    cells = [spinel_like(), *equivalent_cells(spinel_like(), 3)]
    found = cell_tensors([(PrimitiveCell(crystal, "cP"), bond_graph(crystal)) for crystal in cells])
    reduced = make("cgcnn", {"same_length": 1e-4}).prepare(found)
    assert len(set(reduced.node_start.diff().tolist())) == 1
    assert len(set(reduced.edge_start.diff().tolist())) == 1
    assert int(reduced.node_start[1]) < 16


def test_bonds_that_have_faded_are_not_computed():
    batch = random_batch(sizes=(3,))
    model = make("schnet", {"fade_area": 0.3})
    faded = batch._replace(edge_area=torch.zeros_like(batch.edge_area))
    assert model.edge_weights(faded).max() == 0.0
    torch.testing.assert_close(
        model.edge_weights(batch._replace(edge_area=batch.edge_area + 0.3)), batch.edge_weight
    )


def test_bonds_of_a_radius_do_not_fade():
    batch = random_batch(sizes=(3,))
    no_faces = batch._replace(edge_area=torch.full_like(batch.edge_area, torch.inf))
    for name in ("ecn", "cgcnn", "megnet", "schnet"):
        model = make(name, {"fade_area": 0.3, "fade_length": 5.9})
        torch.testing.assert_close(model.edge_weights(no_faces), batch.edge_weight)
        assert model.edge_weights(batch).min() < 0.5


def test_the_norm_of_counted_atoms_is_the_batch_norm_of_all():
    torch.manual_seed(0)
    ours, theirs = AtomNorm(3), torch.nn.BatchNorm1d(3)
    x, size = torch.randn(5, 3), torch.tensor([1, 3, 2, 1, 5])
    everything = x.repeat_interleave(size, 0)
    for training in (True, True, False):
        ours.train(training), theirs.train(training)
        found = ours(x, size).repeat_interleave(size, 0)
        torch.testing.assert_close(found, theirs(everything), rtol=1e-5, atol=1e-5)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.module.state_dict()[name], value)
    alone = AtomNorm(3).train()
    assert torch.equal(alone(x[:1], torch.tensor([1])), alone.eval()(x[:1], torch.tensor([1])))
