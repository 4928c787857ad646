"""Lists that somebody published, in every form, and mistakes in them."""

import bz2
import gzip
import json

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from mpclean.errors import UserError
from mpclean.splits import published, read_split, shuffled
from mpclean.vocabulary.schema import SPLIT

ROWS = [("mp-3", "train"), ("mp-149", "train"), ("mp-10", "validation"), ("mvc-2", "test")]
EXPECTED = pa.table([list(column) for column in zip(*ROWS, strict=True)], schema=SPLIT)

# As published: other names of the split in the middle, ids in either form.
AS_GIVEN = pa.table(
    {
        "split": ["train", "train", "val", "test"],
        "material_id": ["mp-3", "mp-ft", "mp-10", "mvc-2"],
        "n": [1] * 4,
    }
)


def by_split(names):
    lists = {"train": ["mp-3", "mp-ft"], "validation": ["mp-10"], "test": ["mvc-2"]}
    return {names.get(name, name): ids for name, ids in lists.items()}


def write_csv(folder):
    pacsv.write_csv(AS_GIVEN, folder / "split.csv")
    return folder / "split.csv"


def write_parquet(folder):
    pq.write_table(AS_GIVEN, folder / "split.parquet")
    return folder / "split.parquet"


def write_json_rows(folder):
    (folder / "split.json").write_text(json.dumps(AS_GIVEN.to_pylist()))
    return folder / "split.json"


def write_json_lists(folder):
    (folder / "split.json").write_text(json.dumps(by_split({"validation": "dev"})))
    return folder / "split.json"


def write_folder(folder, middle="valid"):
    for name, ids in by_split({"validation": middle}).items():
        (folder / f"mp_ids_{name}.json").write_text(json.dumps(ids))
    (folder / "other.json").write_text("[]")
    return folder


FORMS = [write_csv, write_parquet, write_json_rows, write_json_lists, write_folder]


@pytest.mark.parametrize("write", FORMS)
def test_forms(tmp_path, write):
    assert read_split(write(tmp_path)).equals(EXPECTED)


@pytest.mark.parametrize("middle", ["valid", "validation", "val", "dev"])
def test_names_of_the_middle_list(tmp_path, middle):
    assert read_split(write_folder(tmp_path, middle)).equals(EXPECTED)


def test_a_list_of_ids_is_shuffled_as_the_authors_did(tmp_path):
    """Given in the order of their file; the ids of the split are in their one form."""
    ids = [f"mp-{n}" for n in range(148, 168)]
    (tmp_path / "ids.json").write_text(json.dumps(["mp-ft" if i == "mp-149" else i for i in ids]))
    found = read_split(tmp_path / "ids.json")
    assert found.equals(shuffled(ids))
    assert found["split"].to_pylist() == ["train"] * 16 + ["validation"] * 2 + ["test"] * 2


@pytest.mark.parametrize("text", ["word", "mp-1"])
def test_a_text_is_no_list_of_ids(tmp_path, text):
    (tmp_path / "ids.json").write_text(json.dumps(text))
    with pytest.raises(UserError, match="not a split"):
        read_split(tmp_path / "ids.json")


def test_ids_of_digits_stay_text(tmp_path):
    (tmp_path / "split.csv").write_text("material_id,split\n007,train\n12,test\n")
    assert read_split(tmp_path / "split.csv")["material_id"].to_pylist() == ["007", "12"]


def test_a_split_table_of_a_release_is_a_split(small_release):
    table = read_split(small_release.path / "splits" / "random.parquet")
    assert table.num_rows == 20


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "a.csv",
            "material_id,split\nmp-1,holdout\n",
            "split: not one of train, validation, test (1 records, first mp-1: 'holdout')",
        ),
        ("a.csv", "material_id,split\nmp-1,train\nmp-2,test\nmp-1,test\n", "twice (1 records, first mp-1)"),
        (
            "a.csv",
            "material_id,split\nmp-149,train\nmp-ft,test\n",
            "material_id: stands here twice (1 records, first mp-149)",
        ),
        ("a.csv", "id,split\nmp-1,train\n", "it needs the columns material_id, split"),
        ("a.csv", "", "it needs the columns material_id, split"),
        ("a.csv", "material_id,split\n", "the split names no id"),
        (
            "a.csv",
            "material_id,split\nmp-1,\n",
            "not one of train, validation, test (1 records, first mp-1: '')",
        ),
        ("a.json", "{", "not a split"),
        ("a.json", "5", "not a split"),
        ("a.json", '{"train": 5}', "not a split"),
        ("a.json", '[{"material_id": "mp-1"}]', "not a split"),
        ("a.json", "[]", "the split names no id"),
        ("a.json", '{"holdout": ["mp-1"]}', "(1 records, first mp-1: 'holdout')"),
        (
            "a.csv",
            "material_id,split\nmp-1,holdout\nmp-2,rest\nmp-3,test\nmp-3,train\n",
            "in 2 ways: split: not one of train, validation, test (2 records, first mp-1: 'holdout'); "
            "material_id: stands here twice (1 records, first mp-3)",
        ),
        ("a.parquet", "no parquet", "not a split"),
    ],
)
def test_mistakes_in_one_line(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        read_split(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        [{"material_id": 1, "split": "train"}],
        [{"material_id": None, "split": "train"}],
        [{"material_id": "mp-1", "split": ["train"]}],
        [{"material_id": "mp-1", "split": None}, {"material_id": "mp-2", "split": "holdout"}],
        {"train": [1, 2]},
    ],
)
def test_values_that_are_no_text(tmp_path, content):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(UserError):
        read_split(tmp_path / "a.json")


@pytest.mark.parametrize("ids", [[1, 2], ["mp-1", None]])
def test_parquet_ids_that_are_no_text(tmp_path, ids):
    pq.write_table(pa.table({"material_id": ids, "split": ["train", "test"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="not a split"):
        read_split(tmp_path / "a.parquet")


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"no\.csv: no such file or folder; a split is a table"):
        read_split(tmp_path / "no.csv")


@pytest.mark.parametrize("missing", ["train", "valid", "test"])
def test_folder_without_one_list(tmp_path, missing):
    write_folder(tmp_path)
    (tmp_path / f"mp_ids_{missing}.json").unlink()
    with pytest.raises(UserError, match=r"0 files end in _\w+\.json, one is needed"):
        read_split(tmp_path)


def test_folder_with_two_lists_for_one_split(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "mp_ids_val.json").write_text("[]")
    with pytest.raises(UserError, match=r"2 files end in _validation\.json"):
        read_split(tmp_path)


@pytest.mark.parametrize("content", ["[1, 2]", "5", "{", '[["mp-1"]]'])
def test_folder_with_a_list_that_is_none(tmp_path, content):
    write_folder(tmp_path)
    (tmp_path / "mp_ids_train.json").write_text(content)
    with pytest.raises(UserError, match="not a split"):
        read_split(tmp_path)


def keys(*ids):
    return pa.table({"material_id": pa.array(ids, pa.string()), "nsites": list(range(len(ids)))})


def test_published():
    table = keys("mp-1", "mvc-2", "mp-10", "mp-2")
    (kept, dropped), assigned = published(table, EXPECTED)
    assert kept.to_pydict() == {"material_id": ["mvc-2", "mp-10"], "nsites": [1, 2]}
    assert dropped.select(["material_id", "rule", "reason", "detail"]).to_pylist() == [
        {"material_id": i, "rule": "split", "reason": "on none of the lists of the split", "detail": detail}
        for i, detail in (("mp-1", "nsites 0"), ("mp-2", "nsites 3"))
    ]
    # In the order of the list, ids that are not in the data left out.
    assert assigned.to_pylist() == [
        {"material_id": "mp-10", "split": "validation"},
        {"material_id": "mvc-2", "split": "test"},
    ]


def test_published_on_nothing():
    (kept, dropped), assigned = published(keys(), EXPECTED)
    assert kept.num_rows == dropped.num_rows == assigned.num_rows == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.bz2", "a.json.gz"])
def test_a_split_packed_and_in_any_encoding(tmp_path, name, encoding):
    ids = {"0012": "train", "12": "validation", "7E10": "test"}
    text = "material_id;split\n" + "".join(f"{one};{part}\n" for one, part in ids.items())
    if "json" in name:
        text = json.dumps([{"material_id": one, "split": part} for one, part in ids.items()])
    packed = (bz2 if name.endswith("bz2") else gzip).compress(text.encode(encoding))
    (tmp_path / name).write_bytes(packed)
    table = read_split(tmp_path / name)
    assert dict(zip(table["material_id"].to_pylist(), table["split"].to_pylist(), strict=True)) == ids
