"""Records that nobody should write: none stops a build, none is lost, and each takes bounded work."""

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mpclean
from mpclean.pipeline.steps import Bonds, BondTask, PrepareTask, bond, prepare
from mpclean.sources import DOCUMENTS
from mpclean.vocabulary.schema import BONDED, PREPARED

_PATH = Path(__file__).parents[2] / "benchmarks" / "hostile.py"
_SPEC = importlib.util.spec_from_file_location("hostile", _PATH)
hostile = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(hostile)


def fates(documents):
    """Both passes over documents: of each the reason why it left, or None."""
    batch = pa.RecordBatch.from_pylist(
        [{"location": f"line {n}", "document": document} for n, document in enumerate(documents)],
        schema=DOCUMENTS,
    )
    prepared = prepare(PrepareTask(batch, 0))
    assert prepared.schema == PREPARED
    assert prepared["position"].to_pylist() == list(range(len(documents)))
    readable = prepared.filter(prepared["reason"].is_null())
    bonded = bond(BondTask(readable, Bonds("voronoi", 1e-4, 5.0)))
    assert bonded.schema == BONDED
    assert bonded["position"].equals(readable["position"])
    found = dict(zip(bonded["position"].to_pylist(), bonded["reason"].to_pylist(), strict=True))
    for row in prepared.to_pylist():
        assert row["lattice"] is not None and row["nsites"] > 0 if row["reason"] is None else row["detail"]
    return [reason or found[n] for n, reason in enumerate(prepared["reason"].to_pylist())]


def test_a_corpus_of_mutated_records_is_built(tmp_path):
    """`benchmarks/reliability.py` does so with ten thousand."""
    lines = list(hostile.records(400, seed=1))
    (tmp_path / "corpus.jsonl").write_bytes(b"\n".join(lines))
    release = mpclean.build(source=tmp_path / "corpus.jsonl", out=tmp_path / "r", workers=1)
    kept, ledger = release.table(), release.ledger()
    assert kept.num_rows + ledger.num_rows == len(lines)
    assert kept.num_rows > 20
    reasons = Counter(ledger["reason"].to_pylist())
    assert len(reasons) > 10, reasons
    assert release.verify() == []
    assert list(hostile.records(20, seed=1)) == lines[:20]
    assert list(hostile.records(20, seed=2)) != lines[:20]


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["Na", "Cl", 0.5, 1, 4.1])
)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
_COORDINATES = st.lists(st.floats(-1.5, 1.5) | st.floats() | _SCALARS, min_size=2, max_size=4)
_SITE = st.fixed_dictionaries(
    {"species": st.just([{"element": "Na", "occu": 1}]) | _JSON, "abc": _COORDINATES},
    optional={"properties": _JSON},
)
_LATTICE = st.lists(st.lists(st.floats(-9, 9) | _SCALARS, min_size=3, max_size=3), min_size=3, max_size=3)
_DOCUMENT = st.fixed_dictionaries(
    {
        "material_id": st.text(max_size=4) | _JSON,
        "structure": st.fixed_dictionaries(
            {"lattice": st.fixed_dictionaries({"matrix": _LATTICE}), "sites": st.lists(_SITE, max_size=4)}
        )
        | _JSON,
    },
    optional=dict.fromkeys(("band_gap", "efermi", "symmetry", "is_hubbard", "deprecated", "run_type"), _JSON),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_DOCUMENT | _JSON, min_size=1, max_size=4))
def test_any_document_has_a_fate(documents):
    fates([json.dumps(document).encode() for document in documents])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=40) | st.none(), min_size=1, max_size=4))
def test_any_bytes_have_a_fate(documents):
    assert None not in fates(documents)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"structure":[', b'{"material_id":'])
def test_depth(opening):
    assert fates([opening * 200_000]) == ["document cannot be read"]


@pytest.mark.parametrize("depth", [700, 1000, 1020])
@pytest.mark.parametrize(
    "key",
    [
        *("band_gap", "builder_meta", "created_at", "database_version", "is_hubbard", "licence", "run_type"),
        *("structure", "symmetry"),
    ],
)
def test_depth_that_the_parser_takes(rock_salt, key, depth):
    """Some Pythons write such a value and some do not; the record has a fate, and its neighbour goes on."""
    deep = json.dumps(rock_salt(0) | {key: "deep"}).replace('"deep"', "[" * depth + "]" * depth)
    fate, other = fates([deep.encode(), json.dumps(rock_salt(1)).encode()])
    assert fate in (
        *(None, "document cannot be read", "label is not a number", "label is not true or false"),
        "structure is malformed",
    )
    assert other is None


@pytest.mark.parametrize("count", [2, 7])
def test_work_on_a_crystal_is_bounded_by_points(count, structure_dict):
    """A few atoms close together in a long cell; whatever machine, the verdict is the same."""
    coords = [[n * 1e-3, (n * n) % 5 * 0.1, n % 3 * 0.1] for n in range(count)]
    structure = structure_dict([[1500, 0, 0], [0, 3.5, 0], [0, 0, 3.6]], ["Na"] * count, coords)
    document = json.dumps({"material_id": "mp-1", "structure": structure, "spacegroup_number": 1}).encode()
    assert fates([document]) == ["cell or coordinates out of range"]
