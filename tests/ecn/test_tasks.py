"""Metrics against counts by hand, units against the vocabulary."""

import math

import pytest
import torch

from ecn.errors import UserError
from ecn.tasks import TASKS, class_metrics, moment_loss, task


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("formation_energy", "eV/atom"),
        ("fermi_energy", "eV"),
        ("band_gap", "eV"),
        ("magnetization", "muB/atom"),
        ("heat_all", "eV per cell"),
        ("is_metal", "probability of metal"),
    ],
)
def test_units(name, unit):
    assert task(name).unit == unit


def test_rows_that_are_left_out_are_said_to_be():
    assert task("efermi").excluded == "without efermi"
    assert task("band_gap").excluded == "without band_gap or where is_insulator is not true"


def test_a_numeric_column_goes_by_its_name():
    assert task("e_above_hull").column == "e_above_hull"


def test_an_unknown_target_is_named():
    with pytest.raises(UserError, match="unknown target 'colour'; known: formation_energy"):
        task("colour")


def test_errors_are_absolute_and_squares_are_summed():
    energy = TASKS["formation_energy"]
    output, label = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0])
    assert float(energy.loss(output, label)) == 10.0
    assert energy.score(output, label) == 2.0
    assert energy.metrics(output, label, train_mean=-1.0) == {"mae": 2.0, "mae_mean_predictor": 1.0}


def test_a_classifier_returns_logits():
    metal = TASKS["is_metal"]
    output, label = torch.tensor([0.0]), torch.tensor([1.0])
    assert math.isclose(metal.score(output, label), math.log(2), rel_tol=1e-6)
    assert float(metal.value(output)) == 0.5


def test_class_metrics_against_counts():
    probability = torch.tensor([0.9, 0.8, 0.3, 0.6, 0.1, 0.2])
    label = torch.tensor([1, 1, 1, 0, 0, 0])
    found = class_metrics(probability, label, ("nonmetal", "metal"))
    assert math.isclose(found["accuracy"], 4 / 6, rel_tol=1e-6)
    assert math.isclose(found["precision"], 2 / 3)
    assert math.isclose(found["recall"], 2 / 3)
    assert math.isclose(found["f1"], 2 / 3)
    assert math.isclose(found["auc"], 8 / 9, rel_tol=1e-6)  # of 9 pairs, 0.3 < 0.6 is the one out of order
    assert found["per_class"]["nonmetal"] == {"n": 3.0, "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3}
    assert found["accuracy_majority_class"] == 0.5


def test_a_class_nobody_predicts_has_no_precision():
    found = class_metrics(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0, 0, 1]), ("nonmetal", "metal"))
    assert found["precision"] == found["recall"] == found["f1"] == 0.0
    assert found["per_class"]["nonmetal"]["recall"] == 1.0


def test_the_global_sign_of_moments_means_nothing():
    label = torch.tensor([1.0, -1.0, 2.0, 3.0])
    crystal = torch.tensor([0, 0, 1, 1])
    flipped = torch.tensor([-1.0, 1.0, 2.0, 3.0])
    assert moment_loss(flipped, label, crystal) == 0.0
    local = torch.tensor([1.0, 1.0, 2.0, 3.0])  # the sign of one site is no global one
    assert moment_loss(local, label, crystal) == pytest.approx((4.0 / 2 + 0.0) / 2)
