"""Columns of tables become what wells are, as the recipe says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imaging.analyses.annotate import describe_wells, find_columns, find_unheld, rename_columns
from imaging.analyses.profiles_file import read_profiles
from imaging.analyses.recipe import Annotate, read_analysis_recipe
from imaging.errors import ConfigurationError, MissingPartError
from tests.parts import require


def annotate(**how: object) -> Annotate:
    return Annotate.model_validate(how)


def wells(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"plate": "P1", "well": ["A01", "B2", "aa12"], **columns})


def test_columns_are_found_by_the_recipe_s_names_and_by_the_field_s_spelling() -> None:
    columns = ["Metadata_Plate", "WELL", "drug", "Image_Metadata_moa", "Cells_Area"]
    found = find_columns(columns, annotate(treatment=["compound", "drug"]))
    assert found == {"plate": "Metadata_Plate", "well": "WELL", "treatment": "drug", "mechanism": "Image_Metadata_moa"}


def test_an_exact_name_counts_before_one_that_is_near() -> None:
    assert find_columns(["Plate", "plate", "well"], annotate())["plate"] == "plate"
    assert find_columns(["barcode", "Plate"], annotate(plate=["Plate", "barcode"]))["plate"] == "Plate"


def test_a_column_that_another_one_stands_for_is_not_taken_for_it() -> None:
    renamed = rename_columns(wells(treatment=["a", "b", "c"], gene=["x", "y", "z"]), annotate(treatment="gene"))
    assert renamed["treatment"].tolist() == ["x", "y", "z"]
    assert list(renamed.columns) == ["plate", "well", "treatment"]


def test_wells_are_spelled_alike_and_placed() -> None:
    described = describe_wells(wells(), annotate(), experiment="E")
    assert described["well"].tolist() == ["A01", "B02", "AA12"]
    assert described[["row", "column"]].to_numpy().tolist() == [["A", 1.0], ["B", 2.0], ["AA", 12.0]]
    assert (described["experiment"] == "E").all()
    assert (described["batch"] == "E").all()
    assert (described["time_point"] == 1.0).all()


def test_controls_are_those_of_the_recipe_and_everything_else_that_was_added_is_treated() -> None:
    given = wells(treatment=["dmso", "taxol", ""], control=["trt", "", ""])
    described = describe_wells(given, annotate(negative_controls="DMSO", positive_controls=["Taxol"]), experiment="E")
    assert described["control"].tolist() == ["negcon", "poscon", ""]
    described = describe_wells(given, annotate(), experiment="E")
    assert described["control"].tolist() == ["trt", "trt", ""]


def test_batches_are_found_in_the_names_of_plates() -> None:
    given = wells().assign(plate=["Week1_1", "Week1_2", "Week2_1"])
    described = describe_wells(given, annotate(batch_pattern="^(?P<batch>Week[0-9])_"), experiment="E")
    assert described["batch"].tolist() == ["Week1", "Week1", "Week2"]
    with pytest.raises(ConfigurationError, match="does not find a batch in the plate's name"):
        describe_wells(given, annotate(batch_pattern="^(?P<batch>Day[0-9])_"), experiment="E")
    with pytest.raises(ConfigurationError, match="must have a group batch"):
        read_analysis_recipe(b"annotate: {batch_pattern: 'Week'}\n", name="r", place="r.yaml")


FAULTS = {
    "no plate": (pd.DataFrame({"well": ["A01"]}), "has no column plate"),
    "no rows": (wells()[:0], "has no rows"),
    "a well that is none": (wells().assign(well=["A01", "B02", "Z99999"]), "has a row whose well is 'Z99999'"),
    "a row without a plate": (wells().assign(plate=["P1", None, "P1"]), "rows without a plate, the first for well B2"),
    "a well twice": (wells().assign(well="A01"), "2 rows too many.*A01 of P1 has several"),
    "an unknown control": (wells(control=["vehicle", "trt", "trt"]), "calls a well 'vehicle'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_one_sentence(name: str) -> None:
    frame, sentence = FAULTS[name]
    with pytest.raises(ConfigurationError, match=sentence):
        describe_wells(frame, annotate(), experiment="E", place="p.csv")


def test_features_are_numbers_that_nobody_calls_metadata(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("plate,well,Metadata_pH,ImageNumber,age,Area,Round\nP1,A01,7,1,3,0.5,inf\nP1,A02,7,2,4,,1\n")
    profiles, notes = read_profiles(path, annotate(metadata="age"), experiment="E")
    assert profiles.features == ("Area", "Round")
    assert notes == ("1 infinite value counts as missing, in Round",)
    assert np.array_equal(profiles.values, [[0.5, np.nan], [np.nan, 1.0]], equal_nan=True)
    named, _ = read_profiles(path, annotate(features=["Round"]), experiment="E")
    assert named.features == ("Round",)


def test_tables_are_joined_by_the_first_key_that_both_have(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("plate,well,Area\nP1,A01,1\nP1,A02,2\nP2,A01,3\n")
    (tmp_path / "map.csv").write_text("well,plate,treatment,concentration\nA01,P1,x,1\nA02,P1,x,10\nA01,P2,y,1.0\n")
    (tmp_path / "moa.csv").write_text("treatment,concentration,moa\nx,1,low\nx,10,high\n")
    annotations = [tmp_path / "map.csv", tmp_path / "moa.csv"]
    profiles, notes = read_profiles(tmp_path / "p.csv", annotate(), experiment="E", annotations=annotations)
    assert profiles.wells["mechanism"].tolist() == ["low", "high", ""]
    assert notes == ("moa.csv says nothing of 1 of 3 wells",)


def test_a_table_that_belongs_to_no_well_or_says_two_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("plate,well,treatment,Area\nP1,A01,x,1\n")
    (tmp_path / "odd.csv").write_text("gene,moa\nx,low\n")
    (tmp_path / "two.csv").write_text("treatment,moa\nx,low\nx,high\n")
    for name, sentence in (("odd.csv", "has no columns by which its rows belong"), ("two.csv", "says two things of")):
        with pytest.raises(ConfigurationError, match=sentence):
            read_profiles(tmp_path / "p.csv", annotate(), experiment="E", annotations=[tmp_path / name])


def test_what_is_no_table_is_said(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(ConfigurationError, match="cannot be read as a table"):
        read_profiles(tmp_path / "p.parquet", annotate(), experiment="E")
    with pytest.raises(MissingPartError, match="there is no file"):
        read_profiles(tmp_path / "q.csv", annotate(), experiment="E")
    (tmp_path / "words.csv").write_text("plate,well,name\nP1,A01,x\n")
    with pytest.raises(ConfigurationError, match="has no column of numbers that is a feature"):
        read_profiles(tmp_path / "words.csv", annotate(), experiment="E")


def test_a_plate_reader_s_folder_is_taken_too() -> None:
    folder = Path(require("shared")) / "data" / "rnai_screen_kcviab_small" / "KcViabSmall"
    profiles, _ = read_profiles(folder, annotate(), experiment="kc")
    assert profiles.values.shape == (2304, 1)
    assert (profiles.wells["experiment"] == "kc").all()
    assert profiles.is_control("negcon").sum() == 6


@pytest.mark.parametrize("named", ["", "Area"])
def test_a_word_among_the_numbers_of_a_feature_is_refused(tmp_path: Path, named: str) -> None:
    path = tmp_path / "p.csv"
    rows = [f"P1,B{number:02d},{number}.5,{number},note {number}" for number in range(1, 13)]
    rows[11] = "P1,B12,1.5,oops,note"
    path.write_text("\n".join(["plate,well,Round,Area,said", *rows]))
    words = "p.csv has 'oops' in column Area, row 12 of the data, where other values are numbers"
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        read_profiles(path, annotate(**{"features": named} if named else {}), experiment="E")
    profiles, _ = read_profiles(path, annotate(metadata="Area"), experiment="E")
    assert profiles.features == ("Round",)


def test_a_dose_that_is_no_number_is_refused_of_treated_wells(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    head = "plate,well,treatment,concentration,Area\nP1,A01,DMSO,vehicle,1\nP1,A02,x,1.5,2\n"
    path.write_text(head + "P1,A03,x,,3\n")
    profiles, _ = read_profiles(path, annotate(negative_controls="DMSO"), experiment="E")
    assert profiles.wells["concentration"].isna().tolist() == [True, False, True]
    path.write_text(head + "P1,A03,x,high,3\n")
    with pytest.raises(ConfigurationError, match="gives A03 of P1 the concentration 'high', which is no number"):
        read_profiles(path, annotate(negative_controls="DMSO"), experiment="E")


def test_columns_that_the_recipe_names_must_be_there(tmp_path: Path) -> None:
    path, moa = tmp_path / "p.csv", tmp_path / "moa.csv"
    path.write_text("plate,well,treatment,Area\nP1,A01,DMSO,1\nP1,A02,x,2\n")
    moa.write_text("treatment,moa\nx,kinase\n")
    asked = annotate(treatment="treatment", mechanism="moaa")
    with pytest.raises(ConfigurationError, match=r"moa.csv: no well has a value of moaa, which annotate.mechanism"):
        read_profiles(path, asked, experiment="E", annotations=[moa])
    found, _ = read_profiles(path, annotate(mechanism="moa"), experiment="E", annotations=[moa])
    assert found.wells["mechanism"].tolist() == ["", "kinase"]
    with pytest.raises(ConfigurationError, match="has no column well; name it"):  # before a table is joined by less
        read_profiles(path, annotate(well="Wel"), experiment="E", annotations=[moa])


def test_controls_that_no_well_holds_are_named() -> None:
    wells = pd.DataFrame({"treatment": ["DMSO", "x", ""]})
    assert find_unheld(wells, annotate(negative_controls="DMSOO", positive_controls=["X", "y"])) == (
        "no well holds DMSOO, which annotate.negative_controls of the recipe names; did you mean 'DMSO'?",
    )
