"""What people write: experiment.yaml, recipes, manifests of uploads, plate maps in all their forms."""

from __future__ import annotations

import io
import zipfile
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from imaging.experiment import Experiment, read_experiment
from imaging.experimental import read_manifest
from imaging.names import hash_of
from imaging.platemaps import PlateMap, check_plate_maps, read_plate_map
from imaging.recipe_files import read_recipe
from tests.fuzz.damage import change, damaged, damaged_text, edits
from tests.fuzz.promise import Target, answer, check_sentence
from tests.imaging.platemap_files import declare, reader, workbook
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP
from tests.imaging.test_platemap_files import layer, layout

FULL = """
name: screen
channels:
  - {name: DNA, code: w1, role: nucleus, full_scale: 65535, color: "0000FF"}
  - {name: ER, code: w2, role: cell, full_scale: 4095}
layout: {wells: 384, imaged: [A01-P24], sites: 4, pixel_size_um: 0.65}
files:
  pattern: '(?P<well>[A-P][0-9]{2})_s(?P<site>[0-9])_(?P<channel>w[0-9])[.]tif'
plate_maps:
  - {file: platemaps/a.csv, plates: [P1, P2], concentration_unit: uM}
  - {barcodes: barcodes.csv, columns: {barcode: Plate, map: Map}}
recipe: {name: v1, nuclei: {diameter_um: [6, 30]}, cells: {threshold: otsu}, features: {families: [AreaShape]}}
illumination: {source: plate}
analysis:
  wells: [median, mad]
  statistics: [Cells_AreaShape_Area]
  limits:
  - {metric: PercentSaturated, warn_above: 1, fail_above: 5}
  - {metric: FocusScore, channel: DNA, warn_below: 0.01}
  outliers: [{metric: FocusScore, against: plate, warn_z: 4, fail_z: 8}]
placement: {allowed: [europe-west4]}
uploads: {allow: [nuclei.diameter_px]}
patience: 30 min
plates: [P1, P2]
barcode: '^(?P<barcode>[^_]+)__'
current_acquisition: first
"""
LONG = FULL.replace("wells: 384, imaged: [A01-P24], sites: 4", "wells: 1536, imaged: [A01-AF48], sites: [1, 2, 9]")


def try_experiment(data: bytes) -> None:
    """A declaration that is whole: its recipe has a name, its sites can be counted, and it reads the same again."""
    experiment = answer(read_experiment, data)
    if experiment is None:
        return
    assert experiment.recipe_id
    assert len(experiment.expected_sites()) == len(set(experiment.expected_sites()))
    assert hash_of(experiment.analysis_part())
    assert experiment.barcode_of("BR00117006__2020-11-08")
    experiment.files.reader.count(["A01_s1_w1.tif"])
    assert read_experiment(data).recipe_id == experiment.recipe_id


RECIPE = "nuclei: {diameter_px: [10, 40]}\ncells: {}\nfeatures: {families: [AreaShape, Intensity], whole_images: no}\n"
ASKED = "recipe:\n  nuclei: {diameter_px: [12, 50], threshold: {method: otsu}}\n"


@lru_cache
def base() -> Experiment:
    allowed = EXPERIMENT + "uploads: {allow: [nuclei.diameter_px, nuclei]}\n"
    return read_experiment(allowed.encode())


def try_recipe(data: bytes) -> None:
    """The experiment with another recipe of the file's name, and an upload's wish that is followed or refused."""
    found = answer(read_recipe, data, base(), name="v2", place="recipes/v2.yaml")
    assert found is None or found.recipe.name == "v2"
    asked = read_manifest(data, base())
    if asked.refusal:
        check_sentence(asked.refusal)
    assert asked.experiment is None or not asked.refusal


# Plate maps

MAPS = (
    PLATE_MAP,
    "well;dose;unit;gene\nA01;0,5;uM;PLK1\nA02;1;uM;\nA03;,25;nM;KIF11\nB01;1,5e-3;uM;x\n",
    "plate_map_name\twell_position\tbroad_sample\tmmoles_per_liter\tsolvent\nC-1\tA01\t\t\tDMSO\nC-1\tA02\tBRD-K1\t5.0\tDMSO\n",
    "Row,Column,Drug,Concentration (nM),Type\nA,1,DMSO,0,negcon\nB,2,x,10,trt\n",
    ",1,2,3\nA,DMSO,x,y\nB,DMSO,x,y\n",
    '"well","treatment"\n"A01","a ""quoted"" name, with a comma"\n"A02","two\nlines"\n',
)
BARCODES = "Assay_Plate_Barcode,Plate_Map_Name\nP1,m1\nP2,m2\n"
WORKBOOK = workbook([["well", "treatment", "concentration"], ["A01", "DMSO", 0], ["A02", "x", 1.5]], [["note"], ["b"]])
LAYOUTS = (layout(layer("drug", {(1, 1): "DMSO", (1, 2): "x"}), layer("Concentration", {(1, 2): "0.5"}, unit="uM")),)


def try_map(data: bytes) -> None:
    """A map of a plate and the check of all maps; every well is one of the plate's."""
    for entry in ("- {file: m}", "- {file: m, join: m}"):
        check_map(entry, {"m": data})


def try_barcodes(data: bytes) -> None:
    """The map that a barcode file names for a plate."""
    check_map("- {barcodes: b.csv, folder: maps}", {"b.csv": data, "maps/m1.csv": PLATE_MAP, "maps/m2.txt": PLATE_MAP})


def check_map(entry: str, files: dict[str, Any]) -> None:
    experiment = declare(entry)
    found: PlateMap | None = answer(read_plate_map, reader(files), experiment, "P1")
    if found is not None:
        assert all(well in found.rows for well in found.annotations)
        for _, sentence in found.warnings:
            check_sentence(sentence)
    checked = answer(check_plate_maps, reader(files), experiment, ("P1",))
    for text in checked.warnings if checked is not None else ():
        check_sentence(text)


@st.composite
def damaged_workbook(draw: st.DrawFn) -> bytes:
    """A workbook of which one part, or the file itself, is damaged."""
    with zipfile.ZipFile(io.BytesIO(WORKBOOK)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    chosen = draw(st.sampled_from(sorted(parts)))
    kinds = ("token", "token", "word", "drop", "repeat", "cut", "splice")
    parts[chosen] = change(parts[chosen], draw(edits(kinds)), parts[draw(st.sampled_from(sorted(parts)))])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6)), data)
    return file.getvalue()


TARGETS = (
    Target("experiment.yaml", damaged_text(FULL, EXPERIMENT, LONG), try_experiment),
    Target("recipes and upload manifests", damaged_text(RECIPE, ASKED), try_recipe),
    Target("plate maps: text", damaged_text(*MAPS), try_map),
    Target("plate maps: barcodes", damaged_text(BARCODES, *MAPS[:2]), try_barcodes),
    Target("plate maps: Excel", damaged_workbook() | damaged(WORKBOOK), try_map, 20),
    Target("plate maps: Harmony", damaged_text(*(data.decode() for data in LAYOUTS)), try_map),
)
