"""Time to find the orbits of the edges of large graphs, beside a loop over a disjoint-set forest.

::

    python benchmarks/orbits.py
"""

from __future__ import annotations

import time

import numpy as np
from common import save
from scipy.cluster.hierarchy import DisjointSet

from ecn.symmetry.sharing import pair_orbits

#: Nodes of the graphs; the forest is asked up to the second.
NODES, DEGREE = (500, 5_000, 50_000), 20


def graph(n_nodes: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """A circulant graph with twenty edges a node, and ten of the rotations that keep it."""
    rng = np.random.default_rng(0)
    nodes = np.arange(n_nodes)
    steps = rng.choice(np.arange(1, n_nodes), DEGREE, replace=False)
    pairs = np.concatenate([np.stack([nodes, (nodes + step) % n_nodes], axis=1) for step in steps])
    turns = n_nodes // 100 * rng.choice(np.arange(1, 100), 10, replace=False)
    return rng.permutation(pairs), [(nodes + turn) % n_nodes for turn in turns]


def forest(pairs: np.ndarray, generators: list[np.ndarray]) -> int:
    """The number of orbits by SciPy's disjoint-set forest, one edge at a time."""
    sets = DisjointSet(map(tuple, pairs.tolist()))
    for g in generators:
        image = g[pairs]
        for pair, moved in zip(pairs.tolist(), image.tolist(), strict=True):
            sets.merge(tuple(pair), tuple(moved))
    return sets.n_subsets


def main() -> None:
    rows, seconds = [], {}
    for n_nodes in NODES:
        pairs, generators = graph(n_nodes)
        began = time.perf_counter()
        colours = pair_orbits(generators, pairs)
        seconds[n_nodes] = time.perf_counter() - began
        slow = "-"
        if n_nodes <= NODES[1]:
            began = time.perf_counter()
            n_orbits = forest(pairs, generators)
            slow = f"{time.perf_counter() - began:.2f}"
            assert n_orbits == colours.max() + 1
        row = [f"{n_nodes:,}", f"{len(pairs):,}", f"{colours.max() + 1:,}", f"{seconds[n_nodes]:.3f}", slow]
        rows.append(row)
    save(
        "orbits",
        "Orbits of the edges of a graph",
        [
            "nodes",
            "edges",
            "orbits",
            "s, ecn.symmetry.sharing.pair_orbits",
            "s, scipy's DisjointSet edge by edge",
        ],
        rows,
        f"{len(generators)} generators.",
        seconds=seconds,
    )


if __name__ == "__main__":
    main()
