"""The model card of a run: what it predicts, how well, from what data, and how to make it again."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from typing import Any

import yaml
from tabulate import tabulate

from ecn.models import resolve
from ecn.runs.checkpoint import RunConfig
from ecn.training.presets import PRESETS, training_settings
from mpclean.vocabulary.elements import SYMBOLS

#: Of a class, by their names in `ecn.targets.metrics.class_metrics`, and in words.
_RATIOS = (("recall", "recall"), ("precision", "precision"), ("f1", "F1"))

_PAPER = "Kaba and Ravanbakhsh, Equivariant Networks for Crystal Structures, NeurIPS 2022, arXiv:2211.15420"


def fit_command(config: RunConfig, out: str) -> str:
    """Write the command that trains such a run again.

    Parameters
    ----------
    config
        The run.
    out
        Folder of the new one.
    """
    name = config.preset if config.preset in PRESETS else "paper"
    targets = [target["task"]["name"] for target in config.targets]
    preset = PRESETS[name]
    options = resolve(config.model).Config(**preset.options.get(config.model, {}))
    usual = {**training_settings(preset), **asdict(options)}
    settings = {**config.training, **config.model_options}
    settings.pop("per_site", None)  # follows from the target
    words = ["ecn", "fit", f"releases/{config.release.name}", "--target", ",".join(targets)]
    words += ["--model", config.model, "--preset", name]
    for setting, value in settings.items():
        if setting not in usual or value != usual[setting]:
            words += ["--set", f"{setting}={value if isinstance(value, str) else json.dumps(value)}"]
    for option, value in {
        "--from": config.start and config.start["name"],
        "--seed": config.seed,
        "--split": config.release.split,
        "--limit": config.limit,
        "--time-limit": config.time_limit,
        "--out": out,
    }.items():
        if value is not None:
            words += [option, f"{value}"]
    return shlex.join(words)


def card(config: RunConfig, epoch: int, evaluation: dict[str, Any]) -> str:
    """Write the card, Markdown with a head that the Hugging Face Hub reads.

    Parameters
    ----------
    config
        What the run was made of.
    epoch
        The epoch whose weights were kept.
    evaluation
        What `ecn.runs.export` measured: summaries of ``targets``, and ``data``.
    """
    data, release = evaluation["data"], config.release
    names = [measured["target"] for measured in evaluation["targets"]]
    title = f"{', '.join(names).replace('_', ' ')} of crystals, {config.model}"
    head = {
        "library_name": "mpclean",
        "license": "apache-2.0",
        "tags": ["materials-science", "crystals", config.model],
        "model-index": [
            {"name": title, "results": [_result(m, release.name) for m in evaluation["targets"]]}
        ],
    }
    made_up = (
        "**The labels are synthetic and describe no real material.**\n\n" if evaluation["synthetic"] else ""
    )
    table = "\n\n".join(map(_table, evaluation["targets"]))
    limit = (
        ""
        if config.time_limit is None
        else (
            f"Training ended after {config.time_limit:g} minutes, so another machine gets to another epoch. "
        )
    )
    split = release.split or "the one that the release was built with"
    rules = ", ".join(config.featuriser.rules)
    predicted = ", ".join(f"`{m['target']}` ({m['unit']})" for m in evaluation["targets"])
    return f"""---
{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---

# {title[0].upper()}{title[1:]}

{made_up}Predicts {predicted} from a crystal structure, with a model `{config.model}` of
mpclean and ecn ({_PAPER}).

```
ecn predict RUN structure.cif        # RUN: this folder, or its name
```

```python
import ecn

model = ecn.load("RUN")
model.predict([structure])  # pymatgen, ASE or mpclean
```

## Measured

{table}

Standard errors by bootstrap over the crystals of the split, 1,000 draws: they say nothing of other seeds or
other crystals. The numbers are those of `evaluation.json`.

## Data

| | |
|---|---|
| release | {release.name} {release.version}, {data["title"]} |
| content hash | `{release.content_hash}` |
| split | {split}; {config.n_train:,} crystals trained on, {config.n_validation:,} to choose the epoch |
| source | {data["source"]}, sha256 `{data["sha256"]}` |
| licence of the data | {data["licence"]} |
| cite | {data["citation"]} |

{data["obtain"]}

## Training

```
{fit_command(config, "runs/again")}
```

Epoch {epoch} was the best by the validation score. {limit}Code: {_code(config)}.

## Limits

- It knows crystals like those it was trained on: those that passed the rules {rules}.
  `ecn predict` gives every other crystal a number too, and says which rule it breaks.
{_covered(config)}{_unseen(config)}- Bonds: {config.featuriser.bonds}, found as for the release. A
  structure far from its relaxed geometry has other bonds than the crystals of the release.
- Labels are what the source calculated, with its functional and its corrections; errors are against
  those, not against experiments.

## Licence and citation

The weights: Apache-2.0, as the code. The data: {data["licence"]}. Cite {data["citation"]}; and {_PAPER}.
"""


def _covered(config: RunConfig) -> str:
    """Say which elements, sizes and bonds the training crystals had."""
    if config.coverage is None:
        return ""
    elements = ", ".join(SYMBOLS[z] for z in config.coverage["elements"])
    least, most = config.coverage["n_atoms"]
    sizes = f"{least}" if least == most else f"{least} to {most}"
    short, long = config.coverage["bond_length"]
    return (
        f"- The training crystals had {sizes} atoms in the primitive cell, bonds of {short:.2f} to "
        f"{long:.2f} A, and the elements {elements}. A prediction outside these has a warning.\n"
    )


def _unseen(config: RunConfig) -> str:
    """Write a line for every target that is learned from some of the crystals only."""
    tasks = [target["task"] for target in config.targets if target["task"]["rows"]]
    return "".join(
        f"- `{task['name']}` was learned from crystals where {task['rows']} is true; a number for any other "
        "crystal means nothing.\n"
        for task in tasks
    )


def shown(measured: dict[str, Any]) -> list[tuple[str, float, float | None, str]]:
    """List name, value, standard error and unit of every metric that a card shows.

    Parameters
    ----------
    measured
        The summary of an evaluation, see `ecn.inference.evaluation.Evaluation.summary`.
    """
    unit = measured["unit"]
    if "per_class" not in measured:
        rows: list[tuple[str, float, float | None, str]] = [
            ("MAE", measured["mae"], measured["mae_uncertainty"], unit),
            ("RMSE", measured["rmse"], None, unit),
            ("MAE of the mean predictor", measured["mae_mean_predictor"], None, unit),
        ]
        if measured.get("r2") is not None:  # evaluations before format 3 of a run do not have it
            rows.insert(2, ("R2", measured["r2"], None, ""))
        for limit, values in measured.get("stability", {}).items():
            for ratio, word in _RATIOS:
                rows.append((f"{word} of those up to {limit} {unit}", values[ratio], None, ""))
        return rows
    errors = measured["uncertainty"]
    rows = [
        ("accuracy", measured["accuracy"], errors["accuracy"], ""),
        ("accuracy of the majority class", measured["accuracy_majority_class"], None, ""),
        ("area under the ROC curve", measured["auc"], errors["auc"], ""),
    ]
    for name, values in measured["per_class"].items():
        for ratio, word in _RATIOS:
            rows.append((f"{word} of {name}", values[ratio], errors["per_class"][name][ratio], ""))
    return rows


def _table(measured: dict[str, Any]) -> str:
    """Lay out the metrics of a target."""
    kind = f"`{measured['target']}`, {measured['split']} part, {measured['n']:,} labels"
    rows = [
        [name, f"{value:.4g}", "" if error is None else f"{error:.2g}", unit]
        for name, value, error, unit in shown(measured)
    ]
    return tabulate(rows, [kind, "value", "standard error", "unit"], tablefmt="github", disable_numparse=True)


def _result(measured: dict[str, Any], release: str) -> dict[str, Any]:
    """Give the metrics of a target as the Hub reads them."""
    return {
        "task": {"type": "tabular-regression", "name": measured["target"]},
        "dataset": {"type": release, "name": release, "split": measured["split"]},
        "metrics": [
            {"type": name, "value": value, "name": f"{name} ({unit})" if unit else name}
            for name, value, _, unit in shown(measured)
        ],
    }


def _code(config: RunConfig) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in config.packages.items())
    return versions + (f", commit {config.git_revision}" if config.git_revision else "")
