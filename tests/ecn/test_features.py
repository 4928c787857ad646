import math

import torch

from ecn.features import N_ELEMENTS, GaussianBasis, element_one_hot


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
