"""Everything that both packages say, as one text: `make messages` writes it to `messages.txt`.

A reviewer then sees a changed message as a changed line. Errors, warnings and what commands print are
read from the source, as templates with their names in braces; the help of every command is what click
prints.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
PACKAGES = "mpclean", "ecn"
SNAPSHOT = Path(__file__).with_suffix(".txt")
SPEAKS = {"echo", "secho", "warn", "UsageError", "BadParameter"}  # besides all that is raised


def template(node: ast.expr, constants: dict[str, ast.expr]) -> str:
    """Write a string expression as a text whose variable parts stand in braces."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(template(part, constants) for part in parts)
        case ast.FormattedValue(value=value):
            return template(value, constants)
        case ast.BinOp(left=left, op=ast.Add(), right=right) if holds_text(node, constants):
            return template(left, constants) + template(right, constants)
        case ast.Name(id=name) if name in constants:
            return template(constants[name], {})
        case _:
            return "{" + ast.unparse(node) + "}"


def holds_text(node: ast.expr, constants: dict[str, ast.expr]) -> bool:
    """Tell whether any part of an expression is a text of the source."""
    return any(
        (isinstance(part, ast.Constant) and isinstance(part.value, str) and " " in part.value)
        or (isinstance(part, ast.Name) and part.id in constants)
        for part in ast.walk(node)
    )


def messages_of(source: str) -> Iterator[str]:
    """Find what a module raises, warns of or prints, in the order of its lines."""
    tree = ast.parse(source)
    constants = {
        target.id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and isinstance(statement.value, ast.Constant | ast.JoinedStr)
        if not isinstance(statement.value, ast.Constant) or isinstance(statement.value.value, str)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if name not in SPEAKS and not name.endswith(("Error", "Exception", "Warning", "Interrupt")):
            continue
        if call.args and holds_text(call.args[0], constants):
            yield f"{name}: {template(call.args[0], constants)}"


def help_of(command: click.Command, path: str) -> Iterator[str]:
    """Print the help of a command and of every command below it."""
    context = click.Context(command, info_name=path, max_content_width=100, terminal_width=100)
    yield f"$ {path} --help\n{command.get_help(context)}\n"
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from help_of(below, f"{path} {name}")


def collect() -> str:
    """Collect all messages, module by module, and then the help of both commands."""
    import ecn.cli
    import mpclean.cli

    parts = [
        "Written by `make messages`: what mpclean and ecn say. Read the difference before it is committed.\n"
    ]
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            found = "\n".join(messages_of(path.read_text("utf-8")))
            parts += [f"[{path.relative_to(ROOT).as_posix()}]\n{found}\n"] if found else []
    parts.extend(help_of(mpclean.cli.main, "mpclean"))
    parts.extend(help_of(ecn.cli.main, "ecn"))
    return "\n".join(parts)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    SNAPSHOT.write_text(collect(), encoding="utf-8")
    print(SNAPSHOT)
