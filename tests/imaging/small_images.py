"""Small image sets for tests, as other programs write them: .npz files, OME-Zarr images of both versions, TIFFs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

HEIGHT, WIDTH = 72, 96


def planes(n: int = 2, dtype: Any = np.uint16, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Pixels of n planes, no two alike and none zero."""
    return np.random.default_rng(7).integers(1, 200, (n, height, width)).astype(dtype)


def write_tiff(path: Path, plane: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, plane, metadata=None)
    return path


def write_npz(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def write_ome_zarr(
    folder: Path,
    pixels: np.ndarray,
    *,
    version: str = "0.4",
    axes: str = "tczyx",
    labels: tuple[str, ...] = ("DNA", "RNA"),
    **options: Any,
) -> Path:
    """Write an image whose level 0 has these pixels, in chunks of one plane's upper and lower half."""
    group = zarr.open_group(folder, mode="w", zarr_format=2 if version == "0.4" else 3)
    if "chunks" not in options:
        rows = axes.index("y")
        chunks = [length if axis in "yx" else 1 for axis, length in zip(axes, pixels.shape, strict=False)]
        options["chunks"] = (*chunks[:rows], -(-chunks[rows] // 2), *chunks[rows + 1 :])
    array = group.create_array("0", shape=pixels.shape, dtype=pixels.dtype, **options)
    array[...] = pixels
    multiscale = {"axes": [{"name": axis} for axis in axes], "datasets": [{"path": "0"}]}
    described: dict[str, Any] = {"multiscales": [multiscale | {"version": version}]}
    if labels:
        described["omero"] = {"channels": [{"label": label} for label in labels]}
    group.attrs.update(described if version == "0.4" else {"ome": {"version": version, **described}})
    return folder
