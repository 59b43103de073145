"""OME-TIFF: planes of one file, sets with a companion or a master, plates, names, and documents that contradict."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.formats.contract import Address, Delivery, ToldChannel
from imaging.formats.inside import read_plane
from imaging.formats.ome_tiff import OME_TIFF
from imaging.formats.ome_xml import parse_ome_xml
from imaging.wells import Well
from tests.imaging.small_uploads import read, read_shared, reasons, upload
from tests.odd_files import LAUGHS, tiff

A01, B03 = Well(0, 1), Well(1, 3)
NS = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
STACK = np.random.default_rng(4).integers(0, 4_000, (12, 8, 9)).astype(np.uint16)


def pixels(
    inner: str = "<TiffData/>", *, c: int = 1, z: int = 1, t: int = 1, order: str = "XYCZT", more: str = ""
) -> str:
    channels = "".join(f'<Channel ID="C:{number}" Name="Stain {number}"/>' for number in range(c))
    sizes = f'SizeX="9" SizeY="8" SizeC="{c}" SizeZ="{z}" SizeT="{t}"'
    return f'<Pixels ID="P" DimensionOrder="{order}" Type="uint16" {sizes} {more}>{channels}{inner}</Pixels>'


def image(inner: str, identifier: str = "Image:0", name: str = "") -> str:
    return f'<Image ID="{identifier}" Name="{name}">{inner}</Image>'


def ome(*inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><OME {NS}>{"".join(inner)}</OME>'.encode()


def part(file: str, *, c: int = 0, z: int = 0, t: int = 0, ifd: int = 0, count: int = 1) -> str:
    first = f'FirstC="{c}" FirstZ="{z}" FirstT="{t}" IFD="{ifd}" PlaneCount="{count}"'
    return f'<TiffData {first}><UUID FileName="{file}">urn:uuid:1</UUID></TiffData>'


def file(document: bytes, planes: np.ndarray = STACK) -> bytes:
    return tiff(planes, photometric="minisblack", description=document)


def places(delivery: Delivery) -> dict[tuple[str, str], Address]:
    return {(plane.item.key, plane.inside): plane.address for plane in delivery.planes}


def test_a_file_of_several_planes_gives_each_of_them() -> None:
    files = {"stack.ome.tif": file(ome(image(pixels(c=2, z=3, t=2))))}
    delivery = read(OME_TIFF, files)
    found = {plane.inside: (p.well, p.site, p.code, p.z, p.t) for plane in delivery.planes if (p := plane.address)}
    assert len(found) == 12
    assert found["page 1"] == (A01, 1, "1", 1, 1)
    assert found["page 2"] == (A01, 1, "2", 1, 1)  # XYCZT: channels run first
    assert found["page 3"] == (A01, 1, "1", 2, 1)
    assert found["page 12"] == (A01, 1, "2", 3, 2)
    assert delivery.told.expected == {plane.address for plane in delivery.planes}


def test_planes_are_read_in_the_order_of_the_document() -> None:
    objects, folder = upload({"stack.ome.tif": file(ome(image(pixels(c=2, z=3, t=2, order="XYZTC"))))})
    planes = {plane.address: plane for plane in OME_TIFF.read(objects, folder).planes}
    plane = planes[Address(A01, 1, "2", 3, 1)]  # z 2 of t 0 of c 1: 2 + 0 + 6
    item = plane.item
    read_pixels, *_ = read_plane(folder.store, item.key, token=item.token, inside=plane.inside, size=item.size)
    np.testing.assert_array_equal(read_pixels, STACK[8])


def test_a_file_of_one_plane_is_that_plane() -> None:
    assert places(read(OME_TIFF, {"a.ome.tif": file(ome(image(pixels())), STACK[0])})) == {
        ("a.ome.tif", ""): Address(A01, 1, "1")
    }


def test_a_companion_says_which_file_holds_what() -> None:
    parts = "".join(part(f"f{z}.ome.tif", z=z) for z in range(3))
    files = {f"d/f{z}.ome.tif": file(b"", STACK[z]) for z in (0, 2)}
    delivery = read(OME_TIFF, files | {"d/set.companion.ome": ome(image(pixels(parts, z=3)))})
    assert places(delivery) == {(f"d/f{z}.ome.tif", ""): Address(A01, 1, "1", z + 1) for z in (0, 2)}
    assert delivery.told.expected == {Address(A01, 1, "1", z) for z in (1, 2, 3)}
    assert delivery.told.manifests == ("d/set.companion.ome",)
    assert reasons(delivery, "ignored") == {"d/set.companion.ome": "the OME-XML of other files"}


def test_a_companion_that_comes_last_says_what_its_files_are() -> None:
    pointer = ome('<BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:1"/>')
    files = {f"f{z}.ome.tif": file(pointer, STACK[z]) for z in range(2)}
    before = read(OME_TIFF, files)
    assert before.planes == ()
    assert reasons(before, "unknown") == dict.fromkeys(
        files, "its OME-XML stands in set.companion.ome, which is not there"
    )
    parts = "".join(part(f"f{z}.ome.tif", z=z) for z in range(2))
    assert len(read(OME_TIFF, files | {"set.companion.ome": ome(image(pixels(parts, z=2)))}).planes) == 2


def test_a_master_file_names_the_others_which_are_not_opened() -> None:
    parts = "".join(part(f"f{z:02}.ome.tif", z=z) for z in range(64))
    master = ome(image(pixels(parts, z=64)))
    files = {f"f{z:02}.ome.tif": file(master if z == 0 else ome("<broken"), STACK[0]) for z in range(64)}
    objects, folder = upload(files)
    delivery = OME_TIFF.read(objects, folder)
    assert len(delivery.planes) == 64
    assert reasons(delivery, "unknown") == {}
    assert folder.calls["f40.ome.tif"] == 0


def test_several_planes_in_each_file_of_a_set_are_pages() -> None:
    parts = part("a.ome.tif", count=3) + part("b.ome.tif", t=1, count=3)
    document = ome(image(pixels(parts, z=3, t=2)))
    found = places(read(OME_TIFF, {f"{name}.ome.tif": file(document, STACK[:3]) for name in "ab"}))
    assert found["b.ome.tif", "page 2"] == Address(A01, 1, "1", 2, 2)
    assert len(found) == 6


PLATE = """<Plate ID="Plate:0" Name="Plate 9" Rows="8" Columns="12"><Well ID="W:0" Row="1" Column="2">
<WellSample ID="S:0" Index="1" PositionX="0.5" PositionXUnit="mm" PositionY="-20"><ImageRef ID="Image:1"/></WellSample>
<WellSample ID="S:1" Index="0"><ImageRef ID="Image:0"/></WellSample></Well>
<Well ID="W:1" Row="7" Column="11"><WellSample ID="S:2" Index="2"><ImageRef ID="Image:2"/></WellSample></Well>
<Well ID="W:2" Row="7" Column="10"/></Plate>"""


def test_a_plate_says_wells_and_sites() -> None:
    images = [image(pixels(part(f"{number}.tif")), f"Image:{number}") for number in range(3)]
    files = {f"{number}.tif": file(b"", STACK[0]) for number in range(3)}
    delivery = read(OME_TIFF, files | {"plate.companion.ome": ome(PLATE, *images)})
    assert places(delivery) == {
        ("0.tif", ""): Address(B03, 1, "1"),
        ("1.tif", ""): Address(B03, 2, "1"),
        ("2.tif", ""): Address(Well(7, 12), 1, "1"),
    }
    told = delivery.told
    assert (told.plate, told.wells, told.positions_um) == ("Plate 9", 96, {("B03", 2): (500.0, -20.0)})
    assert OME_TIFF.count([*files, "plate.companion.ome"]) == 3


def test_acquisitions_of_a_plate_are_told_apart() -> None:
    runs = "".join(
        f'<PlateAcquisition ID="Run:{number}"><WellSampleRef ID="S:{number}"/></PlateAcquisition>'
        for number in range(2)
    )
    images = [image(pixels(part(f"{number}.tif")), f"Image:{number}") for number in range(2)]
    plate = PLATE.replace("</Plate>", f"{runs}</Plate>")
    files = {f"{number}.tif": file(b"", STACK[0]) for number in range(2)}
    found = places(read(OME_TIFF, files | {"p.companion.ome": ome(plate, *images)}))
    assert found["1.tif", ""] == Address(B03, 1, "1", acquisition="Run:0")
    assert found["0.tif", ""] == Address(B03, 1, "1", acquisition="Run:1")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("plate_B03_s2.ome.tif", Address(B03, 2, "1")),
        ("plate_B03_s2_w4_z5_t6.ome.tiff", Address(B03, 2, "4", 5, 6)),
        ("Well-b3-F007-ch02.ome.tif", Address(B03, 7, "2")),
        ("AB12.ome.tif", Address(Well(27, 12), 1, "1")),
        ("stack of cells.ome.tif", Address(A01, 1, "1")),
        ("img_C1_Z1.ome.tif", Address(Well(2, 1), 1, "1", 1)),
    ],
)
def test_without_a_plate_the_name_says_the_well(name: str, address: Address) -> None:
    assert list(places(read(OME_TIFF, {name: file(ome(image(pixels())), STACK[0])})).values()) == [address]


def test_without_any_well_sets_are_sites_in_the_order_of_their_names() -> None:
    files = {f"img{number}.ome.tif": file(ome(image(pixels())), STACK[0]) for number in (10, 2, 1)}
    found = places(read(OME_TIFF, files))
    assert {name: address.site for (name, _), address in found.items()} == {
        "img1.ome.tif": 1,
        "img2.ome.tif": 2,
        "img10.ome.tif": 3,
    }


def test_a_raised_number_in_a_name_is_ordered_as_a_sign() -> None:
    files = {f"1{sign}2.ome.tif": file(ome(image(pixels())), STACK[0]) for sign in "²b"}
    found = places(read(OME_TIFF, files))
    assert {name: address.site for (name, _), address in found.items()} == {"1b2.ome.tif": 1, "1²2.ome.tif": 2}


def test_series_of_one_file_are_sites() -> None:
    document = ome(
        image(pixels('<TiffData IFD="0" PlaneCount="2"/>', c=2), "Image:0"),
        image(pixels('<TiffData IFD="2" PlaneCount="2"/>', c=2), "Image:1"),
    )
    found = places(read(OME_TIFF, {"B03.ome.tif": file(document, STACK[:4])}))
    assert found == {
        ("B03.ome.tif", f"page {page}"): Address(B03, 1 + (page > 2), "12"[(page - 1) % 2]) for page in range(1, 5)
    }


def test_channels_and_sizes_are_told() -> None:
    inner = """<Channel ID="C" Fluor="DAPI" EmissionWavelength="0.461" EmissionWavelengthUnit="&#181;m"
    ExcitationWavelength="358"/><TiffData/>
    <Plane TheC="0" TheZ="0" TheT="0" ExposureTime="120" ExposureTimeUnit="ms"/>"""
    more = 'PhysicalSizeX="325" PhysicalSizeXUnit="nm" PhysicalSizeZ="2" SignificantBits="12"'
    described = pixels(inner, more=more).replace('<Channel ID="C:0" Name="Stain 0"/>', "")
    instrument = '<Instrument ID="I"><Microscope Manufacturer="Leica" Model="DM6"/></Instrument>'
    told = read(OME_TIFF, {"a.ome.tif": file(ome(instrument, image(described)), STACK[0])}).told
    assert told.channels == (ToldChannel("1", "DAPI", 461.0, 358.0, 0.12, 4_095),)
    assert (told.pixel_size_um, told.z_step_um, told.instrument) == (0.325, 2.0, "Leica DM6")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (LAUGHS, "it declares entities or a document type"),
        (ome(image(pixels(c=1)))[:-9], "it is no whole XML"),
        (b"<OMEGA/>", "it is no OME-XML"),
        (ome(image(pixels(c=1000, z=1000, t=1000).replace("<Channel", "<X"))), "more than 100,000 planes"),
        (ome(image(pixels('<TiffData FirstZ="7"/>', z=3))), "a plane at Z 7 of 3"),
        (ome(image(pixels('<TiffData IFD="0" PlaneCount="9"/>', z=3))), "planes beyond the 3 of the image"),
        (ome(image(pixels(order="ABCDE"))), "the order of dimensions"),
        (ome(image(pixels().replace('SizeZ="1"', 'SizeZ="many"'))), "a value in it cannot be read"),
    ],
)
def test_a_document_that_cannot_be_used_is_said_and_nothing_is_raised(document: bytes, words: str) -> None:
    delivery = read(OME_TIFF, {"a.companion.ome": document, "B03.ome.tif": file(ome(image(pixels())), STACK[0])})
    assert len(delivery.planes) == 1
    assert any(words in problem for problem in delivery.told.problems), delivery.told.problems
    assert "OME-XML" in reasons(delivery, "unknown")["a.companion.ome"]


def test_files_without_a_document_are_somebody_s_question() -> None:
    delivery = read(OME_TIFF, {"plain.tif": tiff(STACK[0]), "cut.ome.tif": b"II*\0", "notes.txt": b"x"})
    assert reasons(delivery, "unknown") == {
        "plain.tif": "it has no OME-XML in its first page",
        "cut.ome.tif": "the file ends after 4 bytes, inside its header",
    }
    assert reasons(delivery, "ignored") == {"notes.txt": "a .txt file, no image"}


def test_a_file_that_a_document_names_outside_its_folder_is_not_there() -> None:
    delivery = read(OME_TIFF, {"d/a.companion.ome": ome(image(pixels(part("../../etc/B03.tif")))), "B03.tif": b"x"})
    assert delivery.planes == ()
    assert len(delivery.told.expected or ()) == 1


def test_a_file_that_was_given_another_name_holds_what_its_document_says() -> None:
    document = ome(image(pixels(part("old.ome.tif") + part("old.ome.tif", c=1, ifd=1), c=2)))
    delivery = read(OME_TIFF, {f"new_{well}.ome.tif": file(document, STACK[:2]) for well in ("B03", "B04")})
    assert places(delivery)["new_B03.ome.tif", "page 2"] == Address(B03, 1, "2")
    assert len(delivery.planes) == len(delivery.told.expected or ()) == 4


def test_the_only_other_file_that_a_document_names_is_it_where_it_is_there() -> None:
    files = {"a.ome.tif": file(ome(image(pixels(part("b.tif")))), STACK[0]), "b.tif": tiff(STACK[0])}
    assert [plane.item.key for plane in read(OME_TIFF, files).planes] == ["b.tif"]


@pytest.mark.parametrize("inner", ["<BinData>AAAA</BinData>", "<MetadataOnly/>"])
def test_pixels_that_no_tiff_file_holds_are_not_expected(inner: str) -> None:
    delivery = read(
        OME_TIFF, {"B04.ome": ome(image(pixels(inner))), "B03.ome.tif": file(ome(image(pixels())), STACK[0])}
    )
    assert delivery.told.expected == {Address(B03, 1, "1")}
    assert (
        "B04.ome: its OME-XML contradicts itself (it names no TIFF file that holds the pixels)"
        in delivery.told.problems
    )


def test_documents_are_read_once_per_version_and_by_their_headers() -> None:
    planes = np.zeros((4, 300, 300), np.uint16)
    objects, folder = upload({"B03.ome.tif": file(ome(image(pixels(z=4))), planes)})
    OME_TIFF.read(objects, folder)
    read_once = folder.bytes_read["B03.ome.tif"]
    OME_TIFF.read(objects, folder)
    assert folder.bytes_read["B03.ome.tif"] == read_once < planes.nbytes / 4


def test_a_wrong_binary_document_says_what_it_is() -> None:
    assert parse_ome_xml([b"\xff\xfe\x00"]).problem is not None


@pytest.mark.parametrize("kind", ["companion", "master"])
def test_the_real_sets_of_several_files_are_one_site(kind: str) -> None:
    delivery = read_shared(OME_TIFF, f"ometiff_variants/ometiff_testdata/multiples/{kind}")
    assert places(delivery) == {(f"multifile-Z{z}.ome.tiff", ""): Address(A01, 1, "1", z) for z in range(1, 6)}
    assert delivery.told.expected == {plane.address for plane in delivery.planes}
    assert reasons(delivery, "unknown") == {}


def test_the_real_series_has_z_and_t() -> None:
    delivery = read_shared(OME_TIFF, "ometiff_variants")
    series = [plane for plane in delivery.planes if plane.item.key == "4D-series.ome.tif"]
    assert {(plane.address.z, plane.address.t) for plane in series} == {
        (z, t) for z in range(1, 6) for t in range(1, 8)
    }
    assert all(
        reason == "it has no OME-XML in its first page"
        for name, reason in reasons(delivery, "unknown").items()
        if name.endswith(".tif")
    )
