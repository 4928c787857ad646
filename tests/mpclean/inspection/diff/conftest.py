"""Releases with changes planted into them."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mpclean
from mpclean.release.hashing import file_sha256
from mpclean.release.layout import LEDGER, MANIFEST, shard, split_table
from mpclean.release.manifest import seal_values
from mpclean.vocabulary.schema import LEDGER as LEDGER_SCHEMA
from mpclean.vocabulary.schema import PARTS, SPLIT


class Content:
    """What a release holds as Python rows by id, free to be changed, and written out again."""

    def __init__(self, release):
        self.release = release
        self.schema = release.table().schema
        self.rows = {row["material_id"]: row for row in release.table().to_pylist()}
        self.ledger = release.ledger().to_pylist()
        self.splits = {
            name: {row["material_id"]: row["split"] for row in release.assigned(name).to_pylist()}
            for name in release.splits
        }
        self.changes = {}

    def write(self, folder, rng, row_group=7):
        """A release of this content, its rows in any order."""
        shutil.copytree(self.release.path, folder)
        shutil.rmtree(folder / "data")
        built = self.release.splits[0]
        rows = {
            split: [
                self.rows[name]
                for name in rng.permutation(sorted(self.rows))
                if self.splits[built][name] == split
            ]
            for split in PARTS
        }
        tables = {
            shard(f"data/{split}", 0, 1): pa.Table.from_pylist(rows[split], self.schema) for split in PARTS
        }
        tables[LEDGER] = pa.Table.from_pylist(self.ledger, LEDGER_SCHEMA)
        for name, parts in self.splits.items():
            pairs = [{"material_id": material_id, "split": part} for material_id, part in parts.items()]
            tables[split_table(name)] = pa.Table.from_pylist(pairs, SPLIT)
        for path, table in tables.items():
            (folder / path).parent.mkdir(exist_ok=True)
            pq.write_table(table, folder / path, row_group_size=row_group)
        files = {
            path: {"bytes": (folder / path).stat().st_size, "sha256": file_sha256(folder / path)}
            for path in {**self.release.manifest.files, **tables}
            if (folder / path).exists()
        }
        counts = {split: len(entries) for split, entries in rows.items()}
        changed = {"files": files, "splits": counts, "columns": self.schema.names, **self.changes}
        (folder / MANIFEST).write_bytes(
            seal_values(self.release.manifest.model_dump(mode="json", exclude_unset=True) | changed)
        )
        return mpclean.open_release(folder)


@pytest.fixture
def content(split_release):
    """The content of a release with two splits."""
    return Content(split_release)


@pytest.fixture
def other_content(split_release):
    """The same once more."""
    return Content(split_release)


@pytest.fixture(scope="session")
def split_release(rock_salt, write_lines, tmp_path_factory):
    """A release of sixty rock salts with a second split, and forty records that left; not to be changed."""
    folder = tmp_path_factory.mktemp("compared")
    twins = [rock_salt(n, material_id=f"mp-{1000 + n}", formation_energy_per_atom=5.0) for n in range(20)]
    documents = [*map(rock_salt, range(60)), *twins, *({"material_id": f"mp-{n}"} for n in range(2000, 2020))]
    release = mpclean.build(
        source=write_lines(folder / "docs.jsonl", documents), out=folder / "salts", workers=1
    )
    mpclean.split(release.path, "leave-element-out", element="O", workers=1)
    return mpclean.open_release(release.path)
