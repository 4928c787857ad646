"""The coarsest equitable partition, against colour refinement by the book."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecn.symmetry.partition import coarsest_partition, equal_lengths, is_equitable, quotient


def by_the_book(label, source, target, edge_label):
    """Refine by multisets in Python until nothing changes."""
    classes = [int(x) for x in label]
    while True:
        received = [Counter() for _ in classes]
        for j, i, edge in zip(source.tolist(), target.tolist(), edge_label.tolist(), strict=True):
            received[i][edge, classes[j]] += 1
        keys = [(c, frozenset(r.items())) for c, r in zip(classes, received, strict=True)]
        numbers = {key: k for k, key in enumerate(dict.fromkeys(keys))}
        finer = [numbers[key] for key in keys]
        if len(set(finer)) == len(set(classes)):
            return np.array(finer)
        classes = finer


@st.composite
def multigraphs(draw):
    n = draw(st.integers(1, 9))
    nodes = st.integers(0, n - 1)
    edges = draw(st.lists(st.tuples(nodes, nodes, st.integers(-1, 2)), max_size=25))
    label = draw(st.lists(st.integers(-2, 1), min_size=n, max_size=n))
    columns = np.array(edges, dtype=np.int64).reshape(-1, 3).T
    return np.array(label, dtype=np.int64), *columns


@given(multigraphs())
def test_drawn_graphs(graph):
    classes = coarsest_partition(*graph)
    assert np.array_equal(classes, by_the_book(*graph))
    assert is_equitable(classes, *graph[1:])


@given(multigraphs(), st.randoms())
def test_the_order_of_edges_and_the_names_of_labels_do_not_matter(graph, random):
    label, *edges = graph
    order = list(range(len(edges[0])))
    random.shuffle(order)
    source, target, edge_label = (column[order] for column in edges)
    assert np.array_equal(
        coarsest_partition(label, *edges), coarsest_partition(7 - 3 * label, source, target, 11 * edge_label)
    )


def test_a_ring_is_one_node_and_a_path_is_folded():
    ring = np.arange(6)
    both = np.concatenate([ring, (ring + 1) % 6]), np.concatenate([(ring + 1) % 6, ring])
    zeros = np.zeros(12, dtype=np.int64)
    assert coarsest_partition(zeros[:6], *both, zeros).tolist() == [0] * 6
    path = np.arange(4)
    both = np.concatenate([path, path + 1]), np.concatenate([path + 1, path])
    assert coarsest_partition(zeros[:5], *both, zeros[:8]).tolist() == [0, 1, 2, 1, 0]


def test_two_graphs_that_refinement_cannot_tell_apart():
    """One ring of six and two of three: its known limit, so their nodes share a class."""
    six, three = np.arange(6), np.array([0, 1, 2])
    source = np.concatenate([six, 6 + three, 9 + three])
    target = np.concatenate([(six + 1) % 6, 6 + (three + 1) % 3, 9 + (three + 1) % 3])
    zeros = np.zeros(12, dtype=np.int64)
    assert set(coarsest_partition(zeros, source, target, zeros)) == {0}
    graph = np.repeat([0, 1], 6)  # the number of the graph as the label keeps them apart
    assert np.array_equal(coarsest_partition(graph, source, target, zeros), graph)


def test_a_partition_that_is_not_equitable():
    source, target, zeros = np.array([0, 1]), np.array([1, 2]), np.zeros(3, dtype=np.int64)
    assert not is_equitable(zeros, source, target, zeros[:2])  # node 0 receives nothing
    assert is_equitable(np.arange(3), source, target, zeros[:2])
    swapped = np.array([0, 0, 1, 1]), np.array([0, 1]), np.array([2, 3])
    assert is_equitable(*swapped, np.array([5, 5]))
    assert not is_equitable(*swapped, np.array([5, 6]))  # equally many, another label


def test_sums_that_collide_are_found_out(monkeypatch):
    """With no random bits at all every multiset has the same sum, and the proof refuses the result."""
    source, target, zeros = np.array([0]), np.array([1]), np.zeros(2, dtype=np.int64)

    class Nothing:
        def integers(self, *_, size, dtype):
            return np.zeros(size, dtype)

    rng = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: Nothing() if seed == 0 else rng(seed))
    assert coarsest_partition(zeros, source, target, zeros[:1]).tolist() == [0, 1]


@given(multigraphs(), st.integers(0, 2**32 - 1))
def test_counted_sums_on_the_quotient_are_those_on_the_graph(graph, seed):
    label, source, target, edge_label = graph
    classes = coarsest_partition(*graph)
    found = quotient(classes, source, target, edge_label)
    rng = np.random.default_rng(seed)
    features = rng.normal(size=len(found.first))  # equal within a class, as they always are
    weight = dict(zip(np.unique(edge_label).tolist(), rng.normal(size=9), strict=False))
    weights = np.array([weight[k] for k in edge_label.tolist()])
    whole = np.bincount(target, weights * np.tanh(features[classes[source]]), len(label))
    merged = np.bincount(
        found.target,
        found.count * weights[found.edge] * np.tanh(features[found.source]),
        len(found.first),
    )
    np.testing.assert_allclose(merged[classes], whole, atol=1e-12)
    assert found.size.sum() == len(label)
    assert np.array_equal(found.first, [np.flatnonzero(classes == c)[0] for c in range(len(found.first))])
    assert len({*zip(found.source, found.target, edge_label[found.edge], strict=True)}) == len(found.edge)


def test_no_edges_and_no_nodes():
    none = np.zeros(0, dtype=np.int64)
    assert coarsest_partition(np.array([5, 2, 5]), none, none, none).tolist() == [0, 1, 0]
    assert coarsest_partition(none, none, none, none).tolist() == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lengths_are_cut_where_they_are_far_apart(dtype):
    length = np.array([2.0, 3.0, 2.0000004, 2.1, 2.0, 3.0000005], dtype)
    group = np.array([0, 0, 0, 0, 1, 0])
    assert equal_lengths(length, group, 1e-6).tolist() == [0, 2, 0, 1, 3, 2]
    assert len(set(equal_lengths(length, group, 0.0))) == 6
    assert equal_lengths(length[:0], group[:0], 1e-6).tolist() == []


@given(st.lists(st.floats(0.5, 6.0), min_size=2, max_size=30), st.floats(0.0, 0.1))
def test_lengths_within_the_tolerance_share_a_label(lengths, tolerance):
    length = np.array(lengths)
    label = equal_lengths(length, np.zeros(len(length), np.int64), tolerance)
    near = np.abs(length[:, None] - length) <= tolerance
    assert (label[:, None] == label)[near].all()
