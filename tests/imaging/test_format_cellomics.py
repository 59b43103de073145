"""Cellomics' names: fields from 0, channels, endings, overlays, and what is none of them."""

from __future__ import annotations

import pytest

from imaging.formats.cellomics import CELLOMICS
from imaging.formats.contract import Address
from imaging.wells import Well
from tests.imaging.small_uploads import read, read_shared, reasons


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("AS_09125_050116030001_D03f00d0.TIF", Address(Well(3, 3), 1, "d0")),
        ("sub/folder/MFGTMP-PC_090605110001_H12f15d3.C01", Address(Well(7, 12), 16, "d3")),
        ("P_AB07f100d12.DIB", Address(Well(27, 7), 101, "d12")),
        ("p_a01f00d0.tiff", Address(Well(0, 1), 1, "d0")),
        ("D03f00d0.tif", Address(Well(3, 3), 1, "d0")),
    ],
)
def test_a_name_gives_its_place(name: str, address: Address) -> None:
    delivery = read(CELLOMICS, {name: b"x"})
    assert [plane.address for plane in delivery.planes] == [address]
    assert CELLOMICS.count([name]) == 1


def test_other_files_are_ignored_or_somebody_s_question() -> None:
    names = ["P_1_D03f00o1.C01", "P_1.MDB", "P_1_D03f00d0.jpg", "P_1_Z99f00d0.TIF", "B03_s1_w1.TIF"]
    delivery = read(CELLOMICS, dict.fromkeys(names, b"x"))
    assert delivery.planes == ()
    assert reasons(delivery, "ignored") == {
        "P_1_D03f00o1.C01": "an overlay of the instrument's own analysis",
        "P_1.MDB": "a file of the instrument's software",
        "P_1_D03f00d0.jpg": "a file of the instrument's software",
    }
    assert set(reasons(delivery, "unknown")) == {"P_1_Z99f00d0.TIF", "B03_s1_w1.TIF"}
    assert CELLOMICS.count(names) == 0


def test_the_plate_is_told_where_all_names_have_one() -> None:
    one = {f"AS_1_050116_B0{column}f00d{channel}.TIF": b"x" for column in (1, 2) for channel in (0, 1)}
    told = read(CELLOMICS, one).told
    assert (told.plate, [channel.code for channel in told.channels]) == ("AS_1_050116", ["d0", "d1"])
    assert told.expected is None
    assert read(CELLOMICS, one | {"AS_2_B01f00d0.TIF": b"x"}).told.plate == ""


def test_plates_that_lie_together_are_told_apart_by_their_names() -> None:
    names = [f"MFGTMP-PC_14042904000{p}_B{c:02}f00d{w}.C01" for p in (1, 2) for c in (1, 2) for w in (0, 1)]
    planes = read(CELLOMICS, dict.fromkeys(names, b"x")).planes
    assert [plane.address.acquisition for plane in planes] == [plane.item.key[:22] for plane in planes]
    alone = read(CELLOMICS, dict.fromkeys(names[:4], b"x")).planes
    assert {plane.address.acquisition for plane in alone} == {""}


def test_the_real_plates_are_read() -> None:
    delivery = read_shared(CELLOMICS, "cellomics_arrayscan")
    assert len(delivery.planes) == 15
    sites = {(str(plane.address.well), plane.address.site) for plane in delivery.planes}
    assert sites == {("D03", 1)} | {(f"O0{column}", site) for column in range(1, 5) for site in (1, 2, 3)}
    assert len(reasons(delivery, "unknown")) == 1
