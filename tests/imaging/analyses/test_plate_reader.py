"""Readers' exports become profiles; what is wrong with a file is one sentence."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from imaging.analyses.failures import find_failures, mark_excluded
from imaging.analyses.plate_reader import is_plate_reader, read_plate_reader
from imaging.analyses.plate_reader.texts import parse_number
from imaging.analyses.recipe import Failures
from imaging.errors import ConfigurationError
from tests.parts import require


def _shared(name: str) -> Path:
    return Path(require("shared")) / "data" / "rnai_screen_kcviab_small" / name


def _write(folder: Path, **files: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        path = folder / f"{name}.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


LIST = "Filename\tPlate\tReplicate\nP1.txt\t1\t1\n"
WELLS = "P1\tA01\t10\nP1\tA02\t20\nP1\tB01\t30\n"


def test_a_screen_of_three_plates_twice_is_read_with_controls_genes_and_its_log() -> None:
    profiles = read_plate_reader(_shared("KcViabSmall"))

    wells = profiles.wells
    assert len(profiles) == 6 * 384
    assert sorted(wells["plate"].unique()) == ["1-1", "1-2", "2-1", "2-2", "3-1", "3-2"]
    first = wells[(wells["plate"] == "1-1")].set_index("well")
    assert first.loc[["A01", "B01", "B02", "A03"], "control"].tolist() == ["empty", "negcon", "poscon", "trt"]
    assert first.loc["A03", "treatment"] == "CG11371"
    assert profiles.values[(wells["plate"] == "2-2") & (wells["well"] == "B02")].item() == 151637
    flagged = wells[wells["flag"] != ""]
    assert len(flagged) == 144
    assert set(flagged["flag_reason"]) == {"Contamination"}


def test_wells_that_the_log_flags_are_excluded_with_its_reason() -> None:
    profiles = read_plate_reader(_shared("KcViabSmall"))

    failures = find_failures(profiles, Failures(rules=()))

    assert len(failures) == 144
    assert set(failures["decided_by"]) == {"screen log"}
    assert set(failures["reason"]) == {"Contamination"}
    assert mark_excluded(profiles, failures).sum() == 144


def test_two_channels_are_two_features() -> None:
    profiles = read_plate_reader(_shared("DualChannelScreen"))

    assert profiles.features == ("channel 1", "channel 2")
    assert profiles.values[0].tolist() == [2300, 13870]
    assert profiles.wells["treatment"].head(2).tolist() == ["geneA", "geneB"]
    flagged = profiles.wells[profiles.wells["flag"] != ""]
    assert flagged[["plate", "well", "flag_reason"]].to_numpy().tolist() == [["3-1", "A05", "contaminated"]]


def test_grids_below_a_preamble_are_read_with_their_labels() -> None:
    profiles = read_plate_reader(_shared("EnVisionExample/XXX_1500.csv"))

    assert profiles.features == ("Crosstalk", "US LUM 384 (cps)")
    assert len(profiles) == 384
    at = profiles.wells.set_index("well").index.get_loc("P24")
    assert profiles.values[at].tolist() == [31705093, 31956280]


def test_a_file_in_a_countrys_encoding_is_read() -> None:
    folder, file = read_plate_reader(_shared("TwoWayAssay")), read_plate_reader(_shared("TwoWayAssay/DHA001LU1.CSV"))

    assert file.features == ("RLU",)
    assert len(file) == 96
    np.testing.assert_array_equal(folder.take(folder.wells["plate"] == "1-1").values, file.values)
    controls = folder.wells[folder.wells["plate"] == "1-1"].set_index("well")["control"]
    assert [controls[well] for well in ("A01", "H02", "D02", "E01", "G01")] == ["negcon"] * 4 + ["empty"]


def test_what_a_folder_and_its_files_are_is_told() -> None:
    assert is_plate_reader(_shared("KcViabSmall"))
    assert is_plate_reader(_shared("KcViabSmall/FT01-G01.txt"))
    assert not is_plate_reader(_shared("KcViabSmall/Description.txt"))
    assert not is_plate_reader(_shared("."))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1234.5", 1234.5),
        ("1234,5", 1234.5),
        ("1,234.5", 1234.5),
        ("1.234,5", 1234.5),
        ("1'234.5", 1234.5),
        ("-1.2E+05", -1.2e5),
        (" 7 ", 7),
        (".5", 0.5),
    ],
)
def test_numbers_are_read_as_countries_write_them(text: str, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["NA", "n/a", "", "OVRFLW", "1e999"])
def test_what_stands_for_no_number_is_missing(text: str) -> None:
    assert math.isnan(parse_number(text))


@pytest.mark.parametrize("text", ["abc", "12x", "0x1f", "1_000", "inf", "٣"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert parse_number(text) is None


def test_semicolons_and_decimal_commas_are_read(tmp_path: Path) -> None:
    path = tmp_path / "plate.csv"
    path.write_text("Gerät: Leser\n\nWell;OD 450;OD 620\nA1;0,5;1,25\nA2;0,75;NA\n\nEnde\n", encoding="cp1252")

    profiles = read_plate_reader(path)

    assert profiles.features == ("OD 450", "OD 620")
    assert profiles.values[0].tolist() == [0.5, 1.25]
    assert np.isnan(profiles.values[1, 1])
    assert profiles.wells[["plate", "well", "treatment", "control"]].iloc[0].tolist() == ["plate", "A01", "A01", "trt"]


def test_utf_16_and_a_workbook_are_read(tmp_path: Path) -> None:
    text = tmp_path / "wide.txt"
    text.write_text("\t1\t2\t3\nA\t1\t2\t3\nB\t4\t5\t6\n", encoding="utf-16")
    book = openpyxl.Workbook()
    for row in (["Reader X"], ["", 1, 2, 3], ["A", 1, 2, 3], ["B", 4, 5, 6]):
        book.active.append(row)
    book.save(tmp_path / "book.xlsx")

    for path in (text, tmp_path / "book.xlsx"):
        profiles = read_plate_reader(path)
        assert profiles.values.ravel().tolist() == [1, 2, 3, 4, 5, 6]
        assert profiles.wells["well"].tolist() == ["A01", "A02", "A03", "B01", "B02", "B03"]


def test_the_last_line_of_the_configuration_that_fits_a_well_counts(tmp_path: Path) -> None:
    conf = "Wells: 96\nPlates: 1\nPlate\tWell\tContent\n*\t*\tsample\n*\tA0[1-2]\tneg\n1\tA02\tGFP\n2\tB01\tpos\n"

    profiles = read_plate_reader(_write(tmp_path / "screen", Platelist=LIST, P1=WELLS, Plateconf=conf))

    assert profiles.wells["control"].tolist() == ["negcon", "trt", "trt"]
    assert profiles.wells["treatment"].tolist() == ["neg", "GFP", "1 B01"]


def test_a_flag_of_one_channel_takes_that_value_only(tmp_path: Path) -> None:
    files = "Filename\tPlate\tReplicate\tChannel\nP1.txt\t1\t1\t1\nP2.txt\t1\t1\t2\n"
    log = "Plate\tSample\tChannel\tWell\tFlag\tComment\n1\t1\t2\tA02\tNA\tbubble\n"

    profiles = read_plate_reader(_write(tmp_path / "screen", Platelist=files, P1=WELLS, P2=WELLS, Screenlog=log))

    assert profiles.values[0].tolist() == [10, 10]
    assert profiles.values[1, 0] == 20
    assert np.isnan(profiles.values[1, 1])
    assert set(profiles.wells["flag"]) == {""}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"Platelist": LIST}, "has no such file"),
        ({"Platelist": LIST + "P1.txt\t1\t1\n", "P1": WELLS}, "line 3: .* is in line 2 already"),
        ({"Platelist": LIST, "P1": WELLS + "P1\tA01\t5\n"}, "line 4: the well A01 is there twice"),
        ({"Platelist": LIST, "P1": WELLS + "P1\tB02\tmany\n"}, "line 4: the value of B02 must be a number"),
        ({"Platelist": LIST, "P1": WELLS + "P1\tB0\t7\n"}, "line 4: a well must be"),
        ({"Platelist": LIST, "P1": "nothing\there\n"}, "neither lines with a well .* nor a grid"),
        ({"Platelist": LIST, "P1": ""}, "is empty"),
        ({"Platelist": LIST, "P1": b"P1\x00\x01\x02"}, "is no text file"),
        ({"Platelist": "Filename\tPlate\tReplicate\n"}, "names no file"),
        ({"P1": WELLS}, "has no plate list"),
        ({"Platelist": LIST, "Other": LIST, "P1": WELLS}, "several plate lists"),
        (
            {"Platelist": LIST, "P1": WELLS, "Plateconf": "Plate\tWell\tContent\n*\tA0[1\tneg\n"},
            "line 2: .* names no plates or wells",
        ),
        (
            {"Platelist": LIST, "P1": WELLS, "Plateconf": "Plate\tWell\tContent\n*\t(A+)+$\tneg\n"},
            "line 2: .* names no plates or wells",
        ),
        ({"Platelist": LIST.replace("P1.txt", "../P1.txt"), "P1": WELLS}, "has no such file"),
        ({"Platelist": LIST, "P1": WELLS.replace("10", "1,234")}, "may be 1234 or 1.234"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_sentence(
    tmp_path: Path, files: dict[str, str | bytes], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        read_plate_reader(_write(tmp_path / "screen", **files))

    assert "\n" not in str(caught.value)


def test_the_same_label_twice_is_several_plates_and_refused(tmp_path: Path) -> None:
    grid = "Results for LUM\n,1,2,3\nA,1,2,3\nB,4,5,6\n"
    (tmp_path / "two.csv").write_text(grid + "\n" + grid)

    with pytest.raises(ConfigurationError, match="2 tables called 'LUM'"):
        read_plate_reader(tmp_path / "two.csv")


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not there"):
        read_plate_reader(tmp_path / "no.csv")
    with (tmp_path / "large.csv").open("wb") as stream:
        stream.truncate(64 * 1024 * 1024)
    with pytest.raises(ConfigurationError, match="67,108,864 bytes"):
        read_plate_reader(tmp_path / "large.csv")
