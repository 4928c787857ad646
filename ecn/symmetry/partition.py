"""Equal nodes once: the coarsest equitable partition of a multigraph with labels; integers, no torch.

Why a network cannot tell the nodes of one class apart. A message passing network starts from features that
are a function of the node's label, and in every layer gives a node a function of its own features and of the
multiset of (edge label, features of the source) over the edges that enter it. Two nodes of one class have
equal labels, so equal features at the start; and if all nodes of one class have equal features in a layer,
then, since the partition is equitable (the number of edges with a given label from a given class is the same
for every node of a class), these multisets are equal within a class, and so are the features in the next
layer. By induction they stay equal for ever. Conversely a network with injective functions separates exactly
these classes: this is colour refinement (Weisfeiler & Leman 1968, in one dimension), see Xu et al. 2019
(arXiv 1810.00826) and Grohe 2017 (*Descriptive Complexity*, chapter 3). In a crystal all atoms of an orbit
of the space group lie in one class, so the partition is at least as coarse as the asymmetric unit; it needs
no search for the space group, and no tolerance but that of equal lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Quotient:
    """A graph with one node for each class of a partition, and equal edges merged into one that counts.

    Attributes
    ----------
    node_class
        (N,) int64, class of every node of the graph, 0 to C - 1, in the order of their first nodes.
    first
        (C,) int64, first node of every class: it stands for the others.
    size
        (C,) int64, nodes of every class.
    source, target
        (E',) int64, classes that an edge joins; sorted by target.
    edge
        (E',) int64, an edge of the graph that the merged one stands for.
    count
        (E',) int64, edges that enter one node of the target class with this source class and label.
    """

    node_class: Ints
    first: Ints
    size: Ints
    source: Ints
    target: Ints
    edge: Ints
    count: Ints


def equal_lengths(length: NDArray[np.floating], group: Ints, tolerance: float) -> Ints:
    """Label lengths so that those of one group that are equal within a tolerance share a label.

    Sorted lengths are cut where the next one is farther than the tolerance. So no grid decides: two
    equal lengths never fall on two sides of a boundary, as they may when lengths are rounded. A chain of
    close lengths is one label, whose members may differ by more than the tolerance.

    Parameters
    ----------
    length
        (E,), A.
    group
        (E,) int64, only lengths of one group are compared, such as the crystal of an edge.
    tolerance
        In A; 0 for lengths that are equal to the last bit.

    Returns
    -------
    (E,) int64, from 0; those of different groups differ.
    """
    order = np.lexsort((length, group))
    cut = np.empty(len(order), dtype=bool)
    cut[:1] = False
    cut[1:] = (np.diff(group[order]) != 0) | (np.diff(length[order].astype(np.float64)) > tolerance)
    label = np.empty(len(order), dtype=np.int64)
    label[order] = np.cumsum(cut)
    return label


def coarsest_partition(label: Ints, source: Ints, target: Ints, edge_label: Ints) -> Ints:
    """Find the coarsest equitable partition that refines the labels of the nodes.

    Nodes share a class if their labels are equal and, for every class and every edge label, as many edges
    with that label enter them from that class. Several graphs are partitioned at once as one graph without
    edges between them; give the number of the graph with the label where classes must not span graphs.

    Each round sorts the edges once. Multisets are compared by sums of 64 random bits for each (edge label,
    class of the source), which can only make classes too coarse; so the result is proven by exact
    comparison (`is_equitable`), and found again with other bits in the case that never happens.

    Parameters
    ----------
    label
        (N,) int64, of any values.
    source, target
        (E,) int64, nodes that an edge leaves and enters.
    edge_label
        (E,) int64, of any values: colour and length class, say.

    Returns
    -------
    (N,) int64, class of every node, numbered from 0 in the order of their first nodes.
    """
    _, edge_label = np.unique(edge_label, return_inverse=True)
    order = np.argsort(target, kind="stable")
    source, target, edge_label = source[order], target[order], edge_label[order]
    entered, begins = np.unique(target, return_index=True)
    for seed in range(64):
        rng = np.random.default_rng(seed)
        classes = _numbered(label)
        while True:
            _, message = np.unique(_pairs(edge_label, classes[source]), return_inverse=True)
            bits = rng.integers(2**64, size=1 + message.max(initial=0), dtype=np.uint64)
            received = np.zeros(len(label), dtype=np.uint64)
            if len(entered):
                received[entered] = np.add.reduceat(bits[message], begins)  # modulo 2^64, which is no loss
            _, received_class = np.unique(received, return_inverse=True)
            finer = _numbered(_pairs(classes, received_class))
            # A partition that refines another and is no larger is the same one.
            if finer.max(initial=-1) == classes.max(initial=-1):
                break
            classes = finer
        if is_equitable(classes, source, target, edge_label):
            return classes
    raise AssertionError("64 sets of random bits in a row gave equal sums for different multisets")


def is_equitable(classes: Ints, source: Ints, target: Ints, edge_label: Ints) -> bool:
    """Tell whether the nodes of every class receive equal multisets of (edge label, class of the source).

    Parameters
    ----------
    classes
        (N,) int64, from 0.
    source, target, edge_label
        (E,) int64, as for `coarsest_partition`.
    """
    code = _pairs(edge_label, classes[source])
    order = np.lexsort((code, target))
    code, target = code[order], target[order]
    degree = np.bincount(target, minlength=len(classes))
    begin = np.cumsum(degree) - degree
    first = _firsts(classes)[classes]
    if not np.array_equal(degree, degree[first]):
        return False
    place = np.arange(len(code)) - begin[target]
    return bool(np.array_equal(code, code[begin[first[target]] + place]))


def quotient(classes: Ints, source: Ints, target: Ints, edge_label: Ints) -> Quotient:
    """Collapse a graph to one node per class of an equitable partition.

    The edges that enter the first node of every class are kept; those with equal label and source class
    become one edge with their count. A sum over the edges that enter a node of the graph equals the
    counted sum over the edges that enter its class.

    Parameters
    ----------
    classes
        (N,) int64, as `coarsest_partition` gives them.
    source, target, edge_label
        (E,) int64, as for `coarsest_partition`.
    """
    first = _firsts(classes)
    stands = np.zeros(len(classes), dtype=bool)
    stands[first] = True
    edges = np.flatnonzero(stands[target])
    keys = np.stack([classes[target[edges]], classes[source[edges]], edge_label[edges]])
    order = np.lexsort(keys[::-1])
    keys = keys[:, order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    begins = np.flatnonzero(new)
    return Quotient(
        node_class=classes,
        first=first,
        size=np.bincount(classes, minlength=len(first)),
        source=keys[1, begins],
        target=keys[0, begins],
        edge=edges[order[begins]],
        count=np.diff(np.append(begins, len(order))),
    )


def _firsts(classes: Ints) -> Ints:
    """(C,) the first node of every class."""
    return np.unique(classes, return_index=True)[1].astype(np.int64)


def _numbered(label: Ints) -> Ints:
    """Labels numbered from 0 in the order in which they first appear."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _pairs(a: Ints, b: Ints) -> Ints:
    """One integer for every pair of labels from 0; the products of two counts of nodes or edges fit."""
    return a.astype(np.int64) * (1 + b.max(initial=0)) + b
