"""Tables written to Parquet or CSV files that appear when they are whole; the ending of the name says which form."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from imaging.errors import ConfigurationError, StoreUnavailableError
from imaging.recipes import NUMBERS_VERSION
from imaging.table_schema import Table, arrow_schema

SUFFIXES = (".parquet", ".csv")
"""Endings of the files that tables are written to."""


def check_out(out: Path, endings: tuple[str, ...] = SUFFIXES) -> None:
    """Refuse a file that cannot be written, before anything is measured.

    Raises
    ------
    ConfigurationError
        If it has none of the endings, is a folder, or its folder is not there.
    """
    if out.suffix not in endings:
        raise ConfigurationError(f"{out} must end in {' or '.join(endings)}: the ending says what is written")
    if out.is_dir():
        raise ConfigurationError(f"{out} is a folder; give a file to write")
    if not out.resolve().parent.is_dir():
        raise ConfigurationError(f"there is no folder {out.parent} to write {out.name} into; make it first")


def schema_of(table: Table, more: Mapping[str, Mapping[str, str]] | None = None) -> pa.Schema:
    """Schema whose fields carry the unit and the description of their column, and what ``more`` says of some."""
    more = more or {}
    fields = [
        field.with_metadata({"unit": column.unit, "description": column.description, **more.get(column.name, {})})
        for field, column in zip(arrow_schema(table), table.columns, strict=True)
    ]
    return pa.schema(fields, {"numbers_version": str(NUMBERS_VERSION)})


@contextlib.contextmanager
def replacing(out: Path) -> Iterator[IO[bytes]]:
    """Write beside a file and put it into place at the end; see ``staged``."""
    with staged(out) as path, open(path, "xb") as file:
        yield file


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A fresh path beside a file, put into its place at the end: whoever is interrupted leaves what was there.

    Raises
    ------
    StoreUnavailableError
        If it cannot be written.
    """
    target = out.resolve()
    staged = target.with_name(f".{target.name[:200]}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield staged
        os.replace(staged, target)
    except OSError as error:
        if isinstance(error, StoreUnavailableError):
            raise
        reason = error.strerror or str(error)
        raise StoreUnavailableError(f"{out} cannot be written: {reason}; make room, or choose another --out") from error
    finally:
        staged.unlink(missing_ok=True)


@contextlib.contextmanager
def writing_table(out: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """What appends rows to a file, which appears at the end; one that is there is replaced.

    In CSV a NULL is empty, and texts of a list are joined by ``"; "``.
    """
    with replacing(out) as file, _writer(file, out, schema) as write:
        yield write


@contextlib.contextmanager
def _writer(file: IO[bytes], out: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    if out.suffix == ".csv":
        texts = without_lists(schema)
        with pyarrow.csv.CSVWriter(file, texts) as writer:
            yield lambda rows: writer.write_table(join_texts(rows, texts))
    else:
        with pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            yield writer.write_table


def without_lists(schema: pa.Schema) -> pa.Schema:
    """Schema of rows after ``join_texts``."""
    return pa.schema([pa.field(field.name, pa.string()) if pa.types.is_list(field.type) else field for field in schema])


def join_texts(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows with the texts of each list joined by ``"; "``: CSV and spreadsheets have no lists."""
    columns = [
        pc.binary_join(column.cast(pa.list_(pa.string())), "; ") if pa.types.is_list(column.type) else column  # pyright: ignore[reportAttributeAccessIssue]
        for column in rows.columns
    ]
    return pa.Table.from_arrays(columns, schema=schema)
