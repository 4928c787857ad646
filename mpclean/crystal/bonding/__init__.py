"""Bonds between atoms: the tessellation, the graph, what it connects."""

from mpclean.crystal.bonding.graph import BondGraph, MissingRadiusError, bond_graph, radius_graph
from mpclean.crystal.bonding.topology import Topology, topology
from mpclean.crystal.bonding.voronoi import TessellationError

__all__ = [
    "BondGraph",
    "MissingRadiusError",
    "TessellationError",
    "Topology",
    "bond_graph",
    "radius_graph",
    "topology",
]
