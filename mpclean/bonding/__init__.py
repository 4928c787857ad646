"""Bonds between atoms: the tessellation, the graph, what it connects."""

from mpclean.bonding.graph import BondGraph, MissingRadiusError, bond_graph, radius_graph
from mpclean.bonding.topology import Topology, topology
from mpclean.bonding.voronoi import TessellationError

__all__ = [
    "BondGraph",
    "MissingRadiusError",
    "TessellationError",
    "Topology",
    "bond_graph",
    "radius_graph",
    "topology",
]
