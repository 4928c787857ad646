"""The scripts in benchmarks/ run by hand only; here it is checked that what they name still exists."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(FOLDER.glob("*.py"))


def imports(node: ast.AST) -> Iterator[tuple[int, str, str | None]]:
    """Line, module and name of all imports of our packages, also of those inside functions.

    What is imported after an ImportError is for older commits that a benchmark runs beside this one.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ExceptHandler) and isinstance(child.type, ast.Name):
            if child.type.id == "ImportError":
                continue
        elif isinstance(child, ast.ImportFrom):
            if ours(child.module or ""):
                yield from ((child.lineno, child.module or "", alias.name) for alias in child.names)
        elif isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name, None) for alias in child.names if ours(alias.name))
        yield from imports(child)


def ours(module: str) -> bool:
    return module.partition(".")[0] in ("mpclean", "ecn")


def missing(module: str, name: str | None) -> bool:
    """Whether a module, or a name in it, cannot be imported."""
    try:
        found = importlib.import_module(module)
        if name is not None and not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return True
    return False


def benchmark(name: str) -> ModuleType:
    """Import a script, which finds the others beside it."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_exists(script):
    tree = ast.parse(script.read_text("utf-8"))
    gone = [
        f"line {line}: {module} {name or ''}" for line, module, name in imports(tree) if missing(module, name)
    ]
    assert not gone


def test_an_import_that_is_gone_is_found():
    tree = ast.parse("def f():\n    from ecn.data import nothing\n    import mpclean.nowhere\n")
    assert [missing(module, name) for _, module, name in imports(tree)] == [True, True]


@pytest.mark.parametrize("stage", (stages := benchmark("stages").STAGES), ids=str)
def test_the_function_of_a_stage_exists(stage):
    module, path = stages[stage]
    assert callable(attrgetter(path)(importlib.import_module(module)))


def test_what_the_scale_benchmark_replaces_exists():
    """It sets functions of modules, which would work as well if nobody called them any more."""
    tree = ast.parse((FOLDER / "scale.py").read_text("utf-8"))
    modules = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and ours(node.module or "")
        for alias in node.names
    }
    replaced = [
        (modules[node.value.id], node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if isinstance(node.value, ast.Name)
    ]
    assert replaced
    assert not [name for name in replaced if missing(*name)]


def test_the_tests_that_reliability_runs_exist():
    tree = ast.parse((FOLDER / "reliability.py").read_text("utf-8"))
    values = {
        getattr(target, "id", ""): node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    }
    promises = ast.literal_eval(values["PROMISES"]).values()
    paths = [*ast.literal_eval(values["TESTS"]), *(words.split()[0] for words, _ in promises)]
    assert all((FOLDER.parent / path).is_file() for path in paths)


@pytest.mark.parametrize("options", [{}, {"group": "P1bar"}], ids=["S8", "P1bar"])
def test_the_dense_definition_gives_the_numbers_of_the_closed_form(options):
    torch = pytest.importorskip("torch")
    from ecn.models import build
    from ecn.testing.batches import random_batch

    torch.manual_seed(0)
    batch, network = random_batch(sizes=(3, 1)), build("ecn", {"width": 4, "n_layers": 2, **options}).double()
    closed = network(batch)
    benchmark("train").make_dense(network)
    assert "forward" in network.layers[0].phi1.__dict__  # it is the dense one that is called now
    torch.testing.assert_close(network(batch), closed, rtol=1e-10, atol=1e-12)
