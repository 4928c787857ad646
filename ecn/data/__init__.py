"""A release as tensors: flat arrays, batches, the graph of the supercell."""
