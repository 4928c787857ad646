"""The choices of rows and columns that a release offers."""

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.release.configurations import configurations, count
from mpclean.vocabulary.schema import RELEASE, TARGETS


def test_names():
    names = [c.name for c in configurations([*RELEASE.names, "heat_all"])]
    # In the order in which the columns stand.
    assert names[:2] == ["default", "insulators"]
    assert set(names[2:]) == {*TARGETS, "heat_all"}


def test_a_target_has_only_its_own_label():
    for configuration in configurations(RELEASE.names):
        if configuration.name in TARGETS:
            assert [name for name in configuration.columns if name in TARGETS] == [configuration.name]
            assert set(RELEASE.names) - set(configuration.columns) == set(TARGETS) - {configuration.name}


def test_counts_are_those_of_the_filters(demo_release):
    counts = {}
    for split in ("train", "validation", "test"):
        table = demo_release.table(split)
        for start in range(0, table.num_rows, 50):
            count(counts, split, table.slice(start, 50))
    for configuration in configurations(demo_release.manifest.columns):
        for split in ("train", "validation", "test"):
            table = demo_release.table(split)
            for name, operator, value in configuration.filters or ():
                compare = {"==": pc.equal, ">=": pc.greater_equal}[operator]
                table = table.filter(compare(table[name], pa.scalar(value)))
            expected = counts[configuration.name][split]["num_examples"]
            assert (
                table.num_rows
                == expected
                == demo_release.manifest.counts[configuration.name][split].num_examples
            )


def test_some_labels_are_missing_in_the_demo(demo_release):
    counts = demo_release.manifest.counts
    default = counts["default"]["train"].num_examples
    assert 0 < counts["insulators"]["train"].num_examples < default
    assert any(0 < counts[name]["train"].num_examples < default for name in TARGETS)
