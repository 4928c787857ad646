"""Evaluations and predictions as tables for a terminal, at most 80 columns wide."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from tabulate import tabulate

from ecn.inference.evaluation import Evaluation

#: Crystals with the largest errors, and elements, that a table lists.
_LISTED = 5

#: The kind of a warning, and what it says of a crystal: after a colon, or in brackets at the end.
_KIND = re.compile(r"(.+?)(?:: (.+)| \((.+)\))?", re.DOTALL)

#: Elements with fewer crystals are not listed: the mean of their errors says little.
_ENOUGH = 5


def evaluation_table(evaluation: Evaluation) -> str:
    """Lay out the metrics of an evaluation with their units, and where its errors are large."""
    metrics, task = evaluation.metrics, evaluation.task
    lines = [evaluation.title, *(_classes(metrics) if task.is_classifier else _numbers(evaluation))]
    if "stability" in metrics:
        found = {f"<= {limit} {task.unit}": ratios for limit, ratios in metrics["stability"].items()}
        lines.append(_ratios("stable", found, "stable"))
    if not task.is_classifier:
        lines += ["", *_where(evaluation)]
    return "\n".join(lines)


def _numbers(evaluation: Evaluation) -> Iterator[str]:
    metrics, unit = evaluation.metrics, evaluation.task.unit
    mae, mean = metrics["mae"], metrics["mae_mean_predictor"]
    yield f"{'MAE of the model':28}{mae:10.4f} {unit}, +- {metrics['mae_uncertainty']:.4f} (bootstrap)"
    yield f"{'RMSE of the model':28}{metrics['rmse']:10.4f} {unit}"
    if metrics["r2"] is not None:
        yield f"{'R2 of the model':28}{metrics['r2']:10.4f}"
    yield f"{'MAE of the mean predictor':28}{mean:10.4f} {unit}"
    yield f"{'ratio':28}{mean / mae if mae else math.inf:10.1f}"


def _classes(metrics: Mapping[str, object]) -> Iterator[str]:
    errors = metrics["uncertainty"]
    yield _ratios("", metrics["per_class"], "crystals", errors["per_class"])  # type: ignore[index,arg-type]
    yield "precision: of those predicted; recall: of those that are, which the paper prints as"
    yield "precision"
    yield (
        f"accuracy {metrics['accuracy']:.3f} +- {errors['accuracy']:.3f} "  # type: ignore[index]
        f"(majority class {metrics['accuracy_majority_class']:.3f})"
    )
    yield f"area under the ROC curve {metrics['auc']:.3f} +- {errors['auc']:.3f}"  # type: ignore[index]
    yield "+-: by bootstrap over the crystals"


def _where(evaluation: Evaluation) -> Iterator[str]:
    """Lay out errors by crystal system, size and element, and the worst crystals."""
    unit = evaluation.task.unit
    for kind, table in evaluation.groups.items():
        rows = table.to_pylist()
        if kind == "element":
            rows = [row for row in rows if row["n"] >= _ENOUGH][:_LISTED]
            kind = "worst elements"
        if rows:
            head = [kind, "n", f"MAE ({unit})" if unit else "MAE"]
            cells = [[row["group"], f"{row['n']:,}", f"{row['mae']:.4f}"] for row in rows]
            yield tabulate(cells, head, "plain", disable_numparse=True, colalign=("left", "right", "right"))
            yield ""
    has_deviation = evaluation.compared["standard_deviation"].null_count < len(evaluation.compared)
    head = ["largest errors", "formula", "label", "predicted", "error", *["std. dev."] * has_deviation]
    cells = []
    for row in evaluation.worst(_LISTED).to_pylist():
        numbers = [row["label"], row["prediction"], row["error"]]
        numbers += [row["standard_deviation"]] * has_deviation
        name = _short(row["material_id"], 20) + ("" if row["site"] is None else f" site {row['site']}")
        cells.append([name, _short(row["formula"], 16), *(f"{number:.4f}" for number in numbers)])
    align = ("left", "left", *["right"] * (len(head) - 2))
    yield tabulate(cells, head, "plain", disable_numparse=True, colalign=align)


def _ratios(
    head: str,
    rows: dict[str, dict[str, float]],
    counted: str,
    errors: dict[str, dict[str, float]] | None = None,
) -> str:
    """Lay out precision, recall and F1 of several classes, with their uncertainties where they are known."""
    width = 10 if errors is None else 17
    lines = [f"{head:14}" + "".join(f"{word:>{width}}" for word in ("precision", "recall", "F1", counted))]
    for name, values in rows.items():
        shown = [
            f"{values[ratio]:.3f}" + ("" if errors is None else f" +- {errors[name][ratio]:.3f}")
            for ratio in ("precision", "recall", "f1")
        ]
        lines.append(f"{name:14}" + "".join(f"{text:>{width}}" for text in (*shown, f"{values['n']:.0f}")))
    return "\n".join(line.rstrip() for line in lines)


def predictions_table(rows: pa.Table, *, head: bool = True) -> str:
    """Lay out predictions for a terminal: the crystal, the value with its unit, and a mark for a warning.

    Parameters
    ----------
    rows
        Of `ecn.inference.inputs.ROWS`.
    head
        Whether to begin with the names of the columns.
    """
    has_deviation = rows["standard_deviation"].null_count < len(rows)
    has_sites = rows["site"].null_count < len(rows)
    lines = []
    if head:
        names = f"{'crystal':24} {'formula':14} " + f"{'site':>8} " * has_sites + f"{'value':>10}"
        lines.append(names + f" {'std. dev.':>10}" * has_deviation + " unit")
    for row in rows.to_pylist():
        name = row["material_id"] or row["file"]
        text = f"{_short(name, 24):24} {_short(row['formula'] or '', 14):14} "
        if has_sites:
            text += f"{'' if row['site'] is None else str(row['site']) + ' ' + row['element']:>8} "
        text += f"{'-' if row['value'] is None else format(row['value'], '.4f'):>10}"
        if has_deviation:
            deviation = row["standard_deviation"]
            text += f" {'' if deviation is None else format(deviation, '.4f'):>10}"
        lines.append(f"{text} {row['unit']}{' (!)' if row['warning'] else ''}")
    return "\n".join(lines)


class WarningCounts:
    """Warnings about the crystals of an input by their kind: a line for each, of however many crystals.

    The kind of a warning is what stands before its colon or its brackets. Each file of a folder that cannot
    be read has its own line.

    Parameters
    ----------
    path
        The input.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unread: list[str] = []
        self._first: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def add(self, rows: pa.Table) -> None:
        """Count the warnings of rows of `ecn.inference.inputs.ROWS`, once for each crystal."""
        warned = rows.filter(pc.not_equal(rows["warning"], "")).select(
            ["index", "material_id", "file", "rule", "warning"]
        )
        seen = {}
        for row in warned.to_pylist():
            if row["rule"] == "record" and row["file"] != str(self._path):
                self._unread.append(f"{row['file']}: {row['warning']}")
                continue
            for warning in row["warning"].split("; "):
                kind, *details = _KIND.fullmatch(warning).groups("")  # type: ignore[union-attr]
                detail = "".join(details)
                name = row["material_id"] or f"crystal {row['index']}"
                seen[row["file"], row["index"], kind] = f"{name}, {detail}" if detail else name
        for (*_, kind), example in seen.items():
            self._counts[kind] += 1
            self._first.setdefault(kind, example)

    def lines(self) -> list[str]:
        """Give a line for each file that cannot be read, and for each kind, with its first crystal."""
        kinds = [
            f"{self._path}: {kind} ({self._first[kind]})"
            if n == 1
            else f"{self._path}: {kind}: {n:,} crystals, first {self._first[kind]}"
            for kind, n in self._counts.items()
        ]
        return [*dict.fromkeys(self._unread), *kinds]


def _short(text: str, width: int) -> str:
    """Shorten a name to a width from its front, since names of files differ at their ends."""
    return text if len(text) <= width else f"...{text[3 - width :]}"
