"""From the rows of a release to batches, against the rows themselves."""

import numpy as np
import pytest
import torch

from ecn.data.rows import load_part, open_release
from ecn.targets.tasks import task
from mpclean.errors import UserError


@pytest.fixture
def train(release):
    return load_part(open_release(release), "train", [task("formation_energy")])


def labelled(rows):
    return [row for row in rows if row["formation_energy_per_atom"] is not None]


def test_rows_without_a_label_are_left_out_and_counted(train, rows):
    assert train.material_ids == [row["material_id"] for row in labelled(rows["train"])]
    assert train.n_excluded == len(rows["train"]) - len(train) == 6
    expected = [row["formation_energy_per_atom"] for row in labelled(rows["train"])]
    np.testing.assert_allclose(train.labels[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("index", [[0], [5, 5, 2], [53, 0, 17]])
def test_a_batch_holds_the_graphs_of_its_rows(train, rows, index):
    batch = train.crystals.batch(torch.tensor(index))
    chosen = [labelled(rows["train"])[k] for k in index]
    first = 2 * np.arange(len(index))  # rock salts have two atoms
    stacked = {
        name: np.concatenate([row[name] for row in chosen]) for name in chosen[0] if name.startswith("edge")
    }
    shift = np.concatenate(
        [np.full(len(row["edge_source"]), f) for row, f in zip(chosen, first, strict=True)]
    )
    assert batch.n_crystals == len(index)
    assert batch.crystal.tolist() == np.repeat(np.arange(len(index)), 2).tolist()
    assert batch.atomic_numbers.tolist() == np.concatenate([row["atomic_numbers"] for row in chosen]).tolist()
    assert batch.edge_source.tolist() == (stacked["edge_source"] + shift).tolist()
    assert batch.edge_target.tolist() == (stacked["edge_target"] + shift).tolist()
    assert batch.edge_image.tolist() == stacked["edge_image"].reshape(-1, 3).tolist()
    np.testing.assert_allclose(batch.edge_length, stacked["edge_length"], rtol=1e-6)


def test_passes_are_even_and_in_order(train):
    index = torch.arange(len(train)).flip(0)
    work = 14  # a rock salt: two atoms, twelve bonds
    parts = train.crystals.passes(index, max_edges=10 * work)
    assert torch.equal(torch.cat(parts), index)
    assert [len(part) for part in parts] == [9] * 6
    assert [len(part) for part in train.crystals.passes(index, max_edges=1)] == [1] * len(train)
    assert len(train.crystals.passes(index, max_edges=10**9)) == 1


def test_a_limit_draws_rows_by_seed(release):
    draws = [
        load_part(
            open_release(release), "train", [task("formation_energy")], limit=10, seed=seed
        ).material_ids
        for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert len(draws[0]) == 10


def test_band_gaps_are_those_of_insulators(release, rows):
    gaps = load_part(open_release(release), "train", [task("band_gap")])
    assert 0 < gaps.n_excluded < len(rows["train"])
    assert len(gaps) == sum(row["is_insulator"] for row in rows["train"])
    assert gaps.labels.min() > 0


def test_metals_are_where_there_is_no_insulator(release, rows):
    metals = load_part(open_release(release), "train", [task("is_metal")])
    assert metals.labels[:, 0].tolist() == [float(row["atomic_numbers"][1] == 37) for row in rows["train"]]
    assert 0 < metals.labels.mean() < 1


@pytest.mark.parametrize(
    ("target", "split", "message"),
    [
        ("fermi_energy", "train", "efermi is null in every row of the part 'train'"),
        (
            "heat_all",
            "train",
            "no column 'heat_all', so no target 'heat_all'; targets that this release has: formation_energy",
        ),
    ],
)
def test_a_target_that_the_release_has_not_is_named(release, target, split, message):
    with pytest.raises(UserError, match=message):
        load_part(open_release(release), split, [task(target)])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("formation_energy_per_atom", float("nan"), "formation_energy_per_atom is no finite number"),
        ("atomic_numbers", [11, 104], "an element outside H to Lr"),
        ("atomic_numbers", [11, 0], "atomic_numbers: no finite number in"),
        ("lattice", None, "lattice: null"),
        ("edge_source", [0, 1, 2], "edge_target: not 1 values for each of edge_source"),
        ("edge_target", [7] * 12, "edge_target: beyond atomic_numbers"),
        ("edge_length", [float("nan")] * 12, "edge_length: no finite number in"),
        ("bravais_lattice", "cK", "bravais_lattice: not one of aP, "),
    ],
)
def test_damaged_rows_are_named(make_release, rows, column, value, message):
    rows["train"][3][column] = value
    with pytest.raises(UserError, match=rf"{message}.* \(1 (rows|records), first test-3"):
        load_part(open_release(make_release(train=rows["train"])), "train", [task("formation_energy")])


def test_a_split_without_rows_is_named(make_release, rows):
    with pytest.raises(UserError, match="no rows in the part 'test'"):
        load_part(open_release(make_release(train=rows["train"])), "test", [task("formation_energy")])


def test_no_release_is_named(tmp_path):
    with pytest.raises(UserError, match="no such release"):
        open_release(tmp_path / "nothing")
