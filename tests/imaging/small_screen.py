"""A small screen for tests: a 6-well plate of two channels and two sites, its manifests, cells and publications.

Cell k (from 1) of site s in the n-th well (from 1) has ``Nuclei_AreaShape_Area`` 100 n + 10 s + k.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from imaging.experiment import Experiment, read_experiment
from imaging.illumination_rows import PlateIllumination
from imaging.names import to_json
from imaging.platemaps import Control, PlateMap, PlateMapRow
from imaging.publication_inputs import PublicationInputs
from imaging.publish_tables import write_tables
from imaging.query import run_query
from imaging.store import Store
from imaging.typical import History
from kernels.feature import IMAGE, FeatureDescription

WELLS = ("A01", "A02", "A03", "B01", "B02", "B03")
CHANNELS = ("DNA", "RNA")
RECIPE = "v1-0123abcd"
AREA, RATIO = "Nuclei_AreaShape_Area", "Cells_Intensity_NucleusCytoplasmRatio_RNA"
IMAGE_MEAN = "Intensity_MeanIntensity"
FEATURES = (
    FeatureDescription(AREA, "AreaShape", "Nuclei", "", "px", "number of pixels of the nucleus"),
    FeatureDescription(RATIO, "Intensity", "Cells", "RNA", "", "mean in the nucleus over that in the cytoplasm"),
    FeatureDescription(IMAGE_MEAN, "Intensity", IMAGE, "", "1", "mean of the image"),
)
CONTROLS: dict[str, Control] = {
    "A01": "negcon",
    "A02": "negcon",
    "A03": "trt",
    "B01": "poscon",
    "B02": "poscon",
    "B03": "empty",
}

YAML = b"""
name: screen
channels:
  - {name: DNA, role: nucleus, full_scale: 4095}
  - {name: RNA, role: cell, full_scale: 4095}
layout: {wells: 6, sites: 2}
files: {pattern: '(?P<well>[A-B][0-9]+)_s(?P<site>[0-9])_(?P<channel>[A-Z]+)[.]tif'}
recipe: {name: v1, nuclei: {diameter_px: [10, 40]}}
analysis:
  statistics: [Nuclei_AreaShape_Area]
  limits:
    - {metric: PercentSaturated, warn_above: 1, fail_above: 5}
    - {metric: FocusScore, channel: DNA, warn_below: 0.01}
"""


def experiment(data: bytes = YAML) -> Experiment:
    return read_experiment(data)


def plate_map() -> PlateMap:
    rows = {}
    for number, (well, control) in enumerate(CONTROLS.items()):
        treatment = None if control == "empty" else "DMSO" if control == "negcon" else f"compound {well}"
        dose = None if control in ("negcon", "empty") else 0.5 * number
        rows[well] = PlateMapRow(well, treatment, dose, None if dose is None else "uM", control)
    return PlateMap(rows, {"A02": {"gene": "PLK1", "moa": "mitosis"}, "A03": {"gene": "KIF11"}})


def manifest(well: str, site: int, **changes: Any) -> dict[str, Any]:
    plate = changes.pop("plate", "P1")
    missing = changes.pop("missing", [])
    present = [channel for channel in CHANNELS if channel not in missing]
    nuclei = changes.pop("nuclei", 3)
    inputs = changes.pop("inputs", f"{well}{site}in")
    record = {
        "experiment": "screen",
        "plate": plate,
        "recipe": RECIPE,
        "well": well,
        "site": site,
        "inputs": inputs,
        "content": f"{well}{site}content",
        "images": [_image(well, site, channel) for channel in present],
        "missing": list(missing),
        "duplicates": [],
        "image_metrics": [_metrics(channel) for channel in present],
        "counts": {"Nuclei": nuclei, "Cells": nuclei},
        "part": {"key": f"parts/{well}-{site}.arrow", "size_bytes": 1, "crc32": "00000000"},
        "image_part": {"key": f"parts/{well}-{site}-images.arrow", "size_bytes": 1, "crc32": "00000000"},
        "zarr": {"group": f"A/1/s{site}x1", "objects": []},
        "provenance": {
            "started_at": "2026-02-03T04:05:06.500+00:00",
            "seconds": 1.5,
            "cpu_seconds": 1.25,
            "machine_seconds": 1.2,
            "host": "worker-1",
            "environment": "gcp",
            "place": "europe-west4",
            "price_per_hour": 0.6,
            "cost": 0.0002,
            "software": "0.1",
            "device": "cpu",
            "versions": "python 3.11.7, numpy 2.3.1",
        },
    }
    return record | changes


def _image(well: str, site: int, channel: str) -> dict[str, Any]:
    return {
        "channel": channel,
        "name": f"{well}_s{site}_{channel}.tif",
        "token": "t1",
        "size_bytes": 2048,
        "digest": f"{well}{site}{channel}",
        "height": 32,
        "width": 31,
        "dtype": "uint16",
        "modified": 1770091500.25,
    }


def _metrics(channel: str) -> dict[str, Any]:
    values = {"FocusScore": 0.02, "MinIntensity": 0.001, "MaxIntensity": 0.05, "PercentSaturated": 0.25}
    return {
        "channel": channel,
        "MedianIntensity": 0.01 if channel == "DNA" else 0.03,
        "PowerLogLogSlope": None,
    } | values


def manifests(plate: str = "P1") -> list[dict[str, Any]]:
    return [manifest(well, site, plate=plate) for well in WELLS for site in (1, 2)]


def read_part(record: Mapping[str, Any], entry: str = "part") -> pa.Table:
    """Cells of a site; the ratio of its first cell is not defined. Or its images: 0.25 times its number."""
    if entry == "image_part":
        channels = [image["channel"] for image in record["images"]]
        means = pa.array([0.25 * record["site"]] * len(channels), pa.float32())
        return pa.table({"channel": channels, IMAGE_MEAN: means})
    count = record["counts"]["Nuclei"]
    first = 100 * (WELLS.index(record["well"]) + 1) + 10 * record["site"]
    ratios = [math.nan if cell == 1 else 0.5 + record["site"] for cell in range(1, count + 1)]
    return pa.table(
        {
            "ObjectNumber": pa.array(range(1, count + 1), pa.int32()),
            AREA: pa.array([float(first + cell) for cell in range(1, count + 1)], pa.float64()),
            RATIO: pa.array(ratios, pa.float64()),
        }
    )


def inputs(**changes: Any) -> PublicationInputs:
    plate = changes.get("plate", "P1")
    given: dict[str, Any] = {
        "experiment": experiment(),
        "plate": plate,
        "recipe": RECIPE,
        "run": "run1",
        "manifests": tuple(manifests(plate)),
        "failed": (),
        "missing_sites": (),
        "waiting": {},
        "faults": (),
        "decisions": (),
        "plate_map": plate_map(),
        "is_declared": True,
        "read_part": read_part,
        "feature_descriptions": list(FEATURES),
        "history": History(),
        "illumination": PlateIllumination(rows=tuple({"channel": name, "variant": "all"} for name in CHANNELS)),
    }
    return PublicationInputs(**(given | changes))


def results(plate: str = "P1", recipe: str = RECIPE) -> str:
    return f"results/screen/{plate}/{recipe}/"


def publish(store: Store, number: int = 1, **changes: Any) -> dict[str, str]:
    """Write the tables of a publication and its record; times and barcode are the record's."""
    times = {name: changes.pop(name) for name in ("published_at", "barcode", "first_image_at") if name in changes}
    given = inputs(**changes)
    folder = results(given.plate, given.recipe)
    keys = write_tables(store, f"{folder}published/{number:06d}-fresh", given)
    counted = [f"{folder}sites/{item['well']}-{item['site']}-{item['inputs']}.json" for item in given.manifests]
    place = {"plate": given.plate, "recipe": given.recipe, "run": given.run}
    record(store, number, **place, tables=keys, manifests=counted, **times)
    return keys


def record(store: Store, number: int, *, plate: str = "P1", status: str = "complete", **more: Any) -> None:
    """Write a publication record."""
    content = {
        "number": number,
        "run": "run1",
        "status": status,
        "experiment": "screen",
        "plate": plate,
        "recipe": RECIPE,
        "published_at": "2026-02-03T05:00:00.000+00:00",
        "tables": {},
    }
    folder = results(plate, more.get("recipe", RECIPE))
    store.create(f"{folder}publications/{number:06d}.json", to_json(content | more))


def promote(store: Store, *recipes: str) -> None:
    """Write promotion records, the last one last."""
    before = RECIPE
    for number, recipe in enumerate(recipes, start=1):
        content = {"experiment": "screen", "number": number, "recipe": recipe, "name": recipe.partition("-")[0]}
        content |= {"instead_of": before, "because": "better", "promoted_at": f"2026-02-1{number}T05:00:00.000+00:00"}
        store.create(f"experiments/screen/promotions/{number:06d}.json", to_json(content | {"declared": {}}))
        before = recipe


def write_manifest(store: Store, item: Mapping[str, Any]) -> str:
    """Write a site manifest where the pipeline does."""
    key = f"{results(item['plate'])}sites/{item['well']}-{item['site']}-{item['inputs']}.json"
    store.create(key, to_json(dict(item)))
    return key


def ask(store: Store, sql: str, **options: Any) -> list[dict[str, Any]]:
    return run_query(store, sql, **options).to_pylist()


def values(store: Store, sql: str) -> list[Any]:
    return [next(iter(row.values())) for row in ask(store, sql)]
