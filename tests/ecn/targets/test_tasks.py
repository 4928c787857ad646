"""Metrics against counts by hand, units against the vocabulary."""

import json
import math

import numpy as np
import pytest
import torch

from ecn.targets.goal import Goal
from ecn.targets.losses import moment_loss, site_errors
from ecn.targets.metrics import bootstrap_standard_deviation, class_metrics
from ecn.targets.tasks import TASKS, Task, task
from mpclean.errors import UserError


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


def test_errors_are_absolute_and_losses_are_squares():
    energy = TASKS["formation_energy"]
    output, label, crystal = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0]), torch.arange(2)
    assert energy.losses(output, label).tolist() == [1.0, 9.0]
    assert energy.losses(output, label, "l1").tolist() == [1.0, 3.0]
    assert energy.losses(output, label, "huber").tolist() == [0.5, 2.5]
    assert energy.losses(output, label, "huber", 0.5).tolist() == [0.375, 1.375]
    assert energy.score(output, label, crystal) == 2.0
    found = energy.metrics(output, label, -1.0, crystal)
    assert found.pop("mae_uncertainty") == pytest.approx(2**-0.5, rel=0.1)  # of 1, 2, 2 or 3
    assert found == {"mae": 2.0, "rmse": pytest.approx(5**0.5), "mae_mean_predictor": 1.0}


def test_the_uncertainty_of_a_mean_is_that_of_the_law_of_large_numbers():
    errors = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    expected = float(errors.std()) / 4000**0.5
    assert bootstrap_standard_deviation(errors, torch.arange(4000)) == pytest.approx(expected, rel=0.1)
    # Sites of one crystal are no independent cases.
    assert bootstrap_standard_deviation(errors.repeat(3), torch.arange(4000).repeat(3)) == pytest.approx(
        expected, rel=0.1
    )


def test_a_classifier_returns_logits():
    metal = TASKS["is_metal"]
    output, label = torch.tensor([0.0]), torch.tensor([1.0])
    assert math.isclose(metal.score(output, label, torch.tensor([0])), math.log(2), rel_tol=1e-6)
    assert float(metal.value(output)) == 0.5


def test_stable_crystals_are_found_up_to_a_limit():
    label = torch.tensor([0.0, 0.0, 0.03, 0.2])
    output = torch.tensor([-0.01, 0.02, 0.04, 0.03])
    found = TASKS["formation_energy"], Task("e_above_hull", "e_above_hull")
    assert "stability" not in found[0].metrics(output, label, 0.0, torch.arange(4))
    stability = found[1].metrics(output, label, 0.0, torch.arange(4))["stability"]
    assert stability["0"] == pytest.approx({"n": 2.0, "precision": 1.0, "recall": 0.5, "f1": 2 / 3})
    assert stability["0.05"] == pytest.approx({"n": 3.0, "precision": 0.75, "recall": 1.0, "f1": 6 / 7})


def test_class_metrics_against_counts():
    probability = torch.tensor([0.9, 0.8, 0.3, 0.6, 0.1, 0.2])
    label = torch.tensor([1, 1, 1, 0, 0, 0])
    found = class_metrics(probability, label, ("nonmetal", "metal"))
    assert math.isclose(found["accuracy"], 4 / 6, rel_tol=1e-6)
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx([2 / 3] * 3)
    assert math.isclose(found["auc"], 8 / 9, rel_tol=1e-6)  # of 9 pairs, 0.3 < 0.6 is the one out of order
    ratios = {"n": 3.0, "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3}
    assert found["per_class"]["nonmetal"] == pytest.approx(ratios)
    assert found["accuracy_majority_class"] == 0.5


def test_the_uncertainty_of_a_classifier_is_that_of_resampled_crystals():
    generator = torch.Generator().manual_seed(0)
    label = (torch.rand(2000, generator=generator) < 0.3).long()
    probability = (0.35 * label + 0.8 * torch.rand(2000, generator=generator)).clamp(max=1.0)  # with ties
    found = class_metrics(probability, label, ("nonmetal", "metal"))
    deviations = found["uncertainty"]
    # Of a share p of n crystals it is sqrt(p (1 - p) / n).
    metals = found["per_class"]["metal"]
    for p, n, deviation in (
        (found["accuracy"], 2000, deviations["accuracy"]),
        (metals["recall"], metals["n"], deviations["per_class"]["metal"]["recall"]),
        (metals["precision"], int((probability > 0.5).sum()), deviations["per_class"]["metal"]["precision"]),
    ):
        assert deviation == pytest.approx(math.sqrt(p * (1 - p) / n), rel=0.1)
    draws = [torch.randint(2000, (2000,), generator=generator) for _ in range(200)]
    again = [class_metrics_once(probability[d], label[d]) for d in draws]
    for name, deviation in (("auc", deviations["auc"]), ("f1", deviations["per_class"]["metal"]["f1"])):
        assert deviation == pytest.approx(np.std([a[name] for a in again]), rel=0.2)


def class_metrics_once(probability, label):
    from torchmetrics.functional.classification import binary_auroc, binary_f1_score

    return {
        "auc": float(binary_auroc(probability, label)),
        "f1": float(binary_f1_score((probability > 0.5).long(), label)),
    }


def test_a_class_nobody_predicts_has_no_precision():
    found = class_metrics(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0, 0, 1]), ("nonmetal", "metal"))
    assert found["precision"] == found["recall"] == found["f1"] == 0.0
    assert found["per_class"]["nonmetal"]["recall"] == 1.0


def test_the_global_sign_of_moments_means_nothing():
    label = torch.tensor([1.0, -1.0, 2.0, 3.0])
    crystal = torch.tensor([0, 0, 1, 1])
    flipped = torch.tensor([-1.0, 1.0, 2.0, 3.0])
    assert moment_loss(flipped, label, crystal).tolist() == [0.0, 0.0]
    local = torch.tensor([1.0, 1.0, 2.0, 3.0])  # the sign of one site is no global one
    assert moment_loss(local, label, crystal).tolist() == [2.0, 0.0]
    assert site_errors(flipped, label, crystal).tolist() == [0.0] * 4
    assert TASKS["magnetic_moments"].score(flipped + 0.5, label, crystal) == 0.5


def test_several_targets_are_learned_in_units_of_their_own():
    goal = Goal.named("formation_energy, band_gap,is_metal")
    assert goal.name == "formation_energy,band_gap,is_metal"
    nan = float("nan")
    labels = torch.tensor([[1.0, nan, 1.0], [3.0, 2.0, 0.0], [nan, 6.0, 0.0]])
    fitted = goal.fitted(labels, standardise=False)
    assert [t.shift for t in fitted.targets] == [2.0, 4.0, 0.0]
    assert [t.scale for t in fitted.targets] == pytest.approx([2**0.5, 8**0.5, 1.0])
    assert [t.train_mean for t in fitted.targets] == pytest.approx([2.0, 4.0, 1 / 3])
    torch.testing.assert_close(fitted.predicted(fitted.learned(labels)), labels, equal_nan=True)
    assert Goal.from_json(json.loads(json.dumps(fitted.to_json()))).targets == fitted.targets
    output = labels.nan_to_num(99.0) + torch.tensor([0.5, 0.0, 0.0])
    scores = fitted.scores(output, labels, torch.arange(3))
    assert scores["formation_energy"] == 0.5
    assert scores["band_gap"] == 0.0
    assert fitted.score(scores) == pytest.approx((0.5 / 2**0.5 + scores["is_metal"]) / 3)


def test_a_label_that_is_not_there_has_no_loss():
    goal = Goal.named("formation_energy,band_gap")
    output = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    labels = torch.tensor([[0.0, float("nan")], [float("nan"), 1.0]])
    loss = goal.loss(output, labels, torch.arange(2))
    loss.backward()
    assert float(loss) == 1.0 + 9.0
    assert output.grad.tolist() == [[2.0, 0.0], [0.0, 6.0]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("formation_energy,colour", "unknown target 'colour'"),
        ("formation_energy,formation_energy_per_atom", "the same column twice"),
        ("magnetic_moments,band_gap", "a target of sites is learned alone"),
    ],
)
def test_targets_that_do_not_go_together_are_named(names, message):
    with pytest.raises(UserError, match=message):
        Goal.named(names)
