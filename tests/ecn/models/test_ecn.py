"""The published network: sizes, symmetries, the quotient."""

import numpy as np
import pytest
import torch

from ecn.data.tensors import cell_tensors
from ecn.models import build
from ecn.models.ecn import ECN, ECNConfig
from ecn.symmetry.groups import translations
from ecn.targets.losses import moment_loss
from ecn.testing import assert_quotient_equal, crystals_of, node_permutation, permute_nodes, random_batch
from mpclean.crystal.bonding import bond_graph
from mpclean.crystal.bravais import BRAVAIS_TYPES
from mpclean.crystal.cells import PrimitiveCell
from mpclean.crystal.crystal import Crystal
from mpclean.errors import UserError


@pytest.fixture(scope="module")
def perovskite():
    """A batch of one: SrTiO3, in double precision."""
    positions = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    crystal = Crystal(3.9 * np.eye(3), np.array([38, 22, 8, 8, 8], np.uint8), np.array(positions))
    batch = cell_tensors([(PrimitiveCell(crystal, "cP"), bond_graph(crystal))]).batch(torch.tensor([0]))
    return batch._replace(edge_length=batch.edge_length.double())


def small(**options):
    torch.manual_seed(0)
    return ECN(ECNConfig(width=12, n_layers=2, **options)).double()


@pytest.mark.parametrize(("group", "count"), [("S8", 994_833), ("P1bar", 3_298_833), ("aP", 3_298_833)])
def test_parameter_counts(group, count):
    model = build("ecn", {"group": group})
    assert sum(p.numel() for p in model.parameters()) == count


def test_without_symmetry_breaking_the_site_embedding_has_no_cell_columns():
    with_cells, without = ECN(ECNConfig()), ECN(ECNConfig(symmetry_breaking=False))
    assert with_cells.site.in_features == 111
    assert without.site.in_features == 103


def test_the_width_of_the_text_runs():
    model = ECN(ECNConfig(width=128, n_layers=1))
    assert model(random_batch(dtype=torch.float32)).shape == (3,)


@pytest.mark.parametrize(
    "options",
    [
        *({"group": group} for group in ("S8", "S8n", "aP", "oI", "cF", "lattice")),
        *({"side": 3, "group": "tI"}, {"side": 1}, {"per_site": True}, {"pooling": "sum"}),
        *({"hidden_width": 12}, {"hidden_width": 12, "group": "S8n"}),
    ],
    ids=str,
)
def test_the_quotient_is_the_supercell_without_symmetry_breaking(options):
    model = small(symmetry_breaking=False, **options)
    assert model.copies == 1
    assert_quotient_equal(model, random_batch())


def test_the_quotient_tells_colours_apart():
    """Bonds through other cells are other edges, although the quotient has one node per atom."""
    model, batch = small(group="aP", symmetry_breaking=False), random_batch()
    moved = batch._replace(edge_image=torch.zeros_like(batch.edge_image))
    assert (model(batch) - model(moved)).abs().max() > 1e-4


def test_the_embedding_is_linear_in_both_one_hots():
    model, batch = small(), random_batch()
    elements = torch.nn.functional.one_hot(batch.atomic_numbers - 1, 103).double()
    cells = torch.eye(8, dtype=torch.float64)
    features = torch.cat([elements.repeat_interleave(8, 0), cells.repeat(batch.n_atoms, 1)], dim=1)
    torch.testing.assert_close(model.embed(batch), model.site(features))


@pytest.mark.parametrize(("group", "side"), [("S8", 2), ("S8n", 2), ("aP", 2), ("tI", 3), ("lattice", 2)])
def test_translations_of_the_cell_labels_change_nothing(group, side):
    model, batch = small(group=group, side=side), random_batch()
    graph, x = model.graph(batch, quotient=False), model.embed(batch)
    for t in translations(side):
        moved = model.on_graph(permute_nodes(x, node_permutation(t, batch.n_atoms)), graph, batch)
        torch.testing.assert_close(moved, model(batch), rtol=0, atol=1e-10)


def test_the_cell_one_hot_breaks_the_symmetry():
    """With it the features of the eight cells of an atom differ after one layer of S_8."""
    model, batch = small(), random_batch()
    graph = model.graph(batch, quotient=False)
    x = model.layers[0](model.embed(batch), model.bond(model.basis(graph.length)), graph)
    assert x.unflatten(0, (-1, 8)).std(dim=1).max() > 1e-2


def test_a_network_for_all_lattices_is_that_of_each_crystals_own():
    """Crystals of several types in one batch, against networks with the tied weights of each."""
    model, batch = small(group="lattice"), random_batch(sizes=(3, 1, 4, 2))
    batch = batch._replace(
        bravais_lattice=torch.tensor([BRAVAIS_TYPES.index(t) for t in ("cF", "aP", "tI", "cF")])
    )
    mixed = model(batch)
    for k, crystal in enumerate(crystals_of(batch)):
        own = small(group=BRAVAIS_TYPES[int(batch.bravais_lattice[k])])
        weights = model.state_dict()
        for layer, name in enumerate(f"layers.{n}" for n in range(2)):
            for phi in ("phi1", "phi2"):
                average = getattr(model.layers[layer], phi).get_buffer(f"tie{batch.bravais_lattice[k]}")
                for weight in (f"{name}.{phi}.weight1", f"{name}.{phi}.weight2"):
                    weights[weight] = torch.einsum("sk,koi->soi", average, weights[weight])
        own.load_state_dict(weights)
        torch.testing.assert_close(own(crystal)[0], mixed[k], rtol=0, atol=1e-10)


def test_sums_grow_with_the_crystal_and_means_do_not():
    """A supercell written as a crystal: extensive or intensive."""
    batch = random_batch(sizes=(3,))
    twice = batch._replace(
        atomic_numbers=batch.atomic_numbers.repeat(2),
        crystal=batch.crystal.repeat(2),
        edge_source=torch.cat([batch.edge_source, batch.edge_source + 3]),
        edge_target=torch.cat([batch.edge_target, batch.edge_target + 3]),
        edge_image=batch.edge_image.repeat(2, 1),
        edge_length=batch.edge_length.repeat(2),
        edge_area=batch.edge_area.repeat(2),
        edge_weight=batch.edge_weight.repeat(2),
        node_size=batch.node_size.repeat(2),
        atom_node=torch.arange(6),
        frac_coords=batch.frac_coords.repeat(2, 1),
    )
    mean, total = small(), small(pooling="sum")
    torch.testing.assert_close(mean(twice), mean(batch))
    pooled = [[], []]
    for kept, crystals in zip(pooled, (batch, twice), strict=True):
        total.crystal_head.register_forward_pre_hook(lambda _, inputs, kept=kept: kept.append(inputs[0]))
        total(crystals)
    torch.testing.assert_close(pooled[1][-1], 2 * pooled[0][0])


def test_elements_as_period_and_group():
    model = small(elements="group_period")
    assert model.site.in_features == 39 + 8
    assert model(random_batch()).shape == (3,)


def test_whether_hubbard_u_was_used_is_seen_or_asked_for():
    batch = random_batch()
    with_u, without = (batch._replace(is_hubbard=torch.full((3,), bit, dtype=torch.int8)) for bit in (1, 0))
    unknown = batch._replace(is_hubbard=torch.tensor([1, 0, -1], dtype=torch.int8))
    model = small(hubbard="required")
    assert model.site.in_features == 104 + 8
    assert (model(with_u) - model(without)).abs().min() > 1e-6
    with pytest.raises(UserError, match="is_hubbard is not known of 1 crystals, and no file"):
        model(unknown)
    filled = small(hubbard="false_if_unknown")
    torch.testing.assert_close(filled(unknown)[2], filled(without)[2])
    torch.testing.assert_close(small()(with_u), small()(without))


def test_dropout_is_for_training_only():
    model, batch = small(dropout=0.5), random_batch()
    model.train()
    assert (model(batch) - model(batch)).abs().max() > 1e-6
    model.eval()
    assert torch.equal(model(batch), model(batch))


def test_bessel_functions_run():
    model, batch = small(basis="bessel"), random_batch()
    moved = batch._replace(edge_length=batch.edge_length + 0.1)
    assert (model(batch) - model(moved)).abs().max() > 1e-6


@pytest.mark.parametrize("group", ["S8", "S8n", "lattice"])
@pytest.mark.parametrize("symmetry_breaking", [True, False])
def test_a_bond_that_becomes_too_long_for_the_envelope_changes_nothing_at_once(group, symmetry_breaking):
    model, batch = small(group=group, symmetry_breaking=symmetry_breaking, envelope=5.0), random_batch()
    kept = torch.ones(len(batch.edge_length), dtype=torch.bool)
    kept[[0, len(kept) // 2]] = False  # both directions of the first bond
    without = model(batch.with_bonds(kept))

    def change(length):
        """What the bond is worth at some length."""
        moved = batch._replace(edge_length=batch.edge_length.where(kept, length))
        return (model(moved) - without).abs().max().item()

    length = torch.tensor(2.0, dtype=torch.float64)
    assert change(length) > 1e-5
    assert change(length + 2.999) < 1e-9
    assert change(length + 3.5) < 1e-12


def test_one_output_map_for_all_colours_has_fewer_weights():
    count = {
        share: sum(p.numel() for p in small(share_output_weights=share).parameters()) for share in (0, 1)
    }
    assert count[0] - count[1] == 2 * 2 * 12 * 12  # layers, functions, one matrix less of two


# A simple cubic crystal of one atom: its eight cells are alike, so only their labels tell up from down.
FERROMAGNETIC = torch.ones(8)
ANTIFERROMAGNETIC = torch.tensor([1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0])  # by the parity of the cell


def simple_cubic():
    steps = torch.cat([torch.eye(3, dtype=torch.int8), -torch.eye(3, dtype=torch.int8)])
    crystal = random_batch(sizes=(1,), dtype=torch.float32)
    here = torch.zeros(6, dtype=torch.int64)
    return crystal._replace(
        edge_source=here,
        edge_target=here,
        edge_image=steps,
        edge_length=torch.full((6,), 2.5),
        edge_area=torch.full((6,), torch.inf),
        edge_weight=torch.ones(6),
        lattice=2.5 * torch.eye(3)[None],
        bravais_lattice=torch.tensor([BRAVAIS_TYPES.index("cP")]),
    )


@pytest.mark.parametrize("pattern", [FERROMAGNETIC, ANTIFERROMAGNETIC], ids=["ferro", "antiferro"])
@pytest.mark.parametrize("symmetry_breaking", [True, False])
def test_moments_of_a_symmetric_crystal_need_symmetry_breaking(pattern, symmetry_breaking):
    """Sections 4 and 5: an equivariant network cannot order spins that it cannot tell apart."""
    torch.manual_seed(0)
    options = {"width": 16, "n_layers": 2, "symmetry_breaking": symmetry_breaking}
    model, batch = ECN(ECNConfig(group="cP", per_site=True, **options)), simple_cubic()
    label = 3.0 * pattern  # muB
    crystal = torch.zeros(8, dtype=torch.int64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        loss = moment_loss(_on_supercell(model(batch)), label, crystal)
        loss.backward()
        optimizer.step()
    if symmetry_breaking or pattern is FERROMAGNETIC:
        assert loss < 1e-2
    else:  # eight equal numbers: 0 is the best of them, and all of the moment is left
        assert loss.item() == pytest.approx(9.0, rel=0.05)


def _on_supercell(output):
    return output if len(output) == 8 else output.repeat_interleave(8)
