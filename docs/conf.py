"""The documentation site: pages of this folder, tables and help from the code, API from docstrings.

`make docs` builds it. What is generated lies in ``docs/generated``, which git ignores.
"""

import importlib
import json
import pkgutil
import sys
from pathlib import Path

import click
import pyarrow as pa
from tabulate import tabulate

HERE = Path(__file__).parent
GENERATED = HERE / "generated"
sys.path.insert(0, str(HERE.parent))

import ecn  # noqa: E402
import ecn.cli  # noqa: E402
import mpclean  # noqa: E402
import mpclean.cli  # noqa: E402
from ecn.models import MODELS, describe  # noqa: E402
from mpclean.crystal.similarity.levels import LEVELS  # noqa: E402
from mpclean.rules import RULES  # noqa: E402
from mpclean.sources import SOURCES  # noqa: E402
from mpclean.splits import STRATEGIES  # noqa: E402
from mpclean.vocabulary import schema  # noqa: E402

project = "mpclean and ecn"
author = copyright = "The mpclean developers"
version = release = importlib.metadata.version("mpclean")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["generated/*.md"]  # parts of pages
html_theme = "furo"
html_title = "mpclean and ecn"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
default_role = "py:obj"
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
# Both packages have a UserError: a short name leads to one of them.
suppress_warnings = ["ref.python"]
html_copy_source = False


def public_modules():
    """Names of all modules of both packages but those that begin with an underscore."""
    for package in (mpclean, ecn):
        yield package.__name__
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(part.startswith("_") for part in module.name.split(".")):
                yield module.name


def first_line(text):
    """The first sentence of a docstring, as it stands there."""
    return " ".join((text or "").strip().split("\n\n")[0].split())


def table(head, rows):
    return tabulate(rows, head, "github", disable_numparse=True) + "\n"


def type_name(type_):
    if pa.types.is_list(type_):
        return f"list of {type_name(type_.value_type)}"
    return {"double": "float64", "float": "float32"}.get(str(type_), str(type_))


def columns(names):
    rows = [
        (f"`{name}`", type_name(column.type), column.unit, column.meaning)
        for name in names
        for column in (schema.COLUMNS[name],)
    ]
    return table(("column", "type", "unit", "meaning"), rows)


def source_module(name, kind):
    """The module of a source; the openers of some stand beside the registry."""
    module = kind.open_path.__module__
    return importlib.import_module(f"mpclean.sources.{name}" if module == "mpclean.sources" else module)


def tutorial():
    """The notebook as a page, without what it prints."""
    cells = json.loads((HERE / "tutorial.ipynb").read_text("utf-8"))["cells"]
    texts = ("".join(cell["source"]) for cell in cells)
    return "\n\n".join(
        f"```python\n{text}\n```" if cell["cell_type"] == "code" else text
        for cell, text in zip(cells, texts, strict=True)
    )


def help_of(command, path):
    """The help of a command and of all that is below it, as it is printed."""
    context = click.Context(command, info_name=path, max_content_width=100)
    text = f"## {path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        text += "".join(
            "\n" + help_of(below, f"{path} {name}") for name, below in sorted(command.commands.items())
        )
    return text


def pages():
    """Every generated file by its name."""
    yield "columns.md", columns(schema.RELEASE.names)
    yield "more_columns.md", columns([*schema.SOURCE_LABELS, *schema.SOURCE_WORDS])
    yield "ledger.md", columns(schema.LEDGER.names)
    yield (
        "rules.md",
        table(
            ("rule", "stays what is", "what it does"),
            [
                (f"`{name}`", rule().title, first_line(sys.modules[rule.__module__].__doc__))
                for name, rule in RULES.items()
            ],
        ),
    )
    yield (
        "strategies.md",
        table(
            ("strategy", "what it does", "options", "keeps apart"),
            [
                (
                    f"`{name}`",
                    first_line(sys.modules[strategy.make.__module__].__doc__),
                    ", ".join(f"`--{option}`" for option in strategy.options),
                    ", ".join(strategy.keeps_apart),
                )
                for name, strategy in STRATEGIES.items()
            ],
        ),
    )
    yield (
        "levels.md",
        table(
            ("level", "alike are crystals of the same", "implies"),
            [(f"`{name}`", level.title, ", ".join(level.implies)) for name, level in LEVELS.items()],
        ),
    )
    yield (
        "sources.md",
        table(
            ("source", "what it is", "by its name alone"),
            [
                (f"`{name}`", first_line(source_module(name, kind).__doc__), "yes" if kind.open_name else "")
                for name, kind in SOURCES.items()
            ],
        ),
    )
    yield "models.md", "\n".join(f"```text\n{describe(name)}\n```" for name in MODELS)
    yield "tutorial.md", tutorial()
    yield "commands.md", "\n".join((help_of(mpclean.cli.main, "mpclean"), help_of(ecn.cli.main, "ecn")))
    own = (
        "start",
        "tutorial",
        "data_set",
        "rules",
        "splits",
        "models",
        "commands",
        "speed",
        "scale",
        "adding",
        "api",
    )
    there = "\n".join(name for name in own if (HERE / f"{name}.md").is_file())
    yield "contents.md", f"```{{toctree}}\n:maxdepth: 1\n\n{there}\n```\n"
    packages = [name for name in public_modules() if hasattr(importlib.import_module(name), "__path__")]
    for package in packages:
        yield f"api/{package}.md", api_page(package)
    links = "\n".join(f"{package} <generated/api/{package}>" for package in packages)
    yield "api.md", f"```{{toctree}}\n:maxdepth: 1\n\n{links}\n```\n"


def api_page(package):
    """A package, and the modules that lie in it."""
    below = [name for name in public_modules() if name.rpartition(".")[0] == package]
    inside = [name for name in below if not hasattr(sys.modules[name], "__path__")]
    text = f"# {package}\n\n{automodule(package)}"
    if short := [
        name for name in getattr(sys.modules[package], "__all__", ()) if home_of(package, name) != package
    ]:
        links = ", ".join(f"{{py:obj}}`{home_of(package, name)}.{name}`" for name in short)
        text += f"\nHere by their short names too: {links}.\n"
    return text + "".join(f"\n## {name}\n\n{automodule(name)}" for name in inside)


def automodule(name):
    return f"```{{eval-rst}}\n.. automodule:: {name}\n```\n"


def home_of(package, name):
    """The module that a name of a package is from."""
    return getattr(getattr(sys.modules[package], name), "__module__", package)


def generate():
    for name, text in pages():
        path = GENERATED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text("utf-8") != text:  # else Sphinx reads it again
            path.write_text(text, encoding="utf-8")


generate()
