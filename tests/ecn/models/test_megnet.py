"""MEGNet: its published size, and the formulas of its paper by loops over atoms and bonds."""

import numpy as np
import torch

from ecn.models import build
from ecn.testing import random_batch


def ssp(t):
    return np.log(0.5 * np.exp(t) + 0.5)


def linear(weights, name, t):
    return t @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def mlp(weights, name, t, n_linear):
    for k in range(n_linear):
        t = ssp(linear(weights, f"{name}.{2 * k}", t))
    return t


def small(**options):
    torch.manual_seed(0)
    return build("megnet", {"width": 6, "n_layers": 2} | options).double()


def mean(rows):
    return rows.mean(axis=0) if len(rows) else np.zeros(rows.shape[1])


def block(weights, name, x, e, u, batch, dense):
    """The updates one bond, one atom and one crystal at a time, and the skip connections."""

    def update(what, *inputs):
        return mlp(weights, f"{name}.layer.{what}_model.mlp", np.concatenate(inputs), 3)

    before = x, e, u
    if dense:
        x, e, u = (mlp(weights, f"{name}.dense.{k}", t, 2) for k, t in enumerate(before))
    j, i, site = batch.edge_source.numpy(), batch.edge_target.numpy(), batch.crystal.numpy()
    bond = site[i]
    e = np.stack([update("edge", x[j[k]], x[i[k]], e[k], u[bond[k]]) for k in range(len(e))])
    x = np.stack([update("node", mean(e[i == a]), x[a], u[site[a]]) for a in range(len(x))])
    u = np.stack([update("global", mean(e[bond == c]), mean(x[site == c]), u[c]) for c in range(len(u))])
    return tuple(old + new for old, new in zip(before, (x, e, u), strict=True))


def set2set(weights, name, rows):
    """Vinyals et al. 2016, eq. 3 to 7: three steps over the rows of one crystal."""
    rows = linear(weights, f"{name}.linear", rows)
    width = rows.shape[1]
    query, cell, output = np.zeros(width), np.zeros(width), np.zeros(2 * width)
    lstm = f"{name}.attention.lstm"
    for _ in range(3):
        gates = weights[f"{lstm}.weight_ih_l0"] @ output + weights[f"{lstm}.bias_ih_l0"]
        gates = gates + weights[f"{lstm}.weight_hh_l0"] @ query + weights[f"{lstm}.bias_hh_l0"]
        enter, forget, new, leave = np.split(gates, 4)
        cell = cell / (1 + np.exp(-forget)) + np.tanh(new) / (1 + np.exp(-enter))
        query = np.tanh(cell) / (1 + np.exp(-leave))
        attention = np.exp(rows @ query)
        output = np.concatenate([query, attention @ rows / attention.sum()])
    return output


def reference(model, batch):
    config = model.config
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    centres = model.basis.centres.numpy()
    features = np.exp(-(((batch.edge_length.numpy()[:, None] - centres) / config.basis_width) ** 2))
    x = mlp(weights, "site", weights["embedding.weight"][batch.atomic_numbers.numpy() - 1], 2)
    e = mlp(weights, "bond", features, 2)
    # Two zeros times any weight, and the bias.
    u = np.tile(ssp(linear(weights, "state.1", ssp(weights["state_bias"]))), (batch.n_crystals, 1))
    for k in range(config.n_layers):
        x, e, u = block(weights, f"blocks.{k}", x, e, u, batch, dense=k > 0)
    of_site = batch.crystal.numpy()
    of_bond = of_site[batch.edge_source.numpy()]
    pooled = [
        np.concatenate(
            [
                set2set(weights, "site_readout", x[of_site == c]),
                set2set(weights, "bond_readout", e[of_bond == c]),
                u[c],
            ]
        )
        for c in range(batch.n_crystals)
    ]
    return linear(weights, "head.4", mlp(weights, "head", np.stack(pooled), 2))[:, 0]


def test_the_formulas_of_the_paper():
    model, batch = small(), random_batch()
    expected = torch.from_numpy(reference(model, batch))
    # The shift of the softplus is ln 2 in single precision.
    torch.testing.assert_close(model(batch).detach(), expected, rtol=1e-7, atol=1e-7)


def test_the_parameter_count_is_the_published_one():
    """Matbench Discovery counts 167,761 in the authors' model of energies, of 95 elements."""
    elements = (103 - 95) * 16
    state = -2 * 64  # weights of the two zeros
    lstm = 2 * (4 * 16 * 16 + 4 * 16)  # of two readouts, for the output of the step before
    count = sum(p.numel() for p in build("megnet", {}).parameters())
    assert count == 167_761 + elements + state + lstm


def test_the_distances_of_the_paper():
    """100 Gaussians from 0 to 5 A, 0.5 A wide."""
    features = build("megnet", {}).basis(torch.tensor([5.0]))
    assert features.shape == (1, 100)
    torch.testing.assert_close(features[0, -1], torch.tensor(1.0))
    torch.testing.assert_close(features[0, -2], torch.exp(torch.tensor(-((5 / 99 / 0.5) ** 2))))


def test_an_atom_without_bonds_has_no_message():
    """The mean over no bonds is zero, not a quotient of zeros."""
    model, batch = small(), random_batch(sizes=(3,))
    kept = (batch.edge_source != 0) & (batch.edge_target != 0)
    lonely = batch.with_bonds(kept)
    expected = torch.from_numpy(reference(model, lonely))
    torch.testing.assert_close(model(lonely).detach(), expected, rtol=1e-7, atol=1e-7)
