"""How commands speak: tables for people, JSON for programs, one line for an error."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from typer.core import TyperGroup

from bezant.errors import BezantError

Data = Annotated[
    Path,
    typer.Option("--data", envvar="BEZANT_DATA_FOLDER", help="The node's data folder."),
]
DEFAULT_DATA = Path("data")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Key = Annotated[
    str, typer.Option(help="Idempotency key: the same one never does it twice.  \\[default: a fresh UUIDv7]")
]
WIDTH = 160
_IDS = (
    "id",
    "account",
    "treasury",
    "payee",
    "refund_of",
    "payment",
    "payment_id",
    "counterparty",
    "debtor",
    "creditor",
)


class Commands(TyperGroup):
    """A group whose operating errors become one line and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; see `TyperGroup`."""
        try:
            return super().invoke(ctx)
        except BezantError as error:
            where = f" ({error.param})" if error.param else ""
            print(f"error [{error.code}]{where}: {error.message}", file=sys.stderr)
            raise typer.Exit(1) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever read the output has gone, which typer ends in silence
            code = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "file_unusable"
            where = f"{error.filename}: " if error.filename else ""
            print(f"error [{code}]: {where}{error.strerror or error}", file=sys.stderr)
            raise typer.Exit(1) from None


def show(answer: Any, as_json: bool, *columns: str, rows: Iterable[Mapping[str, Any]] | None = None) -> None:
    """Print an answer as JSON, or as a table of `rows`, or as one row to a field."""
    if as_json:
        print(json.dumps(answer, indent=1, ensure_ascii=False))
        return
    if rows is not None:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold", no_wrap=column in _IDS)
        for row in rows:
            table.add_row(*(text_of(row.get(column)) for column in columns))
    else:
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in answer.items():
            if not columns or name in columns:
                table.add_row(name, text_of(value))
    # A pipe has no width; ids must come through it whole. What stands in brackets or between colons is text
    # that somebody wrote, and no style.
    width = None if Console().is_terminal else WIDTH
    Console(width=width, markup=False, emoji=False).print(table)


def text_of(value: Any) -> str:
    """Return a value as a person would write it."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        if {"amount", "asset"} <= set(value):
            return f"{value['amount']} {value['asset']}"
        return "\n".join(f"{name}: {text_of(one)}" for name, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "\n".join(text_of(one) for one in value)
    return str(value)


def progress_bar() -> Progress:
    """Return a bar on standard error, for what takes longer than a moment."""
    return Progress(
        TextColumn("{task.description:28}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
