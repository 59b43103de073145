"""Harmony's folders: the index of each version, names without one, damaged indices, several measurements."""

from __future__ import annotations

import io
import itertools
import tracemalloc

import pytest

from imaging.formats.contract import Address
from imaging.formats.harmony import FORMAT
from imaging.formats.harmony_index import read_index
from imaging.formats.manifests import UnreadableManifestError
from imaging.wells import Well, parse_well
from tests.imaging.format_folders import HeldFolder, places, read_held, reasons, shared_folder
from tests.imaging.harmony_indices import FLAT, SPACES, Place, index, name_of

WHOLE: list[Place] = [
    (row, column, site, plane, time, channel)
    for row, column in ((3, 3), (3, 4))
    for site, plane, time, channel in itertools.product((1, 2), (1, 2), (0, 1), ("1", "2"))
]
NAMES = [f"Images/{name_of(place)}" for place in WHOLE]


def delivered(version: str, **changed: object):  # what is delivered with a whole index
    return read_held(FORMAT, NAMES, {"Images/Index.xml": index(version, WHOLE, **changed)})


@pytest.mark.parametrize("version", SPACES)
def test_every_version_of_the_index_tells_the_same(version: str) -> None:
    told = delivered(version).told
    assert (told.plate, told.measurement, told.instrument, told.wells) == ("BR001", "6f2adb32", "Phenix", 384)
    assert told.imaged == (parse_well("C03"), parse_well("C04"))
    assert told.pixel_size_um == 0.597976
    assert told.z_step_um == 2.0
    assert told.positions_um["C03", 2] == pytest.approx((600.0, -300.0))
    assert told.manifests == ("Images/Index.xml",)
    assert told.expected is not None
    assert len(told.expected) == 32
    assert (told.problems, told.remarks, told.not_taken) == ((), (), {})
    first, second = told.channels
    assert (first.code, first.name, first.excitation_nm, first.emission_nm) == ("1", "HOECHST 33342", 355, 455)
    assert (second.name, second.exposure_s, second.full_scale, second.flat_field) == ("Alexa 488", 0.06, 65535, FLAT)


def test_planes_have_the_places_of_the_index() -> None:
    delivery = delivered("V6")
    assert places(delivery)["Images/r03c04f02p02-ch2sk2fk1fl1.tiff"] == ("C04", 2, "2", 2, 2)
    assert {plane.address for plane in delivery.planes} == delivery.told.expected
    assert reasons(delivery, "ignored") == {"Images/Index.xml": "Harmony's index"}


@pytest.mark.parametrize("number", ["²", "9" * 5_000])
def test_what_only_looks_like_a_number_is_none(number: str) -> None:
    told = delivered("V5", head={"PlateRows": number}).told
    assert (told.wells, told.problems) == (None, ())
    renamed = index("V5", WHOLE).replace(b"<ChannelID>2<", f"<ChannelID>{number}<".encode())
    told = read_held(FORMAT, NAMES, {"Images/Index.xml": renamed}).told
    assert [channel.code for channel in told.channels] == ["1", number]


def test_the_index_goes_before_the_name() -> None:
    place: Place = (3, 3, 1, 1, 0, "1")
    moved = index("V5", [place], urls={place: r"\\server\Images\r09c09f09p09-ch9sk1fk1fl1.tiff"})
    delivery = read_held(FORMAT, ["Images/r09c09f09p09-ch9sk1fk1fl1.tiff"], {"Images/Index.idx.xml": moved})
    assert set(places(delivery).values()) == {("C03", 1, "1", 1, 1)}


def test_names_that_only_the_index_knows_are_planes() -> None:
    place: Place = (1, 2, 1, 1, 0, "1")
    delivery = read_held(
        FORMAT, ["Images/odd.tiff"], {"Index.xml": index("V7", [place], urls={place: "Images/odd.tiff"})}
    )
    assert places(delivery) == {"Images/odd.tiff": ("A02", 1, "1", 1, 1)}


def test_without_an_index_the_names_say_where_images_belong() -> None:
    delivery = read_held(FORMAT, [*NAMES, "Images/r03c03f01p01-ch3sk1fk1fl1.tif", "Images/x_r03c03.png", "notes.txt"])
    assert delivery.told.expected is None
    assert places(delivery)["Images/r03c03f01p01-ch3sk1fk1fl1.tif"] == ("C03", 1, "3", 1, 1)
    assert len(delivery.planes) == 33
    assert reasons(delivery, "unknown") == {
        "Images/x_r03c03.png": "the name is none that Harmony gives, and no index names it"
    }
    assert reasons(delivery, "ignored") == {"notes.txt": "a .txt file, no image"}


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("r16c24f100p12-ch10sk3fk1fl1.tiff", ("P24", 100, "10", 12, 3)),
        ("r32c48f01p01-ch01sk1fk1fl1.TIFF", ("AF48", 1, "1", 1, 1)),
        ("r01c01f01p01-ch1.tif", ("A01", 1, "1", 1, 1)),
        ("003004-2-005006001.tif", ("C04", 2, "1", 5, 6)),
    ],
)
def test_names_of_all_ages_are_read(name: str, place: tuple[object, ...]) -> None:
    assert places(read_held(FORMAT, [name])) == {name: place}
    assert FORMAT.count([name]) == 1


@pytest.mark.parametrize(
    "name", ["r33c01f01p01-ch1sk1fk1fl1.tiff", "r00c01f01p01-ch1sk1fk1fl1.tiff", "r01c00f01p01-ch1sk1fk1fl1.tiff"]
)
def test_a_name_off_every_plate_is_unknown(name: str) -> None:
    assert list(reasons(read_held(FORMAT, [name]), "unknown")) == [name]


def test_plane_zero_is_somebody_s_projection() -> None:
    name = "r01c01f01p00-ch1sk1fk1fl1.tiff"
    assert "is it a projection?" in reasons(read_held(FORMAT, [name]), "unknown")[name]


def test_images_that_the_index_does_not_name_are_taken_by_name_and_told() -> None:
    delivery = read_held(FORMAT, NAMES, {"Images/Index.xml": index("V6", WHOLE[:-2])})
    assert len(delivery.planes) == 32
    assert delivery.told.remarks == (
        f"the index does not name 2 images, such as {NAMES[-2]}; their names say where they belong",
    )


def test_what_the_index_lists_is_expected_before_it_comes() -> None:
    delivery = read_held(FORMAT, NAMES[:1], {"Images/Index.idx.xml": index("V5", WHOLE)})
    assert delivery.told.expected is not None
    assert len(delivery.told.expected - {plane.address for plane in delivery.planes}) == 31


def test_planes_that_harmony_did_not_record_are_told_with_its_word() -> None:
    lost = WHOLE[3]
    told = delivered("V5", urls={lost: ""}, states={lost: "NotRecorded"}).told
    assert told.not_taken == {Address(Well(2, 3), 1, "2", 1, 2): "Harmony did not record it (state NotRecorded)"}
    assert told.expected is not None
    assert set(told.not_taken) <= told.expected
    assert told.remarks[:1] == ("1 plane was not recorded by the instrument, as its index says",)


def test_time_points_count_from_one_whatever_the_index_begins_with() -> None:
    late: list[Place] = [(1, 1, 1, 1, time, "1") for time in (4, 5)]
    named = read_held(FORMAT, [], {"Index.xml": index("V6", late)}).told.expected
    unnamed = read_held(
        FORMAT, [], {"Index.xml": index("V6", late, urls={place: f"{place[4]}.tiff" for place in late})}
    ).told.expected
    assert {address.t for address in named or ()} == {5, 6}
    assert {address.t for address in unnamed or ()} == {4, 5}


def test_entries_off_every_plate_are_left_out_and_told() -> None:
    bad: Place = (40, 1, 1, 1, 0, "1")
    told = read_held(FORMAT, [], {"Index.xml": index("V5", [*WHOLE, bad])}).told
    assert len(told.expected or ()) == 32
    assert told.remarks == ("1 entry of the index gives no place on a plate and will be left out",)


def test_files_that_the_index_gives_one_place_are_told_apart_by_the_channels_of_their_names() -> None:
    places: list[Place] = [(1, 1, 1, 1, 0, code) for code in ("1", "2")]
    same = index("V7", places).replace(b"<ChannelID>2<", b"<ChannelID>1<")
    delivery = read_held(FORMAT, [], {"Index.xml": same})
    assert {address.code for address in delivery.told.expected or ()} == {"1", "2"}


# Damaged indices

GOOD = index("V5", WHOLE)
BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<EvaluationInputData><Images><Image><URL>&b;</URL></Image></Images></EvaluationInputData>"""


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "ends too early, on line 1"),
        (GOOD[: len(GOOD) // 2], "ends too early, on line"),
        (GOOD.replace(b"<Row>3</Row>", b"<Row>3</Rw>", 1), "is damaged on line"),
        (bytes(4096), "is damaged on line 1"),
        (BOMB, "declares entities or a document type"),
        (b'<!DOCTYPE html><html><body><p id="1"/></body></html>', "declares entities or a document type"),
        (b"<AssayLayout><PlateCols>24</PlateCols></AssayLayout>", "lists no images"),
        (b"<a>" * 60 + b"</a>" * 60, "has far more elements than an index"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "cannot be decoded: unknown encoding"),
        (b'<?xml version="1.0" encoding="shift_jis"?><a/>', "cannot be decoded: multi-byte encodings"),
    ],
)
def test_a_damaged_index_is_one_problem_and_names_are_used(data: bytes, part: str) -> None:
    delivery = read_held(FORMAT, NAMES, {"Images/Index.idx.xml": data})
    assert len(delivery.planes) == 32
    assert delivery.told.expected is None
    assert len(delivery.told.problems) == 1
    assert delivery.told.problems[0].startswith("Images/Index.idx.xml ")
    assert part in delivery.told.problems[0]
    assert delivery.told.problems[0].endswith("what it says is not known")


def test_an_index_of_endless_text_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imaging.formats.harmony_index._MAX_SILENCE", 100_000)
    told = read_held(FORMAT, [], {"Index.xml": b"<EvaluationInputData><User>" + b"x" * 400_000}).told
    assert "bytes without a tag" in told.problems[0]


def test_an_index_of_endless_elements_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imaging.formats.harmony_index._MAX_ELEMENTS", 1000)
    told = read_held(FORMAT, [], {"Index.xml": b"<E><Wells><Well>" + b"<a/>" * 5000 + b"</Well></Wells></E>"}).told
    assert "far more elements" in told.problems[0]


def test_a_long_index_holds_no_more_elements_than_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imaging.formats.harmony_index._MAX_ELEMENTS", 600)
    monkeypatch.setattr("imaging.formats.harmony_index._MAX_SILENCE", 100_000)
    many: list[Place] = [
        (row, column, site, 1, 0, "1") for row in range(1, 17) for column in range(1, 25) for site in (1, 2)
    ]
    assert len(read_held(FORMAT, [], {"Index.xml": index("V5", many)}).told.expected or ()) == 768


def test_the_images_of_one_well_are_not_kept_while_an_index_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    many: list[Place] = [(1, 1, site, 1, 0, "1") for site in range(1, 3001)]
    data = index("V5", many)
    tracemalloc.start()
    try:
        read_index(io.BytesIO(data))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(data)  # a tree of it has five times its size
    monkeypatch.setattr("imaging.formats.harmony_index._MAX_ELEMENTS", 600)
    assert len(read_index(io.BytesIO(data)).images) == 3000


def test_wells_that_were_selected_and_have_no_image_are_told() -> None:
    data = index("V6", WHOLE).replace(b"</Plate>", b'<Well id="0505" /><Well id="none" /></Plate>', 1)
    data = data.replace(b"</Wells>", b"<Well><Row>6</Row><Col>7</Col></Well></Wells>")
    assert [str(well) for well in read_held(FORMAT, [], {"Index.xml": data}).told.imaged] == [
        "C03",
        "C04",
        "E05",
        "F07",
    ]


def test_an_index_that_lists_too_many_images_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imaging.formats.harmony_index.MAX_IMAGES", 31)
    assert "lists more than 31 images" in read_held(FORMAT, [], {"Index.xml": GOOD}).told.problems[0]


def test_an_index_is_read_once_per_version() -> None:
    folder = HeldFolder({"Index.xml": GOOD, **dict.fromkeys(NAMES, b"")})
    assert FORMAT.read(folder.objects(), folder).told == FORMAT.read(folder.objects(), folder).told
    assert len(folder.reads) == 1
    folder.version = "b"
    FORMAT.read(folder.objects(), folder)
    assert len(folder.reads) == 2


def test_an_index_that_changes_while_it_is_read_is_read_again() -> None:
    folder = HeldFolder({"Index.xml": GOOD})
    objects = folder.objects()
    folder.version = "b"
    assert FORMAT.read(objects, folder).told.problems == (
        "Index.xml changed while it was read; it is read again at the next look",
    )
    assert FORMAT.read(folder.objects(), folder).told.problems == ()


def test_read_index_raises_for_what_is_no_index() -> None:
    with pytest.raises(UnreadableManifestError, match="lists no images"):
        read_index(io.BytesIO(b"<x/>"))


# Several measurements and indices


def test_several_measurements_are_told_apart_by_their_folders() -> None:
    files = {
        f"{folder}/Images/Index.xml": index("V6", WHOLE[:4]) for folder in ("P__1-Measurement1", "P__2-Measurement2")
    }
    names = [f"{folder}/Images/{name_of(WHOLE[0])}" for folder in ("P__1-Measurement1", "P__2-Measurement2")]
    delivery = read_held(FORMAT, names, files)
    assert [plane.address.acquisition for plane in delivery.planes] == ["P__1-Measurement1", "P__2-Measurement2"]
    assert delivery.told.expected is not None
    assert len(delivery.told.expected) == 8
    assert {plane.address for plane in delivery.planes} <= delivery.told.expected


def test_a_measurement_whose_index_is_not_there_yet_keeps_its_images() -> None:
    names = [f"{folder}/Images/{name_of(WHOLE[0])}" for folder in ("A", "B")]
    delivery = read_held(FORMAT, names, {"A/Images/Index.xml": index("V6", WHOLE[:4])})
    assert [plane.address.acquisition for plane in delivery.planes] == ["A", "B"]
    assert delivery.told.remarks == ()


def test_a_copy_in_another_folder_is_the_same_image() -> None:
    delivery = read_held(FORMAT, [NAMES[0], f"again/{name_of(WHOLE[0])}"], {"Images/Index.xml": GOOD})
    assert len({plane.address for plane in delivery.planes}) == 1
    assert len(delivery.planes) == 2


def test_of_two_indices_of_a_measurement_the_newer_name_counts() -> None:
    files = {"Images/Index.idx.xml": index("V5", WHOLE[:1]), "Images/Index.xml": index("V6", WHOLE[:2])}
    delivery = read_held(FORMAT, [], files)
    assert delivery.told.manifests == ("Images/Index.xml",)
    assert set(reasons(delivery, "ignored")) == set(files)


def test_a_damaged_index_leaves_the_word_to_the_other_one() -> None:
    files = {"Images/Index.idx.xml": index("V5", WHOLE[:1]), "Images/Index.xml": GOOD[:500]}
    told = read_held(FORMAT, [], files).told
    assert told.manifests == ("Images/Index.idx.xml",)
    assert len(told.expected or ()) == 1
    assert [problem.partition(" ")[0] for problem in told.problems] == ["Images/Index.xml"]


def test_hidden_files_are_no_images() -> None:
    assert read_held(FORMAT, [f"._{name_of(WHOLE[0])}", f".trash/{name_of(WHOLE[0])}"]).planes == ()


# Real folders


def test_the_real_operetta_folder_is_read_with_its_index() -> None:
    delivery = FORMAT.read(*shared_folder("harmony_operetta/operetta_plate"))
    told = delivery.told
    assert sorted(places(delivery).values()) == [("C03", 1, "1", 1, 1), ("C03", 2, "1", 1, 1)]
    assert told.expected == {plane.address for plane in delivery.planes}
    assert (told.plate, told.instrument, told.wells, told.pixel_size_um) == (
        "Test_Sample_BALL",
        "Sonata",
        384,
        1.195952,
    )
    assert told.positions_um["C03", 1] == pytest.approx((-645.814, 645.814))
    assert (told.channels[0].name, told.channels[0].emission_nm) == ("Fluorescein (FITC)", 525)
    assert told.channels[0].flat_field.startswith("{Background: {Character: NonFlat")


@pytest.mark.parametrize(
    ("folder", "well", "site", "codes", "unknown"),
    [
        ("harmony_cellpainting_6ch_BR00143976", "C03", 3, "123456", 2),
        ("harmony_cellpainting_BR00117006", "A01", 1, "235", 2),
    ],
)
def test_real_sites_of_cell_painting_are_read_by_name(
    folder: str, well: str, site: int, codes: str, unknown: int
) -> None:
    delivery = FORMAT.read(*shared_folder(folder))
    assert sorted(places(delivery).values()) == [(well, site, code, 1, 1) for code in codes]
    assert len(reasons(delivery, "unknown")) == unknown
