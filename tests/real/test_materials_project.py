"""The live source over real documents, served on loopback: what a kill leaves, and offline builds."""

import gzip
import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import mpclean
from mpclean.sources import open_source
from mpclean.sources.versions import UNNAMED

_HELPER = Path(__file__).parents[1] / "mpclean" / "sources" / "mp_server.py"
mp = SimpleNamespace(**runpy.run_path(str(_HELPER)))


@pytest.fixture(scope="module")
def server(data):
    pytest.importorskip("mp_api")
    pytest.importorskip("emmet.api")
    with gzip.open(data / "mp_summary_docs.jsonl.gz") as lines:
        documents = [json.loads(line) for line in lines]
    with mp.serve(*mp.served_documents(documents)) as running:
        yield running


@pytest.mark.slow
def test_a_download_killed_at_five_places_gives_the_same_release(server, tmp_path, monkeypatch):
    from mp_api.client.core.settings import MAPI_CLIENT_SETTINGS

    out = tmp_path / "live"
    command = [sys.executable, "-c", "from mpclean.cli import main; main()"]
    command += ["build", "--source", "materials-project", "--workers", "2", "--out", str(out)]
    settings = {"MP_API_KEY": mp.KEY, "MP_API_ENDPOINT": server.url, "MPCLEAN_CACHE": str(tmp_path / "cache")}
    unanswered = []

    def run(die_at):
        """Build in a process that is killed when it asks its so manieth question for documents."""
        asked = len(server.pages())

        def kill(handler, route, number):
            dies = len(server.pages()) - asked == die_at
            if dies:
                unanswered.append(server.pages()[-1])
                process.send_signal(signal.SIGKILL)
                process.wait()
            return dies

        server.faults = kill
        process = subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.PIPE, text=True)
        return process.wait(), process.stderr.read()

    for die_at in (2, 3, 2, 2, 2):  # at a count, then at the second to the last page, or the first again
        assert run(die_at)[0] == -signal.SIGKILL
        assert not out.exists()
    status, errors = run(None)
    assert status == 0, errors
    answered = [json.dumps(question) for question in server.pages()]
    for question in unanswered:
        answered.remove(json.dumps(question))
    pages = [question for question in answered if "_page" in question or "material_ids" in question]
    assert len(pages) == len(set(pages)) == 4  # two pages of a thousand, each with its energies
    live = mpclean.open_release(out)
    assert live.manifest.stages[0].kept == 2000

    (folder,) = (tmp_path / "cache" / "materials-project").iterdir()
    asked = len(server.log)
    offline = mpclean.build(source=folder, out=tmp_path / "offline", workers=2)
    assert offline.content_hash == live.content_hash
    assert len(server.log) == asked

    monkeypatch.setenv("MP_API_KEY", mp.KEY)
    monkeypatch.setenv("MPCLEAN_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr(MAPI_CLIENT_SETTINGS, "ENDPOINT", server.url)
    server.faults = lambda *_: False
    whole = open_source("materials-project", None, version=UNNAMED, drift=False)
    assert whole.identity.sha256 == live.manifest.upstream.sha256
