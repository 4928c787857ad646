"""Rows that are streamed: every one once an epoch, in bounded memory, by seed."""

import itertools
from dataclasses import fields

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ecn.data.rows import find_rows, open_release
from ecn.data.tensors import CrystalTensors
from ecn.inference.evaluation import evaluate
from ecn.runs import checkpoint
from ecn.targets.tasks import task
from ecn.training import feed
from ecn.training.feed import Feed, must_stream
from ecn.training.run import resume
from mpclean.vocabulary.schema import RELEASE

CPU = torch.device("cpu")

#: Rows of every row group of the release of these tests.
SIZE = 5


@pytest.fixture
def grouped(make_release, rows, reseal):
    """A release whose files have small row groups."""
    folder = make_release(**rows)
    for path in (folder / "data").iterdir():
        split = path.name.partition("-")[0]
        pq.write_table(pa.Table.from_pylist(rows[split], RELEASE), path, row_group_size=SIZE)
    return reseal(folder)


@pytest.fixture
def streamed(grouped):
    rows = find_rows(open_release(grouped), "train", [task("formation_energy")])
    return Feed(rows, CPU, torch.float32, lambda crystals: crystals, streamed=True)


def ids(blocks):
    return [[data.material_ids[k] for k in order.tolist()] for data, order in blocks]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_every_row_comes_once_an_epoch_in_an_order_of_the_seed(streamed):
    everything = streamed.rows.read().material_ids
    epochs = [list(itertools.chain(*ids(streamed.blocks(generator(seed))))) for seed in (0, 0, 1)]
    assert all(sorted(epoch) == sorted(everything) for epoch in epochs)
    assert epochs[0] == epochs[1] != epochs[2]
    assert epochs[0] != everything


def test_no_more_than_a_few_groups_are_in_memory(streamed, monkeypatch):
    read, held = type(streamed.rows).read, []

    def counted(self, groups=None):
        held.append(len(groups))
        return read(self, groups)

    monkeypatch.setattr(type(streamed.rows), "read", counted)
    blocks = streamed.blocks(generator(0))
    first, _ = next(blocks)
    assert held == [feed.SHUFFLED_GROUPS]  # the others are read when they are asked for
    assert len(first) <= feed.SHUFFLED_GROUPS * SIZE < len(streamed)
    assert sum(len(data) for data, _ in blocks) + len(first) == len(streamed)
    assert max(held) == feed.SHUFFLED_GROUPS


def test_rows_in_their_own_order_are_those_of_the_files(streamed):
    assert list(itertools.chain(*ids(streamed.blocks()))) == streamed.rows.read().material_ids


def test_labels_stay_with_their_crystals(streamed):
    whole = streamed.rows.read()
    known = dict(zip(whole.material_ids, whole.labels[:, 0].tolist(), strict=True))
    for data, order in streamed.blocks(generator(3)):
        labels, _ = data.labels_of(order)
        assert labels[:, 0].tolist() == [known[data.material_ids[k]] for k in order.tolist()]


def test_what_does_not_fit_is_streamed(streamed):
    rows = streamed.rows
    single, double = torch.float32, torch.float64
    assert must_stream(rows, len(rows), CPU, single, limit=1e-6)
    assert not must_stream(rows, len(rows), CPU, single, limit=1.0)
    assert not must_stream(rows, len(rows), CPU, single, limit=None)
    assert must_stream(rows, 10**12, CPU, single, limit=None)
    held = (getattr(rows.read([0]).crystals, f.name) for f in fields(CrystalTensors))
    memory = sum(tensor.nbytes for tensor in held if tensor is not None) / 2**30
    n_rows = len(rows.read([0]))
    assert not must_stream(rows, n_rows, CPU, single, limit=1.01 * memory)
    assert must_stream(rows, n_rows, CPU, double, limit=1.01 * memory)


def test_a_streamed_run_is_resumed_within_an_epoch(fit, grouped, tmp_path, interrupt, monkeypatch, capsys):
    settings = {"data_memory": 1e-6, "epochs": 3, "batch_size": 8}
    fit(grouped, tmp_path / "whole", **settings)
    assert "do not fit in memory: they are read from disk in every epoch" in capsys.readouterr().err
    with monkeypatch.context():
        interrupt(step=12)  # in the second block of the second epoch
        fit(grouped, tmp_path / "run", **settings)
        monkeypatch.undo()
    resume(tmp_path / "run", device="cpu")
    whole, run = (checkpoint.load(tmp_path / name) for name in ("whole", "run"))
    assert (whole.epoch, whole.digest) == (run.epoch, run.digest)


def test_validation_does_not_depend_on_how_rows_are_read(fit, grouped, tmp_path, history):
    fit(grouped, tmp_path / "run", data_memory=1e-6, epochs=1)
    (found,) = evaluate(tmp_path / "run", "validation")
    (line,) = history(tmp_path / "run")
    assert line["validation_score"] == pytest.approx(found.metrics["mae"], rel=1e-5)
