"""SchNet: sizes, and the formulas of its paper by loops over atoms and bonds."""

import numpy as np
import torch

from ecn.models import build
from ecn.testing import random_batch


def ssp(t):
    return np.log(0.5 * np.exp(t) + 0.5)


def linear(weights, name, t):
    return t @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def small(**options):
    torch.manual_seed(0)
    model = build("schnet", {"width": 6, "n_layers": 2} | options).double()
    for name, weight in model.named_parameters():
        if name.endswith("bias"):  # they begin at zero, where they would test nothing
            torch.nn.init.normal_(weight)
    return model


def reference(model, batch):
    """Continuous-filter convolutions, one atom and one bond at a time."""
    config = model.config
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    centres = model.basis.centres.numpy()
    x = weights["embedding.weight"][batch.atomic_numbers.numpy() - 1]
    bonds = [tensor.tolist() for tensor in (batch.edge_source, batch.edge_target, batch.edge_length)]
    for k in range(config.n_layers):
        block = f"interactions.{k}"
        total = np.zeros_like(x)
        for j, i, d in zip(*bonds, strict=True):
            features = np.exp(-10.0 * (d - centres) ** 2)
            filters = linear(
                weights, f"{block}.conv.nn.2", ssp(linear(weights, f"{block}.conv.nn.0", features))
            )
            cut = 0.5 * (np.cos(np.pi * d / config.cutoff) + 1.0) if d < config.cutoff else 0.0
            total[i] += (weights[f"{block}.conv.lin1.weight"] @ x[j]) * filters * cut
        x = x + linear(weights, f"{block}.lin", ssp(linear(weights, f"{block}.conv.lin2", total)))
    outputs = linear(weights, "head.2", ssp(linear(weights, "head.0", x)))[:, 0]
    of_crystal = batch.crystal.numpy()
    return torch.tensor([outputs[of_crystal == k].mean() for k in range(batch.n_crystals)])


def test_the_formulas_of_the_paper():
    model, batch = small(), random_batch()
    # The shift of the softplus is ln 2 in single precision.
    torch.testing.assert_close(model(batch).detach(), reference(model, batch), rtol=1e-7, atol=1e-7)


def test_bonds_beyond_the_cutoff_do_not_count():
    model, batch = small(cutoff=3.0), random_batch()
    near = batch.edge_length < 3.0
    assert 0 < near.sum() < len(near)
    torch.testing.assert_close(model(batch), model(batch.with_bonds(near)))


def test_the_distances_of_the_paper():
    """A Gaussian every 0.1 A with gamma = 10 / A^2."""
    features = build("schnet", {}).basis(torch.tensor([2.05]))
    assert features.shape == (1, 61)
    torch.testing.assert_close(features[0, 19:23], torch.exp(-10 * torch.tensor([15, 5, 5, 15]) ** 2 * 1e-4))


def test_the_parameter_count():
    filters, atom_wise, output = 62 * 64 + 65 * 64, 64 * 64 + 2 * 65 * 64, 65 * 32 + 33
    count = sum(p.numel() for p in build("schnet", {}).parameters())
    assert count == 103 * 64 + 6 * (filters + atom_wise) + output
