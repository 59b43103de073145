"""Channels that are swapped against the declared stains: found on real plates, and no alarm where they are right."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile

from imaging.suspicions.channels import suspect_channels
from imaging.suspicions.declared import SuspicionLimits
from kernels.thumbnails import shrink, thumbnail_factor
from tests.kernels.test_channel_looks import discs
from tests.parts import require

BBBC013 = Path(__file__).parents[1] / "data" / "bbbc013" / "images"
LIMIT = SuspicionLimits.model_validate({}).swapped_channels
Site = dict[str, np.ndarray]


def thumbnail(plane: np.ndarray) -> np.ndarray:
    return shrink(np.ascontiguousarray(plane)[None], thumbnail_factor(*plane.shape))[0]


def read(path: Path) -> np.ndarray:
    plane = tifffile.imread(path)
    return thumbnail(plane[..., 0] if plane.ndim == 3 else plane)


def area(diameter_px: tuple[float, float], factor: int) -> tuple[float, float]:
    least, most = (math.pi / 4 * (diameter / factor) ** 2 for diameter in diameter_px)
    return least, most


def drawn(**planes: np.ndarray) -> list[Site]:
    return [planes] * 2


# Drawn planes


def test_a_stain_of_cells_in_the_place_of_the_nuclei_is_suspected_with_its_evidence() -> None:
    found = suspect_channels(drawn(DNA=discs(12, seed=1), ER=discs(5, seed=2)), "DNA", LIMIT)
    assert found is not None
    assert (found.kind, found.points_to, found.threshold) == ("swapped channels", "ER", LIMIT)
    assert found.score > 0.5
    assert found.evidence.startswith(
        "DNA is declared as the nuclei's channel, but the objects of ER (18 at 2 sites) lie inside those of DNA (18): "
    )
    assert found.finding.level == "warn"
    assert found.finding.sentence == f"the plate: {found.evidence}"


def test_nuclei_in_their_place_are_not_suspected() -> None:
    assert suspect_channels(drawn(DNA=discs(5, seed=1), ER=discs(12, seed=2)), "DNA", LIMIT) is None
    assert suspect_channels(drawn(DNA=discs(5, seed=1)), "DNA", LIMIT) is None


def test_a_marker_of_a_few_nuclei_is_not_taken_for_all_of_them() -> None:
    few = discs(4, seed=3)
    few[:, 40:] = few[:40, :20].mean()
    assert suspect_channels(drawn(DNA=discs(6, seed=1), PH3=few), "DNA", LIMIT) is None


def test_parts_of_nuclei_are_not_taken_for_nuclei_once_their_size_is_known() -> None:
    planes = drawn(DNA=discs(9, seed=1), nucleoli=discs(3, seed=2))
    assert suspect_channels(planes, "DNA", LIMIT, nucleus_area_px=area((12, 30), 1)) is None
    assert suspect_channels(planes, "DNA", LIMIT) is not None


def test_a_declared_channel_without_objects_is_suspected_where_another_shows_nuclei() -> None:
    blank = np.random.default_rng(0).normal(100, 5, (120, 120)).astype(np.uint16)
    blank[50:58, 50:58] += 500
    found = suspect_channels(drawn(DNA=blank, ER=discs(5, seed=2)), "DNA", LIMIT, nucleus_area_px=area((6, 20), 1))
    assert found is not None
    assert found.points_to == "ER"
    assert "but shows 2 objects at 2 sites, and ER 18 compact ones of the size of nuclei" in found.evidence
    assert suspect_channels(drawn(DNA=blank, ER=discs(5, seed=2)), "DNA", LIMIT) is None


def test_too_few_objects_tell_nothing() -> None:
    planes = {"DNA": discs(12, seed=1), "ER": discs(5, seed=2)}
    assert suspect_channels([planes], "DNA", LIMIT) is None


def test_sites_without_the_nuclei_are_passed_over() -> None:
    assert suspect_channels([{"ER": discs(5)}], "DNA", LIMIT) is None


def test_the_threshold_decides() -> None:
    planes = drawn(DNA=discs(12, seed=1), ER=discs(5, seed=2))
    found = suspect_channels(planes, "DNA", LIMIT)
    assert found is not None
    assert suspect_channels(planes, "DNA", found.score + 1e-6) is None


# Real plates


def bbbc013() -> list[Site]:
    """48 wells in which the GFP moves into the nuclei with the dose: in half of them both channels look alike."""
    dna = sorted(BBBC013.glob("Channel2-*.tif"))
    return [{"DNA": read(path), "GFP": read(path.with_name(path.name.replace("Channel2", "Channel1")))} for path in dna]


def test_the_channels_of_bbbc013_are_told_apart_although_its_gfp_moves_into_the_nuclei() -> None:
    sites = bbbc013()
    assert suspect_channels(sites, "DNA", LIMIT, nucleus_area_px=area((10, 40), 2)) is None
    found = suspect_channels(sites, "GFP", LIMIT, nucleus_area_px=area((10, 40), 2))
    assert found is not None
    assert found.points_to == "DNA"
    assert found.score == pytest.approx(0.23, abs=0.03)


def harmony(data: Path, folder: str, codes: dict[int, str], name: str) -> list[Site]:
    images = data / folder / "images" / "orig"
    return [{stain: read(images / name.format(code)) for code, stain in codes.items()}]


def real_plates(data: Path) -> dict[str, tuple[str, list[Site], tuple[float, float]]]:
    """Nuclei's channel, sites and area of nuclei of each plate; two instruments number the stains differently."""
    six = {1: "Brightfield", 2: "ER", 3: "AGP", 4: "Mito", 5: "DNA", 6: "RNA"}
    human, nf1 = data / "cellomics_arrayscan" / "ExampleHuman" / "images", data / "nf1_cellpainting_3ch"
    stack = tifffile.imread(data / "segmentation_bbbc007" / "BBBC022" / "IXMtest_A02_s9.tif")
    return {
        "BR00143976": (
            "DNA",
            harmony(data, "harmony_cellpainting_6ch_BR00143976", six, "r03c03f03p01-ch{}sk1fk1fl1.tiff"),
            area((15, 90), 4),
        ),
        "BR00117006": (
            "DNA",
            harmony(
                data,
                "harmony_cellpainting_BR00117006",
                {2: "AGP", 3: "RNA", 5: "DNA"},
                "r01c01f01p01-ch{}sk1fk1fl1.tiff",
            ),
            area((15, 90), 4),
        ),
        "ExampleHuman": (
            "DNA",
            [
                {
                    stain: read(human / f"AS_09125_050116030001_D03f00d{code}.tif")
                    for code, stain in enumerate(("DNA", "PH3", "Cell"))
                }
            ],
            area((8, 40), 2),
        ),
        "NF1": (
            "DAPI",
            [
                {
                    stain: read(nf1 / "Plate_2_images" / f"{well}_01_{code}_{site}_{stain}_001.tif")
                    for code, stain in enumerate(("DAPI", "GFP", "RFP"), start=1)
                }
                for well, site in (("B7", 3), ("D6", 2))
            ],
            area((30, 150), 4),
        ),
        "BBBC022": ("w1", [{f"w{at}": thumbnail(plane) for at, plane in enumerate(stack, start=1)}], area((15, 60), 4)),
    }


def test_every_swap_on_real_plates_is_found_and_right_ones_raise_no_alarm() -> None:
    plates = real_plates(Path(require("shared")) / "data")
    alarms, found, swaps = [], {}, 0
    for plate, (nucleus, sites, size) in plates.items():
        for declared in sites[0]:
            suspicion = suspect_channels(sites, declared, LIMIT, nucleus_area_px=size)
            if declared == nucleus:
                alarms += [suspicion] if suspicion else []
                continue
            swaps += 1
            if suspicion is not None:
                found[plate, declared] = suspicion.points_to == nucleus
    assert alarms == []
    assert (swaps, len(found), all(found.values())) == (13, 13, True)
