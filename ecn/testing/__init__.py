"""For networks of one's own: batches to try them on, assertions, and measurements.

The tests that every model must pass are in `ecn.testing.model_tests`, which needs pytest.
"""

from ecn.testing.assertions import assert_batching_invariant, assert_equivariant, assert_quotient_equal
from ecn.testing.batches import crystals_of, perovskite_batch, random_batch
from ecn.testing.cell_choice import cell_choice_spread, equivalent_cells
from ecn.testing.continuity import displaced, largest_changes
from ecn.testing.permutations import colour_under, node_permutation, permute_nodes, permuted_graph

__all__ = [
    "assert_batching_invariant",
    "assert_equivariant",
    "assert_quotient_equal",
    "cell_choice_spread",
    "colour_under",
    "crystals_of",
    "displaced",
    "equivalent_cells",
    "largest_changes",
    "node_permutation",
    "permute_nodes",
    "permuted_graph",
    "perovskite_batch",
    "random_batch",
]
