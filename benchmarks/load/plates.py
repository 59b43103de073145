"""The plates of a load: tiny files that a site task reads for real, and numbers that it need not measure."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import tifffile

import flows.sites
from imaging.experiment import read_experiment
from imaging.measure import measure_planes
from imaging.names import experiment_key, raw_prefix
from imaging.site import SiteMeasurement, SiteOutcome, SiteTask, process_site
from imaging.store import Store

EXPERIMENT = "load"
WELLS = [f"{row}{column:02d}" for row in "ABCDE" for column in range(1, 9)]
"""Forty sites: as many as make a run use all of its stages, as a plate of thousands does."""
DECLARATION = f"""
name: {EXPERIMENT}
channels:
  - {{name: DNA, code: w1, role: nucleus, full_scale: 255}}
  - {{name: GFP, code: w2, role: cell, full_scale: 255}}
layout: {{wells: 96, imaged: [A01-E08], sites: 1}}
files: {{pattern: '(?P<well>[A-H][0-9]{{2}})_(?P<channel>w[0-9])[.]tif'}}
images: none
recipe:
  {{name: v1, nuclei: {{diameter_px: [6, 20]}}, cells: {{}}, features: {{families: [Intensity], whole_images: no}}}}
patience: 600
"""


@dataclass(frozen=True)
class Uploader:
    """Puts the plates of a load into a store."""

    store: Store

    def declare(self) -> None:
        """Declare the experiment."""
        self.store.write(experiment_key(EXPERIMENT), DECLARATION.encode())

    def upload(self, plate: str) -> int:
        """Upload all images of a plate; return how many."""
        data = tiny_image()
        names = [f"{well}_{channel}.tif" for well in WELLS for channel in ("w1", "w2")]
        for name in names:
            self.store.write(f"{raw_prefix(EXPERIMENT, plate)}{name}", data)
        return len(names)


@cache
def tiny_image() -> bytes:
    """A TIFF of 8 x 8 pixels."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.arange(64, dtype=np.uint8).reshape(8, 8))
    return buffer.getvalue()


@cache
def measured_once() -> SiteMeasurement:
    """The numbers of a drawn site of nine cells, measured once."""
    y, x = np.mgrid[:120, :120]
    plane = np.full((120, 120), 20.0)
    for cy in (20, 60, 100):
        for cx in (20, 60, 100):
            plane += 150 * np.exp(-((((y - cy) ** 2 + (x - cx) ** 2) / 36.0) ** 2))
    pixels = {"pixels": read_experiment(DECLARATION.encode()).pixel_part()}
    image = plane.clip(0, 255).astype(np.uint8)
    return measure_planes({"DNA": image, "GFP": image}, pixels)


def measure_nothing(planes: Any, pins: Any, field: Any = None) -> SiteMeasurement:
    """Give every site the numbers of the drawn one."""
    return measured_once()


def process_without_pixels(task: SiteTask) -> SiteOutcome:
    """Process a site as a worker does, its files, parts and manifest real, with numbers that were measured before."""
    return process_site(task, measure_nothing, at=flows.sites.whereabouts())


def stand_in() -> None:
    """Have this process, which is the cluster's only worker, process sites without their pixels."""
    measured_once()
    flows.sites.process_here = partial(process_without_pixels)
