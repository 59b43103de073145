"""Small plates under a known field of illumination: equal nuclei and cells everywhere, noise, now and then debris."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import tifffile

from imaging.experiment import read_experiment
from imaging.job import PlateJob
from imaging.store import FolderStore, Store, open_store
from tests.kernels.simulated_sites import make_field

SIDE = 160
WELLS = tuple(f"{row}{column:02d}" for row in "ABCD" for column in range(1, 7))
EXPERIMENT = """
name: lit
channels:
  - {name: DNA, code: w1, role: nucleus, full_scale: 65535}
  - {name: GFP, code: w2, role: cell, full_scale: 65535}
layout: {wells: 24, sites: 1, pixel_size_um: 0.5}
files: {pattern: '(?P<well>[A-D][0-9]{2})_(?P<channel>w[0-9])[.]tif'}
recipe:
  {name: v1, nuclei: {diameter_px: [6, 30]}, cells: {}, features: {families: [AreaShape, Intensity], whole_images: no}}
patience: 60
"""
FIELDS = {"DNA": make_field("vignette", SIDE), "GFP": make_field("tilt", SIDE)}
MIDDLES = [(y, x) for y in (20, 60, 100, 140) for x in (20, 60, 100, 140)]


def draw_plate(fields: dict[str, np.ndarray] = FIELDS, *, seed: int = 0) -> dict[str, bytes]:
    """File name -> TIFF of every image of a plate."""
    rng = np.random.default_rng(seed)
    images = {}
    for well in WELLS:
        shift = rng.integers(-6, 7, (len(MIDDLES), 2))
        for code, channel, radius in (("w1", "DNA", 7), ("w2", "GFP", 11)):
            plane = _draw_site(rng, shift, radius) * fields[channel]
            noisy = plane + rng.normal(0, np.sqrt(plane))
            images[f"{well}_{code}.tif"] = encode(noisy.clip(0, 65535).astype(np.uint16))
    return images


def _draw_site(rng: np.random.Generator, shift: np.ndarray, radius: int) -> np.ndarray:
    y, x = np.indices((SIDE, SIDE))
    plane = np.full((SIDE, SIDE), 400 * rng.uniform(0.9, 1.15))
    for middle, moved in zip(MIDDLES, shift, strict=True):
        down, right = np.array(middle) + moved
        plane[np.hypot(y - down, x - right) <= radius] = 4000
    if rng.random() < 0.2:
        plane[np.hypot(y - rng.uniform(0, SIDE), x - rng.uniform(0, SIDE)) <= 4] = 40_000
    return plane


def encode(plane: np.ndarray) -> bytes:
    """A TIFF of one plane."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, plane)
    return buffer.getvalue()


def lit_job(
    folder: Path,
    illumination: str = "none",
    *,
    plate: str = "P1",
    images: dict[str, bytes] | None = None,
    store: Store | None = None,
    name: str = "lit",
) -> PlateJob:
    """A plate whose images lie in ``folder/raw/<plate>``, and files of its experiment in ``folder/files``."""
    raw, files = folder / "raw" / plate, folder / "files"
    for place in (raw, files):
        place.mkdir(parents=True, exist_ok=True)
    for file, data in (images or {}).items():
        (raw / file).write_bytes(data)
    text = EXPERIMENT.replace("name: lit", f"name: {name}") + f"illumination: {illumination}\n"
    return PlateJob(
        store or open_store(str(folder / "store")),
        FolderStore(raw),
        "",
        read_experiment(text.encode()),
        plate,
        FolderStore(files),
        "",
        settle_s=0.0,
    )


def declare_fields(folder: Path, **fields: np.ndarray) -> None:
    (folder / "files").mkdir(parents=True, exist_ok=True)
    np.savez(folder / "files" / "fields.npz", **fields)
