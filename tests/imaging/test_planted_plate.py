"""A real plate with a blurred, a saturated and an empty image planted: those are found, in words, and nothing else.

The plate is BBBC013's rows A to D (tests/data/bbbc013), processed and published by the real code.
"""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from imaging.experiment import Experiment, read_experiment
from imaging.job import PlateJob
from imaging.publication import Publication
from imaging.query import run_query
from imaging.store import FolderStore, open_store
from tests.following import follow
from tests.imaging.small_plate import read_rows

BBBC013 = Path(__file__).parents[1] / "data" / "bbbc013"
PLANTED = {"Channel2-17-B-05.tif": "blurred", "Channel1-31-C-07.tif": "saturated", "Channel1-45-D-09.tif": "empty"}
GFP_D09, DNA_B05, GFP_C07 = "GFP in D09 site 1", "DNA in B05 site 1", "GFP in C07 site 1"


def spoil(data: bytes, how: str) -> bytes:
    """The image blurred by a Gaussian of 3 pixels, overexposed, or of one value."""
    plane = tifffile.imread(io.BytesIO(data)).astype(np.float64)
    spoiled = {
        "blurred": gaussian_filter(plane, 3.0),
        "saturated": plane * 255 / np.percentile(plane, 97),
        "empty": np.full_like(plane, 12),
    }[how]
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.rint(spoiled).clip(0, 255).astype(np.uint8), compression="zlib")
    return buffer.getvalue()


def experiment(analysis: str = "{}") -> Experiment:
    """The plate's declaration with another analysis.

    Neither pixels nor all features are kept: verdicts rest on the quality of images and on counts of objects.
    """
    head = (BBBC013 / "experiment.yaml").read_text().split("analysis:")[0]
    head = head.replace("  cells: {}\n", "  cells: {}\n  features: {families: Intensity, whole_images: no}\n")
    return read_experiment(f"{head}images: none\nanalysis: {analysis}\n".encode())


def plate_in(folder: Path) -> PlateJob:
    """The plate whose images lie in ``folder/raw``."""
    store, maps = open_store(str(folder / "store")), FolderStore(BBBC013)
    return PlateJob(store, FolderStore(folder / "raw"), "", experiment(), "P1", maps, "", settle_s=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images and results of the planted plate, processed and published once."""
    folder = tmp_path_factory.mktemp("planted") / "plate"
    shutil.copytree(BBBC013 / "images", folder / "raw")
    for name, how in PLANTED.items():
        path = folder / "raw" / name
        path.write_bytes(spoil(path.read_bytes(), how))
    follow(plate_in(folder))
    return folder


@pytest.fixture
def planted(folder: Path, tmp_path: Path) -> PlateJob:
    """A copy of the planted plate for one test."""
    shutil.copytree(folder, tmp_path / "plate")
    return plate_in(tmp_path / "plate")


def verdicts(job: PlateJob, table: str, now: Publication | None = None) -> dict[tuple[Any, ...], tuple[str, list[str]]]:
    """Verdict and reasons of all that does not pass, by its place, in a publication or else in what follows now."""
    rows = read_rows(job, now or follow(job), table)
    place = [name for name in ("well", "channel") if name in rows[0]]
    return {
        tuple(row[name] for name in place): (row["verdict"], row["reasons"]) for row in rows if row["verdict"] != "pass"
    }


def test_without_a_rule_declared_the_planted_images_are_found_and_nothing_else(planted):
    now = follow(planted)
    images = verdicts(planted, "images", now)
    assert {place: verdict for place, (verdict, _) in images.items()} == {
        ("B05", "DNA"): "fail",
        ("C07", "GFP"): "warn",
        ("D09", "GFP"): "fail",
    }
    (blurred,), (saturated,), (empty,) = (images[place][1] for place in sorted(images))
    assert blurred.startswith(f"{DNA_B05}: the power slope is -2.")
    assert " robust standard deviations below the plate's wells (typical -1.23, limit 10): the image looks" in blurred
    assert saturated.startswith(f"{GFP_C07}: 3")
    assert saturated.endswith(" % of pixels are saturated (limit 1 %)")
    assert empty == f"{GFP_D09}: all pixels have the same value"
    found = {"B05": ("fail", [blurred]), "C07": ("warn", [saturated]), "D09": ("fail", [empty])}
    for table in ("sites", "wells"):
        assert verdicts(planted, table, now) == {(well,): told for well, told in found.items()}, table
    assert verdicts(planted, "plates", now) == {(): ("fail", [blurred, empty, saturated])}


def test_the_board_of_quality_lists_them(planted):
    board = "SELECT well, channel, verdict FROM quality_board WHERE level = 'image' ORDER BY well"
    found = [tuple(row.values()) for row in run_query(planted.store, board).to_pylist()]
    assert found == [("B05", "DNA", "fail"), ("C07", "GFP", "warn"), ("D09", "GFP", "fail")]


def test_declared_rules_find_them_without_measuring_again(planted):
    before = len(planted.store.list(f"{planted.prefix}sites/").objects)
    rules = """
  limits: [{metric: PercentSaturated, channel: GFP, warn_above: 1, fail_above: 2}]
  outliers:
    - {metric: PowerLogLogSlope, channel: DNA, side: low, warn_z: 8}
    - {metric: nuclei_count, side: low, warn_z: 6}
    - {metric: StdIntensity, channel: GFP, warn_z: 6, against: plate}
"""
    images = verdicts(replace(planted, experiment=experiment(rules)), "images")
    assert {place: verdict for place, (verdict, _) in images.items()} == {
        ("B05", "DNA"): "warn",
        ("C07", "GFP"): "fail",
        ("D09", "GFP"): "fail",
    }
    assert images["B05", "DNA"][1][0].endswith(
        "(typical -1.23, limit 8): the image looks blurred, or holds bright debris"
    )
    saturated, contrast = images["C07", "GFP"][1]
    assert saturated.endswith(" % of pixels are saturated (limit 2 %)")
    assert contrast.startswith(f"{GFP_C07}: the contrast (StdIntensity) is ")
    assert contrast.endswith("robust standard deviations above the plate's wells (typical 0.105, limit 6)")
    assert len(planted.store.list(f"{planted.prefix}sites/").objects) == before


def test_a_sound_plate_has_no_false_alarm(planted):
    raw = planted.raw.local_path("")
    for name in PLANTED:
        shutil.copy(BBBC013 / "images" / name, raw / name)
    now = follow(planted)
    for table in ("images", "sites", "wells", "plates"):
        assert verdicts(planted, table, now) == {}, table
    (plate,) = read_rows(planted, now, "plates")
    said = "PowerLogLogSlope of DNA against earlier plates: no earlier plate has a value, 5 are needed"
    assert plate["not_judged"] == [said]
