"""Plates that lie otherwise than their map says: found where the evidence is strong, and never where they are right."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

import numpy as np
import pytest
import tifffile

from imaging.experiment import read_experiment
from imaging.platemaps import PlateMapRow, read_plate_map
from imaging.suspicions.declared import SuspicionLimits
from imaging.suspicions.places import changes_of_place, label_of, rank_values, suspect_place
from imaging.suspicions.suspicion import Suspicion
from imaging.wells import PLATE_SHAPES, Well
from tests.parts import require

LIMITS = SuspicionLimits.model_validate({})
COUNT = "nuclei_count"
Rows = dict[str, PlateMapRow]
ByWell = dict[str, float]
MOVES = (
    "rotated by 180 degrees",
    "shifted down by a row",
    "shifted up by a row",
    "shifted right by a column",
    "shifted left by a column",
)


def names(wells: int = 96) -> list[str]:
    rows, columns = PLATE_SHAPES[wells]
    return [str(Well(row, column)) for row in range(rows) for column in range(1, columns + 1)]


def suspect(
    values: ByWell, rows: Rows, expected: ByWell | None = None, *, wells: int = 96, plates: int = 1
) -> Suspicion | None:
    return suspect_place(
        {COUNT: values},
        rows,
        wells,
        {COUNT: expected} if expected else {},
        moved_plate=LIMITS.moved_plate,
        moved_map=LIMITS.moved_map,
        other_plates=plates,
    )


def moved(values: ByWell, how: str, wells: int = 96) -> ByWell:
    """What is seen of a plate that lies otherwise."""
    shown = changes_of_place(wells, list(values))[how]
    return {well: values[there] for well, there in shown.items() if there in values}


def gave(values: ByWell, rows: Rows) -> ByWell:
    """What each treatment gave on a plate, in ranks."""
    seen: dict[str, list[float]] = {}
    for well, rank in zip(values, rank_values(list(values.values())), strict=True):
        if well in rows and (label := label_of(rows[well])):
            seen.setdefault(label, []).append(float(rank))
    return {label: statistics.median(ranks) for label, ranks in seen.items()}


# Changes of place


def test_changes_of_place_say_what_each_well_shows() -> None:
    moves = changes_of_place(96, names())
    assert list(moves) == list(MOVES)
    assert moves["rotated by 180 degrees"]["A01"] == "H12"
    assert moves["shifted down by a row"]["B03"] == "A03"
    assert moves["shifted right by a column"]["B03"] == "B02"
    assert "A03" not in moves["shifted down by a row"]
    assert "H03" not in moves["shifted up by a row"]


def test_a_block_of_imaged_wells_may_be_rotated_in_itself() -> None:
    imaged = ["A01", "A02", "B01", "B02"]
    moves = changes_of_place(96, imaged)
    assert moves["rotated by 180 degrees"]["A01"] == "H12"
    assert moves["rotated by 180 degrees within the imaged wells"]["A01"] == "B02"
    assert changes_of_place(96, []) == {}


def test_a_label_is_the_same_for_the_same_treatment_on_any_plate() -> None:
    assert label_of(PlateMapRow("A01", "x", 1.0, "uM", "trt")) == label_of(PlateMapRow("B02", "x", 1.0, "uM", None))
    assert label_of(PlateMapRow("A01", "x", 1.0, "uM")) != label_of(PlateMapRow("A01", "x", 2.0, "uM"))
    assert label_of(PlateMapRow("A01", None, None, None, "empty")) == "empty|||"
    assert label_of(PlateMapRow("A01")) is None


def test_ranks_go_from_0_to_1_and_ties_share_theirs() -> None:
    np.testing.assert_allclose(rank_values([5.0, 1.0, 3.0]), [1.0, 0.0, 0.5])
    np.testing.assert_allclose(rank_values([2.0, 2.0, 9.0]), [0.25, 0.25, 1.0])


# Drawn plates


def screen(seed: int) -> tuple[Rows, ByWell]:
    """A plate of 48 compounds, each in two wells anywhere, with an effect of its own."""
    random = np.random.default_rng(seed)
    wells = names()
    compounds = np.repeat(np.arange(48), 2)
    np.random.default_rng(7).shuffle(compounds)  # one map for all
    effects = np.random.default_rng(8).uniform(50, 200, 48)
    rows = {well: PlateMapRow(well, f"c{at}", 1.0, "uM") for well, at in zip(wells, compounds, strict=True)}
    values = {well: float(effects[at] + random.normal(0, 15)) for well, at in zip(wells, compounds, strict=True)}
    return rows, values


@pytest.mark.parametrize("how", MOVES)
def test_a_moved_plate_is_found_by_an_earlier_one(how: str) -> None:
    rows, earlier = screen(1)
    found = suspect(moved(screen(2)[1], how), rows, gave(earlier, rows))
    assert found is not None
    assert (found.kind, found.points_to, found.threshold) == ("moved plate", how, LIMITS.moved_plate)
    assert "on 1 earlier plate at a rank correlation of" in found.evidence
    assert f"if the plate lies {how}; was it put into the reader, or mapped, that way?" in found.evidence


@pytest.mark.parametrize("how", MOVES)
def test_a_moved_plate_is_found_by_its_map_alone(how: str) -> None:
    rows, values = screen(2)
    found = suspect(moved(values, how), rows)
    assert found is not None
    assert found.points_to == how
    assert "treatments and doses of the plate map explain" in found.evidence


def test_a_plate_in_its_place_is_not_suspected() -> None:
    rows, earlier = screen(1)
    for seed in range(2, 12):
        assert suspect(screen(seed)[1], rows, gave(earlier, rows)) is None
        assert suspect(screen(seed)[1], rows) is None


def test_noise_and_plates_without_a_map_are_not_suspected() -> None:
    rows, earlier = screen(1)
    for seed in range(10):
        noise = {well: float(np.random.default_rng(seed).normal()) + at for at, well in enumerate(rows)}
        shuffled = dict(zip(rows, np.random.default_rng(seed).permutation(list(noise.values())).tolist(), strict=True))
        assert suspect(shuffled, rows, gave(earlier, rows)) is None
    assert suspect(screen(2)[1], {}) is None
    assert suspect(dict.fromkeys(rows, 5.0), rows, gave(earlier, rows)) is None


def test_a_few_wells_tell_nothing() -> None:
    rows, values = screen(2)
    few = dict(list(moved(values, MOVES[0]).items())[:12])
    assert suspect(few, rows, gave(screen(1)[1], rows)) is None


@pytest.mark.parametrize(("limits", "is_found"), [((0.12, 0.06), True), ((-1.0, 0.06), True), ((-1.0, -1.0), False)])
def test_each_way_can_be_switched_off(limits: tuple[float, float], is_found: bool) -> None:
    rows, earlier = screen(1)
    seen, expected = {COUNT: moved(screen(2)[1], MOVES[0])}, {COUNT: gave(earlier, rows)}
    found = suspect_place(seen, rows, 96, expected, moved_plate=limits[0], moved_map=limits[1])
    assert (found is not None) == is_found


def test_doses_and_columns_of_controls_tell_of_a_plate_that_is_shifted() -> None:
    """Eight compounds in rows, ten doses from left to right; columns of controls at both ends."""
    rows: Rows = {}
    values: ByWell = {}
    random = np.random.default_rng(3)
    for well in names():
        row, column = "ABCDEFGH".index(well[0]), int(well[1:])
        if column in (1, 12):
            rows[well] = PlateMapRow(well, "DMSO", None, None, "negcon")
            values[well] = 200 + random.normal(0, 5)
        else:
            rows[well] = PlateMapRow(well, f"c{row}", 0.1 * 2**column, "uM", "trt")
            values[well] = 200 - (row % 3) * 8 * column + random.normal(0, 5)
    assert suspect(values, rows) is None
    found = suspect(moved(values, "shifted right by a column"), rows)
    assert found is not None
    assert "shifted right by a column" in found.points_to


# BBBC013: dose responses of four rows, controls at both ends


def halves() -> tuple[Rows, dict[str, ByWell], dict[str, ByWell]]:
    """The plate map of BBBC013, and what the left and the right halves of its images show."""
    folder = Path(__file__).parents[1] / "data" / "bbbc013"
    experiment = read_experiment((folder / "experiment.yaml").read_bytes())
    rows = read_plate_map(lambda name: (folder / name).read_bytes(), experiment, "P1").rows
    left: dict[str, ByWell] = {}
    right: dict[str, ByWell] = {}
    for path in sorted((folder / "images").iterdir()):
        channel, _, row, column = path.stem.split("-")
        plane = tifffile.imread(path)
        half = plane.shape[1] // 2
        for seen, part in ((left, plane[:, :half]), (right, plane[:, half:])):
            seen.setdefault(f"{channel} StdIntensity", {})[row + column] = float(part.std())
            seen.setdefault(f"{channel} MedianIntensity", {})[row + column] = float(np.median(part))
    return rows, left, right


def test_rotated_dose_responses_are_found_by_an_earlier_plate_and_right_ones_are_not_suspected() -> None:
    rows, seen, earlier = halves()
    expected = {measure: gave(values, rows) for measure, values in earlier.items()}

    def check(values: dict[str, ByWell]) -> Suspicion | None:
        return suspect_place(
            values, rows, 96, expected, moved_plate=LIMITS.moved_plate, moved_map=LIMITS.moved_map, other_plates=1
        )

    assert check(seen) is None
    turned = "rotated by 180 degrees within the imaged wells"
    found = check({name: moved(values, turned) for name, values in seen.items()})
    assert found is not None
    assert found.points_to == turned
    for how in MOVES[1:]:  # rows are alike, and one dose more or less is not sure enough
        assert check({name: moved(values, how) for name, values in seen.items()}) is None


# The cell counts of LINCS: 28 plates, 7 maps of 384 wells, 4 replicates of each


def lincs(data: Path) -> tuple[dict[str, str], dict[str, Rows], dict[str, ByWell]]:
    """Map of each plate, wells of each map, count of each well."""
    batch = "2016_04_01_a549_48hr_batch1"
    folder = data / "platemaps_lincs"
    with (folder / "metadata" / "platemaps" / batch / "barcode_platemap.csv").open() as file:
        map_of = {row["Assay_Plate_Barcode"]: row["Plate_Map_Name"] for row in csv.DictReader(file)}
    counts: dict[str, ByWell] = {}
    for path in sorted((folder / "profiles" / "cell_count" / batch).glob("*/*.csv")):
        with path.open() as file:
            rows = list(csv.DictReader(file))
        counts[path.parent.name] = {row["Image_Metadata_Well"]: float(row["cell_count"]) for row in rows}
    maps: dict[str, Rows] = {}
    for name in {map_of[plate] for plate in counts}:
        with (folder / "metadata" / "platemaps" / batch / "platemap" / f"{name}.txt").open() as file:
            maps[name] = {row["well_position"]: _mapped(row) for row in csv.DictReader(file, delimiter="\t")}
    return map_of, maps, counts


def _mapped(row: dict[str, str]) -> PlateMapRow:
    if not row["broad_sample"]:
        return PlateMapRow(row["well_position"], "DMSO", None, None, "negcon")
    return PlateMapRow(row["well_position"], row["broad_sample"], float(row["mmoles_per_liter"]), "mM")


def test_each_moved_plate_of_lincs_is_found_by_one_replicate_or_three_and_no_other_one() -> None:
    map_of, maps, counts = lincs(Path(require("shared")) / "data")
    assert len(counts) == 28
    found: dict[tuple[int, str], int] = {}
    for plate, values in counts.items():
        rows = maps[map_of[plate]]
        others = [name for name in counts if map_of[name] == map_of[plate] and name != plate]
        for number in (1, 3):
            seen = [gave(counts[name], rows) for name in others[:number]]
            expected = {label: statistics.median(item[label] for item in seen) for label in seen[0]}
            assert suspect(values, rows, expected, wells=384) is None, plate
            for how in MOVES:
                suspicion = suspect(moved(values, how, 384), rows, expected, wells=384)
                right = suspicion is not None and suspicion.points_to == how
                found[number, how] = found.get((number, how), 0) + right
    assert [found[3, how] for how in MOVES] == [28] * 5
    assert [found[1, how] for how in MOVES] == [28, 28, 28, 27, 27]


def test_the_maps_of_lincs_alone_find_most_moved_plates_and_raise_no_alarm() -> None:
    map_of, maps, counts = lincs(Path(require("shared")) / "data")
    told = 0
    for plate, values in counts.items():
        rows = maps[map_of[plate]]
        assert suspect(values, rows, wells=384) is None, plate
        told += sum(suspect(moved(values, how, 384), rows, wells=384) is not None for how in MOVES)
    assert told == 74  # of 140: its maps are nearly symmetrical
