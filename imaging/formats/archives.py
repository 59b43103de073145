"""Archives of an acquisition, read in place: each member is an object like any other, of any format.

A format is given the members as objects named ``archive.zip/path/of/member``, beside those that lie in the folder
itself; what it finds in them is then said of the archive, with the member's name as the plane's ``inside``. A member's
version is the archive's.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache

from imaging.byte_sources import ByteSource
from imaging.errors import ChangedObjectError, ForbiddenFileError, UnreadableImageError
from imaging.formats.contract import Delivery, Folder, Format, FoundPlane, PassedOver
from imaging.formats.inside import Inside, open_source, parse_inside, read_contents
from imaging.formats.members import ARCHIVES, COMPRESSED, Contents, show
from imaging.formats.passed_over import is_companion
from imaging.store import StoredObject

APPLE = "what macOS keeps beside a file of this name; no image"
CHANGED = "it changed after it was listed; it is read again at the next look"


@dataclass(frozen=True)
class Opened:
    """A listing whose archives are opened: objects, and where those that are members lie."""

    objects: tuple[StoredObject, ...]
    places: dict[str, Inside] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()


@dataclass(frozen=True)
class OpenedFolder:
    """A folder in which members of archives are read like objects."""

    folder: Folder
    opened: Opened

    def __hash__(self) -> int:
        return hash(self.folder)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpenedFolder) and self.folder == other.folder

    def read(self, name: str, *, token: str, start: int = 0, size: int | None = None) -> bytes:
        """Bytes of an object or member of that version, from ``start``, at most ``size``.

        Raises
        ------
        ChangedObjectError, FileNotFoundError
            If that version is gone.
        UnreadableImageError
            If the member is damaged.
        """
        where = self.opened.places.get(name)
        if where is None:
            return self.folder.read(name, token=token, start=start, size=size)
        source = _kept_member(self.folder, name, token, where)
        return bytes(source.read(start, source.size - start if size is None else size))


def read_through_archives(form: Format, objects: Sequence[StoredObject], folder: Folder) -> Delivery:
    """Let a format read a listing with the archives in it opened.

    Parameters
    ----------
    form
        The format.
    objects
        The listing; keys are paths inside the folder.
    folder
        The folder.

    Returns
    -------
    What the format found; planes of members name the member in ``inside``. Archives that cannot be read, and members
    that are refused, are passed over as unknown with the reason.
    """
    with _without_collecting():
        return _read_opened(form, objects, folder)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Look for no garbage meanwhile: a million small objects are made that stay, and each look would visit them all."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_opened(form: Format, objects: Sequence[StoredObject], folder: Folder) -> Delivery:
    opened = open_archives(objects, folder)
    if len(opened.objects) == len(objects) and not opened.places:
        return form.read(objects, folder)
    delivery = form.read(opened.objects, OpenedFolder(folder, opened))
    planes = tuple(_say_where(plane, opened.places) for plane in delivery.planes)
    planes, refused = _split_zarr(planes, opened.places)
    return replace(delivery, planes=planes, passed_over=(*delivery.passed_over, *opened.passed_over, *refused))


def open_archives(objects: Sequence[StoredObject], folder: Folder) -> Opened:
    """Replace the archives of a listing by their members."""
    taken: list[StoredObject] = []
    places: dict[str, Inside] = {}
    passed: list[PassedOver] = []
    endings = (*ARCHIVES, *COMPRESSED)
    for item in objects:
        name = item.key.lower()
        if is_companion(name):
            passed.append(PassedOver(item.key, "ignored", APPLE))
        elif not name.isprintable():  # what a bucket may list, a folder refuses before
            passed.append(PassedOver(show(item.key), "unknown", "the name has a control character; rename the file"))
        elif not name.endswith(endings):
            taken.append(item)
        elif name.endswith(COMPRESSED):
            reason = "a compressed archive cannot be read in place; upload a .zip, or a .tar that is not compressed"
            passed.append(PassedOver(item.key, "unknown", reason))
        else:
            _open_one(item, folder, taken, places, passed)
    return Opened(tuple(taken), places, tuple(passed))


def _open_one(
    item: StoredObject,
    folder: Folder,
    taken: list[StoredObject],
    places: dict[str, Inside],
    passed: list[PassedOver],
) -> None:
    try:
        contents = _contents(folder, item.key, item.token, item.size)
    except (ChangedObjectError, FileNotFoundError):
        contents = CHANGED
    if isinstance(contents, str):
        passed.append(PassedOver(item.key, "unknown", contents))
        return
    is_tar = item.key.lower().endswith(".tar")
    for member in contents.members:
        name = f"{item.key}/{member.name}"
        if is_companion(name):
            passed.append(PassedOver(name, "ignored", APPLE))
            continue
        taken.append(StoredObject(name, member.size, item.token, item.modified))
        places[name] = Inside(member.name, member.start if is_tar else None, item.size)
    passed += [PassedOver(f"{item.key}/{refused.shown}", "unknown", refused.reason) for refused in contents.refused]
    passed.append(PassedOver(item.key, "ignored", "an archive, whose members are read in place"))


@lru_cache(maxsize=32)
def _contents(folder: Folder, name: str, token: str, size: int) -> Contents | str:
    """What an archive holds, or why that cannot be said; read once per version."""
    try:
        return read_contents(folder, name, token, size)
    except (UnreadableImageError, ForbiddenFileError) as error:
        return error.message


@lru_cache(maxsize=2)  # members may be large
def _kept_member(folder: Folder, name: str, token: str, where: Inside) -> ByteSource:
    return open_source(folder, name, token, where, 0)


def _say_where(plane: FoundPlane, places: dict[str, Inside]) -> FoundPlane:
    """Say which member of the archive a plane is in."""
    where = places.get(plane.item.key)
    if where is None:
        return plane
    page = parse_inside(plane.inside).page if plane.inside else 0
    return replace(plane, inside=str(replace(where, page=page)))


def _split_zarr(
    planes: tuple[FoundPlane, ...], places: dict[str, Inside]
) -> tuple[tuple[FoundPlane, ...], tuple[PassedOver, ...]]:
    """Refuse planes of a Zarr that lies in an archive: its chunks would be members of their own."""
    archives = {name.removesuffix(f"/{where.member}") for name, where in places.items()}
    reason = "a Zarr inside an archive is not read; unpack it"
    kept, refused = [], {}
    for plane in planes:
        if plane.inside.startswith("array ") and any(plane.item.key.startswith(f"{name}/") for name in archives):
            refused[plane.item.key] = PassedOver(plane.item.key, "unknown", reason)
        else:
            kept.append(plane)
    return tuple(kept), tuple(refused.values())
