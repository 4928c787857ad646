"""The work on crystals on a Dask cluster: the same release, whatever happens to its workers."""

import os
import signal
import socket

import pytest
from click.testing import CliRunner

import mpclean
from mpclean import UserError
from mpclean.cli import main
from mpclean.pipeline.executor import Rescue, run
from mpclean.pipeline.resume import BatchFiles
from mpclean.sources import base

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    """A scheduler and two worker processes of one thread each, on the loopback.

    It gives a task up when one worker has died of it, so that the engine has something to do.
    """
    patience = {"distributed.scheduler.allowed-failures": 0}
    with (
        dask.config.set(patience),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
    ):
        yield cluster


def pids(address):
    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        return list(client.run(os.getpid).values())


@pytest.mark.slow
def test_a_cluster_of_two_workers_one_of_which_is_killed(
    cluster, snapshot, small_release, tmp_path, monkeypatch
):
    monkeypatch.setattr(base, "BATCH_SIZE", 2)
    address = cluster.scheduler_address
    before = pids(address)
    assert len(before) == 2
    assert os.getpid() not in before
    written = []
    write = BatchFiles.write

    def kill_after_some(files, number, batch):
        write(files, number, batch)
        written.append(number)
        if len(written) in (3, 13):  # once in each pass
            os.kill(before[len(written) // 10], signal.SIGKILL)

    monkeypatch.setattr(BatchFiles, "write", kill_after_some)
    release = mpclean.build(source=snapshot, out=tmp_path / "r", scheduler=address)
    assert len(written) == 20
    # The cluster puts new workers in the place of dead ones.
    assert not set(pids(address)) & set(before)
    assert release.content_hash == small_release.content_hash
    assert release.verify() == []
    # The cluster belongs to somebody else, and stays.
    assert len(pids(address)) == 2


@pytest.mark.slow
def test_one_process_two_and_a_cluster_write_the_same_bytes(cluster, snapshot, tmp_path):
    ways = (["--workers", "1"], ["--workers", "2"], ["--scheduler", cluster.scheduler_address])
    found = []
    for number, way in enumerate(ways):
        out = tmp_path / f"{number}" / "r"
        command = ["build", "--source", str(snapshot), "--out", str(out), *way]
        done = CliRunner().invoke(main, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        found.append({p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()})
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
def test_a_record_that_ends_every_worker_of_a_cluster(cluster):
    rescue = Rescue(
        lambda task: task.split("+"), lambda task, reason: [reason], lambda results: [r[0] for r in results]
    )
    tasks = ["[1]+[__import__('os')._exit(1)]+[3]", "[4]"]
    found = list(run(eval, tasks, cluster.scheduler_address, rescue))
    assert found == [[1, "the work on it ends its process", 3], [4]]


@pytest.mark.slow
def test_an_error_in_a_worker_of_a_cluster(cluster):
    results = run(eval, ["1", "1/0"], cluster.scheduler_address)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_no_scheduler(snapshot, tmp_path, monkeypatch):
    monkeypatch.setattr("mpclean.pipeline.executor._ANSWER", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            UserError, match=rf"{address}: no Dask scheduler answers there; start one"
        ) as caught:
            mpclean.build(source=snapshot, out=tmp_path / "r", scheduler=address)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["nonsense", "tcp://", "http://x y"])
def test_no_address(snapshot, tmp_path, monkeypatch, address):
    monkeypatch.setattr("mpclean.pipeline.executor._ANSWER", 1)
    with pytest.raises(UserError, match=f"^{address}: no Dask scheduler answers there"):
        mpclean.build(source=snapshot, out=tmp_path / "r", scheduler=address)


def test_a_password_is_in_no_error(snapshot, tmp_path, monkeypatch):
    def refuse(address, **options):
        raise OSError(address)

    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(UserError) as caught:
        mpclean.build(source=snapshot, out=tmp_path / "r", scheduler="tls://user:s3cret@127.0.0.1:9")
    assert str(caught.value).startswith("tls://127.0.0.1:9: no Dask scheduler answers there")


def test_a_client_whose_thread_does_not_begin(snapshot, tmp_path, monkeypatch):
    def starved(*arguments, **options):
        raise AssertionError  # as `distributed.utils.LoopRunner` does after 10 s

    monkeypatch.setattr(distributed, "Client", starved)
    with pytest.raises(UserError, match=r"^tcp://127.0.0.1:9: no Dask scheduler answers there"):
        mpclean.build(source=snapshot, out=tmp_path / "r", scheduler="tcp://127.0.0.1:9")
    assert list(tmp_path.iterdir()) == []


def test_no_workers(snapshot, tmp_path):
    with (
        distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as cluster,
        pytest.raises(UserError, match="the cluster has no worker; start some with: dask worker tcp://"),
    ):
        mpclean.build(source=snapshot, out=tmp_path / "r", scheduler=cluster.scheduler_address)


def test_workers_here_or_there(snapshot, tmp_path):
    with pytest.raises(UserError, match="--workers are processes of this machine and --scheduler is another"):
        mpclean.build(source=snapshot, out=tmp_path / "r", scheduler="tcp://127.0.0.1:9", workers=2)
