"""Which publication is exported, and its rows as Parquet and CSV."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imaging.acquisitions import decision_key
from imaging.errors import ConfigurationError, RefusedNameError, StoredDataError, StoreUnavailableError
from imaging.export import tabular
from imaging.export.forms import Export, refuse_overwriting
from imaging.export.selection import select_plates
from imaging.names import to_json
from imaging.platemaps import PlateMap
from imaging.store import Store
from tests.imaging import small_screen
from tests.imaging.small_export import HOSTILE, export, hostile_map, published
from tests.imaging.small_screen import AREA, RATIO, RECIPE


def read_csv(path: Path) -> list[dict[str, str]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return list(csv.DictReader(text.splitlines(keepends=True)))


# which publication


def test_the_newest_publication_of_each_plate_is_exported(folder_store):
    small_screen.publish(folder_store, 2, run="run2")
    small_screen.publish(folder_store, 10, run="run10")
    small_screen.publish(folder_store, 1, plate="P2")
    chosen = select_plates(folder_store, "screen")
    assert [(item.plate, item.number, item.record["run"]) for item in chosen.plates] == [
        ("P1", 10, "run10"),
        ("P2", 1, "run1"),
    ]
    assert chosen.remarks == ()


def test_plates_are_exported_in_the_order_they_are_named_each_once(folder_store):
    for plate in ("P1", "P2", "P3"):
        small_screen.publish(folder_store, plate=plate)
    assert [item.plate for item in select_plates(folder_store, "screen", ["P3", "P1", "P3"]).plates] == ["P3", "P1"]


def under(store: Store, recipe: str, *, published_at: str, plate: str = "P1") -> None:
    """A publication under another recipe."""
    key = f"results/screen/{plate}/{recipe}/publications/000001.json"
    record = {"run": recipe, "status": "complete", "published_at": published_at, "tables": {}}
    store.create(key, to_json(record | {"experiment": "screen", "plate": plate, "recipe": recipe, "number": 1}))


def test_the_declared_recipe_is_exported_though_another_is_newer(folder_store):
    declared = small_screen.experiment().recipe_id
    folder_store.write("experiments/screen/experiment.yaml", small_screen.YAML)
    under(folder_store, declared, published_at="2026-01-01T00:00:00+00:00")
    under(folder_store, "v9-99999999", published_at="2026-02-01T00:00:00+00:00")
    chosen = select_plates(folder_store, "screen")
    assert [item.recipe for item in chosen.plates] == [declared]
    assert chosen.remarks == ()


def test_a_plate_without_the_declared_recipe_is_exported_as_it_was_published_last_and_that_is_said(folder_store):
    folder_store.write("experiments/screen/experiment.yaml", small_screen.YAML)
    under(folder_store, "v7-77777777", published_at="2026-01-01T00:00:00+00:00")
    under(folder_store, "v9-99999999", published_at="2026-02-01T00:00:00+00:00")
    chosen = select_plates(folder_store, "screen")
    assert [item.recipe for item in chosen.plates] == ["v9-99999999"]
    declared = small_screen.experiment().recipe_id
    assert chosen.remarks == (f"P1: not published under the recipe {declared}, shown under v9-99999999",)


def promote(store: Store, number: int, recipe: str, instead_of: str) -> None:
    said = {"number": number, "recipe": recipe, "name": recipe[:2], "instead_of": instead_of, "because": ""}
    record = said | {"promoted_at": "2026-03-01T00:00:00+00:00", "declared": {}}
    store.create(f"experiments/screen/promotions/{number:06d}.json", to_json(record))


def test_the_recipe_that_was_promoted_last_and_that_the_plate_has_goes_before_the_declared_one(folder_store):
    declared = small_screen.experiment().recipe_id
    folder_store.write("experiments/screen/experiment.yaml", small_screen.YAML)
    promote(folder_store, 1, "v2-22222222", declared)
    promote(folder_store, 2, "v3-33333333", "v2-22222222")
    for plate, recipes in {"P1": [declared], "P2": [declared, "v2-22222222"], "P3": ["v3-33333333", declared]}.items():
        for day, recipe in enumerate(recipes, 1):
            under(folder_store, recipe, published_at=f"2026-01-0{day}T00:00:00+00:00", plate=plate)
    chosen = select_plates(folder_store, "screen")
    assert [item.recipe for item in chosen.plates] == [declared, "v2-22222222", "v3-33333333"]
    assert chosen.remarks == (
        f"P1: not published under the recipe v3-33333333, shown under {declared}",
        "P2: not published under the recipe v3-33333333, shown under v2-22222222",
    )


def test_experimental_results_are_exported_only_when_they_are_asked_for(folder_store):
    under(folder_store, "v1-11111111", published_at="2026-01-01T00:00:00+00:00")
    under(folder_store, "v1+experimental-99999999", published_at="2026-02-01T00:00:00+00:00")
    assert [item.recipe for item in select_plates(folder_store, "screen").plates] == ["v1-11111111"]
    asked = select_plates(folder_store, "screen", recipe="v1+experimental")
    assert [item.recipe for item in asked.plates] == ["v1+experimental-99999999"]


def test_of_a_plate_that_was_measured_twice_the_current_acquisition_is_exported_unless_another_is_named(folder_store):
    for plate in ("P1", "P1-again", "P2"):
        small_screen.publish(folder_store, plate=plate)
    listed = [{"plate": plate, "status": "complete", "first_image_at": 1.0} for plate in ("P1", "P1-again")]
    said = {"experiment": "screen", "barcode": "P1", "number": 1, "reason": "", "decided_by": "rule", "rule": "first"}
    decision = said | {"plate": "P1-again", "by_hand": None, "acquisitions": listed}
    folder_store.write(decision_key("screen", "P1", 1), to_json(decision | {"decided_at": "2026-03-01T00:00:00+00:00"}))
    chosen = select_plates(folder_store, "screen")
    assert [item.plate for item in chosen.plates] == ["P1-again", "P2"]
    assert chosen.remarks == ("P1: left out, as P1-again is the current acquisition of its barcode",)
    assert [item.plate for item in select_plates(folder_store, "screen", ["P1"]).plates] == ["P1"]


def test_without_a_declaration_several_recipes_are_said(folder_store):
    under(folder_store, "v7-77777777", published_at="2026-02-01T00:00:00+00:00")
    under(folder_store, "v9-99999999", published_at="2026-01-01T00:00:00+00:00")
    chosen = select_plates(folder_store, "screen")
    assert chosen.remarks == ("P1: published under several recipes, shown under the newest, v7-77777777",)


@pytest.mark.parametrize("asked", ["v7", "v7-77777777"])
def test_a_recipe_is_asked_for_with_or_without_its_hash(folder_store, asked):
    under(folder_store, "v7-77777777", published_at="2026-01-01T00:00:00+00:00")
    under(folder_store, "v9-99999999", published_at="2026-02-01T00:00:00+00:00")
    chosen = select_plates(folder_store, "screen", recipe=asked)
    assert [item.recipe for item in chosen.plates] == ["v7-77777777"]
    with pytest.raises(ConfigurationError, match="nothing is published") as caught:
        select_plates(folder_store, "screen", recipe="v8")
    assert caught.value.problems == (
        "P1: the plate is not published under the recipe v8; `platestream status` shows how far it is",
    )


def test_every_plate_that_cannot_be_exported_is_named_at_once(folder_store):
    small_screen.publish(folder_store)
    small_screen.publish(folder_store, plate="Plate7")
    small_screen.record(folder_store, 2, plate="P1", status="withdrawn")
    folder_store.write("results/screen/P4/v1-0123abcd/pins.json", b"{}")
    with pytest.raises(ConfigurationError, match="not all of these plates are published") as caught:
        select_plates(folder_store, "screen", ["P1", "P4", "Plate8", "Plate7"])
    assert caught.value.problems == (
        "P1: the plate is withdrawn",
        "P4: the plate is not published yet; `platestream status` shows how far it is",
        "Plate8: the experiment has no such plate; did you mean Plate7?",
    )


def test_plates_that_nobody_named_and_that_are_not_published_are_left_out_and_said(folder_store):
    small_screen.publish(folder_store)
    folder_store.write("results/screen/P4/v1-0123abcd/pins.json", b"{}")
    chosen = select_plates(folder_store, "screen")
    assert [item.plate for item in chosen.plates] == ["P1"]
    assert chosen.remarks == ("P4: the plate is not published yet; `platestream status` shows how far it is",)


def test_names_that_lead_elsewhere_and_empty_stores_are_refused(folder_store):
    with pytest.raises(RefusedNameError, match=r"the experiment name '\.\./x' is refused"):
        select_plates(folder_store, "../x")
    with pytest.raises(RefusedNameError, match=r"the plate name '\.\./x' is refused"):
        select_plates(folder_store, "screen", ["../x"])
    with pytest.raises(ConfigurationError, match="nothing is published"):
        select_plates(folder_store, "screen")


def test_a_record_that_lacks_entries_is_named(folder_store):
    key = f"{small_screen.results()}publications/000001.json"
    folder_store.create(key, b'{"run": "r", "status": "complete", "published_at": "2026-02-03T05:00:00Z"}')
    with pytest.raises(StoredDataError, match="record lacks experiment, plate, recipe, number") as caught:
        select_plates(folder_store, "screen")
    assert caught.value.key == key


# rows


def test_profiles_have_the_fields_names_and_the_published_values(store, tmp_path):
    (written,) = export(published(store), "parquet", tmp_path)
    assert written.path == tmp_path / "profiles" / "P1.parquet"
    table = pq.read_table(written.path)
    assert written.rows == table.num_rows == 6
    assert written.size == written.path.stat().st_size
    assert table.slice(2, 1).to_pylist() == [
        {
            "Metadata_experiment": "screen",
            "Metadata_Plate": "P1",
            "Metadata_recipe": RECIPE,
            "Metadata_run": "run1",
            "Metadata_Well": "A03",
            "Metadata_time_point": 1,
            "Metadata_row": "A",
            "Metadata_column": 3,
            "Metadata_treatment": "compound A03",
            "Metadata_concentration": 1.0,
            "Metadata_concentration_unit": "uM",
            "Metadata_control": "trt",
            "Metadata_sites_expected": 2,
            "Metadata_sites_done": 2,
            "Metadata_Count_Nuclei": 6,
            "Metadata_Count_Cells": 6,
            "Metadata_verdict": "pass",
            "Metadata_reasons": [],
            "Metadata_gene": "KIF11",
            "Metadata_moa": None,
            AREA: 317.0,
            RATIO: 2.0,
        }
    ]
    assert table.schema.field(AREA).metadata == {b"unit": b"px", b"description": b"number of pixels of the nucleus"}


def test_cells_have_what_the_plate_map_says_of_their_well(store, tmp_path):
    (written,) = export(published(store), "parquet", tmp_path, "cells")
    rows = pq.read_table(written.path).to_pylist()
    assert len(rows) == written.rows == 36
    assert {(row["Metadata_Well"], row["Metadata_treatment"], row["Metadata_control"]) for row in rows} == {
        ("A01", "DMSO", "negcon"),
        ("A02", "DMSO", "negcon"),
        ("A03", "compound A03", "trt"),
        ("B01", "compound B01", "poscon"),
        ("B02", "compound B02", "poscon"),
        ("B03", None, "empty"),
    }
    last = rows[-1]
    assert (last["Metadata_Site"], last["Metadata_ObjectNumber"], last[AREA], last[RATIO]) == (2, 3, 623.0, 2.5)
    assert rows[0][RATIO] is None


def annotated_map() -> PlateMap:
    """The plate map with columns of its own, one of them with the name of one of ours."""
    said = {"gene / target": "TP53", "moa": "p53 agonist", "control": "x", "Plate": "y", "well_position": "a01"}
    return PlateMap(small_screen.plate_map().rows, annotations={"A01": said, "A03": {"moa": "none"}})


@pytest.mark.parametrize(("what", "count"), [("profiles", 6), ("cells", 36), ("images", 24)])
def test_every_column_of_the_plate_map_is_exported(folder_store, tmp_path, what, count):
    (written,) = export(published(folder_store, plate_map=annotated_map()), "parquet", tmp_path, what)
    rows = pq.read_table(written.path).to_pylist()
    assert len(rows) == count
    found = {(row["Metadata_Well"], row["Metadata_gene_target"], row["Metadata_moa"]) for row in rows}
    assert {item for item in found if any(item[1:])} == {("A01", "TP53", "p53 agonist"), ("A03", None, "none")}
    assert {row["Metadata_control"] for row in rows if row["Metadata_Well"] == "A01"} == {"negcon"}
    assert {row["Metadata_Plate"] for row in rows} == {"P1"}
    assert list(rows[0]).index("Metadata_moa") < next(n for n, name in enumerate(rows[0]) if name[:9] != "Metadata_")


def test_every_column_of_the_plate_map_stands_in_that_of_the_gallery(folder_store, tmp_path):
    chosen = published(folder_store, plate_map=annotated_map())
    path = next(item.path for item in export(chosen, "cpg", tmp_path) if item.path.suffix == ".txt")
    header, first, *_ = (line.split("\t") for line in path.read_text().splitlines())
    assert dict(zip(header, first, strict=True)) == {
        "plate_map_name": "P1",
        "well_position": "A01",
        "treatment": "DMSO",
        "concentration": "",
        "concentration_unit": "",
        "control": "negcon",
        "gene / target": "TP53",
        "moa": "p53 agonist",
    }


@pytest.mark.parametrize("what", ["images", "image_features"])
def test_images_and_their_features_are_exported_too(folder_store, tmp_path, what):
    (written,) = export(published(folder_store), "parquet", tmp_path, what)
    row = pq.read_table(written.path).to_pylist()[-1]
    shown = (row["Metadata_Well"], row["Metadata_Site"], row["Metadata_channel"], row["Metadata_control"])
    assert shown == ("B03", 2, "RNA", "empty")
    feature, value = ("FocusScore", 0.02) if what == "images" else (small_screen.IMAGE_MEAN, 0.5)
    assert row[feature] == value
    assert row.get("Metadata_verdict") == "pass"


def test_csv_holds_the_same_with_lists_joined_and_nulls_empty(folder_store, tmp_path):
    saturated = small_screen.manifest("A01", 1)
    saturated["image_metrics"][0]["PercentSaturated"] = 12.5
    saturated["image_metrics"][1]["PercentSaturated"] = 2.5
    chosen = published(folder_store, manifests=(saturated, *small_screen.manifests()[1:]))
    for form in ("csv", "csv.gz"):
        (written,) = export(chosen, form, tmp_path)
        rows = read_csv(written.path)
        assert written.path.name == f"P1.{form}"
        assert len(rows) == written.rows == 6
        assert rows[0]["Metadata_concentration"] == ""
        assert rows[0]["Metadata_reasons"].count("; ") == 1
        assert float(rows[0][AREA]) == 117.0
    (written,) = export(chosen, "csv", tmp_path, "cells")
    assert read_csv(written.path)[0][RATIO] == ""


def test_texts_of_plate_maps_come_back_from_csv_as_they_were(folder_store, tmp_path):
    (written,) = export(published(folder_store, plate_map=hostile_map()), "csv", tmp_path)
    assert tuple(row["Metadata_treatment"] for row in read_csv(written.path)) == HOSTILE


def test_a_plate_without_objects_is_exported_without_features(folder_store, tmp_path):
    none = {"feature_descriptions": [], "read_part": lambda record, entry: small_screen.read_part(record).slice(0, 0)}
    plain = tuple({**item, "part": None, "image_part": None} for item in small_screen.manifests())
    chosen = published(folder_store, **none, manifests=plain)
    for what, count in (("profiles", 6), ("cells", 0)):
        (written,) = export(chosen, "parquet", tmp_path, what)
        table = pq.read_table(written.path)
        assert table.num_rows == written.rows == count
        assert all(name.startswith("Metadata_") for name in table.column_names)
        assert "Metadata_control" in table.column_names
        (written,) = export(chosen, "csv", tmp_path, what)
        assert len(read_csv(written.path)) == count


def test_statistics_of_wells_are_described_like_their_feature(folder_store, tmp_path):
    yaml = small_screen.YAML.replace(b"analysis:\n", b"analysis:\n  wells: [median, mad]\n")
    chosen = published(folder_store, experiment=small_screen.experiment(yaml))
    (written,) = export(chosen, "parquet", tmp_path)
    fields = pq.read_schema(written.path)
    assert fields.field(f"MAD_{AREA}").metadata == fields.field(AREA).metadata


def test_row_groups_are_gathered_up_to_a_size():
    block = pa.table({"x": pa.array(np.zeros(100))})
    sizes = [group.num_rows for group in tabular.gathered([block, block.slice(0, 0), block, block], 1000)]
    assert sizes == [200, 100]


# faults


def test_nothing_is_overwritten_unless_asked(folder_store, tmp_path):
    chosen = published(folder_store)
    for form in ("parquet", "cpg", "xlsx"):
        export(chosen, form, tmp_path)
        with pytest.raises(ConfigurationError, match=r"these files are there already: .*P1.*; replace them by --force"):
            refuse_overwriting(_exporter(form, tmp_path), [chosen])
    refuse_overwriting(_exporter("csv", tmp_path), [chosen])


def _exporter(form: str, out: Path) -> Export:
    from imaging.export.gallery import Gallery

    return Export(form, "profiles", out, Gallery(out, "cpg", "b1") if form == "cpg" else None)


@pytest.mark.parametrize("form", ["parquet", "csv", "csv.gz", "anndata"])
def test_an_export_that_fails_leaves_what_was_there(folder_store, tmp_path, form):
    chosen = published(folder_store)
    (written,) = export(chosen, form, tmp_path, "cells")
    before = written.path.read_bytes()
    path = folder_store.local_path(chosen.key("cells"))
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)  # the footer is whole, the values are not
    path.write_bytes(data)
    with pytest.raises(StoredDataError, match="a published table cannot be read"):
        export(chosen, form, tmp_path, "cells")
    assert [item.name for item in written.path.parent.iterdir()] == [written.path.name]
    assert written.path.read_bytes() == before


def test_tables_that_are_gone_or_never_were_are_named(store, tmp_path):
    chosen = published(store)
    store.delete(chosen.key("cells"))
    with pytest.raises(StoredDataError, match="a published table is gone") as caught:
        export(chosen, "parquet", tmp_path, "cells")
    assert (caught.value.plate, caught.value.key) == ("P1", chosen.key("cells"))
    del chosen.record["tables"]["image_features"]
    with pytest.raises(StoredDataError, match="has no table image_features: it is of older software"):
        export(chosen, "parquet", tmp_path, "image_features")


def test_folders_that_cannot_be_are_refused(folder_store, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="is a file; give a folder"):
        Export("csv", "profiles", tmp_path / "file")
    with pytest.raises(StoreUnavailableError, match="cannot be made: Not a directory; choose another --out"):
        export(published(folder_store), "csv", tmp_path / "file" / "out")


def test_forms_that_hold_wells_take_no_cells(tmp_path):
    for form in ("cpg", "xlsx"):
        with pytest.raises(ConfigurationError, match=f"the format {form} holds profiles; export cells as parquet"):
            Export(form, "cells", tmp_path)
