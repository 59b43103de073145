"""The label images of a Zarr: those beside an OME-Zarr image, 0.4 or 0.5, of a plate of ours, or arrays of a group.

    IMAGE.zarr                  the label images that its group labels lists
    IMAGE.zarr/labels           the same
    IMAGE.zarr/labels/Nuclei    one label image
    PLATE.zarr/.../SITE         a site of ours: the channels of its label image objects are the object sets
    GROUP.zarr                  any other group: each array is the labels of one object set

A chunk that is not stored is background, as Zarr has it: writers leave out what is all zero.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from imaging.errors import ConfigurationError
from imaging.ome_zarr_image import OmeZarrImage, damage_named, open_level, read_attributes
from imaging.plane_arrays import LABELS, LabelImage

Read = Callable[[], LabelImage]


def open_zarr_labels(folder: Path) -> dict[str, Read]:
    """Find the label images of a Zarr by name, in its order; no label is read.

    Returns
    -------
    For each a function that reads it, shape ``(y, x)``, or raises UnreadableImageError.

    Raises
    ------
    ConfigurationError
        If the folder holds no label images, or what it holds are none by type or shape.
    UnreadableImageError
        If a description is damaged.
    """
    described = read_attributes(folder)
    if "multiscales" in described and ("image-label" in described or folder.parent.name == "labels"):
        return _open_label_image(folder)
    if "multiscales" in described:
        return _open_beside_image(folder)
    if isinstance(described.get("labels"), list):
        return _open_listed(folder, described["labels"])
    return _open_arrays(folder)


def _open_beside_image(folder: Path) -> dict[str, Read]:
    """Labels of an image: those that its group lists, else ours."""
    group = folder / "labels"
    if group.is_dir():
        return _open_listed(group, read_attributes(group).get("labels"))
    if "image-label" in read_attributes(folder / "objects"):
        return _open_label_image(folder / "objects")
    raise ConfigurationError("the image has no labels: it has no group `labels`", key=str(folder))


def _open_listed(group: Path, names: Any) -> dict[str, Read]:
    if not isinstance(names, list) or not names:
        raise ConfigurationError("its group lists no label image", key=str(group))
    found: dict[str, Read] = {}
    for name in map(str, names):
        if name.startswith("/") or ".." in name.split("/"):
            raise ConfigurationError(f"the label image {name!r} leads out of its group", key=str(group))
        found |= _open_label_image(group / name)
    return found


def _open_label_image(folder: Path) -> dict[str, Read]:
    described = read_attributes(folder)
    if not described.get("multiscales"):
        raise ConfigurationError("there is no label image: its description lists no multiscales", key=str(folder))
    image = open_level(folder, described, LABELS)
    names = _names_of_ours(folder) if len(image.labels) > 1 else [folder.resolve().name]
    if len(names) != len(image.labels):
        message = f"it has {len(image.labels)} channels; one label image per object set is needed"
        raise ConfigurationError(message, key=str(folder))
    return {name: partial(_read, image, number) for number, name in enumerate(names)}


def _names_of_ours(folder: Path) -> list[str]:
    """Object sets by channel, as the label image of a site of ours says."""
    with damage_named(folder, "its description is damaged"):
        ours: Any = zarr.open_group(folder, mode="r").attrs.get("platestream", {})
    return [str(name) for name in ours.get("object_sets", [])] if isinstance(ours, dict) else []


def _read(image: OmeZarrImage, number: int) -> LabelImage:
    return image.read(number)


def _open_arrays(folder: Path) -> dict[str, Read]:
    """Arrays of a group without a description of OME's, or an array alone."""
    with damage_named(folder, "its description is damaged"):
        opened = zarr.open(folder, mode="r")
        arrays = {folder.resolve().name: opened} if isinstance(opened, zarr.Array) else dict(sorted(opened.arrays()))
    if not arrays:
        raise ConfigurationError("it holds no label image; it needs one 2-D array per object set", key=str(folder))
    problems = {name: LABELS.find_fault(array.dtype, array.shape) for name, array in arrays.items()}
    if any(problems.values()):
        sentences = tuple(f"{name}: {problem}" for name, problem in problems.items() if problem)
        raise ConfigurationError(f"arrays cannot be measured; {LABELS.cure}", sentences, key=str(folder))
    return {name: partial(_read_array, folder, array) for name, array in arrays.items()}


def _read_array(folder: Path, array: zarr.Array) -> LabelImage:
    with damage_named(folder, "its labels are damaged"):
        values = np.asarray(array[...])
    return LABELS.convert(values)
