"""What the report shows of an audit."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from mpclean.inspection.audit import audit
from mpclean.inspection.audit.provenance import Mixture
from mpclean.inspection.report.leakage import labels


@pytest.fixture(scope="module")
def found(unreported):
    return audit(unreported, workers=1)


def test_energies_of_several_kinds_have_a_table(found):
    mixture = Mixture("functional", "functionals", {"PBE": 7, "r2SCAN": 2}, {"PBE": ["a"], "r2SCAN": ["b"]})
    tables = list(labels(SimpleNamespace(audit=replace(found, mixtures=[mixture]))))
    assert [row[1:] for row in tables[-1].rows] == [["PBE", "7", "a"], ["r2SCAN", "2", "b"]]


def test_energies_of_one_kind_have_none(found):
    assert len(list(labels(SimpleNamespace(audit=replace(found, mixtures=[]))))) == 1
