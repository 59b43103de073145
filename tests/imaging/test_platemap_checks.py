"""What is wrong with a plate map or only suspicious, found before and on the plate."""

from __future__ import annotations

import pytest

from tests.imaging.platemap_files import check, faults_of, read_one, spoken

STATISTICS = """\
recipe: {name: v1, nuclei: {channel: DNA, diameter_px: [6, 20]}}
analysis: {statistics: [Nuclei_AreaShape_Area]}
"""


def test_imaged_wells_that_no_row_describes_are_suspicious() -> None:
    found = read_one("well\nA02\nB05\n", imaged="A01-A09")
    assert spoken(found) == ["m: does not describe 8 imaged wells: A01, A03, A04, A05, A06, A07 and 2 more"]
    assert spoken(read_one("well\nA01\n", imaged="A01-A02")) == ["m: does not describe 1 imaged well: A02"]


def test_controls_that_statistics_need_must_be_among_the_imaged_wells() -> None:
    text = "well,control\nA01,negcon\nA02,trt\nB05,poscon\n"
    assert spoken(read_one(text, imaged="A01-A02")) == []
    assert spoken(read_one(text, imaged="A01-A02", more=STATISTICS)) == [
        "m: no imaged well is a poscon, which analysis.statistics need"
    ]
    assert spoken(read_one("well\nA01\n", imaged="A01", more=STATISTICS)) == [
        "m: no imaged well is a negcon or a poscon, which analysis.statistics need"
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "well,dose\nA01,1\nA02,2\n",
            "concentrations have no unit; give concentration_unit, such as uM, or a column unit",
        ),
        (
            "well,dose,unit\nA01,1,uM\nA02,2,nM\n",
            "concentrations are in nM (1 wells) and uM (1 wells); nothing is converted: write them in one unit",
        ),
        ("well,dose,unit\nA01,1,uM\nA02,2,\n", "the concentrations of 1 wells have no unit, others are in uM"),
    ],
)
def test_units_that_lack_or_differ_are_suspicious(text: str, sentence: str) -> None:
    assert spoken(read_one(text, imaged="A01-A02")) == [f"m: {sentence}"]


def test_concentrations_without_a_value_need_no_unit() -> None:
    assert spoken(read_one("well,dose,unit\nA01,,\nA02,1,uM\n", imaged="A01-A02")) == []


def test_385_rows_for_384_wells_are_a_fault() -> None:
    wells = [f"{letter}{column:02d}" for letter in "ABCDEFGHIJKLMNOP" for column in range(1, 25)]
    text = "well\n" + "".join(f"{well}\n" for well in [*wells, "P24"])
    assert faults_of(text, wells=384) == (
        "m: has 385 rows for a plate of 384 wells; take out those too many, or correct layout.wells",
        "m line 386: well P24 is described already in m line 385; keep one",
    )
    outside = text.removesuffix("P24\n") + "Q01\n"
    assert faults_of(outside, wells=384) == (
        "m: has 385 rows for a plate of 384 wells; take out those too many, or correct layout.wells",
        "m line 386: well Q01 lies outside a plate of 384 wells",
    )
    assert len(read_one(text.removesuffix("P24\n") + "\n\n", wells=384).rows) == 384


def test_check_counts_what_each_file_says() -> None:
    files = {"a": "well,drug,control\nA01,x,poscon\nA02,DMSO,negcon\nA03,DMSO,negcon\n", "b": "well,drug\nA01,y\n"}
    found = check("- {file: a, plates: [P1, P2]}\n- {file: b, plates: Q*}", files, ("P1", "Q7", "Q8"), imaged="A01-A03")
    assert [(item.file, item.wells, item.treatments, item.controls, item.plates) for item in found.files] == [
        ("a", 3, 2, {"negcon": 2, "poscon": 1}, ("P1",)),
        ("b", 1, 1, {}, ("Q7", "Q8")),
    ]
    assert found.warnings == ("b: does not describe 2 imaged wells: A02, A03",)


def test_check_looks_at_maps_of_one_pattern_together() -> None:
    files = {"a": "well\nA01\n", "b": "well\nA02\n", "c": "well\nA03\n"}
    maps = "- {file: a, plates: P*}\n- {file: b, plates: P*}\n- {file: c}"
    assert check(maps, files, imaged="A01-A03").warnings == ()
    assert check(maps.replace("b, plates: P*", "b, plates: Q*"), files, imaged="A01-A03").warnings != ()


def test_check_says_a_warning_of_many_plates_once() -> None:
    files = {"b": "plate,map\n" + "".join(f"P{n},M\n" for n in range(50)), "M.csv": "well,dose\nA01,1\n"}
    found = check("- {barcodes: b}", files, imaged="A01-A02")
    assert len(found.files[0].plates) == 50
    assert found.warnings == (
        "M.csv: concentrations have no unit; give concentration_unit, such as uM, or a column unit",
        "M.csv: does not describe 1 imaged well: A02",
    )
