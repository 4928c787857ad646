from __future__ import annotations

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mpclean
from mpclean.inspection.report import report
from mpclean.release.layout import LEDGER, MANIFEST
from mpclean.release.manifest import seal_values
from mpclean.release.seal import describe_files
from mpclean.sources import demo

#: What somebody might hope that a page runs.
HOSTILE = (
    "</td></title><script>alert(1)</script><img src=x onerror=\"alert(2)\">'javascript:alert(3)'&amp;$\\frac$"
)


@pytest.fixture(scope="session")
def hostile():
    return HOSTILE


@pytest.fixture(scope="session")
def unreported(demo_documents, tmp_path_factory):
    """A release of the first 100 demo records, a twin of one, another phase of one; not to be changed."""
    first = next(document for document in demo_documents if document["case"] == "crystal")
    twin = {"material_id": "demo-twin", "formation_energy_per_atom": first["formation_energy_per_atom"] + 0.5}
    phase = next(document for document in demo_documents if document.get("material_id") == "demo-2989")
    out = tmp_path_factory.mktemp("unreported") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "documents", lambda: iter([*demo_documents[:100], first | twin, phase]))
        return mpclean.build(version="demo", out=out, workers=1)


@pytest.fixture(scope="session")
def reported(unreported, tmp_path_factory):
    """The same with a second split and its report; not to be changed."""
    folder = tmp_path_factory.mktemp("reported") / "demo"
    shutil.copytree(unreported.path, folder)
    mpclean.split(folder, "formula", workers=1)
    report(folder, workers=1)
    return mpclean.open_release(folder)


@pytest.fixture(scope="session")
def hostile_page(rock_salt, write_lines, tmp_path_factory):
    """The page of a release with hostile strings wherever a source or a stranger could put one."""
    folder = tmp_path_factory.mktemp("hostile")
    words = dict.fromkeys(("run_type", "database_version"), HOSTILE)
    documents = [rock_salt(k, material_id=f"{k}{HOSTILE}", **words) for k in range(20)]
    documents.append(
        {"material_id": f"no structure{HOSTILE}", "structure": {"lattice": HOSTILE, "sites": []}}
    )
    documents.append(documents[0] | {"material_id": f"again{HOSTILE}", "formation_energy_per_atom": 3.0})
    documents[1]["formation_energy_per_atom"] = -9.0  # suspicious, and so named
    release = mpclean.build(
        source=write_lines(folder / "docs.jsonl", documents),
        out=folder / HOSTILE.replace("/", "\N{BIG SOLIDUS}"),
        workers=1,
    )
    rows = release.ledger().to_pylist()  # the duplicate
    rows.append(rows[0] | dict.fromkeys(("rule", "reason", "detail"), HOSTILE))
    rows += [rows[0] | {"rule": "dimensionality", "detail": detail} for detail in (HOSTILE, None)]
    pq.write_table(pa.Table.from_pylist(rows, release.ledger().schema), release.path / LEDGER)
    manifest = release.manifest.model_dump(mode="json", exclude_unset=True)
    manifest["files"][LEDGER] = describe_files(release.path)[LEDGER].model_dump()
    manifest["name"] = HOSTILE
    manifest["upstream"] = {
        **manifest["upstream"],
        **dict.fromkeys(("title", "claimed_version", "source", "sha256", "licence", "citation"), HOSTILE),
        "stated_versions": [HOSTILE],
    }
    manifest["parameters"] = {**manifest["parameters"], HOSTILE: HOSTILE}
    manifest["libraries"] = {**manifest["libraries"], HOSTILE: HOSTILE}
    manifest["stages"] = [{**stage, "title": HOSTILE} for stage in manifest["stages"]]
    (release.path / MANIFEST).write_bytes(seal_values(manifest))
    return report(release.path, workers=1)
