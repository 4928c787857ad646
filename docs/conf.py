"""The documentation site: pages of this folder, tables and help from the code, API from docstrings.

`make docs` builds it. What is generated lies in ``docs/generated``, which git ignores.
"""

import importlib
import inspect
import json
import sys
from pathlib import Path

import click
import pyarrow as pa
from tabulate import tabulate

HERE = Path(__file__).parent
GENERATED = HERE / "generated"
CONTENTS = (  # every page, in the order in which one reads them
    "my_crystals",
    "tutorial",
    "sources",
    "rules",
    "splits",
    "looking",
    "data_set",
    "models",
    "reduction",
    "publishing",
    "speed",
    "scale",
    "adding",
    "commands",
    "api",
)
sys.path.insert(0, str(HERE.parent))

import ecn  # noqa: E402
import ecn.cli  # noqa: E402
import ecn.testing  # noqa: E402
import mpclean  # noqa: E402
import mpclean.cli  # noqa: E402
from ecn.models import MODELS, options, resolve  # noqa: E402
from ecn.models.settings import meanings  # noqa: E402
from ecn.training.presets import PRESETS, Preset  # noqa: E402
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


def public_names():
    """Names that stay, by the module that has them: all else is internal."""
    for module in (mpclean, ecn, ecn.testing):
        for name in module.__all__:
            yield module.__name__, name


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
    """The notebook as a page, with what it prints."""
    parts = []
    for cell in json.loads((HERE / "tutorial.ipynb").read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
        for output in cell.get("outputs", ()):
            printed = output.get("text") or output["data"]["text/plain"]
            parts.append(f"```text\n{''.join(printed).rstrip()}\n```")
    return "\n\n".join(parts)


def model_options(name):
    """A model in a sentence, and its options with what they mean."""
    model = resolve(name)
    meaning = meanings(model.Config)
    rows = [
        (f"`{option}`", f"`{model.Config.__dataclass_fields__[option].default}`", meaning[option])
        for option in options(name)
    ]
    return f"### {name}\n\n{first_line(model.__doc__)}\n\n" + table(("option", "default", "meaning"), rows)


def training_settings():
    """Every setting of a training: what it means, and its value in each preset."""
    meaning = meanings(Preset)
    names = [name for name in Preset.__dataclass_fields__ if name != "options"]
    rows = [
        (f"`{name}`", meaning[name], *(f"`{getattr(preset, name)}`" for preset in PRESETS.values()))
        for name in names
    ]
    return table(("setting", "meaning", *PRESETS), rows)


def presets():
    """Every preset in a sentence, and how long it is."""
    rows = [(f"`{name}`", preset.epochs, preset.batch_size, preset.loss) for name, preset in PRESETS.items()]
    return table(("preset", "epochs at most", "crystals a step", "loss"), rows)


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
    yield "models.md", "\n".join(model_options(name) for name in MODELS)
    yield "settings.md", training_settings()
    yield "presets.md", presets()
    yield "tutorial.md", tutorial()
    yield "commands.md", "\n".join((help_of(mpclean.cli.main, "mpclean"), help_of(ecn.cli.main, "ecn")))
    yield "contents.md", f"```{{toctree}}\n:maxdepth: 1\n\n{chr(10).join(CONTENTS)}\n```\n"
    yield "api.md", "".join(documented(*name) for name in public_names())


def documented(module, name):
    """A public name from its docstring."""
    found = getattr(sys.modules[module], name)
    kind = "function"
    if inspect.isclass(found):
        kind = "exception" if issubclass(found, Exception) else "class"
    elif not callable(found):
        kind = "data"
    return f"```{{eval-rst}}\n.. auto{kind}:: {module}.{name}\n```\n\n"


def generate():
    for name, text in pages():
        path = GENERATED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text("utf-8") != text:  # else Sphinx reads it again
            path.write_text(text, encoding="utf-8")


generate()
