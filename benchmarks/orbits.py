"""Time to find the orbits of the edges of a large graph, beside a loop over a disjoint-set forest.

::

    python benchmarks/orbits.py
"""

from __future__ import annotations

import time

import numpy as np
from common import save
from scipy.cluster.hierarchy import DisjointSet

from ecn.sharing import pair_orbits

NODES, DEGREE = 5_000, 20


def graph() -> tuple[np.ndarray, list[np.ndarray]]:
    """A circulant graph of 5,000 nodes and 100,000 edges, and ten of the rotations that keep it."""
    rng = np.random.default_rng(0)
    nodes = np.arange(NODES)
    steps = rng.choice(np.arange(1, NODES), DEGREE, replace=False)
    pairs = np.concatenate([np.stack([nodes, (nodes + step) % NODES], axis=1) for step in steps])
    turns = 50 * rng.choice(np.arange(1, 100), 10, replace=False)
    return rng.permutation(pairs), [(nodes + turn) % NODES for turn in turns]


def forest(pairs: np.ndarray, generators: list[np.ndarray]) -> int:
    """The number of orbits by SciPy's disjoint-set forest, one edge at a time."""
    sets = DisjointSet(map(tuple, pairs.tolist()))
    for g in generators:
        image = g[pairs]
        for pair, moved in zip(pairs.tolist(), image.tolist(), strict=True):
            sets.merge(tuple(pair), tuple(moved))
    return sets.n_subsets


def main() -> None:
    pairs, generators = graph()
    began = time.perf_counter()
    colours = pair_orbits(generators, pairs)
    fast = time.perf_counter() - began
    began = time.perf_counter()
    n_orbits = forest(pairs, generators)
    slow = time.perf_counter() - began
    assert n_orbits == colours.max() + 1
    save(
        "orbits",
        "Orbits of the edges of a graph",
        ["how", "s", "orbits"],
        [
            ["ecn.sharing.pair_orbits", f"{fast:.2f}", f"{colours.max() + 1:,}"],
            ["scipy.cluster.hierarchy.DisjointSet, edge by edge", f"{slow:.2f}", f"{n_orbits:,}"],
        ],
        f"{NODES:,} nodes, {len(pairs):,} edges, {len(generators)} generators.",
        seconds=fast,
    )


if __name__ == "__main__":
    main()
