"""What a model asks of a release."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from ecn.data.compatibility import require_areas, require_same_bonds
from ecn.models import build
from ecn.runs.checkpoint import Featuriser
from mpclean.errors import UserError


def of_format(version, bonds="voronoi"):
    """What is asked of a release: its path, its format, and how its bonds were found."""
    parameters = SimpleNamespace(as_dict=lambda: {"bonds": bonds, "min_area": 1e-4, "cutoff": 6.0})
    return SimpleNamespace(
        path="releases/old", manifest=SimpleNamespace(format_version=version, parameters=parameters)
    )


def test_a_model_that_fades_needs_the_areas_of_faces():
    fading, plain = build("schnet", {"fade_area": 0.3}), build("schnet", {"fade_length": 0.3})
    with pytest.raises(UserError, match=r"releases/old: format 1 states no areas.*fade_area=null"):
        require_areas(of_format(1), fading)
    require_areas(of_format(2), fading)
    require_areas(of_format(1, "radius"), fading)  # no faces, so nothing that could come or go with them
    require_areas(of_format(1), plain)


def test_bonds_are_those_that_the_model_knows():
    known = Featuriser(bonds="voronoi", min_area=1e-4, cutoff=6.0, rules=[])
    require_same_bonds(of_format(2), known)
    with pytest.raises(UserError, match="releases/old: built with other bond settings"):
        require_same_bonds(of_format(2), replace(known, min_area=0.5))
