"""A small plate of drawn cells, and a follower without a cluster, for tests of everything above one site."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import tifffile

from imaging.experiment import read_experiment
from imaging.job import PlateJob
from imaging.publication import Publication
from imaging.store import FolderStore, open_store

EXPERIMENT = """
name: screen
channels:
  - {name: DNA, code: w1, role: nucleus, full_scale: 255}
  - {name: GFP, code: w2, role: cell, full_scale: 255}
layout: {wells: 24, imaged: [A01-B02], sites: 1}
files: {pattern: '(?P<well>[A-D][0-9]{2})_(?P<channel>w[0-9])[.]tif'}
plate_maps: [{file: map.csv, concentration_unit: uM}]
recipe:
  {name: v1, nuclei: {diameter_px: [6, 20]}, cells: {}, features: {families: [AreaShape, Intensity], whole_images: no}}
analysis: {statistics: [Cells_Intensity_NucleusCytoplasmRatio_GFP]}
patience: 60
"""
FEATURES = ", features: {families: [AreaShape, Intensity], whole_images: no}"
"""What keeps most tests short; without it, all features are measured."""
PLATE_MAP = (
    "well,treatment,concentration,control\nA01,DMSO,0,negcon\nA02,DMSO,0,negcon\nB01,x,1,poscon\nB02,x,2,poscon\n"
)
WELLS = ("A01", "A02", "B01", "B02")
CENTERS = [(y, x) for y in (20, 60, 100) for x in (20, 60, 100)]


def draw_cells(seed: int, *, side: int = 120, radius: float = 6.0, brightness: int = 150) -> bytes:
    """A TIFF of nine round objects on a noisy ground."""
    noise = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    plane = noise.normal(20, 3, (side, side))
    for cy, cx in CENTERS:
        plane += brightness * np.exp(-((((y - cy) ** 2 + (x - cx) ** 2) / radius**2) ** 2))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, plane.clip(0, 255).astype(np.uint8), compression="zlib")
    return buffer.getvalue()


def draw_plate() -> dict[str, bytes]:
    """File name -> TIFF of every image of the plate."""
    images = {}
    for number, well in enumerate(WELLS):
        images[f"{well}_w1.tif"] = draw_cells(10 + number)
        images[f"{well}_w2.tif"] = draw_cells(20 + number, radius=13.0, brightness=40 + 30 * number)
    return images


def make_job(folder: Path, *, images: dict[str, bytes] | None = None, text: str = EXPERIMENT) -> PlateJob:
    """A plate whose images lie in ``folder/raw`` and whose results go to ``folder/store``."""
    raw, maps = folder / "raw", folder / "maps"
    for place in (raw, maps):
        place.mkdir(parents=True, exist_ok=True)
    (maps / "map.csv").write_text(PLATE_MAP)
    for name, data in (draw_plate() if images is None else images).items():
        (raw / name).write_bytes(data)
    store = open_store(str(folder / "store"))
    experiment = read_experiment(text.encode())
    return PlateJob(store, FolderStore(raw), "", experiment, "P1", FolderStore(maps), "", settle_s=0.0)


def read_rows(job: PlateJob, publication: Publication | None, name: str) -> list[dict[str, Any]]:
    """Rows of a table of a publication."""
    assert publication is not None
    return pq.read_table(io.BytesIO(job.store.read(publication.tables[name]))).to_pylist()


def object_states(job: PlateJob) -> dict[str, str]:
    """Key -> version of every object of the store."""
    return {item.key: item.token for item in job.store.list("").objects}
