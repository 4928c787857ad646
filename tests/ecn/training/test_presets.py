"""Presets as files, and settings that cannot be."""

import pytest

from ecn.models import MODELS, build
from ecn.models.settings import meanings
from ecn.training.presets import PRESETS, Preset, from_yaml, to_yaml, training_settings
from mpclean.errors import UserError


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_comes_back_from_its_file(name, tmp_path):
    path = tmp_path / "preset.yaml"
    path.write_text(to_yaml(PRESETS[name]))
    assert from_yaml(path) == PRESETS[name]


def test_a_file_says_what_every_setting_means():
    text = to_yaml(PRESETS["paper"])
    assert "# Initial learning rate of AdamW.\nlearning_rate: 0.001\n" in text
    assert set(meanings(Preset)) == set(Preset.__dataclass_fields__)


def test_a_short_exponent_is_a_number(tmp_path):
    path = tmp_path / "preset.yaml"
    path.write_text("learning_rate: 5e-4\nepochs: 10\noptions: {ecn: {basis_width: 3e-1}}\n")
    preset = from_yaml(path)
    assert (preset.learning_rate, preset.epochs) == (5e-4, 10)
    assert preset.options == {"ecn": {"basis_width": 0.3}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour: red", "preset.yaml: unknown option 'colour'; known: epochs, batch_size, "),
        ("epochs: many", "epochs = 'many' is not of type int"),
        ("epochs: 0", "epochs = 0 is less than 1"),
        ("huber_delta: 0", "huber_delta = 0 is not positive"),
        ("clip_norm: 0", "clip_norm = 0 is not positive"),
        ("average_decay: 1.5", "average_decay = 1.5 is not between 0 and 1"),
        ("plateau_factor: 1", "plateau_factor = 1 is not between 0 and 1"),
        ("weight_decay: -1", "weight_decay = -1 is not zero or more"),
        ("warmup_epochs: -1", "warmup_epochs = -1 is not zero or more"),
        ("learning_rate: .inf", "learning_rate = inf is not positive"),
        ("data_memory: 0", "data_memory = 0 is not positive"),
        ("options: {resnet: {width: 8}}", "options of an unknown model 'resnet'; did you mean"),
        ("options: {ecn: 5}", "options of ecn = 5 is not a mapping"),
        ("1: epochs", "not a file of settings; `ecn presets fast` prints one"),
        ("average_decay: x", "average_decay = 'x' is not of type float or null"),
        ("precision: 8-true", "precision = '8-true' is not one of 32-true, "),
        ("- epochs", "not a file of settings; `ecn presets fast` prints one"),
        ("epochs: [", "cannot be read"),
    ],
)
def test_what_cannot_be_is_named(text, message, tmp_path):
    path = tmp_path / "preset.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        from_yaml(path)
    assert message in str(error.value)


@pytest.mark.parametrize("model", MODELS)
def test_settings_and_options_of_models_go_by_different_names(model):
    assert not set(training_settings(Preset())) & set(build(model, {}).Config.__dataclass_fields__)
