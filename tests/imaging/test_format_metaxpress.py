"""MetaXpress' folders, its own and exported ones: names, planes, projections, time points, the .HTD."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from imaging.formats.metaxpress import FORMAT
from imaging.wells import parse_well
from tests.imaging.format_folders import places, read_held, reasons, shared_folder

GUID = "E94C24BD-45E4-450A-9919-257C714278F7"
DIGITS = "12345678-45E4-450A-9919-257C714278F7"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("9987_B02_s1_w1.TIF", ("B02", 1, "1")),
        (f"Projection-Mix_E07_s2_w4{GUID}.tif", ("E07", 2, "4")),
        (f"Projection-Mix_E07_s2_w2{DIGITS}.tif", ("E07", 2, "2")),
        (f"plate_E07_s12_w10{DIGITS}.tif", ("E07", 12, "10")),
        (f"SingleChannel_E07_s2{DIGITS}.tif", ("E07", 2, "1")),
        (f"exp126-d0_C03{DIGITS}.tif", ("C03", 1, "1")),
        (f"ADSAStaphInfection2_A01_w2{GUID}.tif", ("A01", 1, "2")),
        (f"G10_s1_w1{GUID}.tif", ("G10", 1, "1")),
        (f"mcf_a01_s1_w1{GUID}.TIFF", ("A01", 1, "1")),
        (f"plate_A01_s1_[{GUID}].tif", ("A01", 1, "1")),
        (f"plate_A01_s1_w3_[{GUID}].tif", ("A01", 1, "3")),
        ("A1_plate_P2_AF48_s3_w02.tif", ("AF48", 3, "2")),
    ],
)
def test_names_with_and_without_site_channel_and_guid_are_read(name: str, place: tuple[object, ...]) -> None:
    assert [found[:3] for found in places(read_held(FORMAT, [name])).values()] == [place]
    assert FORMAT.count([name]) == 1


def test_numbers_of_planes_and_time_points_in_the_name_are_read() -> None:
    assert places(read_held(FORMAT, ["x_A01_s1_w1_z3_t2.tif"])) == {"x_A01_s1_w1_z3_t2.tif": ("A01", 1, "1", 3, 2)}


@pytest.mark.parametrize(
    "name", ["x_A01_s1_DNA.tif", "overview.tif", "x_A01_s1_w1.png", "x_A01.tif", ".x_A01_s1_w1.tif"]
)
def test_other_names_are_none_of_metaxpress(name: str) -> None:
    assert FORMAT.count([name]) == 0
    assert read_held(FORMAT, [name]).planes == ()


def test_a_bare_well_is_an_image_beside_a_description_of_the_plate() -> None:
    files = {"x.HTD": htd(waves=1, sites=(1, 1))}
    assert places(read_held(FORMAT, ["x_A01.tif"], files)) == {"x_A01.tif": ("A01", 1, "1", 1, 1)}
    assert FORMAT.count(["x_A01.tif", "x.HTD"]) == 1


@pytest.mark.parametrize("name", ["x_AZ01_s1_w1.tif", "x_A00_s1_w1.tif", "x_A01_s0_w1.tif"])
def test_what_is_no_well_or_site_is_unknown(name: str) -> None:
    assert list(reasons(read_held(FORMAT, [name]), "unknown")) == [name]


def test_thumbnails_are_ignored() -> None:
    names = [
        f"x_A01_s1_w1_thumb{GUID}.tif",
        f"x_A01_s1_thumb{GUID}.tif",
        "x_A01_s1_w1_thumb.jpg",
        f"x_A01_thumb_[{GUID}].tif",
    ]
    delivery = read_held(FORMAT, names)
    assert delivery.planes == ()
    assert set(reasons(delivery, "ignored").values()) == {"a thumbnail of MetaXpress"}
    assert FORMAT.count(names) == 0


# Folders

NATIVE = "P/2023-02-21/1334"


def test_a_channel_with_planes_has_a_projection_beside_them_and_one_without_has_its_plane() -> None:
    names = [
        f"{NATIVE}/P_E07_s1_w1{GUID}.tif",
        *(f"{NATIVE}/ZStep_{z}/P_E07_s1_w1{GUID}.tif" for z in (1, 2, 3)),
        f"{NATIVE}/P_E07_s1_w2{GUID}.tif",
        f"{NATIVE}/ZStep_0/P_E07_s1_w3{GUID}.tif",
        f"{NATIVE}/ZStep_1/P_E07_s1_w3{GUID}.tif",
        f"{NATIVE}/ZStep_0/P_E07_s1_w4{GUID}.tif",
    ]
    delivery = read_held(FORMAT, names)
    assert sorted(place[2:4] for place in places(delivery).values()) == [
        ("1", 1),
        ("1", 2),
        ("1", 3),
        ("2", 1),
        ("3", 1),
        ("4", 1),
    ]
    assert set(reasons(delivery, "ignored")) == {names[0], names[5]}
    assert "MetaXpress' projection" in reasons(delivery, "ignored")[names[0]]


def test_a_projection_whose_planes_lie_in_another_measurement_is_a_plane() -> None:
    names = ["A/2023-02-21/1/P_E07_s1_w1.tif", "A/2023-02-21/2/ZStep_1/P_E07_s1_w1.tif"]
    assert len(read_held(FORMAT, names).planes) == 2


def test_time_points_and_planes_come_from_the_folders() -> None:
    names = [f"TimePoint_{t}/ZStep_{z}/x_B02_s1_w1.TIF" for t, z in itertools.product((1, 12), (1, 2))]
    assert sorted(place[3:] for place in places(read_held(FORMAT, names)).values()) == [
        (1, 1),
        (1, 12),
        (2, 1),
        (2, 12),
    ]


def test_measurements_are_told_apart_by_date_and_number_or_by_their_descriptions() -> None:
    native = [f"P/2023-02-21/{number}/TimePoint_1/P_E07_s1_w1.tif" for number in (1334, 1335)]
    assert [plane.address.acquisition for plane in read_held(FORMAT, native).planes] == [
        "P/2023-02-21/1334",
        "P/2023-02-21/1335",
    ]
    exported = {f"{plate}/x.HTD": htd() for plate in ("P1", "P2")}
    delivery = read_held(FORMAT, ["P1/TimePoint_1/x_A01_s1_w1.tif", "P2/TimePoint_1/x_A01_s1_w1.tif"], exported)
    assert [plane.address.acquisition for plane in delivery.planes] == ["P1", "P2"]
    assert delivery.told.expected is not None
    assert {address.acquisition for address in delivery.told.expected} == {"P1", "P2"}
    assert read_held(FORMAT, native[:1]).planes[0].address.acquisition == ""


def together(*plates: str) -> list[str]:
    places = itertools.product(plates, ("B02", "B03"), (1, 2), (1, 2))
    return [f"{plate}_{well}_s{site}_w{wave}.TIF" for plate, well, site, wave in places]


def test_plates_that_lie_together_are_told_apart_by_their_names() -> None:
    names = together("plate_A01", "plate_2")
    delivery = read_held(FORMAT, names)
    assert Counter(plane.address.acquisition for plane in delivery.planes) == {"plate_A01": 8, "plate_2": 8}
    described = read_held(FORMAT, names, {"plate_A01.HTD": htd(), "plate_2.HTD": htd()})
    assert described.told.expected == {plane.address for plane in described.planes}
    assert read_held(FORMAT, names, {"plate_2.HTD": htd()}).told.expected is None


def test_copies_under_another_name_are_no_plate() -> None:
    names = [*together("P"), "copy_P_B02_s1_w1.TIF", "copy_P_B02_s1_w2.TIF"]
    delivery = read_held(FORMAT, names, {"P.HTD": htd(), "P - copy.HTD": htd()})
    assert {plane.address.acquisition for plane in delivery.planes} == {""}
    assert delivery.told.expected == {plane.address for plane in delivery.planes}
    assert delivery.told.manifests == ("P - copy.HTD",)


def test_parts_of_a_plate_under_several_names_are_one_plate() -> None:
    names = [f"part{column}_B{column:02}_s1_w{w}.TIF" for column in (1, 2) for w in (1, 2, 3, 4)]
    assert {plane.address.acquisition for plane in read_held(FORMAT, names).planes} == {""}


def test_nothing_is_expected_where_one_measurement_has_no_description() -> None:
    delivery = read_held(FORMAT, ["N/2023-02-21/1/P_E07_s1_w1.tif"], {"E/x.HTD": htd()})
    assert delivery.told.expected is None


# The description of the plate


def htd(
    *,
    wells: str = "B02 B03",
    sites: tuple[int, int] = (2, 1),
    selected: str = "",
    waves: int = 2,
    times: int = 1,
    steps: int = 0,
    collected: str = "",
    shape: tuple[int, int] = (8, 12),
) -> bytes:
    """A .HTD as MetaXpress writes it; ``selected`` flags sites row by row, ``collected`` channels."""
    rows, columns = shape
    imaged = {parse_well(well) for well in wells.split()}
    flags = selected or "1" * (sites[0] * sites[1])
    lines = ['"HTSInfoFile", Version 1.0', '"Description", "\xe9t\xe9, 6t-2w"', f'"TimePoints", {times}']
    lines += [
        f'"ZSeries", {"TRUE" if steps else "FALSE"}',
        f'"ZSteps", {steps}',
        f'"XWells", {columns}',
        f'"YWells", {rows}',
    ]
    for row in range(rows):
        marks = [any((well.row, well.column) == (row, column) for well in imaged) for column in range(1, columns + 1)]
        lines.append(f'"WellsSelection{row + 1}", {", ".join(str(mark).upper() for mark in marks)}')
    lines += ['"Sites", ' + ("FALSE" if sites == (1, 1) else "TRUE"), f'"XSites", {sites[0]}', f'"YSites", {sites[1]}']
    for row in range(sites[1]):
        marks = flags[row * sites[0] : (row + 1) * sites[0]]
        lines.append(f'"SiteSelection{row + 1}", {", ".join("TRUE" if mark == "1" else "FALSE" for mark in marks)}')
    lines += ['"Waves", TRUE', f'"NWavelengths", {waves}']
    lines += [
        f'"WaveName{wave}", "{name}"' for wave, name in zip(range(1, waves + 1), ("DAPI", "FITC", "Cy5"), strict=False)
    ]
    lines += [f'"WaveCollect{wave}", {collected[wave - 1] if collected else 1}' for wave in range(1, waves + 1)]
    return "\r\n".join([*lines, '"UniquePlateIdentifier", "fe477428"', '"EndFile"', ""]).encode("latin-1")


def told(data: bytes, names: tuple[str, ...] = ()):  # what a description and what has come tell
    return read_held(FORMAT, names, {"x.HTD": data}).told


def test_the_description_tells_plate_wells_channels_and_what_should_come() -> None:
    found = told(htd(times=3))
    assert (found.plate, found.measurement, found.instrument, found.wells) == ("x", "fe477428", "ImageXpress", 96)
    assert found.imaged == (parse_well("B02"), parse_well("B03"))
    assert [(channel.code, channel.name) for channel in found.channels] == [("1", "DAPI"), ("2", "FITC")]
    assert found.expected is not None
    assert len(found.expected) == 2 * 2 * 2 * 3
    assert {(address.site, address.z, address.t) for address in found.expected} == {
        (site, 1, t) for site in (1, 2) for t in (1, 2, 3)
    }


def test_channels_that_are_not_collected_are_not_expected() -> None:
    assert {address.code for address in told(htd(waves=3, collected="101")).expected or ()} == {"1", "3"}


def test_planes_are_expected_of_stacks_and_one_of_channels_that_come_without() -> None:
    data = htd(wells="B02", sites=(1, 1), waves=3, steps=4)
    assert Counter(address.code for address in told(data).expected or ()) == {"1": 4, "2": 4, "3": 4}
    come = ("ZStep_1/x_B02_w1.TIF", "x_B02_w2.TIF")
    assert Counter(address.code for address in told(data, come).expected or ()) == {"1": 4, "2": 1, "3": 4}


def test_a_channel_that_stays_in_the_first_folder_while_others_reach_the_last_is_expected_in_one_plane() -> None:
    data = htd(wells="B02", sites=(1, 1), waves=2, steps=3)
    begun = ("ZStep_1/x_B02_w1.TIF", "ZStep_1/x_B02_w2.TIF", "ZStep_2/x_B02_w1.TIF")
    assert Counter(address.code for address in told(data, begun).expected or ()) == {"1": 3, "2": 3}
    done = (*begun, "ZStep_3/x_B02_w1.TIF")
    assert Counter(address.code for address in told(data, done).expected or ()) == {"1": 3, "2": 1}


def test_planes_that_come_unannounced_are_expected_of_all_sites() -> None:
    come = ("ZStep_1/x_B02_s1_w1.TIF", "ZStep_2/x_B02_s1_w1.TIF")
    assert {a.z for a in told(htd(), come).expected or () if a.code == "1"} == {1, 2}


def test_sites_of_a_selection_count_on_unless_names_number_them_by_their_place() -> None:
    data = htd(sites=(3, 3), selected="010101010")
    assert {address.site for address in told(data).expected or ()} == {1, 2, 3, 4}
    assert {address.site for address in told(data, ("x_B02_s3_w1.tif",)).expected or ()} == {1, 2, 3, 4}
    assert {address.site for address in told(data, ("x_B02_s8_w1.tif",)).expected or ()} == {2, 4, 6, 8}


def test_the_description_nearest_to_the_top_is_read() -> None:
    files = {"TimePoint_1/x.HTD": htd(times=9), "x.HTD": htd(times=2), "TimePoint_1/ZStep_1/x.HTD": htd(times=9)}
    found = read_held(FORMAT, [], files).told
    assert found.manifests == ("x.HTD",)
    assert {address.t for address in found.expected or ()} == {1, 2}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8-sig", "utf-16"])
def test_descriptions_in_other_encodings_are_read(encoding: str) -> None:
    assert told(htd().decode("latin-1").encode(encoding)).expected is not None


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "is no description of a plate"),
        (bytes(2000), "is no description of a plate"),
        (b"\xff\xfe nothing", "is no description of a plate"),
        (htd()[:300], "ends too early"),
        (htd(shape=(8, 12)).replace(b'"XWells", 12', b'"XWells", 4000'), "4000 columns and 8 rows"),
        (htd(times=100_000, waves=90), "asks for"),
    ],
)
def test_a_damaged_description_is_a_problem_and_nothing_is_expected(data: bytes, part: str) -> None:
    delivery = read_held(FORMAT, ["x_A01_s1_w1.tif"], {"x.HTD": data})
    assert len(delivery.planes) == 1
    assert delivery.told.expected is None
    assert [part in problem for problem in delivery.told.problems] == [True]


def test_a_description_that_is_far_too_large_is_not_opened() -> None:
    assert "at most 1,048,576 are read" in told(htd() + b" " * 2_000_000).problems[0]


# Real folders


def test_the_real_exported_plate_is_read_with_its_description() -> None:
    delivery = FORMAT.read(*shared_folder("imagexpress_metaxpress/ImageXpress_exported/9987_Plate_3435"))
    wells, sites, codes, times = ("B02", "B03"), (1, 2), ("1", "2"), (1, 2)
    assert sorted(places(delivery).values()) == sorted(
        (well, site, code, 1, t) for well, site, code, t in itertools.product(wells, sites, codes, times)
    )
    assert len(delivery.told.expected or ()) == 2 * 2 * 4 * 6
    assert [channel.name for channel in delivery.told.channels] == ["DAPI", "FITC", "Texas Red", "Cy5"]
    assert len(reasons(delivery, "ignored")) == 3
    assert reasons(delivery, "unknown") == {}


def test_the_real_mix_of_stacks_and_projections_is_read() -> None:
    delivery = FORMAT.read(*shared_folder("imagexpress_metaxpress/ImageXpress/Projection-Mix"))
    assert sorted(place[1:4] for place in places(delivery).values()) == [
        (site, code, 1) for site in (1, 2) for code in "1234"
    ]
    assert Counter(reasons(delivery, "ignored").values())["a thumbnail of MetaXpress"] == 12
    assert len(reasons(delivery, "ignored")) == 16


def test_the_real_measurement_of_one_channel_is_a_stack_with_projections() -> None:
    delivery = FORMAT.read(*shared_folder("imagexpress_metaxpress/ImageXpress/SingleChannel"))
    assert sorted(place[1:4] for place in places(delivery).values()) == [(s, "1", z) for s in (1, 2) for z in (1, 2)]
