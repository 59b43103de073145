"""Known schemas of plate maps without a mapping, and tables joined to them."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from imaging.platemaps import PlateMap, PlateMapRow, read_plate_map
from tests.imaging.platemap_files import check, declare, faults_in, faults_of, read_map, read_one, spoken
from tests.parts import ROOT, require

DATA = ROOT.parent / "shared" / "data"


def counts(found: PlateMap) -> dict[str | None, int]:
    """Wells by control."""
    return dict(Counter(row.control for row in found.rows.values()))


# LINCS, CPJUMP1: broad_sample


def test_an_empty_broad_sample_is_a_well_with_solvent_alone() -> None:
    text = (
        "plate_map_name\twell_position\tbroad_sample\tmg_per_ml\tmmoles_per_liter\tsolvent\n"
        "C-1\tA01\t\t\t\tDMSO\nC-1\tA02\tBRD-K1\t1.6\t5.0\tDMSO\n"
    )
    found = read_one(text)
    assert found.rows == {
        "A01": PlateMapRow("A01", "DMSO", None, None, "negcon"),
        "A02": PlateMapRow("A02", "BRD-K1", 5.0, "mM", "trt"),
    }
    assert found.annotations["A02"] == {
        "plate_map_name": "C-1",
        "broad_sample": "BRD-K1",
        "mg_per_ml": "1.6",
        "mmoles_per_liter": "5.0",
        "solvent": "DMSO",
    }
    assert read_one(text, ", concentration_unit: uM").rows["A02"].concentration_unit == "uM"
    assert read_one(text, ", blank_treatment: vehicle").rows["A01"] == PlateMapRow("A01", "vehicle", control="negcon")


def test_an_empty_cell_of_other_treatments_is_nothing_known() -> None:
    assert read_one("well,drug,solvent\nA01,,DMSO\n").rows["A01"] == PlateMapRow("A01")
    assert read_one("well,broad_sample\nA01,\nA02,B\n").rows["A02"] == PlateMapRow("A02", "B")


@pytest.mark.parametrize(
    ("column", "unit"),
    [("mg_per_ml", "mg/ml"), ("Dose_uM", "uM"), ("Concentration (nM)", "nM"), ("conc [µM]", "uM"), ("dose", None)],
)
def test_a_column_s_name_may_tell_the_unit(column: str, unit: str | None) -> None:
    assert read_one(f"well,drug,{column}\nA01,x,2\n").rows["A01"] == PlateMapRow("A01", "x", 2.0, unit)


# Controls


@pytest.mark.parametrize(
    ("value", "control"),
    [
        ("negcon", "negcon"),
        ("poscon_cp", "poscon"),
        ("poscon_diverse", "poscon"),
        ("Negative control", "negcon"),
        ("pos", "poscon"),
        ("EMPTY", "empty"),
        ("treated", "trt"),
        ("NA", None),
    ],
)
def test_usual_values_of_controls_are_understood(value: str, control: str | None) -> None:
    assert read_one(f"well,control_type\nA01,{value}\n").rows["A01"].control == control


def test_pert_type_says_what_the_control_column_leaves_open() -> None:
    text = "well,control_type,pert_type\nA01,,trt\nA02,negcon,control\nA03,NA,control\n"
    assert [row.control for row in read_one(text).rows.values()] == ["trt", "negcon", None]
    assert read_one("well,pert_type\nA01,poscon\nA02,other\n").rows["A01"].control == "poscon"


# Treatments


@pytest.mark.parametrize(
    ("header", "treatment"),
    [
        ("well,gene,siRNA", "c3"),
        ("well,gene_name,genotype", "c3"),
        ("well,gene_symbol,dose", "c2"),
        ("well,broad_sample,pert_iname", "c2"),
        ("well,compound_id,compound_name", "c3"),
        ("Metadata_Well,Metadata_JCP2022,x", "c2"),
    ],
)
def test_of_several_columns_the_nearest_to_a_treatment_is_one(header: str, treatment: str) -> None:
    text = f"{header}\nA01,c2,c3\n".replace("c3", "3") if "dose" in header else f"{header}\nA01,c2,c3\n"
    assert read_one(text).rows["A01"].treatment == treatment


def test_a_gene_that_excel_made_a_date_is_suspicious() -> None:
    found = read_one("well,gene\nA01,1-Mar\nA02,Sep-02\nA03,PLK1\n", imaged="A01-A03")
    assert spoken(found) == [
        "m line 2: the treatment '1-Mar' looks like a date: was it a gene's name that Excel changed?",
        "m line 3: the treatment 'Sep-02' looks like a date: was it a gene's name that Excel changed?",
    ]


# Annotations


def test_every_column_but_those_of_the_place_is_an_annotation() -> None:
    found = read_one("well,row,col,Metadata_gene,moa,\nA01,A,1,PLK1,,\nA02,A,2,,mitosis,\n")
    assert found.annotations == {"A01": {"gene": "PLK1"}, "A02": {"moa": "mitosis"}}


def test_annotations_can_be_chosen() -> None:
    text = "well,gene,Cell line,moa\nA01,PLK1,U2OS,mitosis\n"
    assert read_one(text, ", annotations: [cell_line]").annotations == {"A01": {"Cell line": "U2OS"}}
    assert read_one(text, ", annotations: []").annotations == {}
    assert faults_of(text, ", annotations: [mao]") == (
        "m line 1: has no column 'mao', an annotation; did you mean 'moa'?",
    )


def test_the_digest_follows_annotations_and_warnings() -> None:
    plain = read_one("well,drug,gene\nA01,x,a\n").digest
    assert read_one("well,drug,gene\nA01,x,b\n").digest != plain
    assert read_one("well,drug,gene\nA01,x,a\n", imaged="A01-A02").digest != plain
    assert read_one("gene,well,drug\na,A1,x\n").digest == plain


# A file for several plates


SEVERAL = "Metadata_Plate,Metadata_Well,Metadata_JCP2022\nP1,A01,x\nP1,A02,y\nP2,A01,z\n"


def test_a_file_that_names_plates_describes_each_of_them() -> None:
    assert [row.treatment for row in read_one(SEVERAL).rows.values()] == ["x", "y"]
    assert read_map("- {file: m}", {"m": SEVERAL}, "P2").rows == {"A01": PlateMapRow("A01", "z")}
    found = check("- {file: m}", {"m": SEVERAL}, imaged="A01")
    assert [(item.wells, item.plates) for item in found.files] == [(3, ("P1", "P2"))]
    assert found.warnings == ()


def test_a_plate_that_such_a_file_does_not_name_is_suspicious() -> None:
    found = read_map("- {file: m}", {"m": SEVERAL}, "P9")
    assert (found.rows, spoken(found)) == ({}, ["m: has no row of the plate 'P9' in Metadata_Plate"])


def test_a_map_that_names_one_other_plate_is_suspicious() -> None:
    text = "well,drug,Barcode\nA01,x,P7\n"
    assert spoken(read_one(text, imaged="A01")) == [
        "m: names the plate 'P7' in Barcode, and not 'P1'; is it this plate's map?"
    ]
    assert spoken(read_map("- {file: m}", {"m": text}, "P7", imaged="A01")) == []
    assert check("- {file: m}", {"m": text}, imaged="A01").warnings == ()


def test_a_column_with_library_plates_does_not_choose_rows() -> None:
    text = "well,drug,plate\nA01,x,L1\nA02,y,L2\n"
    assert len(read_one(text).rows) == 2
    assert read_one(text, ", columns: {barcode: plate}").rows == {}


# Joined tables


MAP = "well,broad_sample,solvent\nA01,K1,DMSO\nA02,,DMSO\nA03,K2,DMSO\n"
COMPOUNDS = "broad_sample\tpert_iname\tsolvent\tcontrol_type\nK1\ttaxol\twater\tposcon_cp\nNA\tDMSO\t\tnegcon\n"


def test_a_joined_table_says_more_of_each_treatment() -> None:
    found = read_map("- {file: m, join: c.tsv}", {"m": MAP, "c.tsv": COMPOUNDS}, imaged="A01-A03")
    assert [(row.treatment, row.control) for row in found.rows.values()] == [
        ("K1", "poscon"),
        ("DMSO", "negcon"),
        ("K2", "trt"),
    ]
    assert found.annotations["A01"] == {
        "broad_sample": "K1",
        "solvent": "DMSO",
        "pert_iname": "taxol",
        "control_type": "poscon_cp",
    }
    assert found.annotations["A02"]["pert_iname"] == "DMSO"
    assert spoken(found) == ["c.tsv: does not name 1 of the treatments in m: K2"]


def test_several_tables_are_joined_one_after_the_other_by_columns_of_any_name() -> None:
    files = {"m": MAP, "c.tsv": COMPOUNDS, "moa": "pert_iname,moa\ntaxol,tubulin\nDMSO,none\n"}
    maps = "- {file: m, join: [c.tsv, {file: moa, by: pert_iname}]}"
    assert read_map(maps, files).annotations["A01"]["moa"] == "tubulin"


def test_of_rows_for_one_treatment_the_one_that_agrees_with_the_map_is_taken() -> None:
    files = {"m": "well,drug,plate map\nA01,K1,C-2\nA02,K2,C-2\n"}
    files["c"] = "drug,plate map,batch\nK1,C-1,one\nK1,C-2,two\nK2,C-2,a\nK2,C-2,a\nK2,C-2,b\n"
    found = read_map("- {file: m, join: c}", files, imaged="A01-A02")
    assert [found.annotations[well]["batch"] for well in ("A01", "A02")] == ["two", "a"]
    assert spoken(found) == ["c line 5: says something else of what line 4 describes; line 4 is taken"]


def test_tables_that_cannot_be_joined_are_faults() -> None:
    files = {"m": MAP, "c": "name,moa\nK1,x\n"}
    sentences = {
        "- {file: m, join: c}": "c line 1: shares no column of treatments with m; it has name, moa; say which by `by`",
        "- {file: m, join: {file: c, by: nam}}": "c line 1: has no column 'nam' to join by; did you mean 'name'?",
        "- {file: m, join: d}": "d: does not exist beside experiment.yaml; put it there or correct plate_maps",
    }
    for maps, sentence in sentences.items():
        assert sentence in faults_in(maps, files)


# The real ones


def real(folder: Path, maps: str, plate: str, *, wells: int = 384, more: str = "") -> PlateMap:
    imaged = {384: "A01-P24", 96: "A01-H12"}[wells]
    experiment = declare(maps, wells=wells, imaged=imaged, more=more)
    return read_plate_map(lambda name: (folder / name).read_bytes(), experiment, plate)


@pytest.mark.parametrize(
    ("name", "treatments", "controls"),
    [
        ("JUMP-Target-1_compound", 307, {"trt": 260, "negcon": 64, "poscon": 60}),
        ("JUMP-Target-1_orf", 175, {"trt": 260, "negcon": 60, "poscon": 60, None: 4}),
        ("JUMP-Target-1_crispr", 335, {"trt": 260, "negcon": 60, "poscon": 60, None: 4}),
        ("JUMP-Target-2_compound", 307, {"trt": 260, "negcon": 64, "poscon": 60}),
    ],
)
def test_jump_target_maps_join_their_metadata(name: str, treatments: int, controls: dict[str | None, int]) -> None:
    require("shared")
    maps = f"- {{file: {name}_platemap.tsv, join: {name}_metadata.tsv}}"
    found = real(DATA / "platemaps_jump_target", maps, "any")
    assert len({row.treatment for row in found.rows.values() if row.treatment}) == treatments
    assert counts(found) == controls
    assert found.warnings == ()
    assert all(said["pert_type"] in ("trt", "control") for said in found.annotations.values() if "pert_type" in said)
    assert sum("pert_type" in said for said in found.annotations.values()) == 384 - controls.get(None, 0)


def test_lincs_batch_1_leaves_no_well_unmatched() -> None:
    require("shared")
    folder = DATA / "platemaps_lincs"
    batch = "2016_04_01_a549_48hr_batch1"
    measured = sorted((folder / "profiles" / "cell_count" / batch).iterdir())
    maps = f"- {{barcodes: platemaps/{batch}/barcode_platemap.csv, join: moa/{MOA}, annotations: [moa, Batch_Number]}}"
    solvent = 0
    for plate in measured:
        found = real(folder / "metadata", maps, plate.name)
        with (plate / f"{plate.name}_cell_count.csv").open() as file:
            wells = {row["Image_Metadata_Well"] for row in csv.DictReader(file)}
        assert wells - found.rows.keys() == set()
        assert found.warnings == ()
        solvent += counts(found)["negcon"]
    assert (len(measured), solvent) == (28, 672)
    last = real(folder / "metadata", maps, "SQ00015054")
    assert last.annotations["A01"]["Batch_Number"] == "4"


MOA = "repurposing_info_external_moa_map_resolved.tsv"


def test_every_batch_of_cpjump1_has_its_map_and_solvent_wells() -> None:
    require("shared")
    folder = DATA / "platemaps_cpjump1"
    files = sorted(path.relative_to(folder).as_posix() for path in folder.glob("platemaps/*/barcode_platemap.csv"))
    assert len(files) == 24
    for barcodes in (files[:1], files[-1:], files):
        maps = f"- {{barcodes: [{', '.join(barcodes)}], join: moa/cpjump1_compound_metadata.tsv}}"
        found = real(
            folder, maps, "BR00117017__2020-11-08T19_57_47-Measurement1", more="barcode: '^(?P<barcode>[^_]+)__'"
        )
        assert counts(found) == {"trt": 260, "negcon": 64, "poscon": 60}
        assert found.rows["A02"] == PlateMapRow("A02", "DMSO", None, None, "negcon")
        assert found.warnings == ()


@pytest.mark.parametrize(
    ("plate", "wells", "treatments"),
    [
        ("1", 8, {"WT", "Null"}),
        ("2", 32, {"WT", "Null"}),
        ("3", 72, {"WT", "HET", "Null"}),
        ("3_prime", 72, {"WT", "HET", "Null"}),
        ("4", 60, {"None", "Scramble", "NF1 Target 1", "NF1 Target 2"}),
        ("5", 72, {"WT", "HET", "Null"}),
    ],
)
def test_the_drifting_schemas_of_nf1_are_read_without_a_mapping(plate: str, wells: int, treatments: set[str]) -> None:
    require("shared")
    found = real(DATA / "platemaps_nf1", "- {barcodes: barcode_platemap.csv}", f"Plate_{plate}_nf1_analysis", wells=96)
    assert len(found.rows) == wells
    assert {row.treatment for row in found.rows.values()} == treatments
    assert all(annotations["genotype"] for annotations in found.annotations.values())
    mapped = "- {file: platemap_NF1_plate6.csv, columns: {control: genotype}, controls: {negcon: WT, trt: '*'}}"
    sixth = real(DATA / "platemaps_nf1", mapped, "Plate_6", wells=96)
    assert counts(sixth) == {"negcon": 20, "trt": 40}
    assert sixth.annotations["B02"]["Institution"] == "iNFixion"
