"""The label images of image sets, of any origin: an .npz file, TIFF or PNG files, a Zarr.

An *object set* is what one label image numbers: Nuclei, Cells, Cytoplasm, or any other name. Label images are paired
with image sets by name, as images of channels are among each other; one of each needs no name.

    labels.npz              arrays Nuclei, Cells ... of one image set, or B03_s1/Nuclei ... of several
    labels.tif              one label image; if it is not there, labels.Nuclei.tif, labels.Cells.tif ...
    FOLDER                  files by glob, such as Nuclei=*_nuclei.tif; by default SET_Nuclei.tif ... in any folder
    IMAGE.zarr, GROUP.zarr  see imaging.ome_zarr_labels
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from imaging.decode import decode_labels
from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.image_globs import pair_files
from imaging.image_sets import PICTURES, ImageSets, list_files, read_file
from imaging.npz_planes import find_npz_arrays, read_npz_array
from imaging.ome_zarr_image import is_zarr
from imaging.ome_zarr_labels import open_zarr_labels
from imaging.plane_arrays import LABELS, LabelImage, as_labels
from kernels.segmentation import INCLUDING_EDGES

USUAL = ("Nuclei", "Cells", "Cytoplasm")
"""Names of the usual object sets, in the order in which they are measured."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_RESERVED = ("image", "experiment")
_FORMS = "an .npz file, a label TIFF or PNG file, a folder of them, or a Zarr"


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Label images of one image set.

    ``files`` name of the file by object set, for those there are; ``read`` gives the labels of such a set, shape
    (y, x), or raises UnreadableImageError.
    """

    files: Mapping[str, str]
    read: Callable[[str], LabelImage]


@dataclass(frozen=True, slots=True)
class LabelSets:
    """Label images by the name of their image set.

    ``objects`` are the object sets that are measured, in order; those of ``around`` hold more of the same objects, such
    as ``NucleiIncludingEdges`` of ``Nuclei``, and neighbours are counted among them. ``notes`` are sentences a user
    should see.
    """

    objects: tuple[str, ...]
    sets: Mapping[str, LabelSet]
    notes: tuple[str, ...] = ()
    around: tuple[str, ...] = ()


def open_label_sets(
    labels: str | Path, images: ImageSets, objects: Mapping[str, str] | None = None, *, cure: str = "--objects"
) -> LabelSets:
    """Find the label images of image sets; none is read.

    Parameters
    ----------
    labels
        An .npz file, a TIFF or PNG file, a folder of them or a Zarr, as above.
    images
        The image sets that they belong to.
    objects
        Glob by object set, for a folder of files; an empty glob only chooses the set, of any form.
    cure
        What gives ``objects``, for sentences.

    Raises
    ------
    ConfigurationError
        If there is no such thing, it is of another kind, names of object sets cannot be names of columns and files,
        arrays are no label images, or no label image belongs to an image set.
    UnreadableImageError
        If the file or a description is damaged.
    """
    if "://" in str(labels):
        raise ConfigurationError(f"{labels} is no path of this machine; copy the labels here, or mount them")
    path, chosen = Path(labels), dict(objects or {})
    _refuse_names(chosen)
    globs = {name: glob for name, glob in chosen.items() if glob}
    is_folder_of_files = path.is_dir() and not is_zarr(path)
    if globs and not is_folder_of_files:
        raise ConfigurationError(f"{path} names its object sets itself; globs of object sets are for a folder of files")
    if is_folder_of_files:
        found = _open_folder(path, chosen, cure)
    elif path.is_dir():
        found = _open_zarr(path)
    elif path.suffix.lower() == ".npz" and path.exists():
        found = _open_npz(path, chosen)
    elif path.suffix.lower() in PICTURES:
        found = _open_pictures(path, chosen)
    elif path.exists():
        raise ConfigurationError(f"{path} is a file, but no .npz, TIFF or PNG; give {_FORMS}")
    else:
        raise ConfigurationError(f"there is no {path}; give {_FORMS}")
    return _fit(_choose(found, chosen, path), images, path)


def _open_npz(path: Path, chosen: Mapping[str, str]) -> dict[str, LabelSet]:
    """Arrays by object set, or by image set and object set: ``B03_s1/Nuclei``."""
    is_chosen = (lambda name: name.rpartition("/")[2] in chosen) if chosen else lambda name: True
    names: dict[str, dict[str, str]] = {}
    for array in find_npz_arrays(path, LABELS, is_chosen):
        image_set, _, objects = array.rpartition("/")
        names.setdefault(image_set, {})[objects] = array
    return {
        image_set: LabelSet(dict.fromkeys(arrays, path.name), partial(_read_npz, path, arrays))
        for image_set, arrays in names.items()
    }


def _read_npz(path: Path, arrays: Mapping[str, str], objects: str) -> LabelImage:
    return read_npz_array(path, arrays[objects], LABELS)


def _open_pictures(path: Path, chosen: Mapping[str, str]) -> dict[str, LabelSet]:
    """One label image, or one per object set beside each other: ``labels.Nuclei.tif`` for ``labels.tif``."""
    if path.exists():
        if len(chosen) > 1:
            raise ConfigurationError(f"{path} is one label image, of one object set; {len(chosen)} are asked for")
        files = {next(iter(chosen), "") or _name_of(path): path.name}
    else:
        beside = path.parent.glob(f"{glob_escape(path.stem)}.*{path.suffix}")
        files = {file.name[len(path.stem) + 1 : -len(path.suffix)]: file.name for file in sorted(beside)}
        files = {name: file for name, file in files.items() if _NAME.fullmatch(name)}
    if not files:
        raise ConfigurationError(f"there is no {path}, and no {path.stem}.Nuclei{path.suffix}; give {_FORMS}")
    return {"": LabelSet(files, partial(_read_picture, path.parent, files))}


def glob_escape(name: str) -> str:
    """Write a name as a pattern that matches it alone."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _name_of(path: Path) -> str:
    """Object set of a label image by the end of its name, such as ``site_cells.tif``; Nuclei if that says nothing."""
    stem = path.stem.lower()
    return next((name for name in USUAL if stem.endswith((name.lower(), name.lower().removesuffix("s")))), USUAL[0])


def _read_picture(folder: Path, files: Mapping[str, str], objects: str) -> LabelImage:
    name = files[objects]
    try:
        return as_labels(decode_labels(read_file(folder, name), name=name))
    except UnreadableImageError as error:
        error.key = name
        raise


def _open_folder(folder: Path, chosen: Mapping[str, str], cure: str) -> dict[str, LabelSet]:
    names, _ = list_files(folder)
    if not names:
        raise ConfigurationError(f"{folder} holds no file; give {_FORMS}")
    globs = {name: glob or _find_glob(name, names) for name, glob in chosen.items()}
    if not chosen:
        globs = {name: glob for name in USUAL if (glob := _find_glob(name, names))}
    if not globs or not all(globs.values()):
        lacking = ", ".join(name for name, glob in globs.items() if not glob) or "which objects"
        message = f"which of the {len(names):,} files in {folder} are labels of {lacking}, such as {names[0]}?"
        raise ConfigurationError(f"{message} give a glob for each object set, such as {cure} 'Nuclei=*_nuclei.tif'")
    return {
        image_set: LabelSet(files, partial(_read_picture, folder, files))
        for image_set, files in pair_files(names, globs, of="object sets").items()
    }


def _find_glob(objects: str, names: Sequence[str]) -> str:
    """The glob that finds files as ``segment`` names them; empty if there are none."""
    ends = [ending for ending in PICTURES if any(name.endswith(f"_{objects}{ending}") for name in names)]
    return f"**/*_{objects}{ends[0]}" if ends else ""


def _open_zarr(folder: Path) -> dict[str, LabelSet]:
    found = open_zarr_labels(folder)
    return {"": LabelSet(dict.fromkeys(found, folder.resolve().name), lambda objects: found[objects]())}


def _choose(found: dict[str, LabelSet], chosen: Mapping[str, str], path: Path) -> LabelSets:
    """Put object sets into order, or only those that are chosen."""
    there = dict.fromkeys(objects for labels in found.values() for objects in labels.files)
    absent = [name for name in chosen if name not in there]
    if absent:
        raise ConfigurationError(f"{path} has no labels of {', '.join(absent)}; it has {', '.join(there)}")
    names = [name for name in there if not chosen or name in chosen]
    _refuse_names(names)
    around = [] if chosen else [name for name in names if name.removesuffix(INCLUDING_EDGES) in set(names) - {name}]
    ordered = [name for name in USUAL if name in names] + [name for name in names if name not in USUAL]
    return LabelSets(tuple(name for name in ordered if name not in around), found, around=tuple(around))


def _refuse_names(names: Sequence[str] | Mapping[str, str]) -> None:
    problems = [
        f"an object set's name is a letter and then letters, digits and _ (at most 40), got {name!r}"
        for name in names
        if not _NAME.fullmatch(name)
    ]
    problems += [
        f"{name} is the name of another table; rename the object set" for name in names if name.lower() in _RESERVED
    ]
    lower = [name.lower() for name in names]
    problems += [
        f"{name}: another object set's name differs in capital letters only"
        for name in names
        if lower.count(name.lower()) > 1
    ]
    if problems:
        raise ConfigurationError("the names of the object sets are refused", tuple(problems))


def _fit(labels: LabelSets, images: ImageSets, path: Path) -> LabelSets:
    """Pair label images with image sets: by name, or because there is one of each."""
    names = [one.name for one in images.sets]
    found = dict(labels.sets)
    if len(names) == 1 and len(found) == 1:
        return replace(labels, sets={names[0]: next(iter(found.values()))})
    if "" in found:
        raise ConfigurationError(
            f"{path} holds the labels of one image set, and there are {len(names):,}; name arrays or files by image "
            f"set, such as {names[0] if names else 'B03_s1'}/{labels.objects[0]} in an .npz file"
        )
    strangers = [name for name in found if name not in names]
    if len(strangers) == len(found):
        raise ConfigurationError(
            f"no labels in {path} belong to an image set: labels are of {_some(list(found))}, images of {_some(names)}"
        )
    notes = [*labels.notes]
    if strangers:
        notes.append(f"labels of {len(strangers):,} image sets that are not there are passed over: {_some(strangers)}")
    return replace(labels, sets={name: found[name] for name in names if name in found}, notes=tuple(notes))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "") or "none"
