"""Files below a folder by the operating system's own calls: every name of any bytes, and why some are not taken."""

from __future__ import annotations

import os
from collections.abc import Iterator


def walk_files(folder: bytes, key: bytes, *, skipped: bytes) -> Iterator[tuple[os.DirEntry[bytes], bytes, str]]:
    """Yield each file below a folder as entry, key and, if it is refused, the reason.

    Parameters
    ----------
    folder, key
        Path of the folder, and its key in the store.
    skipped
        Name of a folder directly under the root that is left out.
    """
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if not key and entry.name == skipped:
            continue
        child = key + b"/" + entry.name if key else entry.name
        reason = find_name_refusal(entry.name) or _kind_refusal(entry)
        if reason:
            yield entry, child, reason
        elif entry.is_dir(follow_symlinks=False):
            if os.access(entry.path, os.R_OK | os.X_OK):
                yield from walk_files(entry.path, child, skipped=skipped)
            else:
                yield entry, child, "the folder may not be read; give the pipeline's user permission"
        else:
            yield entry, child, ""


def find_name_refusal(name: bytes) -> str | None:
    """Why a file's name is not taken, or ``None``."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return "the name is not UTF-8; rename the file"
    return None if text.isprintable() else "the name has a control character; rename the file"


def _kind_refusal(entry: os.DirEntry[bytes]) -> str | None:
    if entry.is_symlink():
        return "links are not followed; copy the file itself"
    if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
        return None
    return "not a regular file"


def show_name(key: bytes) -> str:
    """Printable form of a key of any bytes."""
    return key.decode(errors="backslashreplace").encode("unicode_escape").decode().replace("\\\\", "\\")
