"""Label images written to files, in the forms that ``imaging.label_sets`` reads back.

    labels.npz    arrays Nuclei, Cells, Cytoplasm of one image set; B03_s1/Nuclei ... of several
    labels.tif    of one image set: labels.Nuclei.tif, labels.Cells.tif, labels.Cytoplasm.tif
    labels        a folder: B03_s1_Nuclei.tif ...

An .npz and each TIFF appear when they are whole; what is there is replaced. Labels are stored as uint16, as int32 where
there are more than 65,535 objects.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tifffile

from imaging.errors import ConfigurationError, StoreUnavailableError
from imaging.plane_arrays import LabelImage
from imaging.table_files import check_out, replacing

Write = Callable[[str, Mapping[str, LabelImage]], None]
"""Writes the label images of an image set, by object set."""
_TIFF = (".tif", ".tiff")
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def check_labels_out(out: Path, image_sets: Sequence[str]) -> None:
    """Refuse a file or folder that cannot be written, before anything is segmented.

    Raises
    ------
    ConfigurationError
        If its ending is another, its folder is not there, or it cannot hold the labels of these image sets.
    """
    if not out.suffix:
        if out.exists() and not out.is_dir():
            raise ConfigurationError(f"{out} is a file without an ending; choose another --out")
        if not out.resolve().parent.is_dir():
            raise ConfigurationError(f"there is no folder {out.parent} to make {out.name} in; make it first")
        odd = [name for name in image_sets if any(part.startswith(".") or not part for part in name.split("/"))]
        if odd:
            raise ConfigurationError(f"the image set {odd[0]!r} cannot name a file; write an .npz file")
        return
    if out.suffix not in (".npz", *_TIFF):
        raise ConfigurationError(f"{out} must end in .npz or .tif, or have no ending: a folder of TIFF files")
    check_out(out, (".npz", *_TIFF))
    if out.suffix in _TIFF and len(image_sets) > 1:
        raise ConfigurationError(
            f"{out} can hold one image set, and there are {len(image_sets):,}; write {out.with_suffix('.npz')}, or a "
            f"folder, {out.with_suffix('')}"
        )


def tiff_path(out: Path, name: str) -> Path:
    """File of one object set when the labels of one image set are written to TIFF: ``labels.Nuclei.tif``."""
    return out.with_suffix(f".{name}{out.suffix}")


@contextlib.contextmanager
def writing_labels(out: Path, image_sets: Sequence[str]) -> Iterator[Write]:
    """What writes the label images of image sets, one after the other.

    Raises
    ------
    StoreUnavailableError
        If a file cannot be written.
    """
    if out.suffix == ".npz":
        with replacing(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            yield lambda image_set, labels: _add(archive, image_set if len(image_sets) > 1 else "", labels)
    elif out.suffix:
        yield lambda image_set, labels: _write_tiffs(out, lambda name: tiff_path(out, name), labels)
    else:
        yield lambda image_set, labels: _write_tiffs(out, lambda name: out / f"{image_set}_{name}.tif", labels)


def _add(archive: zipfile.ZipFile, image_set: str, labels: Mapping[str, LabelImage]) -> None:
    for name, image in labels.items():
        # without a time, the same labels give the same file
        member = zipfile.ZipInfo(f"{image_set}/{name}.npy" if image_set else f"{name}.npy", _NO_TIME)
        member.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(member, "w", force_zip64=True) as file:
            np.lib.format.write_array(file, _narrow(image), allow_pickle=False)


def _write_tiffs(out: Path, path_of: Callable[[str], Path], labels: Mapping[str, LabelImage]) -> None:
    for name, image in labels.items():
        path = path_of(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailableError(f"{out} cannot be written: {error.strerror}; choose another --out") from error
        with replacing(path) as file:
            tifffile.imwrite(file, _narrow(image), compression="zlib", metadata=None)


def _narrow(image: LabelImage) -> LabelImage:
    is_small = int(image.max(initial=0)) <= np.iinfo(np.uint16).max
    return np.ascontiguousarray(image, np.uint16 if is_small else np.int32)
