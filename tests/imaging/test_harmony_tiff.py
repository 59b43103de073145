"""What Harmony writes into its TIFF files: the size of a pixel, the channel, the exposure."""

from __future__ import annotations

from pathlib import Path

import pytest
import tifffile

from imaging.harmony_tiff import MAX_BYTES, TAG, TakenImage, read_harmony_tag
from tests.parts import require

XML = """<?xml version="1.0" encoding="utf-8"?>
<TiffImageDescription Version="1" xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5">
<InstrumentDescription><Type>Phenix</Type><Magnification Unit="">1.087</Magnification><Objectives>
<Objective><ID>5x</ID><Magnification Unit="">5</Magnification></Objective>
<Objective><ID>20x</ID><Magnification Unit="">20</Magnification></Objective></Objectives>
<Cameras><Camera><ID>Camera1</ID><PixelSizeX Unit="m">0.00001</PixelSizeX></Camera>
<Camera><ID>Camera2</ID><PixelSizeX Unit="m">0.0000065</PixelSizeX></Camera></Cameras></InstrumentDescription>
<DeviceExperiment xmlns="urn:other"><PlateType><EndCol>24</EndCol><EndRow>16</EndRow></PlateType><Exposures>
<Exposure><Objective>20x</Objective>
<Record><Channels><Channel><Name>Alexa 647</Name></Channel></Channels></Record>
<Record><Channels><Channel><Name>DAPI</Name><CameraSetting><CameraID>Camera2</CameraID>
<Exposuretime Unit="s">0.01</Exposuretime><BinningX>2</BinningX></CameraSetting></Channel></Channels></Record>
</Exposure></Exposures></DeviceExperiment>
<Image><ExposureID>1</ExposureID><RecordID>2</RecordID><ChannelID>1</ChannelID></Image></TiffImageDescription>"""
NOTHING = TakenImage()


def test_the_pixel_is_the_camera_s_binned_and_magnified() -> None:
    assert read_harmony_tag(XML.encode()) == TakenImage(0.597976, "DAPI", 0.01, 384)
    assert read_harmony_tag(XML.replace('encoding="utf-8"', "") + "\0") == TakenImage(0.597976, "DAPI", 0.01, 384)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<RecordID>2</RecordID>", "<RecordID>9</RecordID>"),
        ("<RecordID>2</RecordID>", "<RecordID>0</RecordID>"),
        ("<RecordID>2</RecordID>", ""),
        ("<RecordID>2</RecordID>", "<RecordID>1</RecordID>"),
        ("<ID>Camera2</ID>", ""),
        ('<Magnification Unit="">20<', '<Magnification Unit="">0<'),
        ('<Magnification Unit="">20<', '<Magnification Unit="">x<'),
        ("</TiffImageDescription>", ""),
        ('<?xml version="1.0" encoding="utf-8"?>', '<!DOCTYPE a [<!ENTITY b "c">]>'),
    ],
)
def test_a_part_that_is_missing_or_damaged_says_nothing(old: str, new: str) -> None:
    assert old in XML
    assert read_harmony_tag(XML.replace(old, new).encode()) == NOTHING


@pytest.mark.parametrize("rows", ["²", "9" * 5_000])
def test_rows_that_are_no_number_leave_the_plate_unknown(rows: str) -> None:
    tag = XML.replace("<EndRow>16<", f"<EndRow>{rows}<").encode()
    assert read_harmony_tag(tag) == TakenImage(0.597976, "DAPI", 0.01, None)


@pytest.mark.parametrize("value", [None, 5, b"", b"x" * (MAX_BYTES + 1)])
def test_another_value_says_nothing(value: object) -> None:
    assert read_harmony_tag(value) == NOTHING


def test_real_images_tell_what_their_index_tells() -> None:
    folder = Path(require("shared")) / "data" / "harmony_operetta" / "operetta_plate" / "Images"
    with tifffile.TiffFile(folder / "r03c03f01p01-ch1sk1fk1fl1.tiff") as tiff:
        taken = read_harmony_tag(tiff.pages.first.tags.valueof(TAG))
    assert taken == TakenImage(1.195952, "Fluorescein (FITC)", 0.006, 384)
