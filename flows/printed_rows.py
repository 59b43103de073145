"""Rows of an answer on standard output: as a table that fits the terminal, as CSV, as JSON."""

from __future__ import annotations

import json
import math
import sys
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from unicodedata import category

import typer

from imaging.sentences import counted

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console
    from rich.text import Text

LEAST_WIDTH = 24
"""Characters to which a column is narrowed, its longer texts broken into lines, before it is left out."""
_PIPE_WIDTH = 2000
_OBEYED = ("Cc", "Cf", "Cs")
"""Unicode's categories of control signs, of signs that order others, and of halves of signs."""
_BETWEEN = 2  # a space on either side of a column


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"


def print_rows(rows: pa.Table, form: Format) -> None:
    """Print rows to standard output; of a table as many columns as fit, the first ones."""
    if form is Format.csv:
        import pyarrow.csv

        pyarrow.csv.write_csv(_with_joined_texts(rows), sys.stdout.buffer)
    elif form is Format.json:
        cleaned = [{name: _or_null(value) for name, value in row.items()} for row in rows.to_pylist()]
        typer.echo(json.dumps(cleaned, indent=2, default=str, ensure_ascii=False))
    else:
        _print_table(rows)


def open_console() -> Console:
    """Standard output for tables: as wide as the terminal, and as wide as they need where it is a pipe or a file."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH, soft_wrap=True)


def printable(text: str) -> str:
    """The text without what a terminal would obey: signs that control it, or turn the order of others, are spelled."""
    if text.isprintable():
        return text
    return "".join(_spelled(sign) if category(sign) in _OBEYED and sign not in "\n\t" else sign for sign in text)


def _spelled(sign: str) -> str:
    return sign.encode("unicode_escape").decode()


def plain(value: object) -> Text:
    """A cell without Rich's markup: brackets stay brackets."""
    from rich.text import Text

    return Text(_words(value))


def _words(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, list):
        return "; ".join(map(_words, value))
    return printable(str(value))


def _with_joined_texts(rows: pa.Table) -> pa.Table:
    """Lists of texts as one text each, joined by ``"; "``: CSV has no lists."""
    import pyarrow as pa

    for index, column in enumerate(rows.columns):
        if pa.types.is_list(column.type):
            joined = [None if texts is None else "; ".join(map(str, texts)) for texts in column.to_pylist()]
            rows = rows.set_column(index, rows.column_names[index], pa.array(joined, pa.string()))
    return rows


def _or_null(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print_table(rows: pa.Table) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None)
    shown = []
    free = console.width
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        cells = [_words(value) for value in column.to_pylist()]
        width = max(map(len, [name, *cells]))
        least = min(width, LEAST_WIDTH, console.width - _BETWEEN)
        free -= least + _BETWEEN
        if free < 0:
            break
        shown.append(cells)
        table.add_column(plain(name), min_width=least, no_wrap=width == least, overflow="fold")
    for row in zip(*shown, strict=True):
        table.add_row(*map(plain, row))
    console.print(table)
    typer.echo(counted(rows.num_rows, "row") + _left_out(rows.num_columns, len(shown)))


def _left_out(there: int, shown: int) -> str:
    """What to do about columns that did not fit; empty when all did."""
    if shown == there:
        return ""
    return f"; {counted(there - shown, 'more column')} did not fit: name those you want, or take --format csv or json"
