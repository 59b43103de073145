"""Three small plates of two experiments: what is declared, what should come, and its drawn images.

``wounds`` has two plates whose names fit a pattern, with a plate map; ``stains`` one plate as an ImageXpress writes it,
whose manifest knows of fewer wells than the declaration.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import tifffile

Place = tuple[str, int, str]
"""Well, site and channel of an image."""

CHANNELS = ("DNA", "GFP")
PATIENCE_S = 40
"""Longer than what is hit is away, as a rule: a plate that is published too soon is looked at ever more seldom."""
SIDE_PX = 120
_COMMON = f"""
channels:
  - {{name: DNA, code: "1", role: nucleus, full_scale: 255}}
  - {{name: GFP, code: "2", role: cell, full_scale: 255}}
recipe:
  name: v1
  nuclei: {{diameter_px: [6, 20]}}
  cells: {{}}
  features: {{families: [AreaShape, Intensity]}}
analysis: {{statistics: [Cells_Intensity_NucleusCytoplasmRatio_GFP]}}
patience: {PATIENCE_S} s
"""
_WOUNDS = r"""
name: wounds
layout: {wells: 24, imaged: [A01-B04], sites: 2}
files: {pattern: '(?P<well>[A-D]\d\d)_s(?P<site>\d)_w(?P<channel>\d)[.]tif'}
plate_maps: [{file: map.csv, concentration_unit: uM}]
"""
_STAINS = """
name: stains
layout: {wells: 96, imaged: [B02-B08], sites: 2}
files: {format: metaxpress}
"""
DECLARATIONS = {"wounds": _WOUNDS + _COMMON, "stains": _STAINS + _COMMON}
PLATE_MAP = "well,treatment,concentration,control\n" + "".join(
    f"{row}{column:02d},{treatment}\n"
    for row in "AB"
    for column, treatment in enumerate(("DMSO,0,negcon", "x,1,poscon", "x,2,trt", "x,4,trt"), 1)
)


@dataclass(frozen=True)
class Plate:
    """A plate as it should come: path inside its folder and content of each image, by its place."""

    experiment: str
    name: str
    images: dict[Place, tuple[str, bytes]]
    manifest: tuple[str, bytes] | None = None

    @property
    def folder(self) -> str:
        """Folder of its uploads in the store."""
        return f"raw/{self.experiment}/{self.name}/"


def draw_plates() -> list[Plate]:
    """Draw all three; no two images are alike."""
    wells = [f"{row}{column:02d}" for row in "AB" for column in (1, 2, 3, 4)]
    wounds = [
        Plate("wounds", name, _draw(wells, "{well}_s{site}_w{code}.tif", seed))
        for name, seed in (("W1", 1000), ("W2", 2000))
    ]
    columns = range(2, 8)  # one fewer than declared
    stained = [f"B{column:02d}" for column in columns]
    manifest = _write_manifest(columns)
    return [*wounds, Plate("stains", "S1", _draw(stained, "S1_{well}_s{site}_w{code}.TIF", 3000), ("S1.HTD", manifest))]


def _draw(wells: list[str], name: str, seed: int) -> dict[Place, tuple[str, bytes]]:
    images = {}
    for number, well in enumerate(wells):
        for site in (1, 2):
            chance = np.random.default_rng([seed, number, site])
            centers = [np.array([y, x]) + chance.normal(0, 4, 2) for y in (20, 60, 100) for x in (20, 60, 100)]
            nuclei = _draw_plane(chance, centers, radius=6.0, brightness=150)
            cells = _draw_plane(chance, centers, radius=13.0, brightness=40 + 10 * (number % 8))
            for code, channel, data in (("1", "DNA", nuclei), ("2", "GFP", cells)):
                images[well, site, channel] = (name.format(well=well, site=site, code=code), data)
    return images


def _draw_plane(chance: np.random.Generator, centers: list[np.ndarray], *, radius: float, brightness: int) -> bytes:
    """A TIFF of round objects on a noisy ground, each where its cell is."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    plane = chance.normal(20, 3, (SIDE_PX, SIDE_PX))
    for cy, cx in centers:
        plane += brightness * np.exp(-((((y - cy) ** 2 + (x - cx) ** 2) / radius**2) ** 2))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, plane.clip(0, 255).astype(np.uint8), compression="zlib")
    return buffer.getvalue()


def _write_manifest(columns: range) -> bytes:
    """A .HTD of two sites and two wavelengths in these wells of row B."""
    rows = "".join(
        f'"WellsSelection{row}", {", ".join(str(row == 2 and c in columns).upper() for c in range(1, 13))}\r\n'
        for row in range(1, 9)
    )
    return (
        '"HTSInfoFile", Version 1.0\r\n"Description", "three stains"\r\n"PlateType", 2\r\n"TimePoints", 1\r\n'
        '"ZSeries", FALSE\r\n"ZSteps", 1\r\n"ZProjection", FALSE\r\n"XWells", 12\r\n"YWells", 8\r\n'
        f'{rows}"Sites", TRUE\r\n"XSites", 2\r\n"YSites", 1\r\n"SiteSelection1", TRUE, TRUE\r\n"Waves", TRUE\r\n'
        '"NWavelengths", 2\r\n"WaveName1", "DNA"\r\n"WaveName2", "GFP"\r\n"WaveCollect1", 1\r\n"WaveCollect2", 1\r\n'
        '"UniquePlateIdentifier", "c4a05"\r\n"EndFile"\r\n'
    ).encode("latin-1")
