"""The planes and label images of an .npz file, one 2-D array each, judged by their headers before memory is taken.

Arrays are read one at a time and nothing is ever unpickled. An archive that was cut off has no directory and is refused
as a whole; of a damaged array the checksum differs, which is found when it is read.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.plane_arrays import PIXELS, ArrayKind
from imaging.sentences import shorten

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# what zipfile and numpy say of damaged, encrypted and cut members
_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class NpzArray:
    """Type and shape of an array, as its header has it."""

    dtype: np.dtype
    shape: tuple[int, ...]


def find_npz_arrays(
    path: Path, kind: ArrayKind = PIXELS, chosen: Callable[[str], bool] = lambda name: True
) -> dict[str, NpzArray]:
    """Arrays of an .npz file by name, in their order; each is one plane by type, shape and range.

    Parameters
    ----------
    path
        The file.
    kind
        What the arrays are: pixels or labels.
    chosen
        Whether an array is looked at, by its name.

    Raises
    ------
    ConfigurationError
        With one problem for each array that is no plane.
    UnreadableImageError
        If the file is no archive of arrays.
    """
    arrays: dict[str, NpzArray] = {}
    problems: list[str] = []
    with _archive(path) as archive:
        everything = archive.infolist()
        members = [member for member in everything if chosen(_name(member))]
        for member in members:
            found = _judge(archive, member, kind)
            if isinstance(found, NpzArray):
                arrays[_name(member)] = found
            else:
                problems.append(f"{_shown(member)}: {found}")
    names = [_name(member) for member in members]
    twice = {_name(member): member for member in members if names.count(_name(member)) > 1}
    problems += [f"{_shown(member)}: the name stands there twice" for member in twice.values()]
    if not names:
        listed = shorten(", ".join(map(_shown, everything[:20])), 1_000)
        there = f"none of the arrays asked for; it has {listed}" if everything else "no array"
        raise ConfigurationError(f"the file holds {there}; it needs {kind.needs}", key=str(path))
    if problems:
        count = f"{len(problems)} of its {len(names)} arrays" if len(names) > 1 else "its array"
        message = f"{count} cannot be measured; {kind.cure}"
        raise ConfigurationError(message, tuple(problems), key=str(path))
    return arrays


def read_npz_array(path: Path, name: str, kind: ArrayKind = PIXELS) -> NDArray[Any]:
    """Read one array of an .npz file, shape ``(y, x)``: pixels as uint8 or uint16, labels as whole numbers.

    Raises
    ------
    UnreadableImageError
        If it is damaged or its values are not of this kind.
    """
    with _archive(path) as archive:
        return _read_member(archive, archive.getinfo(f"{name}.npy"), kind)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the archive; whatever is wrong with it or inside names the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise UnreadableImageError(f"the file cannot be read: {error.strerror}", key=str(path)) from error
    except (zipfile.BadZipFile, NotImplementedError) as error:  # the latter for a version of zip that a byte gives it
        raise UnreadableImageError("the file is cut off, damaged or no .npz archive", key=str(path)) from error
    except UnreadableImageError as error:
        error.key = str(path)
        raise


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


def _shown(member: zipfile.ZipInfo) -> str:
    """The name for a sentence, which may hold anything where the archive is damaged."""
    return shorten(_name(member), 200)


def _first_line(error: Exception) -> str:
    return shorten(str(error).partition("\n")[0]) or "it ends early"


def _judge(archive: zipfile.ZipFile, member: zipfile.ZipInfo, kind: ArrayKind) -> NpzArray | str:
    """A member's header, or why it is not of this kind; values are looked at where the type does not settle it."""
    if not member.filename.endswith(".npy"):
        return "it is no array (.npy)"
    try:
        with archive.open(member) as file:
            shape, dtype, header_size = read_array_header(file)
    except _DAMAGE as error:
        return f"its header is damaged: {_first_line(error)}"
    fault = kind.find_fault(dtype, shape)
    if fault is None and member.file_size != header_size + shape[0] * shape[1] * dtype.itemsize:
        fault = f"it is cut off or damaged: {member.file_size:,} bytes are no {shape[0]:,} x {shape[1]:,} pixels"
    if fault is None and not kind.is_certain(dtype):
        try:
            _read_member(archive, member, kind)
        except UnreadableImageError as error:
            return error.message
    return fault or NpzArray(dtype, shape)


def read_array_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype, int]:
    """Read the header of an array in NumPy's format: its shape, type and the header's size in bytes.

    Raises
    ------
    ValueError
        If it is damaged, or of an unknown version.
    """
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version[0]}.{version[1]} of the format is not read")
    shape, _, dtype = _HEADERS[version](file)
    return shape, dtype, file.tell()


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, kind: ArrayKind) -> NDArray[Any]:
    try:
        with archive.open(member) as file:
            values = np.lib.format.read_array(file, allow_pickle=False)
    except _DAMAGE as error:
        raise UnreadableImageError(f"its array {_shown(member)} is damaged: {_first_line(error)}") from error
    return kind.convert(values)
