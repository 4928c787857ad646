"""A trained run as a folder: checkpoint, card, export, reference models, benchmark grids."""
