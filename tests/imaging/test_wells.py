"""Wells: names in any spelling, order, ranges."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imaging.wells import PLATE_SHAPES, Well, expand_wells, parse_row, parse_well, row_name


@pytest.mark.parametrize(
    ("text", "name"), [("B3", "B03"), ("b03", "B03"), ("AA02", "AA02"), ("B003", "B03"), ("P24", "P24")]
)
def test_a_well_is_read_in_any_common_spelling(text: str, name: str) -> None:
    assert str(parse_well(text)) == name


@pytest.mark.parametrize("text", ["", "B", "3", "B0", "AG01", "B-3", "B100", "ä1"])
def test_what_is_no_well_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a well must be a row and a column"):
        parse_well(text)


def test_rows_run_from_a_to_z_and_on_to_af() -> None:
    names = [row_name(row) for row in range(32)]
    assert names[:2] + names[25:28] + names[-1:] == ["A", "B", "Z", "AA", "AB", "AF"]
    assert [parse_row(name) for name in names] == list(range(32))


def test_wells_are_ordered_row_by_row_and_rows_after_z_come_last() -> None:
    wells = [parse_well(name) for name in ("AA01", "B02", "A10", "A02", "Z01")]
    assert [str(well) for well in sorted(wells)] == ["A02", "A10", "B02", "Z01", "AA01"]


def test_a_range_is_a_rectangle_row_by_row() -> None:
    assert [str(well) for well in expand_wells("A01-B02")] == ["A01", "A02", "B01", "B02"]
    assert expand_wells("C05") == [Well(2, 5)]
    with pytest.raises(ValueError, match="right and down"):
        expand_wells("B02-A01")


def test_every_plate_has_as_many_wells_as_it_says() -> None:
    assert all(rows * columns == wells for wells, (rows, columns) in PLATE_SHAPES.items())


@pytest.mark.parametrize("read", [parse_well, parse_row, expand_wells])
def test_what_is_no_well_is_told_by_its_beginning(read: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match="got 'xxxx") as caught:
        read("x" * 5_000)
    assert len(str(caught.value)) < 200
