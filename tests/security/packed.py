"""What stands in files, also where it is packed, and which secrets stand there."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq


def contents(path: Path) -> bytes:
    """A file's bytes, and after them what is packed in it as plain text."""
    data = path.read_bytes()
    if path.suffix == ".parquet":
        return data + str(pq.read_table(io.BytesIO(data)).to_pydict()).encode()
    if path.suffix == ".arrow":
        return data + str(pa.ipc.open_file(io.BytesIO(data)).read_all().to_pydict()).encode()
    if path.suffix == ".db":
        return data + _rows(path)
    return data


def _rows(path: Path) -> bytes:
    """All rows of a database of SQLite, also those that are in its log yet; its pages may hold a text in pieces."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        return "\n".join(database.iterdump()).encode()


def files_below(folder: Path) -> Iterator[Path]:
    """Files of a folder in which others work: what goes meanwhile is left out."""
    for place, _, names in os.walk(folder):
        yield from (path for name in names if (path := Path(place, name)).is_file() and not path.is_symlink())


def find_secrets(folder: Path, secrets: Mapping[str, str]) -> tuple[list[str], int]:
    """Which secrets stand in which files of a folder, and how many files were searched."""
    found, searched = [], 0
    for path in files_below(folder):
        try:
            data = contents(path)
        except FileNotFoundError:  # a file that is written anew, or put into its place
            continue
        searched += 1
        found += [f"{name} in {path}" for name, secret in secrets.items() if secret.encode() in data]
    return found, searched
