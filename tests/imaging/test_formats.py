"""What all formats share: names by a pattern, RxRx, recognition of a folder, manifests, objects as files."""

from __future__ import annotations

import gc
import io
import zipfile
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError, ForbiddenFileError, StoreUnavailableError
from imaging.formats import FORMATS, recognise
from imaging.formats.contract import Address, Delivery, Told, ToldChannel
from imaging.formats.manifests import UnreadableManifestError, read_manifest, tell_all
from imaging.formats.measurements import Measurements
from imaging.formats.named import CONVENTIONS, NamePattern, PatternFormat, guess_convention
from imaging.formats.object_files import open_object
from imaging.formats.passed_over import is_hidden, is_image_name, is_system_file, is_thumbnail, pass_over
from imaging.formats.pauses import without_collecting
from imaging.formats.rxrx import FORMAT as RXRX
from imaging.store import StoredObject
from imaging.wells import parse_well
from tests.imaging.format_folders import HeldFolder, places, read_held, reasons, shared_folder


def recognised(names: list[str], **files: bytes) -> tuple[str, Delivery]:
    folder = HeldFolder({**dict.fromkeys(names, b""), **files})
    found, delivery = recognise(folder.objects(), folder)
    return found.name, delivery


# Patterns


@pytest.mark.parametrize(
    ("pattern", "name", "place"),
    [
        (r"(?P<well>\w+)_s(?P<site>\d+)_(?P<channel>\w+)\.tif", "a/b/AA2_s03_DNA.tif", ("AA02", 3, "DNA", 1, 1)),
        (r"(?P<row>\d+)-(?P<column>\d+)\.tif", "32-48.tif", ("AF48", 1, "", 1, 1)),
        (r"(?P<row>[A-Z]+)-(?P<column>\d+)\.tif", "P-024.tif", ("P24", 1, "", 1, 1)),
        (r"T(?P<t>\d+)/Z(?P<z>\d+)/(?P<well>\w+)\.tif", "T02/Z10/B3.tif", ("B03", 1, "", 10, 2)),
        (r"(?P<well>\w\d\d)(?:_s(?P<site>\d+))?(?:_(?P<channel>[A-Z]+))?\.tif", "B03.tif", ("B03", 1, "", 1, 1)),
        (r"(?P<well>\w\d\d)|(?P<well2>x)", "B03", ("B03", 1, "", 1, 1)),
    ],
)
def test_a_pattern_gives_places(pattern: str, name: str, place: tuple[object, ...]) -> None:
    assert places(read_held(PatternFormat(pattern), [name])) == {name: place}
    assert PatternFormat(pattern).count([name, "other"]) == 1
    assert isinstance(NamePattern(pattern).reader()(name), Address)


@pytest.mark.parametrize(
    ("pattern", "name", "part"),
    [
        (r"(?P<well>.*)\.tif", "QQ1.tif", "a well must be a row and a column"),
        (r"(?P<row>\d+)-(?P<column>\d+)", "33-1", "a row must be from 1 to 32"),
        (r"(?P<row>\d+)-(?P<column>\d+)", "1-0", "a column from 1"),
        (r"(?P<row>\w)-(?P<column>\w*)", "A-", "a well must be"),
        (r"(?P<well>\w\d\d)_(?P<site>.*)", "B03_x", "invalid literal"),
        (r"(?P<well>\w\d\d)_(?P<site>\d*)", f"B03_{'9' * 5000}", "gives no place on the plate"),
        (r"(?P<well>\w\d\d)", "b04.tif", "does not fit files.pattern"),
    ],
)
def test_a_name_without_a_place_has_a_reason(pattern: str, name: str, part: str) -> None:
    assert part in reasons(read_held(PatternFormat(pattern), [name]), "unknown")[name]


def test_planes_and_time_points_from_zero_are_counted_from_one() -> None:
    form = PatternFormat(r"(?P<well>\w\d\d)_z(?P<z>\d)_t(?P<t>\d)")
    found = read_held(form, ["A01_z0_t1", "A01_z1_t1"])
    assert [place[3:] for place in places(found).values()] == [(1, 1), (2, 1)]
    found = read_held(form, ["A01_z2_t0", "A01_z3_t4"])
    assert [place[3:] for place in places(found).values()] == [(2, 1), (3, 5)]


def test_of_a_declared_pattern_every_other_file_is_a_question_and_of_a_guessed_one_images_alone() -> None:
    names = ["A01.tif", "notes.txt", "B.tif", ".DS_Store", "._A02.tif", "x/Thumbs.db"]
    pattern = r"(?:\._)?(?P<well>\w\d\d)\.tif"
    declared = read_held(PatternFormat(pattern), names)
    assert set(reasons(declared, "unknown")) == {"notes.txt", "B.tif"}
    assert set(reasons(declared, "ignored")) == {".DS_Store", "._A02.tif", "x/Thumbs.db"}
    guessed = read_held(PatternFormat(pattern, is_declared=False), names)
    assert reasons(guessed, "unknown") == {"B.tif": "the name is not built as those of the other images"}


def test_plates_of_one_layout_share_their_addresses_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    form = PatternFormat(r"(?P<well>\w\d\d)_(?P<site>\d+)_shared")
    first, second = (read_held(form, [f"P{n}/A01_7_shared"]).planes[0].address for n in (1, 2))
    assert first is second
    monkeypatch.setattr("imaging.formats.named.KEPT_ADDRESSES", 10)
    found = read_held(form, [f"A01_{n}_shared" for n in range(1, 100)])
    assert [plane.address.site for plane in found.planes] == list(range(1, 100))
    assert read_held(form, ["A01_7_shared"]).planes[0].address is not first


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda one: one.name)
def test_each_convention_is_guessed_from_its_example(convention) -> None:
    found = guess_convention([convention.example, "notes.txt"])
    assert found is not None
    assert (found.title, found.is_declared) == (convention.name, False)
    assert found.count([convention.example]) == 1


def test_no_convention_is_guessed_from_a_minority() -> None:
    assert guess_convention(["A01.tif", "x.tif", "y.tif"]) is None
    assert guess_convention(["notes.txt"]) is None
    assert guess_convention(["A01.tif", "x.tif"]) is not None


# RxRx


def test_names_of_a_data_set_of_rxrx_are_read() -> None:
    names = ["HUVEC-01/Plate1/AA02_s2_w3.png", "HUVEC-01/Plate1/AF48_s1_w6.png"]
    delivery = read_held(
        RXRX, [*names, "HUVEC-01/Plate1/AG01_s1_w1.png", "metadata.csv", "HUVEC-01/Plate1/A01_s0_w1.png"]
    )
    assert places(delivery) == {names[0]: ("AA02", 2, "3", 1, 1), names[1]: ("AF48", 1, "6", 1, 1)}
    assert [plane.address.acquisition for plane in delivery.planes] == ["", ""]
    assert set(reasons(delivery, "unknown")) == {"HUVEC-01/Plate1/AG01_s1_w1.png", "HUVEC-01/Plate1/A01_s0_w1.png"}
    assert delivery.told.channels == (ToldChannel("3", "Phalloidin"), ToldChannel("6", "WGA"))
    assert RXRX.count(names) == 2


def test_stains_are_named_for_the_six_channels_of_the_data_sets_alone() -> None:
    assert {channel.name for channel in read_held(RXRX, ["Plate1/A01_s1_w7.png"]).told.channels} == {""}
    assert {channel.name for channel in read_held(RXRX, ["A01_s1_w1.png"]).told.channels} == {""}


def test_plates_of_a_data_set_are_acquisitions() -> None:
    delivery = read_held(RXRX, [f"U2OS-01/Plate{plate}/B02_s1_w1.png" for plate in (1, 2)])
    assert [plane.address.acquisition for plane in delivery.planes] == ["U2OS-01/Plate1", "U2OS-01/Plate2"]


# Recognition


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_a_name_a_title_and_an_example_that_it_takes(name: str) -> None:
    form = FORMATS[name]
    assert (form.name, bool(form.title)) == (name, True)
    beside = [f"{form.example.split('/')[0]}/zarr.json"] if name == "ome-zarr" else []
    assert recognised([form.example, *beside])[0] == name


def test_the_format_that_takes_most_names_is_right() -> None:
    harmony = [f"r01c01f0{site}p01-ch1sk1fk1fl1.tiff" for site in (1, 2, 3)]
    assert recognised([*harmony, "x_A01_s1_w1.TIF"])[0] == "harmony"
    assert recognised([harmony[0], "x_A01_s1_w1.TIF", "x_A01_s1_w2.TIF"])[0] == "metaxpress"


def test_a_convention_needs_more_than_twice_as_many_names_as_a_format() -> None:
    named = [f"A0{column}_s1_DNA.tif" for column in range(1, 6)]
    assert recognised([*named, "r01c01f01p01-ch1sk1fk1fl1.tiff"])[0] == "pattern"
    assert recognised([*named[:2], "r01c01f01p01-ch1sk1fk1fl1.tiff"])[0] == "harmony"


def test_members_of_archives_are_recognised() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("Images/r01c02f01p01-ch1sk1fk1fl1.tiff", b"x")
    name, delivery = recognised([], **{"plate.zip": packed.getvalue()})
    assert name == "harmony"
    assert [str(plane.address.well) for plane in delivery.planes] == ["A02"]


@pytest.mark.parametrize("name", ["P_A01f00d0.TIF", "P_A01_T0001F001L01A01Z01C01.tif", "P_A01.ome.tif"])
def test_what_macos_lays_beside_files_and_members_is_no_image(name: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"pl/{name}", b"x")
        archive.writestr(f"__MACOSX/pl/._{name}", b"x")
    _, delivery = recognised([name, f"._{name}"], **{"plate.zip": packed.getvalue()})
    ignored = reasons(delivery, "ignored")
    assert ignored.keys() == {f"._{name}", f"plate.zip/__MACOSX/pl/._{name}", "plate.zip"}
    assert ignored[f"._{name}"] == "what macOS keeps beside a file of this name; no image"
    assert not any("._" in plane.item.key for plane in delivery.planes)


@pytest.mark.parametrize(
    ("names", "part"),
    [
        ([], "holds no image"),
        (["notes.txt", ".x_A01_s1_w1.tif"], "holds no image"),
        (["scan 1.tif"], "names such as 'scan 1.tif' follow no convention known here"),
    ],
)
def test_a_folder_of_nothing_known_is_refused(names: list[str], part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        recognised(names)


def test_strange_names_are_no_reason_to_fail() -> None:
    names = [
        "r01c01f01p01-ch1sk1fk1fl1.tiff",
        "ü" * 150 + ".tif",
        "x" * 300 + "_A01_s1_w1.TIF",
        "_" * 300,
        "a\nb.tif",
        "/",
    ]
    for form in FORMATS.values():
        delivery = read_held(form, names)
        assert len(delivery.planes) + len(delivery.passed_over) >= len(names) - 1


def test_a_long_name_of_underscores_is_read_at_once() -> None:
    name = "A1_" * 20_000 + "x.tif"
    assert sum(form.count([name]) for form in FORMATS.values()) == 0


@pytest.mark.parametrize(
    ("folder", "name", "images"),
    [
        ("imagexpress_metaxpress/ImageXpress_exported/9987_Plate_3435", "metaxpress", 16),
        ("harmony_operetta", "harmony", 2),
        ("nf1_cellpainting_3ch", "pattern", 6),
        ("bbbc013_translocation_plate", "pattern", 96),
        ("yokogawa_cv8000", "cellvoyager", 96),
        ("cellomics_arrayscan/ExampleHuman", "cellomics", 3),
    ],
)
def test_real_folders_are_recognised(folder: str, name: str, images: int) -> None:
    found, delivery = recognise(*shared_folder(folder))
    assert (found.name, len(delivery.planes)) == (name, images)


# Names that are passed over


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("a/.DS_Store", "ignored", "a file of the operating system or of ours"),
        (".hidden/x.tif", "ignored", "a file of the operating system or of ours"),
        ("experiment.yml", "ignored", "a file of the operating system or of ours"),
        ("x_thumb.jpg", "ignored", "a thumbnail"),
        ("a/Notes.CSV", "ignored", "a .csv file, no image"),
        ("x.tif", "unknown", "why"),
        ("no ending", "unknown", "why"),
    ],
)
def test_an_object_is_ignored_where_it_is_plain_that_it_is_no_image(name: str, kind: str, reason: str) -> None:
    found = pass_over(name, "why")
    assert (found.name, found.kind, found.reason) == (name, kind, reason)


def test_kinds_of_names_are_told() -> None:
    assert is_image_name("a/x.TIFF")
    assert not is_image_name("a/x_thumb.tif")
    assert not is_image_name("a/.x.tif")
    assert not is_image_name("x.txt")
    assert is_thumbnail("a/x_thumbE5.tif")
    assert not is_thumbnail("x_thumb/a.tif")
    assert is_hidden("a/.b/c")
    assert not is_hidden("a/b.c")
    assert is_system_file("a/Thumbs.db")
    assert not is_system_file("a.tif")


# Manifests


def test_a_manifest_that_is_too_large_or_forbidden_is_a_problem_and_a_store_that_is_away_an_error() -> None:
    item = StoredObject("m.xml", 100, "t", 0.0)

    class Refusing:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def read(self, name: str, *, token: str, start: int = 0, size: int | None = None) -> bytes:
            raise self.error

    def parse(file: io.BufferedIOBase) -> bytes:
        return file.read()

    forbidden = Refusing(ForbiddenFileError("no"))
    assert read_manifest(forbidden, item, parse, max_bytes=99)[1] == (
        "m.xml has 100 bytes, at most 99 are read; what it says is not known"
    )
    assert "may not be read" in read_manifest(forbidden, item, parse, max_bytes=100)[1]
    with pytest.raises(StoreUnavailableError):
        read_manifest(Refusing(StoreUnavailableError("away")), item, parse, max_bytes=100)


def test_what_cannot_be_parsed_is_remembered_and_old_manifests_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = HeldFolder({f"{n}.xml": b"x" * 100 for n in range(4)})

    def parse(file: io.BufferedIOBase) -> bytes:
        raise UnreadableManifestError(f"is {len(file.read())} bytes of nonsense")

    monkeypatch.setattr("imaging.formats.manifests.KEPT_BYTES", 250)
    for item in folder.objects():
        for _ in range(2):
            assert read_manifest(folder, item, parse, max_bytes=100) == (
                None,
                f"{item.key} is 100 bytes of nonsense; what it says is not known",
            )
    assert len(folder.reads) == 4
    read_manifest(folder, folder.objects()[0], parse, max_bytes=100)
    assert len(folder.reads) == 5


def test_what_several_manifests_say_is_joined() -> None:
    one, other = Address(parse_well("A01"), 1), Address(parse_well("A02"), 1)
    first = Told(plate="P", channels=(ToldChannel("1", "a"),), pixel_size_um=0.5, expected=frozenset({one}), wells=96)
    second = Told(plate="P", channels=(ToldChannel("1", "b"), ToldChannel("2")), expected=frozenset({other}), wells=384)
    joined = tell_all([first, second])
    assert (joined.plate, joined.pixel_size_um, joined.wells) == ("P", 0.5, 384)
    assert joined.channels == (ToldChannel("1", "a"), ToldChannel("2"))
    assert joined.expected == {one, other}
    assert tell_all([first, Told(plate="Q", problems=("damaged",))]).expected is None
    assert tell_all([first, Told(plate="Q")]).plate == ""


def test_the_nearest_measurement_above_a_folder_is_its_own() -> None:
    several = Measurements(["A", "A/inner", "B"])
    assert [several.of(folder) for folder in ("A/x/y", "A/inner/x", "B", "C/x")] == ["A", "A/inner", "B", ""]
    assert several.acquisition("A") == "A"
    one = Measurements(["A"])
    assert (one.of("C/x"), one.acquisition("A")) == ("A", "")
    assert Measurements([]).of("any") == ""


def test_the_search_for_garbage_is_put_off_while_a_listing_is_read_and_no_longer() -> None:
    seen: list[bool] = []

    class Looking(HeldFolder):
        def read(self, name: str, *, token: str, start: int = 0, size: int | None = None) -> bytes:
            seen.append(gc.isenabled())
            raise StoreUnavailableError("away")

    folder = Looking({"Index.xml": b"x"})
    with pytest.raises(StoreUnavailableError):
        FORMATS["harmony"].read(folder.objects(), folder)
    assert (seen, gc.isenabled()) == ([False], True)
    with without_collecting(), without_collecting():
        pass
    assert gc.isenabled()


# Objects as files


def test_an_object_is_read_and_sought_as_a_file(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40
    folder = HeldFolder({"x": data})
    with open_object(folder, folder.objects()[0], block=1000) as file:
        assert file.seek(-6, io.SEEK_END) == len(data) - 6
        assert file.read() == data[-6:]
        file.seek(5)
        assert file.read(3) == data[5:8]
        file.seek(2, io.SEEK_CUR)
        assert file.read(1) == data[10:11]
        file.seek(10**9)
        assert file.read(10) == b""
    assert sum(size or 0 for _, _, size in folder.reads) < 3000
