"""CellVoyager: names, the list of images in every state, failures, settings, and planes taken twice."""

from __future__ import annotations

import pytest

from imaging.formats.cellvoyager import CELLVOYAGER
from imaging.formats.contract import Address, Told, ToldChannel
from imaging.wells import Well
from tests.imaging.small_uploads import read, read_shared, reasons, upload

B03 = Well(1, 3)
NS = 'xmlns:bts="http://www.yokogawa.co.jp/BTS/BTSSchema/1.0"'


def name(
    field: int = 1, channel: int = 1, z: int = 1, t: int = 1, line: int = 1, action: int = 1, well: str = "B03"
) -> str:
    return f"P_{well}_T{t:04}F{field:03}L{line:02}A{action:02}Z{z:02}C{channel:02}.tif"


def record(kind: str = "IMG", text: str = "", **attributes: object) -> str:
    written = " ".join(f'bts:{key}="{value}"' for key, value in attributes.items())
    return f'<bts:MeasurementRecord bts:Type="{kind}" {written}>{text}</bts:MeasurementRecord>'


def image(field: int = 1, channel: int = 1, z: int = 1, well: str = "B03", **more: object) -> str:
    place = {"Row": ord(well[0]) - 64, "Column": int(well[1:]), "FieldIndex": field, "ZIndex": z, "Ch": channel}
    return record(text=name(field, channel, z, well=well), **place | {"TimePoint": 1, "X": "-5.5", "Y": "7"} | more)


def mlf(*records: str) -> bytes:
    head = f'\ufeff<?xml version="1.0" encoding="utf-8"?><bts:MeasurementData {NS}>'
    return f"{head}{''.join(records)}</bts:MeasurementData>".encode()


def told(*records: str, **files: bytes) -> Told:
    return read(CELLVOYAGER, {"MeasurementData.mlf": mlf(*records)} | files).told


@pytest.mark.parametrize(
    ("path", "address"),
    [
        (name(2, 3, 4, 5), Address(B03, 2, "3", 4, 5)),
        ("deep/er/" + name(), Address(B03, 1, "1")),
        ("odd_name_with_A01_T0002F001_AF12_T0001F012L01A01Z01C10.png", Address(Well(31, 12), 12, "10")),
        ("B03_T0001F001L01A01Z01C01.TIFF", Address(B03, 1, "1")),
    ],
)
def test_a_name_gives_its_place_without_a_manifest(path: str, address: Address) -> None:
    delivery = read(CELLVOYAGER, {path: b"x"})
    assert [plane.address for plane in delivery.planes] == [address]
    assert delivery.told.expected is None
    assert CELLVOYAGER.count([path]) == 1


def test_corrections_logs_and_others_are_passed_over() -> None:
    names = {"SC_BP445-45_20x_M01_CH01.tif", "DC_DCAM#1_CAM3.tif", "TRACE2023.log", "geometry_parameter.xml", "a.wpi"}
    delivery = read(CELLVOYAGER, dict.fromkeys([*names, "holiday.tif", "P_Z99_T0001F001L01A01Z01C01.tif"], b"<x/>"))
    assert set(reasons(delivery, "ignored")) == names
    assert set(reasons(delivery, "unknown")) == {"holiday.tif", "P_Z99_T0001F001L01A01Z01C01.tif"}


def test_the_list_says_what_should_come_and_where_sites_are() -> None:
    found = told(image(1), image(2), image(2, channel=2))
    assert found.expected == {Address(B03, 1, "1"), Address(B03, 2, "1"), Address(B03, 2, "2")}
    assert found.positions_um == {("B03", 1): (-5.5, 7.0), ("B03", 2): (-5.5, 7.0)}
    assert [channel.code for channel in found.channels] == ["1", "2"]
    assert found.imaged == (B03,)


@pytest.mark.parametrize("x", ["-1,5", "NaN", "", "inf", "1e25"])
def test_a_position_that_is_no_number_is_unknown_and_the_list_is_read(x: str) -> None:
    said = told(image(1, X=x), image(2))
    assert (set(said.positions_um), len(said.expected or ()), said.problems) == ({("B03", 2)}, 2, ())


def test_the_list_goes_before_the_name() -> None:
    renamed = record(text="any name.tif", Row=3, Column=4, FieldIndex=5, ZIndex=1, TimePoint=1, Ch=2)
    delivery = read(CELLVOYAGER, {"m/MeasurementData.mlf": mlf(renamed), "m/any name.tif": b"x", "any name.tif": b"x"})
    assert [(plane.item.key, plane.address) for plane in delivery.planes] == [
        ("m/any name.tif", Address(Well(2, 4), 5, "2"))
    ]
    assert set(reasons(delivery, "unknown")) == {"any name.tif"}


def test_the_list_may_lie_above_its_images() -> None:
    below = record(text="Image\\W1F1.tif", Row=3, Column=4, FieldIndex=5, ZIndex=1, TimePoint=1, Ch=2)
    delivery = read(CELLVOYAGER, {"m/M.mlf": mlf(below), "m/Image/W1F1.tif": b"x"})
    assert [plane.address for plane in delivery.planes] == [Address(Well(2, 4), 5, "2")]


def test_a_list_that_comes_last_changes_no_place() -> None:
    files = {name(field): b"x" for field in (1, 2)}
    before, after = read(CELLVOYAGER, files), read(CELLVOYAGER, files | {"M.mlf": mlf(image(1), image(2), image(3))})
    assert {plane.address for plane in before.planes} == {plane.address for plane in after.planes}
    assert len(after.told.expected or ()) == 3


def test_what_the_instrument_could_not_take_is_expected_and_failed() -> None:
    whole = record("ERR", "autofocus  failed", Row=2, Column=3, FieldIndex=2, ZIndex=1, TimePoint=1, Ch=1)
    assert told(image(1), whole).not_taken == {Address(B03, 2, "1"): "autofocus failed"}
    assert told(image(1), whole).expected == {Address(B03, 1, "1"), Address(B03, 2, "1")}


def test_a_failure_without_a_field_stands_for_all_that_other_wells_have() -> None:
    others = [image(field, channel, well="C05") for field in (1, 2) for channel in (1, 2)]
    found = told(*others, image(1, 1), record("ERR", Row=2, Column=3))
    assert set(found.not_taken) == {Address(B03, 1, "2"), Address(B03, 2, "1"), Address(B03, 2, "2")}
    assert set(found.not_taken.values()) == {"the instrument reports an error"}


@pytest.mark.parametrize("place", [{}, {"Row": 0, "Column": 0}, {"Row": "", "Column": ""}, {"Row": 2}])
def test_a_failure_of_no_well_stands_for_no_plane(place: dict[str, object]) -> None:
    said = told(image(1), record("ERR", "the laser went off", **place))
    assert said.expected == {Address(B03, 1, "1")}
    assert (said.not_taken, said.problems) == ({}, ())


def test_a_failure_of_a_plane_that_was_taken_after_all_is_none() -> None:
    assert told(image(1), record("ERR", Row=2, Column=3, FieldIndex=1, ZIndex=1, TimePoint=1, Ch=1)).not_taken == {}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (mlf(image(1), image(2))[:-40], "it is no whole XML"),
        (b"", "it is no whole XML"),
        (b"<other/>", "it holds no MeasurementData"),
        (mlf(image(1, Row=99)), "row 99, column 3 is no well"),
        (mlf(image(1, FieldIndex="two")), "a value in it cannot be read"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "it declares entities or a document type"),
    ],
)
def test_a_list_that_cannot_be_read_expects_nothing_and_says_so(data: bytes, words: str) -> None:
    delivery = read(CELLVOYAGER, {"m/MeasurementData.mlf": data, f"m/{name()}": b"x"})
    assert len(delivery.planes) == 1
    assert delivery.told.expected is None
    (problem,) = delivery.told.problems
    assert problem.startswith("m/MeasurementData.mlf: ")
    assert words in problem
    assert problem.endswith("which images should come is not known")


MRF = f"""\ufeff<?xml version="1.0" encoding="utf-8"?><bts:MeasurementDetail {NS} bts:RowCount="16" bts:ColumnCount="24"
bts:TargetSystem="CV7000"><bts:MeasurementSamplePlate bts:Name="Plate 7"/><bts:MeasurementChannel bts:Ch="1"
bts:HorizontalPixelDimension="0.65" bts:InputBitDepth="14" bts:ShadingCorrectionSource="SC_1.tif"/>
<bts:MeasurementChannel bts:Ch="2" bts:HorizontalPixelDimension="0.65" bts:InputBitDepth="16"/>
</bts:MeasurementDetail>"""
MES = f"""<bts:MeasurementSetting {NS}><bts:TargetWell bts:Column="3" bts:Row="2">true</bts:TargetWell><bts:TargetWell
bts:Column="4" bts:Row="2">false</bts:TargetWell><bts:ActionAcquire3D bts:SliceLength="-2.5"/><bts:Channel bts:Ch="1"
bts:Target="405nm" bts:Acquisition="BP445/45" bts:ExposureTime="250"/><bts:Channel bts:Ch="2" bts:Target="488"
bts:Acquisition="LP600" bts:Fluorophore="Alexa 488"/></bts:MeasurementSetting>"""
WPP = f'<bts:WellPlateProduct {NS} bts:Rows="16" bts:Columns="24"/>'


def test_settings_are_told() -> None:
    found = told(image(1), image(1, channel=2), **{"a.mes": MES.encode(), "a.mrf": MRF.encode()})
    assert found.channels == (
        ToldChannel("1", "BP445/45", 445.0, 405.0, 0.25, 16_383, "SC_1.tif"),
        ToldChannel("2", "Alexa 488", None, 488.0, None, 65_535, ""),
    )
    assert (found.pixel_size_um, found.z_step_um, found.wells) == (0.65, 2.5, 384)
    assert (found.plate, found.instrument, found.imaged) == ("Plate 7", "Yokogawa CV7000", (B03,))
    assert found.manifests == ("MeasurementData.mlf", "a.mes", "a.mrf")


@pytest.mark.parametrize("number", ["²", "9" * 5_000])
def test_a_wavelength_that_is_no_number_is_not_told(number: str) -> None:
    settings = MES.replace("BP445/45", f"BP{number}/45").replace("405nm", f"{number}nm")
    found = told(image(1), **{"a.mes": settings.encode(), "a.mrf": MRF.encode()})
    assert [(channel.emission_nm, channel.excitation_nm) for channel in found.channels] == [(None, None)]
    assert found.problems == ()


def test_the_plate_product_says_the_number_of_wells() -> None:
    assert told(image(1), **{"a.wpp": WPP.encode()}).wells == 384


def test_settings_that_cannot_be_read_are_said_and_the_others_are_told() -> None:
    found = told(image(1), **{"a.mes": MES.encode()[:300], "a.mrf": MRF.replace('"0.65"', '"wide"', 1).encode()})
    assert found.wells == 384
    assert any(problem.startswith("a.mes: it is no whole XML") for problem in found.problems)
    assert any("a value of MeasurementChannel cannot be read" in problem for problem in found.problems)


def test_settings_of_another_measurement_are_left_out() -> None:
    other = MRF.replace("0.65", "0.1").replace("Plate 7", "Other")
    files = {"m/M.mlf": mlf(image(1)), "m/a.mrf": MRF.encode(), "a/a.mrf": other.encode(), f"m/{name()}": b"x"}
    assert read(CELLVOYAGER, files).told.pixel_size_um == 0.65


def test_a_second_timeline_or_action_on_the_same_plane_is_told_apart() -> None:
    files = [name(1), name(1, line=2), name(1, action=2), name(2)]
    planes = read(CELLVOYAGER, dict.fromkeys(files, b"x")).planes
    assert {plane.item.key: plane.address for plane in planes} == {
        name(1): Address(B03, 1, "1"),
        name(1, line=2): Address(B03, 1, "1", acquisition="L2"),
        name(1, action=2): Address(B03, 1, "1-A2"),
        name(2): Address(B03, 2, "1"),
    }


def test_timelines_of_different_wells_are_one_measurement() -> None:
    planes = read(CELLVOYAGER, dict.fromkeys([name(1), name(1, line=2, well="C04")], b"x")).planes
    assert {plane.address for plane in planes} == {Address(B03, 1, "1"), Address(Well(2, 4), 1, "1")}


def test_two_measurements_in_one_folder_are_told_apart() -> None:
    files = {f"{folder}/{file}": data for folder in "ab" for file, data in ((name(), b"x"), ("M.mlf", mlf(image(1))))}
    delivery = read(CELLVOYAGER, files)
    assert {plane.address.acquisition for plane in delivery.planes} == {"a", "b"}
    assert delivery.told.expected == {plane.address for plane in delivery.planes}


def test_manifests_are_read_once_per_version() -> None:
    objects, folder = upload({"M.mlf": mlf(image(1)), "a.mrf": MRF.encode()})
    CELLVOYAGER.read(objects, folder)
    once = dict(folder.calls)
    CELLVOYAGER.read(objects, folder)
    assert dict(folder.calls) == once


def test_a_manifest_that_changes_while_it_is_read_is_said_so() -> None:
    objects, folder = upload({"M.mlf": mlf(image(1)), name(): b"x"})
    folder.store.write("M.mlf", mlf(image(1), image(2)))
    delivery = CELLVOYAGER.read(objects, folder)
    assert len(delivery.planes) == 1
    assert "changed after it was listed" in delivery.told.problems[0]


def test_the_real_measurement_is_read() -> None:
    delivery = read_shared(CELLVOYAGER, "yokogawa_cv8000/CV8000")
    found = delivery.told
    assert len(delivery.planes) == 96
    assert found.expected == {plane.address for plane in delivery.planes}
    assert [str(well) for well in found.imaged] == ["D08", "E03", "F08"]
    assert {plane.address.z for plane in delivery.planes} == {1, 2, 3, 4}
    assert (found.pixel_size_um, found.z_step_um, found.wells, found.instrument) == (0.325, 3.0, 96, "Yokogawa CV8000")
    assert found.positions_um["D08", 1] == (-567.1, 402.9)
    assert (len(reasons(delivery, "ignored")), reasons(delivery, "unknown"), found.problems) == (15, {}, ())
