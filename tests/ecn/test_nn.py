"""The closed form against the dense sum over slots, and equivariance of the layer."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import silu

from ecn.groups import cell_group
from ecn.nn import EdgeFunction, EquivariantLayer, NodeFunction
from ecn.sharing import cell_pattern
from ecn.supercell import N_CELLS, cell_graph
from ecn.testing import assert_equivariant, random_batch

NODES, EDGES = 6, 4


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def inputs(group, seed=1):
    pattern = cell_pattern(group)
    batch = random_batch(seed)
    graph = cell_graph(batch, pattern, quotient=False)
    x = torch.randn(N_CELLS * batch.n_atoms, NODES, requires_grad=True)
    e = torch.randn(len(graph.length), EDGES, requires_grad=True)
    return pattern, graph, x, e


def dense(function, pattern, x, e, graph, same_atom):
    """Eq. 26 as it stands: E x channels x 8 slots, weights looked up slot by slot."""
    colours = torch.from_numpy(pattern.colours)
    slots = torch.arange(N_CELLS)
    v = torch.cat([x[graph.target], x[graph.source], e.repeat_interleave(graph.copies, dim=0)], dim=1)
    into, out_of = (
        colours[slots ^ (graph.source % N_CELLS)[:, None]],
        colours[slots ^ (graph.target % N_CELLS)[:, None]],
    )
    h = silu(torch.einsum("ekoi,ei->eok", function.weight1[into], v) + function.bias1[:, None])
    out = silu(torch.einsum("ekoi,eik->eo", function.weight2[out_of], h) + function.bias2)
    out = torch.sigmoid(out @ function.gate.weight.T + function.gate.bias) * out
    if same_atom:
        out = out * (graph.source // N_CELLS == graph.target // N_CELLS)[:, None]
    return torch.zeros_like(x).index_add(0, graph.target, out)


@pytest.mark.parametrize("group", ["S8", "aP", "oF", "tI", "hP", "cI"])
@pytest.mark.parametrize("same_atom", [False, True])
def test_the_closed_form_is_the_dense_sum_forward_and_backward(group, same_atom):
    pattern, graph, x, e = inputs(group)
    function = EdgeFunction(pattern, NODES, EDGES)
    fast = function(x, e, graph, same_atom=same_atom)
    slow = dense(function, pattern, x, e, graph, same_atom)
    assert slow.abs().max() > 0.1
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-10)

    direction = torch.randn_like(fast)
    variables = [x, e, *function.parameters()]
    gradients = [torch.autograd.grad((y * direction).sum(), variables) for y in (fast, slow)]
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("group", ["S8", "aP", "mC", "oI", "hR", "hP", "cF"])
def test_the_layer_is_equivariant(group):
    pattern, graph, x, e = inputs(group)
    layer = EquivariantLayer(pattern, NODES, EDGES)
    rng = np.random.default_rng(0)
    permutation = np.arange(N_CELLS)
    for _ in range(10):  # a random word in the generators
        generators = cell_group(group)
        permutation = generators[rng.integers(len(generators))][permutation]
        assert_equivariant(layer, x, e, graph, pattern, permutation)


@pytest.mark.parametrize("seed", range(5))
def test_s8_is_equivariant_to_any_permutation(seed):
    pattern, graph, x, e = inputs("S8")
    layer = EquivariantLayer(pattern, NODES, EDGES)
    assert_equivariant(layer, x, e, graph, pattern, np.random.default_rng(seed).permutation(N_CELLS))


def test_a_smaller_group_is_not_equivariant_to_a_larger_one():
    pattern, graph, x, e = inputs("aP")
    layer = EquivariantLayer(pattern, NODES, EDGES)
    swap_axes = cell_group("cP")[4]
    with pytest.raises(AssertionError):
        assert_equivariant(layer, x, e, graph, pattern, swap_axes)


def test_tied_weights_start_within_the_fan_in_of_their_channels():
    function = EdgeFunction(cell_pattern("aP"), 100, 20)
    for weight, bias, fan_in in (
        (function.weight1, function.bias1, 220),
        (function.weight2, function.bias2, 100),
    ):
        bound = 1 / math.sqrt(fan_in)
        for tensor in (weight, bias):
            assert tensor.abs().max() <= bound
            assert tensor.abs().max() > 0.9 * bound
        assert math.isclose(float(weight.detach().std()), bound / math.sqrt(3), rel_tol=0.02)


def test_the_node_function_adds_to_the_node():
    update = NodeFunction(NODES)
    x, m = torch.randn(3, NODES), torch.randn(3, NODES)
    hidden = silu(torch.cat([m, x], dim=1) @ update.linear1.weight.T + update.linear1.bias)
    expected = x + hidden @ update.linear2.weight.T + update.linear2.bias
    torch.testing.assert_close(update(x, m), expected)
