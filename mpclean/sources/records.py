"""Snapshots of documents: Parquet, JSON lines, JSON or YAML, packed or not, a file or a folder."""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mpclean.errors import UserError
from mpclean.sources.base import UNKNOWN, Identity, Source, batched_documents
from mpclean.sources.files import (
    MAX_DOCUMENT,
    MAX_WHOLE,
    BoundError,
    ending,
    files_sha256,
    find_files,
    open_file,
    read_text,
)
from mpclean.sources.json_stream import json_documents
from mpclean.vocabulary.ids import ID_KEYS

_Document = tuple[str, bytes | None, str | None]
_Placed = tuple[str, bytes]  # a place in a file, and the document there

#: Endings of the files that are read, each also packed (Parquet by itself only).
ENDINGS = (".parquet", ".jsonl", ".ndjson", ".json", ".yaml", ".yml")

#: Most items of a list in a record of Parquet: the coordinates of 2,000 atoms, or their bonds, take a tenth.
MAX_ITEMS = 100_000

#: Largest file of YAML, unpacked, in bytes, and the most values in it. Its parser makes some 100,000 values a
#: second, and half a kilobyte of each; the largest documents of the Materials Project have a twentieth.
MAX_YAML = 16 << 20
MAX_YAML_NODES = 500_000

_YAML_NULL, _YAML_TEXT = "tag:yaml.org,2002:null", "tag:yaml.org,2002:str"

# What stands before or between values in YAML.
_YAML_MARKS = ("\n", ",", "[", "{")

#: Largest unpacked size of a column over its packed one; structures as JSON are packed to a tenth.
MAX_RATIO = 500

# Rows that are read at a time, and where a dictionary is larger than writers make it.
_ROWS = 1024
_FEW_ROWS = 16
_DICTIONARY = 2 << 20


def open_records(path: Path) -> Source:
    """Open a snapshot as a source.

    Parameters
    ----------
    path
        A file, or a folder whose files with one of the `ENDINGS` are read in the order of
        their names.

    Raises
    ------
    UserError
        If the path does not exist, is empty, or holds no file of a known kind; when its
        batches are read, also if a file is damaged as a whole. A damaged line of JSON lines
        is a record that cannot be read.
    """
    files = find_files(path, ENDINGS)
    root = path if path.is_dir() else path.parent
    return Source(
        identity=Identity(
            name="records",
            database_version=None,
            sha256=files_sha256(files),
            licence=UNKNOWN,
            citation=UNKNOWN,
        ),
        batches=lambda: batched_documents(
            document for file in files for document in _documents(file, file.relative_to(root).as_posix())
        ),
        n_documents=_count(files),
    )


def first_document(path: Path) -> Any:
    """Find the first document of JSON or JSON lines; None where there is none that can be read."""
    try:
        file = find_files(path, ENDINGS)[0]
        if ending(file, (".jsonl", ".ndjson", ".json")) is None:
            return None
        _, document, _ = next(_documents(file, file.name))
        return json.loads(document or b"null")
    except (UserError, StopIteration, ValueError, RecursionError):
        return None  # opening the snapshot says what is wrong


def _count(files: list[Path]) -> int | None:
    """Return the number of documents where it is written in the files themselves."""
    if any(ending(file, ENDINGS) != ".parquet" for file in files):
        return None
    try:
        return sum(pq.read_metadata(file).num_rows for file in files)
    except (pa.ArrowException, OSError):
        return None  # reading the batches says what is wrong


# What the readers raise on files that are damaged or of another kind than their name says.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    RecursionError,
    zlib.error,
    lzma.LZMAError,
    yaml.YAMLError,
    pa.ArrowException,
)


def _documents(file: Path, name: str) -> Iterator[_Document]:
    """Yield the documents of a file; locations begin with the name that the file has in its snapshot."""
    end = ending(file, ENDINGS) or ""
    reader = _READERS[end]
    try:
        for place, document in reader(file):
            yield f"{name}, {place}", document, None
    except BoundError as error:
        raise UserError(f"{file}: {error}; nothing of it is read") from error
    except _DAMAGE as error:
        message = " ".join(str(error).split())
        raise UserError(f"{file}: damaged or not {end[1:]} ({message:.200}); fetch it again") from error


def _dump(value: Any) -> bytes:
    # The standard library's writer keeps infinities, which are to be seen for what they are.
    return json.dumps(value, default=_text).encode()


def _text(value: Any) -> str:
    """Write what JSON has no form for: bytes are text as they are, not the text of a literal of Python."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _parquet(file: Path) -> Iterator[_Placed]:
    row = 0
    with pq.ParquetFile(file) as table:
        rows = _rows_at_a_time(table.metadata)
        for batch in table.iter_batches(batch_size=rows):
            for document in batch.to_pylist():
                yield f"row {row}", _dump(document)
                row += 1


def _rows_at_a_time(metadata: pq.FileMetaData) -> int:
    """Look at what the columns unpack to, before they are unpacked; how many rows can be held at once.

    Raises
    ------
    BoundError
        If a few bytes stand for lists or texts longer than any sane record has.
    """
    rows = _ROWS
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        n = max(group.num_rows, 1)
        for place in range(group.num_columns):
            column = group.column(place)
            size, where = column.total_uncompressed_size, f"row group {number}, {column.path_in_schema}"
            if column.num_values > MAX_ITEMS * n:
                raise BoundError(
                    f"{where}: {column.num_values:,} items in {n:,} rows, at most {MAX_ITEMS:,} each"
                )
            if size > MAX_DOCUMENT * n or size > max(MAX_WHOLE, MAX_RATIO * column.total_compressed_size):
                raise BoundError(
                    f"{where}: {column.total_compressed_size:,} bytes unpack to {size:,} in {n:,} rows"
                )
            if column.has_dictionary_page and size > _DICTIONARY:
                # Rows of a few bytes each may all be the longest word of the dictionary.
                rows = _FEW_ROWS
    return rows


def _lines(file: Path) -> Iterator[_Placed]:
    with open_file(file) as handle:
        number = 0
        while line := handle.readline(MAX_DOCUMENT + 1):
            number += 1
            if len(line) > MAX_DOCUMENT:
                raise BoundError(f"line {number} is longer than {MAX_DOCUMENT >> 20} MiB")
            if line.strip():
                yield f"line {number}", line


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads ids as they are written: to YAML, 0012 is ten, and so is 1_0."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Make a mapping, its ids text."""
        for key, value in node.value:
            if key.value in ID_KEYS and isinstance(value, yaml.ScalarNode) and value.tag != _YAML_NULL:
                value.tag = _YAML_TEXT
        return cast("dict[Any, Any]", super().construct_mapping(node, deep))


def _yaml(file: Path) -> Iterator[_Placed]:
    text = read_text(file, MAX_YAML)
    if sum(map(text.count, _YAML_MARKS)) > MAX_YAML_NODES:
        raise BoundError(f"more than {MAX_YAML_NODES:,} values; write documents as JSON lines")
    entry = 0
    for value in yaml.load_all(text, Loader=_Loader):
        if (size := _written_out(value, {})) > MAX_YAML_NODES:
            raise BoundError(f"aliases make {size:.2g} values of it, at most {MAX_YAML_NODES:,} are read")
        for document in value if isinstance(value, list) else [value]:
            yield f"entry {entry}", _dump(_text_keys(document))
            entry += 1


def _written_out(value: Any, known: dict[int, int]) -> int:
    """Count the values that a value is made of, each as often as aliases repeat it."""
    if not isinstance(value, dict | list):
        return 1
    if known.get(id(value)) == 0:
        raise BoundError("an alias stands for what it is in")
    if id(value) not in known:
        known[id(value)] = 0  # while it is being counted
        items = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_written_out(item, known) for item in items)
    return known[id(value)]


def _text_keys(value: Any) -> Any:
    """Write keys as text: YAML has dates and numbers as keys, JSON has not."""
    if isinstance(value, dict):
        return {str(key): _text_keys(entry) for key, entry in value.items()}
    return [_text_keys(entry) for entry in value] if isinstance(value, list) else value


def _json(file: Path) -> Iterator[_Placed]:
    with open_file(file) as handle:
        for entry, document in enumerate(json_documents(handle)):
            yield f"entry {entry}", document


_READERS: dict[str, Callable[[Path], Iterator[_Placed]]] = {
    ".parquet": _parquet,
    ".jsonl": _lines,
    ".ndjson": _lines,
    ".json": _json,
    ".yaml": _yaml,
    ".yml": _yaml,
}
