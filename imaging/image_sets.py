"""Image sets of any origin: an .npz file, an OME-Zarr image, a TIFF or PNG file or a folder of them.

An image set holds what was imaged at one place, at most one plane per channel. Planes are read one at a time, when they
are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from imaging.decode import MAX_PIXELS, decode_plane
from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.image_globs import natural, pair_files
from imaging.npz_planes import find_npz_arrays, read_npz_array
from imaging.ome_zarr_image import OmeZarrImage, is_zarr, open_ome_zarr
from imaging.plane_arrays import Plane
from imaging.store import open_store

_UNNAMED = "C1"
_CHANNEL = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_MAX_FILE = 4 * MAX_PIXELS
"""Largest image file in bytes: twice what the pixels of the largest plane take."""
_FORMS = "an .npz file, an OME-Zarr image, a TIFF or PNG file, or a folder of such files"
PICTURES = (".tif", ".tiff", ".png")
"""Endings of image files, in small letters."""


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images that belong together.

    ``files`` name of the file by channel, for the channels there are; ``read`` gives the plane of such a channel, shape
    (y, x), uint8 or uint16, or raises UnreadableImageError.
    """

    name: str
    files: Mapping[str, str]
    read: Callable[[str], Plane]


@dataclass(frozen=True, slots=True)
class ImageSets:
    """Image sets with the channels they should have, in order.

    ``notes`` are sentences a user should see; ``rounded`` are channels of floating-point numbers from 0 to 1, which
    ``read`` gives rounded to 1/65535: 65,535 is 1, whatever the camera's full scale.
    """

    channels: tuple[str, ...]
    sets: tuple[ImageSet, ...]
    notes: tuple[str, ...] = ()
    rounded: frozenset[str] = frozenset()

    def lacking(self) -> list[tuple[ImageSet, list[str]]]:
        """Image sets without some of the channels, and which."""
        absent = ((one, [channel for channel in self.channels if channel not in one.files]) for one in self.sets)
        return [(one, channels) for one, channels in absent if channels]


def open_image_sets(
    images: str | Path, channels: Mapping[str, str] | None = None, *, one_channel: str = ""
) -> ImageSets:
    """Find the image sets of a file or folder; no plane is read.

    Parameters
    ----------
    images
        An .npz file with one 2-D array per channel; the folder of an OME-Zarr image, 0.4 or 0.5; a TIFF or PNG file,
        which is one image set with one channel; or a folder of such files.
    channels
        Glob by channel, for a folder of files, such as ``{"DNA": "*_w1.tif", "RNA": "*_w2.tif"}``, or for one file.
    one_channel
        What the channel of a single file is called, by default C1. With such a name a folder without globs is taken
        too: each TIFF or PNG file inside is an image set of its own, named like the file without its ending.

    Raises
    ------
    ConfigurationError
        If there is no such thing, it is of another kind, or the globs do not fit.
    UnreadableImageError
        If the description of the file or the image is damaged.
    """
    if "://" in str(images):
        raise ConfigurationError(f"{images} is no path of this machine; copy the images here, or mount them")
    path, globs = Path(images), dict(channels or {})
    if not path.exists():
        raise ConfigurationError(f"there is no {path}; give {_FORMS}")
    is_folder_of_files = path.is_dir() and not is_zarr(path)
    is_picture = not path.is_dir() and path.suffix.lower() in PICTURES
    if globs and not (is_folder_of_files or is_picture):
        raise ConfigurationError(f"{path} names its channels itself; globs of channels are for a folder of files")
    if is_folder_of_files:
        return _open_pictures(path, one_channel) if one_channel and not globs else _open_folder(path, globs)
    if path.is_dir():
        return _open_zarr(path)
    if is_picture:
        return _open_picture(path, globs, one_channel or _UNNAMED)
    if path.suffix.lower() != ".npz":
        raise ConfigurationError(f"{path} is a file, but no .npz, TIFF or PNG; give {_FORMS}")
    return _open_npz(path)


def list_files(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    """Paths of the files in a folder, sorted, and a sentence about names that are passed over."""
    listing = open_store(str(folder)).list("")
    # a link to a file is as good as the file here, where nothing is recorded of it
    linked = [name.shown for name in listing.refused if (folder / name.shown).is_file()]
    refused = [name for name in listing.refused if name.shown not in linked]
    first = f", first {refused[0].shown}: {refused[0].reason}" if refused else ""
    notes = (f"{len(refused):,} names in {folder} are passed over{first}",) if refused else ()
    return sorted([*(item.key for item in listing.objects), *linked]), notes


def _open_picture(path: Path, globs: Mapping[str, str], channel: str) -> ImageSets:
    """One image file, whose channel a glob may name."""
    if globs:
        pair_files([path.name], globs)
        (channel,) = globs
    _refuse_channels([channel])
    return ImageSets((channel,), (_picture(path.parent, path.name, path.stem, channel),))


def _open_pictures(folder: Path, channel: str) -> ImageSets:
    """Every image file of a folder, each an image set with one channel."""
    names, notes = list_files(folder)
    pictures = [name for name in names if name.lower().endswith(PICTURES) and "/." not in f"/{name}"]
    if not pictures:
        raise ConfigurationError(f"{folder} holds no TIFF or PNG file; give {_FORMS}")
    stems = {name: name.rpartition(".")[0] for name in pictures}
    if len(set(stems.values())) < len(stems):
        stems = {name: name for name in pictures}
    _refuse_channels([channel])
    ordered = sorted(pictures, key=lambda name: natural(stems[name]))
    return ImageSets((channel,), tuple(_picture(folder, name, stems[name], channel) for name in ordered), notes)


def _picture(folder: Path, name: str, image_set: str, channel: str) -> ImageSet:
    files = {channel: name}
    return ImageSet(image_set, files, partial(_read_plane, folder, files))


def _open_folder(folder: Path, globs: Mapping[str, str]) -> ImageSets:
    names, notes = list_files(folder)
    if not names:
        raise ConfigurationError(f"{folder} holds no file; give {_FORMS}")
    if not globs:
        message = f"which of the {len(names):,} files in {folder} are which channel, such as {names[0]}?"
        raise ConfigurationError(f"{message} give a glob for each channel, such as DNA=*_w1.tif")
    _refuse_channels(list(globs))
    return ImageSets(
        tuple(globs),
        tuple(
            ImageSet(name or folder.resolve().name, files, partial(_read_plane, folder, files))
            for name, files in pair_files(names, globs).items()
        ),
        notes,
    )


def _refuse_channels(names: Sequence[str]) -> None:
    problems = [
        f"a channel's name is a letter and then letters, digits and _ (at most 40), got {name!r}"
        for name in names
        if not _CHANNEL.fullmatch(name)
    ]
    if problems:
        raise ConfigurationError("the names of the channels are refused", tuple(problems))


def _read_plane(folder: Path, files: Mapping[str, str], channel: str) -> Plane:
    """Read one image file and decode it."""
    return decode_plane(read_file(folder, files[channel]), name=files[channel])


def read_file(folder: Path, name: str) -> bytes:
    """Read one image file whole.

    Raises
    ------
    UnreadableImageError
        If it cannot be read, or is larger than one plane can be.
    """
    try:
        size = (folder / name).stat().st_size
        if size > _MAX_FILE:
            message = f"the file has {size:,} bytes; one plane has at most {_MAX_FILE:,}"
            raise UnreadableImageError(message, key=name)
        return (folder / name).read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"the file cannot be read: {error.strerror}", key=name) from error


def _open_npz(path: Path) -> ImageSets:
    arrays = find_npz_arrays(path)
    channels, notes = name_channels(list(arrays))
    array_of = dict(zip(channels, arrays, strict=True))
    files = dict.fromkeys(channels, path.name)
    one = ImageSet(path.stem, files, lambda channel: read_npz_array(path, array_of[channel]))
    rounded = [channel for channel, array in array_of.items() if arrays[array].dtype.kind == "f"]
    return ImageSets(channels, (one,), (*notes, *_note_rounded(rounded)), frozenset(rounded))


def _note_rounded(channels: Sequence[str]) -> list[str]:
    return [f"{', '.join(channels)}: floating-point intensities are rounded to 1/65535"] if channels else []


def _open_zarr(folder: Path) -> ImageSets:
    image = open_ome_zarr(folder)
    channels, notes = name_channels(image.labels)
    name = folder.resolve().name
    numbers = {channel: number for number, channel in enumerate(channels)}
    one = ImageSet(
        name.removesuffix(".zarr").removesuffix(".ome"),
        dict.fromkeys(channels, name),
        lambda channel: image.read(numbers[channel]),
    )
    rounded = channels if image.array.dtype.kind == "f" else ()
    all_notes = (*notes, *_note_holes(image, channels), *_note_rounded(rounded))
    return ImageSets(channels, (one,), all_notes, frozenset(rounded))


def _note_holes(image: OmeZarrImage, channels: Sequence[str]) -> list[str]:
    """Say of which planes some chunks are not stored."""
    counts = {channel: image.count_chunks(number) for number, channel in enumerate(channels)}
    return [
        f"{channel}: {expected - stored:,} of {expected:,} chunks are not stored and count as "
        f"{image.array.fill_value}, as Zarr has it; where the image is not black, the copy is incomplete"
        for channel, (stored, expected) in counts.items()
        if 0 < stored < expected
    ]


def name_channels(labels: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name channels so that columns can end with their names.

    Parameters
    ----------
    labels
        What the channels are called where they come from, in order; may be empty texts.

    Returns
    -------
    A name for each, a letter and then letters, digits and ``_``, no two alike in any case; and a sentence for each
    label that was changed. A channel without a usable label is named by its number: ``C1``, ``C2``.
    """
    names: list[str] = []
    for number, label in enumerate(labels, start=1):
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", label).strip("_")
        name = (f"C{plain}" if plain[:1].isdigit() else plain)[:40]
        is_free = name and name.lower() not in (other.lower() for other in names)
        names.append(name if is_free else _free_name(number, names))
    notes = tuple(
        f"channel {number}, {label!r}, is named {name}"
        for number, (label, name) in enumerate(zip(labels, names, strict=True), start=1)
        if label and label != name
    )
    return tuple(names), notes


def _free_name(number: int, names: Sequence[str]) -> str:
    name = f"C{number}"
    while name.lower() in (other.lower() for other in names):
        name += "_"
    return name
