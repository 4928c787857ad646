import math

import torch

from ecn.models.features import (
    N_ELEMENTS,
    BesselBasis,
    GaussianBasis,
    element_one_hot,
    envelope,
    group_period_encoding,
    period_and_column,
)
from mpclean.vocabulary.elements import ATOMIC_NUMBERS


def test_elements_from_hydrogen_to_lawrencium():
    encoded = element_one_hot(torch.tensor([1, 103]), torch.float32)
    assert encoded.shape == (2, N_ELEMENTS)
    assert encoded.sum() == 2
    assert encoded[0, 0] == encoded[1, 102] == 1


def test_gaussians_have_no_factor_of_two():
    basis = GaussianBasis(20, 6.0, 0.6)
    value = basis(torch.tensor([6.0 - 0.6]))
    assert value.shape == (1, 20)
    assert math.isclose(float(value[0, -1]), math.exp(-1), rel_tol=1e-6)
    assert float(basis(torch.zeros(1))[0, 0]) == 1.0


def test_places_in_the_long_form_of_the_periodic_table():
    """Period and column from 0, of 32 columns: 2 s, 14 f, 10 d, 6 p."""
    known = {
        "H": (0, 0),
        "He": (0, 31),
        "Li": (1, 0),
        "Be": (1, 1),
        "B": (1, 26),
        "Ne": (1, 31),
        "Mg": (2, 1),
        "Al": (2, 26),
        "Ca": (3, 1),
        "Sc": (3, 16),
        "Zn": (3, 25),
        "Ga": (3, 26),
        "Ba": (5, 1),
        "La": (5, 2),
        "Yb": (5, 15),
        "Lu": (5, 16),
        "Hg": (5, 25),
        "Lr": (6, 16),
    }
    assert {symbol: period_and_column(ATOMIC_NUMBERS[symbol]) for symbol in known} == known


def test_every_element_has_a_place_of_its_own():
    encoded = group_period_encoding(torch.arange(1, 104), torch.float64)
    assert encoded.shape == (103, 39)
    assert (encoded.sum(dim=1) == 2).all()
    assert (encoded[:, :7].sum(dim=1) == 1).all()
    assert len(encoded.unique(dim=0)) == 103


def test_bessel_functions_and_their_limit_at_zero():
    basis = BesselBasis(3, 6.0).double()
    d = torch.tensor([0.0, 1e-6, 1.7, 6.0], dtype=torch.float64)
    found = basis(d)
    assert torch.allclose(found[0], found[1], rtol=1e-5)
    assert torch.allclose(found[3], torch.zeros(3, dtype=torch.float64), atol=1e-6)
    for k in range(3):
        expected = math.sqrt(2 / 6.0) * math.sin((k + 1) * math.pi * 1.7 / 6.0) / 1.7
        assert math.isclose(float(found[2, k]), expected, rel_tol=1e-6)


def test_the_envelope_ends_smoothly():
    d = torch.tensor([0.0, 2.5, 5.0, 7.0], dtype=torch.float64)
    assert envelope(d, 5.0).tolist() == [1.0, 1 - 28 / 64 + 48 / 128 - 21 / 256, 0.0, 0.0]
    # Just below the end only the third derivative is left, -2.7 per A^3.
    below = torch.tensor(4.9999, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(envelope(below, 5.0), below, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, below)
    assert 0.0 < -slope < 1e-7
    assert 0.0 < curvature < 1e-3
