"""CGCNN: sizes, and the formulas of its paper by loops over atoms and bonds."""

import numpy as np
import pytest
import torch

from ecn.models import build
from ecn.testing import random_batch
from ecn.training.presets import PRESETS
from mpclean.errors import UserError

#: Of the authors of ECN.
REDUCED = PRESETS["reduced"].options["cgcnn"]


def softplus(t):
    return np.log1p(np.exp(t))


def relu(t):
    return np.maximum(t, 0.0)


def sigmoid(t):
    return 1.0 / (1.0 + np.exp(-t))


def linear(weights, name, t):
    return t @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def small(**options):
    torch.manual_seed(0)
    return build("cgcnn", {"width": 6, "n_layers": 2, "head_width": 5} | options).double().eval()


def reference(model, batch):
    """The paper's eq. 5 and its output layers, one atom and one bond at a time."""
    config = model.config
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    act = {"softplus": softplus, "relu": relu}[config.activation]
    centres = model.basis.centres.numpy()
    x = np.stack([linear(weights, "site", np.eye(103)[z - 1]) for z in batch.atomic_numbers.numpy()])
    bonds = [tensor.tolist() for tensor in (batch.edge_source, batch.edge_target, batch.edge_length)]
    for k in range(config.n_layers):
        total = np.zeros_like(x)
        for j, i, d in zip(*bonds, strict=True):
            z = np.concatenate([x[i], x[j], np.exp(-(((d - centres) / config.basis_width) ** 2))])
            gate = sigmoid(linear(weights, f"convolutions.{k}.lin_f", z))
            total[i] += gate * softplus(linear(weights, f"convolutions.{k}.lin_s", z))
        if config.batch_norm:
            norm = f"convolutions.{k}.bn.module"
            total = (total - weights[f"{norm}.running_mean"]) / np.sqrt(weights[f"{norm}.running_var"] + 1e-5)
            total = total * weights[f"{norm}.weight"] + weights[f"{norm}.bias"]
        x = act(x + total)
    of_crystal = batch.crystal.numpy()
    pooled = np.stack([act(x[of_crystal == k].mean(axis=0)) for k in range(batch.n_crystals)])
    return linear(weights, "output", act(linear(weights, "hidden", pooled)))[:, 0]


@pytest.mark.parametrize("options", [{}, REDUCED])
def test_the_formulas_of_the_paper(options):
    model, batch = small(**options), random_batch()
    if model.config.batch_norm:
        model.train()(batch)  # statistics of its own
        model.eval()
    torch.testing.assert_close(
        model(batch).detach(), torch.from_numpy(reference(model, batch)), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize(
    ("options", "count"),
    [
        # site, convolutions, their norms, output layers
        ({}, 104 * 64 + 3 * 2 * (2 * 64 + 41 + 1) * 64 + 3 * 2 * 64 + 65 * 128 + 129),
        (REDUCED, 104 * 64 + 2 * 2 * (2 * 64 + 10 + 1) * 64 + 65 * 128 + 129),
    ],
)
def test_parameter_counts(options, count):
    model = build("cgcnn", options)
    assert sum(p.numel() for p in model.parameters()) == count


def test_the_distances_of_the_paper():
    """41 Gaussians from 0 to 8 A, 0.2 A apart and 0.2 A wide."""
    features = build("cgcnn", {}).basis(torch.tensor([0.0, 2.1]))
    assert features.shape == (2, 41)
    torch.testing.assert_close(features[0, :3], torch.exp(torch.tensor([0.0, -1.0, -4.0])))
    torch.testing.assert_close(features[1, 10:12], torch.exp(torch.tensor([-0.25, -0.25])))


def test_batch_norm_has_the_statistics_of_the_pass():
    model, batch = small(n_layers=1).train(), random_batch()
    kept = {}
    model.convolutions[0].bn.register_forward_hook(lambda *hook: kept.update(output=hook[-1]))
    model(batch)
    torch.testing.assert_close(kept["output"].mean(0), torch.zeros(6, dtype=torch.float64))
    assert (kept["output"].var(0, correction=0) - 1).abs().max() < 1e-2


def test_a_pass_of_one_atom_can_be_trained_on():
    """A single value has no variance: the running statistics stand in."""
    model, batch = small(), random_batch(sizes=(1,))
    expected = model(batch)
    torch.testing.assert_close(model.train()(batch), expected)


def test_an_unknown_activation_is_named():
    with pytest.raises(UserError, match=r"activation = 'tanh' is not one of softplus, relu"):
        build("cgcnn", {"activation": "tanh"})
