"""The published network: sizes, symmetries, the quotient."""

import pytest
import torch

from ecn.groups import translations
from ecn.models import build
from ecn.models.ecn import ECN, ECNConfig
from ecn.supercell import cell_graph
from ecn.testing import assert_quotient_equal, permute_nodes, random_batch


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


@pytest.mark.parametrize("group", ["S8", "aP", "oI", "cF"])
def test_the_quotient_is_the_supercell_without_symmetry_breaking(group):
    assert_quotient_equal(small(group=group, symmetry_breaking=False), random_batch())


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


@pytest.mark.parametrize("group", ["S8", "aP", "tI"])
def test_translations_of_the_cell_labels_change_nothing(group):
    model, batch = small(group=group), random_batch()
    graph = cell_graph(batch, model.pattern, quotient=False)
    x = model.embed(batch)
    for t in translations():
        moved = model.on_graph(permute_nodes(x, t), graph, batch)
        torch.testing.assert_close(moved, model(batch), rtol=0, atol=1e-10)


def test_the_cell_one_hot_breaks_the_symmetry():
    """With it the features of the eight cells of an atom differ after one layer of S_8."""
    model, batch = small(), random_batch()
    graph = cell_graph(batch, model.pattern, quotient=False)
    x = model.layers[0](model.embed(batch), model.bond(model.basis(graph.length)), graph)
    assert x.unflatten(0, (-1, 8)).std(dim=1).max() > 1e-2
