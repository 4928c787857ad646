"""The vocabulary: columns, elements, ids, functionals, and text for every medium."""
