"""The closed form against the dense sum over slots, and equivariance of the layer."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import silu

from ecn.data.supercell import ColouredGraph, cell_graph, edge_colours, node_colours
from ecn.models.layers import (
    ColouredMessagePassing,
    EdgeFunction,
    EquivariantLayer,
    Gate,
    GatedMessage,
    MessageFunction,
    NodeFunction,
    pool,
)
from ecn.symmetry.groups import cell_group, group_elements, regular_action, translations
from ecn.symmetry.sharing import cell_differences, cell_pattern, pair_orbits
from ecn.testing import assert_equivariant, colour_under, node_permutation, random_batch
from mpclean.crystal.bravais import BRAVAIS_TYPES

NODES, EDGES = 6, 4


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def inputs(group, seed=1, m=2):
    pattern = cell_pattern(group, m)
    batch = random_batch(seed)
    graph = cell_graph(batch, edge_colours([pattern]), side=m, quotient=False)
    x = torch.randn(m**3 * batch.n_atoms, NODES, requires_grad=True)
    e = torch.randn(len(graph.length), EDGES, requires_grad=True)
    return pattern, graph, x, e


def dense(function, pattern, x, e, graph, same_atom):
    """Eq. 26 as it stands: E x channels x slots, weights looked up slot by slot."""
    colours, n_cells = torch.from_numpy(pattern.matrix()), pattern.n_cells
    v = torch.cat([x[graph.target], x[graph.source], e.repeat_interleave(graph.copies, dim=0)], dim=1)
    into, out_of = colours[graph.source % n_cells], colours[:, graph.target % n_cells].T
    h = silu(torch.einsum("ekoi,ei->eok", function.weight1[into], v) + function.bias1[:, None])
    weight2 = function.weight2.expand(pattern.n_colours, -1, -1)
    out = silu(torch.einsum("ekoi,eik->eo", weight2[out_of], h) + function.bias2)
    out = torch.sigmoid(out @ function.gate.weight.T + function.gate.bias) * out
    if same_atom:
        out = out * (graph.source // n_cells == graph.target // n_cells)[:, None]
    return torch.zeros_like(x).index_add(0, graph.target, out)


@pytest.mark.parametrize(
    ("group", "m", "options"),
    [
        *((group, 2, {}) for group in ("S8", "aP", "oF", "tI", "hP", "cI")),
        *(("aP", 3, {}), ("cF", 3, {}), ("S8", 1, {})),
        *(("aP", 2, {"share_output_weights": True}), ("aP", 2, {"hidden_width": 7})),
    ],
)
@pytest.mark.parametrize("same_atom", [False, True])
def test_the_closed_form_is_the_dense_sum_forward_and_backward(group, m, options, same_atom):
    pattern, graph, x, e = inputs(group, m=m)
    function = EdgeFunction([pattern], NODES, EDGES, **options)
    assert function.bias1.shape == (options.get("hidden_width", NODES),)
    fast = function(x, e, graph, same_atom=same_atom)
    slow = dense(function, pattern, x, e, graph, same_atom)
    assert slow.abs().max() > 0.1
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-10)

    direction = torch.randn_like(fast)
    variables = [x, e, *function.parameters()]
    gradients = [torch.autograd.grad((y * direction).sum(), variables) for y in (fast, slow)]
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_gated_messages_have_the_gradients_of_what_they_are_made_of():
    v, weight, bias = torch.randn(7, 12), torch.randn(4, 12), torch.randn(4)
    gate, count = Gate(4), torch.arange(1, 8)[:, None]
    inputs = [t.requires_grad_() for t in (v, weight, bias, gate.weight, gate.bias)]
    torch.testing.assert_close(
        GatedMessage.apply(*inputs, count),
        count * gate(silu(torch.nn.functional.linear(silu(v), weight, bias))),
    )
    assert torch.autograd.gradcheck(GatedMessage.apply, [*inputs, count])
    assert torch.autograd.gradcheck(GatedMessage.apply, [*inputs, count.double().requires_grad_()])


def test_shared_output_weights_leave_no_colour():
    """Then the sum over slots counts every slot once, whatever the cells of the edge."""
    pattern, graph, x, e = inputs("aP")
    function = EdgeFunction([pattern], NODES, EDGES, share_output_weights=True)
    x = x[:1].expand(len(x), -1)
    e = e[:1].expand(len(e), -1)
    messages = torch.cat([m for _, _, m in function.messages(x, e, graph, same_atom=False)])
    torch.testing.assert_close(messages, messages[:1].expand_as(messages))
    assert sum(p.numel() for p in function.parameters()) < sum(
        p.numel() for p in EdgeFunction([pattern], NODES, EDGES).parameters()
    )


@pytest.mark.parametrize(
    ("group", "m"), [*((g, 2) for g in ("S8", "aP", "mC", "oI", "hR", "hP", "cF")), ("aP", 3), ("cI", 3)]
)
def test_the_layer_is_equivariant(group, m):
    pattern, graph, x, e = inputs(group, m=m)
    layer = EquivariantLayer([pattern], NODES, EDGES)
    rng = np.random.default_rng(0)
    word = np.arange(m**3)
    for _ in range(10):  # a random word in the generators
        generators = cell_group(group, m)
        word = generators[rng.integers(len(generators))][word]
        on_nodes = node_permutation(word, len(x) // m**3)
        assert_equivariant(layer, x, e, graph, on_nodes, colour_under(pattern))


@pytest.mark.parametrize("seed", range(5))
def test_s8_is_equivariant_to_any_permutation(seed):
    pattern, graph, x, e = inputs("S8")
    layer = EquivariantLayer([pattern], NODES, EDGES)
    on_nodes = node_permutation(np.random.default_rng(seed).permutation(8), len(x) // 8)
    assert_equivariant(layer, x, e, graph, on_nodes, colour_under(pattern))


def test_a_smaller_group_is_not_equivariant_to_a_larger_one():
    pattern, graph, x, e = inputs("aP")
    layer = EquivariantLayer([pattern], NODES, EDGES)
    swap_axes = node_permutation(cell_group("cP")[4], len(x) // 8)
    with pytest.raises(AssertionError):
        assert_equivariant(layer, x, e, graph, swap_axes, colour_under(pattern))


def itself_or_another(source, target):
    return (source != target).long()


def plain_layer():
    return ColouredMessagePassing((MessageFunction(NODES, EDGES) for _ in range(2)), [NodeFunction(NODES)])


def test_under_s8n_the_layer_is_a_message_passing_network():
    """After Claim 6.1: one function of neighbours, one of the node itself, any permutation."""
    batch = random_batch(1)
    graph = cell_graph(batch, node_colours(2), quotient=False)
    x, e = torch.randn(8 * batch.n_atoms, NODES), torch.randn(len(graph.length), EDGES)
    layer = plain_layer()
    assert_equivariant(layer, x, e, graph, torch.randperm(len(x)), itself_or_another)

    expected = torch.zeros_like(x)
    own, others = layer.edge_functions
    own_graph = graph.expanded()
    length_of = e.repeat_interleave(8, dim=0)
    for edge, (j, i) in enumerate(zip(own_graph.source.tolist(), own_graph.target.tolist(), strict=True)):
        v = torch.cat([x[i], x[j], length_of[edge]])
        first, _, second, _, gate = own if i == j else others
        expected[i] += gate(silu(second(silu(first(v[None])))))[0]
    found = layer(x, e, graph)
    torch.testing.assert_close(found, layer.node_functions[0](torch.cat([expected, x], dim=1)))


@pytest.mark.parametrize("quotient", [False, True])
def test_a_function_of_edges_from_a_node_to_itself_maps_it_once(quotient):
    batch = random_batch(1)
    graph = cell_graph(batch, node_colours(2), quotient=quotient)
    x, e = torch.randn(graph.copies * batch.n_nodes, NODES), torch.randn(len(graph.length), EDGES)
    general, own = MessageFunction(NODES, EDGES), MessageFunction(NODES, EDGES, own=True)
    own.load_state_dict(general.state_dict())
    loops = graph.places(0, 1)
    torch.testing.assert_close(own(x, e, graph, loops), general(x, e, graph, loops))


def complete_graph(colour):
    """All ordered pairs (source j, target i) of n points, sorted by the colour of (i, j)."""
    n = len(colour)
    target, source = (torch.from_numpy(a) for a in np.divmod(np.arange(n * n), n))
    found = torch.from_numpy(colour[target, source])
    order = torch.argsort(found)
    return ColouredGraph(
        source=source[order],
        target=target[order],
        length=torch.ones(n * n),
        bond=torch.arange(n * n),
        weight=torch.ones(n * n),
        bounds=(0, *torch.cumsum(torch.bincount(found), 0).tolist()),
        copies=1,
    )


class OfTheSource(torch.nn.Linear):
    """A linear function of x_j alone."""

    def forward(self, x, e, graph, places):
        return super().forward(x[graph.source[places]])


class Messages(torch.nn.Module):
    """The sum of messages alone."""

    def forward(self, inputs):
        return inputs[:, :NODES]


def linear_layer(n_colours):
    functions = (OfTheSource(NODES, NODES, bias=False) for _ in range(n_colours))
    return ColouredMessagePassing(functions, [Messages()])


def test_under_translations_the_layer_is_a_circular_convolution():
    """After Claim 6.1, with one atom in a cell: against torch's own on a ring of seven."""
    n = 7
    layer, x = linear_layer(n), torch.randn(n, NODES)
    graph = complete_graph(cell_differences(n, 1))  # colour of (i, j): j - i
    kernel = torch.stack([f.weight for f in layer.edge_functions], dim=2)  # out, in, j - i
    padded = torch.nn.functional.pad(x.T[None], (0, n - 1), mode="circular")
    expected = torch.nn.functional.conv1d(padded, kernel)[0].T
    torch.testing.assert_close(layer(x, torch.zeros(n * n, EDGES), graph), expected)
    colours = pair_orbits(translations(n, 1), np.stack(np.divmod(np.arange(n * n), n), axis=1))
    assert np.array_equal(colours.reshape(n, n), cell_differences(n, 1))


@pytest.mark.parametrize("group", ["mp", "tp", "hp", "aP", "cF", "S8"])
def test_linear_functions_on_all_pairs_are_an_equivariant_perceptron(group):
    """The layer is a matrix that commutes with the group, with one block per orbit."""
    pattern = cell_pattern(group)
    n = pattern.n_cells
    layer = linear_layer(pattern.n_colours)
    graph, e = complete_graph(pattern.matrix()), torch.zeros(n * n, EDGES)
    matrix = torch.func.jacrev(lambda x: layer(x, e, graph))(torch.randn(n, NODES))
    blocks = {tuple(block.ravel().tolist()) for block in matrix.transpose(1, 2).flatten(0, 1)}
    assert len(blocks) == pattern.n_colours
    for g in map(torch.from_numpy, cell_group(group)):
        torch.testing.assert_close(matrix[g][:, :, g], matrix)


@pytest.mark.parametrize("group", ["hp", "aP"])
def test_the_group_acting_on_itself_makes_an_equivariant_network(group):
    """A.3: features of cells lifted to the group, layers with a function per element, and back."""
    generators = cell_group(group)
    elements, lifted = group_elements(generators), regular_action(generators)
    order = len(elements)
    pairs = np.stack(np.divmod(np.arange(order * order), order), axis=1)
    colour = pair_orbits(lifted, pairs).reshape(order, order)
    layer = linear_layer(order)
    graph, e = complete_graph(colour), torch.zeros(order * order, EDGES)
    on_cells = torch.randn(elements.shape[1], NODES)

    def lift(x):
        return x[torch.from_numpy(elements[:, 0])]

    def lower(f):
        total = torch.zeros_like(on_cells).index_add(0, torch.from_numpy(elements[:, 0]), f)
        return total / (order / len(on_cells))

    def network(x):
        return lower(layer(silu(layer(lift(x), e, graph)), e, graph))

    for g in map(torch.from_numpy, generators):
        moved = torch.empty_like(on_cells)
        moved[g] = on_cells
        torch.testing.assert_close(network(moved)[g], network(on_cells))


@pytest.mark.parametrize("m", [2, 3])
def test_a_layer_for_all_lattices_is_the_tied_layer_of_each(m):
    """Weights of P1bar averaged over the colours of a type: the layer of that type."""
    patterns = [cell_pattern(lattice, m) for lattice in BRAVAIS_TYPES]
    batch = random_batch(3)
    function = EdgeFunction(patterns, NODES, EDGES)
    x, e = (
        torch.randn(m**3 * batch.n_atoms, NODES),
        torch.randn(len(batch.edge_source) + batch.n_atoms, EDGES),
    )
    for k, lattice in enumerate(BRAVAIS_TYPES):
        of_one_type = batch._replace(bravais_lattice=torch.full_like(batch.bravais_lattice, k))
        mixed = cell_graph(of_one_type, edge_colours(patterns), side=m, quotient=False)
        own = cell_graph(of_one_type, edge_colours([patterns[k]]), side=m, quotient=False)
        alone = EdgeFunction([patterns[k]], NODES, EDGES)
        alone.load_state_dict(function.state_dict() | tied(function, k))
        torch.testing.assert_close(
            function(x, e[mixed.bond], mixed, same_atom=False),
            alone(x, e[own.bond], own, same_atom=False),
            msg=lattice,
        )


def tied(function, k):
    average = function.get_buffer(f"tie{k}")
    return {
        name: torch.einsum("sk,koi->soi", average, getattr(function, name).detach())
        for name in ("weight1", "weight2")
    }


def test_node_functions_go_by_colour():
    functions = [torch.nn.Linear(2 * NODES, NODES) for _ in range(3)]
    layer = ColouredMessagePassing([OfTheSource(NODES, NODES)], functions)
    graph = complete_graph(np.zeros((6, 6), np.int64))
    x, colour = torch.randn(6, NODES), torch.tensor([2, 0, 1, 0, 2, 2])
    found = layer(x, torch.zeros(36, EDGES), graph, colour)
    m = (x @ layer.edge_functions[0].weight.T + layer.edge_functions[0].bias).sum(0)
    for i in range(6):
        torch.testing.assert_close(found[i], functions[colour[i]](torch.cat([m, x[i]])))


def test_pools():
    batch = random_batch(sizes=(3, 1))
    x = torch.arange(4.0)[:, None]
    assert pool(x, batch).tolist() == [[1.0], [3.0]]
    assert pool(x, batch, "sum").tolist() == [[3.0], [3.0]]


def test_tied_weights_start_within_the_fan_in_of_their_channels():
    function = EdgeFunction([cell_pattern("aP")], 100, 20)
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
    torch.testing.assert_close(update(torch.cat([m, x], dim=1)), expected)
