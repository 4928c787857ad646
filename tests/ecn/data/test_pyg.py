"""A release as a data set of PyTorch Geometric."""

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from torch_geometric.loader import DataLoader
from torch_geometric.nn import CGConv, global_mean_pool

import ecn
import mpclean
from mpclean.errors import UserError


def test_a_crystal_is_its_row(release):
    crystals = ecn.pyg_dataset(release, "train")
    table = mpclean.open_release(release).table("train")
    rows = table.filter(pc.field("formation_energy_per_atom").is_valid()).to_pylist()
    assert len(crystals) == len(rows) < len(table)
    for crystal, row in zip(crystals, rows, strict=True):
        lattice = np.reshape(row["lattice"], (3, 3))
        assert crystal.material_id == row["material_id"]
        assert crystal.z.tolist() == row["atomic_numbers"]
        assert crystal.edge_index.tolist() == [row["edge_source"], row["edge_target"]]
        assert crystal.edge_image.flatten().tolist() == row["edge_image"]
        assert crystal.y.item() == pytest.approx(row["formation_energy_per_atom"])
        np.testing.assert_allclose(crystal.cell[0], lattice, rtol=1e-6)
        np.testing.assert_allclose(crystal.edge_attr[:, 0], row["edge_length"], rtol=1e-6)
        np.testing.assert_allclose(
            crystal.pos, np.reshape(row["frac_coords"], (-1, 3)) @ lattice, rtol=0, atol=1e-5
        )


def test_bonds_of_a_batch_have_their_lengths(release):
    (batch,) = DataLoader(ecn.pyg_dataset(release, "validation"), batch_size=100)
    source, target = batch.edge_index
    assert torch.equal(batch.batch[source], batch.batch[target])
    shift = torch.einsum("ei,eij->ej", batch.edge_image, batch.cell[batch.batch[source]])
    length = (batch.pos[target] + shift - batch.pos[source]).norm(dim=1)
    torch.testing.assert_close(length, batch.edge_attr[:, 0], rtol=0, atol=1e-5)


def test_a_model_that_is_not_ours_learns(release):
    torch.manual_seed(0)
    embedding, convolution, head = torch.nn.Embedding(100, 16), CGConv(16, dim=1), torch.nn.Linear(16, 1)
    modules = torch.nn.ModuleList([embedding, convolution, head])
    optimiser = torch.optim.Adam(modules.parameters(), 0.02)
    losses = []
    for _ in range(15):
        for batch in DataLoader(ecn.pyg_dataset(release, "train"), batch_size=64, shuffle=True):
            atoms = convolution(embedding(batch.z), batch.edge_index, batch.edge_attr)
            loss = torch.nn.functional.mse_loss(head(global_mean_pool(atoms, batch.batch)), batch.y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_classes(release):
    labels = {
        crystal.y.item() for crystal in ecn.pyg_dataset(mpclean.open_release(release), "train", "is_metal")
    }
    assert labels == {0.0, 1.0}


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (("valid",), "unknown part 'valid'"),
        (("train", "efermi"), "efermi is null in every row"),
        (("train", "energy"), "unknown target 'energy'"),
        (("train", "formation_energy", "k-fold-1"), "unknown split 'k-fold-1'"),
    ],
)
def test_mistakes(release, choice, says):
    with pytest.raises(UserError, match=says):
        ecn.pyg_dataset(release, *choice)
