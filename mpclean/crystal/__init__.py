"""A crystal: the type, its cells, its bonds, and what makes two crystals similar."""
