"""The live source: the real client against the real server code on loopback."""

import hashlib
import json
import runpy
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import mpclean
from mpclean.cli import main
from mpclean.errors import UserError
from mpclean.sources import mp_snapshot, open_source
from mpclean.sources.versions import UNNAMED, known_versions

mp = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("mp_server.py"))))

DEPRECATED, NON_COMMERCIAL = "mp-21", "mp-22"


@pytest.fixture(scope="module")
def documents(rock_salt):
    """Twenty rock salts, one more that is deprecated, and one of GNoME's licence."""
    salts = [rock_salt(number) for number in range(22)]
    salts[20]["deprecated"] = True
    salts[21]["license"] = "BY-NC"
    return mp.served_documents(salts)


@pytest.fixture(scope="module")
def running(documents):
    pytest.importorskip("mp_api")
    pytest.importorskip("emmet.api")
    with mp.serve(*documents) as server:
        yield server


@pytest.fixture
def server(running, tmp_path, monkeypatch):
    """The server, with pages of eight records and a user who has a key."""
    from mp_api.client.core.settings import MAPI_CLIENT_SETTINGS

    from mpclean.sources import mp_client

    running.reset()
    monkeypatch.setenv("MP_API_KEY", mp.KEY)
    monkeypatch.setenv("MPCLEAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(MAPI_CLIENT_SETTINGS, "ENDPOINT", running.url)
    monkeypatch.setattr(mp_client, "PAGE_SIZE", 8)
    monkeypatch.setattr(mp_client, "BACKOFF", 0.01)
    monkeypatch.setattr(mp_client, "RETRIES", 2)
    return running


@pytest.fixture
def build(tmp_path):
    """A build in this process, into a folder that is not there yet."""

    def build(source="materials-project", **options):
        out = tmp_path / f"release-{sum(1 for _ in tmp_path.iterdir())}"
        return mpclean.build(source=source, out=out, workers=1, **options)

    return build


def fetch(**options):
    """The live source alone: all is fetched when it is opened."""
    return open_source("materials-project", None, version=UNNAMED, drift=False, **options)


def count(source):
    return sum(batch.num_rows for batch in source.batches())


def folder(tmp_path):
    (found,) = (tmp_path / "cache" / "materials-project").iterdir()
    return found


def rows(release):
    return {row["material_id"]: row for row in release.table().to_pylist()}


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    assert mp.KEY not in message
    return message


# ---------------------------------------------------------------- what comes


def test_a_build_from_the_snapshot_is_the_live_build(server, build, tmp_path):
    live = build()
    server.faults = lambda handler, route, number: pytest.fail("asked while offline")
    again = build(folder(tmp_path))
    assert again.content_hash == live.content_hash
    assert again.manifest.upstream == live.manifest.upstream
    assert again.manifest.parameters == live.manifest.parameters


def test_labels_come_from_where_they_are(server, build, rock_salt):
    release = build()
    kept = rows(release)
    assert set(kept) == {f"mp-{n}" for n in range(1, 21)}  # numeric, whatever the server writes
    for number in range(20):
        salt, row = rock_salt(number), kept[f"mp-{number + 1}"]
        assert row["formation_energy_per_atom"] == salt["formation_energy_per_atom"]  # of the hull of PBE
        assert row["e_above_hull"] == salt["energy_above_hull"]
        assert row["is_hubbard"] == salt["is_hubbard"]
        assert row["run_type"] == ("GGA+U" if salt["is_hubbard"] else "GGA")
        assert row["magnetization_per_atom"] == pytest.approx(abs(salt["total_magnetization"]) / 2)
        assert row["band_gap"] == salt["band_gap"]
        assert row["efermi"] == salt["efermi"]
        assert row["database_version"] == mp.VERSION
    assert release.manifest.parameters.as_dict()["hull"] == "GGA_GGA+U"
    assert release.manifest.upstream.stated_versions == [mp.VERSION]
    assert release.manifest.upstream.database_version == mp.VERSION


def test_only_the_fields_needed_are_asked_for(server, build):
    build()
    fields = {route: set() for route in ("materials/summary", "materials/thermo")}
    for route, parameters in server.pages():
        fields[route] |= set(parameters.get("_fields", "").split(",")) - {""}
    assert "structure" in fields["materials/summary"]
    assert not fields["materials/summary"] & {"formation_energy_per_atom", "has_props", "origins"}
    assert not fields["materials/thermo"] & {"entries", "structure"}


def test_the_mixed_hull_is_an_option(server, build, tmp_path, rock_salt):
    release = build(hull="mixed")
    energies = {
        number: rows(release)[f"mp-{number + 1}"]["formation_energy_per_atom"] for number in range(20)
    }
    expected = {number: rock_salt(number)["formation_energy_per_atom"] + 0.1 for number in range(20)}
    assert energies == pytest.approx(expected)
    assert release.manifest.parameters.as_dict()["hull"] == "GGA_GGA+U_R2SCAN"
    assert build(folder(tmp_path)).content_hash == release.content_hash


def test_a_material_without_an_energy_on_the_hull_has_none(server, build, tmp_path):
    build()
    page = next(folder(tmp_path).glob("thermo-00000*"))
    kept = mp_snapshot.read_page(folder(tmp_path), "thermo-00000")
    mp_snapshot.write_page(folder(tmp_path), "thermo-00000", kept[1:])
    facts = mp_snapshot.read_facts(folder(tmp_path))
    facts["sha256"]["thermo-00000"] = mp_snapshot.file_sha256(page)
    mp_snapshot.write_facts(folder(tmp_path), facts)
    row = rows(build(folder(tmp_path)))["mp-1"]
    assert row["formation_energy_per_atom"] is row["is_hubbard"] is row["run_type"] is None
    assert row["band_gap"] is not None


def test_deprecated_and_non_commercial_records_are_in_the_ledger(server, build):
    server.groups = "TERMS:ACCEPT-NC"
    release = build()
    ledger = {row["material_id"]: (row["rule"], row["reason"]) for row in release.ledger().to_pylist()}
    assert ledger == {
        DEPRECATED: ("record", "deprecated"),
        NON_COMMERCIAL: ("record", "licence other than CC BY"),
    }
    assert release.manifest.stages[0].kept == 22


def test_a_snapshot_that_is_there_is_not_fetched_again(server, build):
    first = build()
    asked = len(server.pages())
    assert build().content_hash == first.content_hash
    assert len(server.pages()) == asked


def test_a_limit_fetches_no_more_pages_than_it_needs(server, build, tmp_path):
    release = build(limit=10)
    assert release.manifest.stages[0].kept == 10
    assert len([1 for _, parameters in server.pages() if "_page" in parameters]) == 2
    with pytest.raises(UserError) as caught:
        build(folder(tmp_path))
    assert "the download was interrupted; let mpclean build --source materials-project finish it" in one_line(
        caught
    )
    assert build(limit=10).content_hash == release.content_hash


# ---------------------------------------------------------------- interruptions


@pytest.mark.parametrize("written", [1, 2, 3, 7, 8])
def test_an_interrupted_download_goes_on_where_it_stopped(server, tmp_path, monkeypatch, written):
    """Interrupted after so many files: facts, a summary page, a thermo page, ..., the last page."""
    write, count = mp_snapshot._write, iter(range(1, 100))

    def interrupt(path, content):
        write(path, content)
        if next(count) == written:
            raise KeyboardInterrupt

    monkeypatch.setattr(mp_snapshot, "_write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch()
    monkeypatch.setattr(mp_snapshot, "_write", write)
    resumed = fetch()
    questions = [json.dumps(question) for question in server.pages()]
    assert len(questions) == len(set(questions)) == 2 + 3 + 3 + 1  # counts, summary, thermo, deprecated
    monkeypatch.setenv("MPCLEAN_CACHE", str(tmp_path / "another"))
    assert fetch().identity == resumed.identity


def test_a_page_is_whole_or_not_there(server, tmp_path, monkeypatch):
    def cut(path, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        fetch()
    assert list(folder(tmp_path).iterdir()) == []


def test_another_version_in_the_middle_is_an_error_and_starts_anew(server, tmp_path):
    def change(handler, route, number):
        if route == "materials/thermo":
            server.meta["db_version"] = "2026.01.01"

    server.faults = change
    with pytest.raises(UserError) as caught:
        fetch()
    assert f"went over from version {mp.VERSION} to 2026.01.01 during the download" in one_line(caught)
    assert fetch().identity.database_version == "2026.01.01"
    assert len(list((tmp_path / "cache" / "materials-project").iterdir())) == 2


# ---------------------------------------------------------------- faults


def once(fault, route="materials/summary", when="_page"):
    """Answer the first question for a page wrongly, the next ones rightly."""
    left = [fault]

    def faults(handler, asked, number):
        if asked == route and when in handler.path and left:
            left.pop()(handler)
            return True
        return False

    return faults


def always(fault, route="materials/summary"):
    def faults(handler, asked, number):
        if asked == route:
            fault(handler)
        return asked == route

    return faults


def status(code, **headers):
    # The body quotes the key, as a careless gateway might.
    return lambda handler: handler.answer(code, json.dumps({"detail": handler.headers["x-api-key"]}).encode(),
                                          **headers)  # fmt: skip


def body(text, length=None):
    return lambda handler: handler.answer(200, text, length)


def hang_up(handler):
    handler.close_connection = True


def hang(handler):
    time.sleep(1.5)
    handler.close_connection = True


FAULTS = {
    "429": status(429),
    "500": status(500),
    "502": status(502),
    "503": status(503),
    "504": status(504),
    "cut off": body(b'{"data": [', 100_000),
    "no JSON": body(b"<html>maintenance</html>"),
    "empty": body(b""),
    "other JSON": body(b"[]"),
    "hung up": hang_up,
    "time-out": hang,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_passes_is_not_seen(server, monkeypatch, name):
    from mpclean.sources import mp_client

    monkeypatch.setattr(mp_client, "TIMEOUT", 1)
    server.faults = once(FAULTS[name])
    assert count(fetch()) == 21
    first = [parameters for _, parameters in server.pages() if parameters.get("_page") == "1"]
    assert len(first) == 3  # asked twice, and once for the deprecated ones


def test_a_pause_that_the_server_asks_for_is_made(server):
    asked = []
    server.faults = once(
        lambda handler: asked.append(time.monotonic()) or status(429, Retry_After="2")(handler)
    )
    fetch(limit=1)
    assert time.monotonic() - asked[0] > 2


LASTING = {
    "401": (status(401), "401: the API key is missing or wrong; get one at https://next-gen"),
    "403": (status(403), "403: the API key is refused; get one at"),
    "404": (status(404), "404: no such address; see that MP_API_ENDPOINT is right"),
    "429": (status(429), "429: too many requests; wait, then run the command again: it goes on"),
    "500": (status(500), "500: Internal Server Error; run the command again: it goes on where it stopped"),
    "503": (status(503), "503: Service Unavailable; run the command again"),
    "422": (status(422), "422"),
    "cut off": (FAULTS["cut off"], "the answer is cut off or no JSON; run the command again"),
    "no JSON": (FAULTS["no JSON"], "the answer is cut off or no JSON; run the command again"),
    "hung up": (hang_up, "run the command again: it goes on where it stopped"),
    "time-out": (hang, "run the command again: it goes on where it stopped"),
}


@pytest.mark.parametrize(
    ("name", "route"),
    [
        *((name, "materials/summary") for name in LASTING),
        *((name, "heartbeat") for name in ("404", "503", "no JSON", "time-out")),
        *((name, "materials/thermo") for name in ("422", "503", "no JSON", "time-out")),
    ],
)
def test_a_fault_that_lasts_is_one_line(server, tmp_path, monkeypatch, name, route):
    from mpclean.sources import mp_client

    monkeypatch.setattr(mp_client, "TIMEOUT", 1)
    fault, says = LASTING[name]
    server.faults = always(fault, route)
    out = tmp_path / "r"
    result = CliRunner().invoke(main, ["build", "--source", "materials-project", "--out", str(out)])
    assert result.exit_code == 2, result.exception
    assert result.stderr.startswith(f"Error: {server.url}")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert mp.KEY not in result.output
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if mp.KEY.encode() in path.read_bytes()]
    assert not out.exists()


def test_fewer_records_than_there_are_is_an_error(server):
    server.faults = once(body(b'{"data": [], "meta": {"total_doc": 20}}'))
    with pytest.raises(UserError) as caught:
        fetch()
    assert "page 1 came with 0 of 8 records" in one_line(caught)
    assert count(fetch()) == 21


def test_no_server(server, monkeypatch):
    from mp_api.client.core.settings import MAPI_CLIENT_SETTINGS

    monkeypatch.setattr(MAPI_CLIENT_SETTINGS, "ENDPOINT", "http://127.0.0.1:9/")
    with pytest.raises(UserError) as caught:
        fetch()
    assert one_line(caught).startswith("http://127.0.0.1:9/: ")


# ---------------------------------------------------------------- the key


def test_without_a_key_nothing_is_asked(server, monkeypatch):
    from pymatgen.core import SETTINGS

    monkeypatch.delenv("MP_API_KEY")
    monkeypatch.delitem(SETTINGS, "PMG_MAPI_KEY", raising=False)
    with pytest.raises(UserError) as caught:
        fetch()
    assert "wants an API key; get one at https://next-gen.materialsproject.org/api" in one_line(caught)
    assert server.log == []


def test_a_key_that_cannot_be_one(server, monkeypatch):
    monkeypatch.setenv("MP_API_KEY", "tooshort")
    with pytest.raises(UserError) as caught:
        fetch()
    assert "invalid API key: expected 32 characters" in one_line(caught)
    assert "tooshort" not in str(caught.value)


def test_a_wrong_key(server, monkeypatch):
    monkeypatch.setenv("MP_API_KEY", mp.KEY[::-1])
    with pytest.raises(UserError) as caught:
        fetch()
    assert "401: the API key is missing or wrong" in one_line(caught)
    assert mp.KEY[::-1] not in str(caught.value)


def test_a_key_of_pymatgen_s_settings(server, monkeypatch):
    from pymatgen.core import SETTINGS

    monkeypatch.delenv("MP_API_KEY")
    monkeypatch.setitem(SETTINGS, "PMG_MAPI_KEY", mp.KEY)
    assert count(fetch()) == 21


def test_the_key_is_printed_and_stored_nowhere(server, tmp_path, caplog):
    caplog.set_level("DEBUG")
    arguments = ["build", "--source", "materials-project", "--workers", "1", "--out", str(tmp_path / "r")]
    server.faults = always(status(503), "materials/thermo")
    printed = CliRunner().invoke(main, arguments).output
    server.faults = once(status(422), "materials/thermo", "thermo")
    printed += CliRunner().invoke(main, arguments).output
    assert "content hash" in printed
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 12
    stored = b"".join(
        mp_snapshot.gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for path in files
    )
    assert mp.KEY not in printed + caplog.text
    assert mp.KEY.encode() not in stored


# ---------------------------------------------------------------- the whole table at once


@pytest.fixture
def table(server, documents, monkeypatch):
    """The bulk table beside the server; gives a function that puts one of another version there."""
    pytest.importorskip("moto")
    with ExitStack() as stack:

        def put(version=mp.VERSION):
            for name, value in stack.enter_context(mp.bucket(documents[0], version)).items():
                monkeypatch.setenv(name, value)

        yield put


def test_the_table_gives_the_release_of_the_pages(server, build, table, tmp_path, monkeypatch, capfd):
    table()
    server.groups = "TERMS:ACCEPT-NC"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    in_pages = build()
    asked = len(server.pages())
    at_once = build(bulk=True)
    assert at_once.content_hash == in_pages.content_hash
    assert at_once.ledger().num_rows == 2
    assert not [1 for _, parameters in server.pages()[asked:] if "_page" in parameters]
    assert not (tmp_path / "home").exists()  # where the client keeps tables by itself
    assert not list((tmp_path / "cache").rglob("*.parquet"))  # its pages are all that stays
    assert "mp_api" not in capfd.readouterr().err


def test_a_table_of_another_version_is_an_error(server, build, table):
    table("2024.01.01")
    with pytest.raises(UserError) as caught:
        build(bulk=True)
    says = f"serves {mp.VERSION}, and the table is of 2024-01-01: leave out --bulk"
    assert says in one_line(caught)


def test_an_interrupted_table_starts_anew(server, table, tmp_path, monkeypatch):
    from mpclean.sources import materials_project

    table()
    with monkeypatch.context() as patch:
        patch.setattr(materials_project, "_select", lambda *_: pytest.fail("stopped"))
        with pytest.raises(pytest.fail.Exception):
            fetch(bulk=True)
    assert count(fetch(bulk=True)) == 21


def test_no_table(server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    with pytest.raises(UserError) as caught:
        fetch(bulk=True)
    assert "leave out --bulk" in one_line(caught)


# ---------------------------------------------------------------- another version than asked for


def test_another_version_than_asked_for_is_an_error_that_names_the_way(server, build, published_salts):
    with pytest.raises(UserError) as caught:
        build(version="2021.05")
    says = f"the source states version {mp.VERSION}, not 2021.05: build it without --version"
    assert says in one_line(caught)
    assert "--allow-version-drift" in str(caught.value)
    assert server.pages() == []


def test_published_ids_from_the_version_served_today(server, build, published_salts, tmp_path):
    lists = {
        path: json.loads(path.read_text()) for path in published_salts.iterdir() if path.suffix == ".json"
    }
    release = build(version="2021.05", allow_version_drift=True)
    assert set(rows(release)) == {material_id for ids in lists.values() for material_id in ids}
    assert {row["database_version"] for row in rows(release).values()} == {mp.VERSION}
    upstream = release.manifest.upstream
    assert (upstream.claimed_version, upstream.stated_versions) == ("2021.05", [mp.VERSION])
    assert release.manifest.replay.agree == release.manifest.replay.listed == 18
    says = f"its 18 published ids as version {mp.VERSION} has them: 18 (100.0%) were read."
    assert says in (release.path / "README.md").read_text()
    offline = build(folder(tmp_path), version="2021.05", allow_version_drift=True)
    assert offline.content_hash == release.content_hash
    with pytest.raises(UserError, match=f"states version {mp.VERSION}, not 2021.05"):
        build(folder(tmp_path), version="2021.05")


def test_coverage_is_reported(server, published_salts, tmp_path, monkeypatch):
    """Of four published ids one was removed, one is deprecated, and one the server would take for mp-5."""
    listed = json.dumps(["mp-3", "mvc-5", "mp-999", DEPRECATED]).encode()
    version = known_versions()["2021.05"]
    (published_salts / "salts_train.json").write_bytes(listed)
    sha256 = {"salts_train.json": hashlib.sha256(listed).hexdigest()}
    for name in ("salts_valid.json", "salts_test.json"):
        (published_salts / name).write_text("[]")
        sha256[name] = hashlib.sha256(b"[]").hexdigest()
    monkeypatch.setitem(
        known_versions(), "2021.05", replace(version, lists=replace(version.lists, sha256=sha256))
    )
    arguments = ["--version", "2021.05", "--source", "materials-project", "--allow-version-drift"]
    out = tmp_path / "r"
    result = CliRunner().invoke(main, ["build", *arguments, "--workers", "1", "--out", str(out)])
    assert f"its 4 published ids as version {mp.VERSION} has them: 2 (50.0%) were read" in " ".join(
        result.output.split()
    )
    release = mpclean.open_release(out)
    assert set(rows(release)) == {"mp-3"}
    assert [row["reason"] for row in release.ledger().to_pylist()] == ["deprecated"]
    assert [entry.model_dump() for entry in release.manifest.replay.missing] == [
        {"rule": None, "reason": "not in the snapshot", "ids": 2},
        {"rule": "record", "reason": "deprecated", "ids": 1},
    ]


def test_the_table_is_not_for_listed_ids(server, build, published_salts):
    with pytest.raises(UserError) as caught:
        build(version="2021.05", allow_version_drift=True, bulk=True)
    assert "leave it out" in one_line(caught)


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize("option", [{"hull": "mixed"}, {"bulk": True}])
def test_options_of_the_live_source_are_for_no_other(build, snapshot, option):
    with pytest.raises(UserError) as caught:
        build(snapshot, **option)
    assert f"takes no --{next(iter(option))}" in one_line(caught)


def test_a_changed_page_is_an_error_that_names_it(server, build, tmp_path):
    build()
    page = next(folder(tmp_path).glob("summary-00001*"))
    page.write_bytes(page.read_bytes()[:-1])
    for source in ("materials-project", folder(tmp_path)):
        with pytest.raises(UserError) as caught:
            build(source)
        assert one_line(caught).startswith(f"{page}: the page is missing or was changed; delete the folder")


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2}'])
def test_facts_that_cannot_be_read(build, tmp_path, content):
    (tmp_path / "snapshot.json").write_text(content)
    with pytest.raises(UserError) as caught:
        build(tmp_path)
    assert one_line(caught).startswith(f"{tmp_path / 'snapshot.json'}: ")


def test_without_the_client(build, monkeypatch):
    monkeypatch.setitem(sys.modules, "mp_api.client.core.exceptions", None)
    monkeypatch.delitem(sys.modules, "mpclean.sources.mp_client", raising=False)
    with pytest.raises(UserError) as caught:
        build()
    assert "pip install 'mpclean[materials-project]'" in one_line(caught)
