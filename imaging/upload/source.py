"""What lies in a folder that a microscope writes: regular files in any depth, and the names that are refused.

A listing is taken again and again, so a file that comes, grows, vanishes or gets its final name between two of them is
nothing special. Links are not followed, and only names that every store and every reader can hold are taken.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

MANIFEST_SUFFIXES = frozenset(
    (".xml", ".mlf", ".mrf", ".mes", ".wpp", ".htd", ".ome", ".csv", ".tsv", ".txt", ".xlsx", ".yaml", ".yml", ".json")
) | frozenset((".zattrs", ".zgroup", ".zarray"))
"""Ends of names of what describes images; a name that is nothing but such an end, as ``.zattrs``, counts too."""
LARGEST_MANIFEST = 64 << 20
"""Bytes above which a file is no manifest, whatever its name."""

_TEMPORARY_ENDS = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".filepart", "~")
_TEMPORARY_STARTS = ("~$", ".~", "~")
_NETWORK_FILE_SYSTEMS = frozenset(
    ("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "ceph", "glusterfs", "9p", "fuse.sshfs")
)
_REMOTE_DRIVE = 4  # DRIVE_REMOTE of Windows' GetDriveType


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file: path below the folder with ``/``, size in bytes, time of change in Unix nanoseconds."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A name that is not uploaded, in printable form, and why."""

    name: str
    reason: str


@dataclass(slots=True)
class Scan:
    """One look at the folder; ``unread`` are the folders below it that could not be read this time."""

    files: list[SourceFile] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def scan(folder: Path) -> Scan:
    """List all files below a folder.

    Raises
    ------
    OSError
        If the folder itself cannot be read: then nothing is known about what is in it.
    """
    found = Scan()
    with os.scandir(system_path(folder)) as entries:
        listed = list(entries)
    _add(listed, "", found)
    return found


def is_manifest(file: SourceFile) -> bool:
    """Whether a file describes images, as Index.xml, and so is uploaded after them."""
    name = file.path.rpartition("/")[2].lower()
    return file.size <= LARGEST_MANIFEST and name[name.rfind(".") :] in MANIFEST_SUFFIXES if "." in name else False


def refuse_name(name: str) -> str:
    """Why a name is not taken; nothing if it is. Windows has names that take up to 765 bytes."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "the name is no valid Unicode; rename it"
    if not name.isprintable():
        return "the name has a control character; rename it"
    if "\\" in name:
        return "the name has a backslash, which other systems take for a folder; rename it"
    return "" if length <= 255 else f"the name takes {length} bytes, and 255 are allowed; shorten it"


def system_path(path: Path) -> str:
    """Path in the form that the system takes at any length; Windows stops at 260 characters without the prefix."""
    if os.name != "nt":
        return str(path)
    absolute = str(path.absolute())
    if absolute.startswith("\\\\?\\"):
        return absolute
    return "\\\\?\\UNC\\" + absolute[2:] if absolute.startswith("\\\\") else "\\\\?\\" + absolute


def is_network_drive(folder: Path) -> bool:
    """Whether a folder lies on another machine, whose sizes and times may be told late; ``False`` where unknown."""
    folder = folder.absolute()
    if os.name == "nt":
        drive = folder.drive
        windows = getattr(ctypes, "windll", None)
        return drive.startswith("\\\\") or bool(
            windows and windows.kernel32.GetDriveTypeW(f"{drive}\\") == _REMOTE_DRIVE
        )
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return False
    kinds = {}
    for line in mounts.read_text(errors="replace").splitlines():
        _, place, kind, *_ = line.split(" ")
        kinds[Path(place.replace("\\040", " "))] = kind
    return next((kinds[place] for place in (folder, *folder.parents) if place in kinds), "") in _NETWORK_FILE_SYSTEMS


def _add(entries: list[os.DirEntry[str]], prefix: str, found: Scan) -> None:
    for entry in entries:
        path = prefix + entry.name
        reason = refuse_name(entry.name)
        if reason:
            found.refused.append(Refusal(printable(path), reason))
            continue
        with contextlib.suppress(FileNotFoundError):  # gone since its folder was read
            _add_entry(entry, path, found)


def _add_entry(entry: os.DirEntry[str], path: str, found: Scan) -> None:
    try:
        is_link = entry.is_symlink() or _is_junction(entry)
        state = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError as error:
        found.refused.append(Refusal(path, f"it cannot be looked at ({error.strerror}); give this user permission"))
        found.unread.append(path)
        return
    if is_link:
        found.refused.append(Refusal(path, "links are not followed; put the file itself there"))
    elif stat.S_ISDIR(state.st_mode):
        _descend(entry, path, found)
    elif stat.S_ISREG(state.st_mode):
        if _is_temporary(entry.name):
            found.refused.append(
                Refusal(path, "its name says that it is still being written; rename it when it is done")
            )
        else:
            found.files.append(SourceFile(path, state.st_size, state.st_mtime_ns))
    else:
        found.refused.append(Refusal(path, "it is no regular file; only files are uploaded"))


def _descend(entry: os.DirEntry[str], path: str, found: Scan) -> None:
    try:
        with os.scandir(entry.path) as entries:
            listed = list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        found.refused.append(Refusal(path + "/", f"the folder cannot be read ({error.strerror}); give permission"))
        found.unread.append(path + "/")
        return
    _add(listed, path + "/", found)


def _is_junction(entry: os.DirEntry[str]) -> bool:
    """Whether it is a junction of Windows, a link to a folder that is no symbolic link (told since Python 3.12)."""
    return bool(getattr(entry, "is_junction", lambda: False)())


def _is_temporary(name: str) -> bool:
    return name.lower().endswith(_TEMPORARY_ENDS) or name.startswith(_TEMPORARY_STARTS)


def printable(path: str) -> str:
    """Form of a path that can be printed on one line and in any encoding."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "replace").decode()
        for character in path
    )
