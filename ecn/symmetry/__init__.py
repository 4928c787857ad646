"""Groups that act on the cells of a supercell, and the weights that layers share under them."""
