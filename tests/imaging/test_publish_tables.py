"""The Parquet files of a publication, read back."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imaging import publish_cells
from imaging.errors import StoredDataError
from imaging.publication_inputs import collect_sites
from imaging.publish_tables import write_tables
from imaging.rules import IMAGE_METRICS
from imaging.store import Store
from imaging.table_schema import arrow_schema
from imaging.tables import PUBLISHED, TABLES
from tests.imaging import small_screen
from tests.imaging.small_screen import AREA, IMAGE_MEAN, RATIO, WELLS

FOLDER = "results/screen/P1/v1/published/000001-fresh"


def read(store: Store, key: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(store.read(key)))


def written(store: Store, **changes: Any) -> dict[str, pa.Table]:
    keys = write_tables(store, FOLDER, small_screen.inputs(**changes))
    return {name: read(store, key) for name, key in keys.items()}


def by_well(table: pa.Table) -> dict[str, dict[str, Any]]:
    return {row["well"]: row for row in table.to_pylist()}


def part_with(**columns: list[Any]):
    def read(manifest: dict[str, Any], entry: str) -> pa.Table:
        """Cells with these columns; images without features."""
        given = columns if entry == "part" else {"channel": ["DNA"]}
        return pa.table({name: pa.array(values) for name, values in given.items()})

    return read


def test_every_table_is_one_file_under_the_folder_with_its_declared_schema(store):
    keys = write_tables(store, FOLDER + "/", small_screen.inputs())
    assert keys == {table.name: f"{FOLDER}/{table.name}.parquet" for table in PUBLISHED}
    assert sorted(keys.values()) == [item.key for item in store.list(FOLDER).objects]
    for name, key in keys.items():
        table = read(store, key)
        features = [IMAGE_MEAN] if name == "image_features" else (AREA, RATIO)
        assert table.schema.equals(arrow_schema(TABLES[name], features), check_metadata=False)
        place = {tuple(row[column] for column in ("experiment", "plate", "recipe", "run")) for row in table.to_pylist()}
        assert place <= {("screen", "P1", small_screen.RECIPE, "run1")}
    rows = {name: read(store, key).num_rows for name, key in keys.items()}
    assert rows == {
        "images": 24,
        "sites": 12,
        "wells": 6,
        "well_annotations": 3,
        "plates": 1,
        "plate_metrics": 2 * len(IMAGE_METRICS) + 2,
        "statistics": 1,
        "features": 3,
        "faults": 0,
        "decisions": 0,
        "cells": 36,
        "image_features": 24,
        "illumination": 2,
        "site_runs": 12,
        "suspicions": 0,
    }


def test_annotations_of_the_plate_map_have_a_row_per_well_and_name(store):
    keys = write_tables(store, FOLDER, small_screen.inputs())
    rows = read(store, keys["well_annotations"]).to_pylist()
    assert [(row["well"], row["name"], row["value"]) for row in rows] == [
        ("A02", "gene", "PLK1"),
        ("A02", "moa", "mitosis"),
        ("A03", "gene", "KIF11"),
    ]
    without = write_tables(store, "other", small_screen.inputs(plate_map=None))
    assert read(store, without["well_annotations"]).num_rows == 0


def test_same_inputs_give_the_same_bytes_in_any_order_of_sites(folder_store):
    faults = (
        {"kind": "unknown", "name": "a.txt", "reason": "r", "well": None, "site": None, "channel": None},
        {"kind": "duplicate", "name": "b.tif", "reason": "r", "well": "A01", "site": 1, "channel": "DNA"},
    )
    manifests = tuple(small_screen.manifests())
    one = write_tables(folder_store, "one", small_screen.inputs(faults=faults))
    two = write_tables(folder_store, "two", small_screen.inputs(faults=faults[::-1], manifests=manifests[::-1]))
    for name in one:
        assert folder_store.read(one[name]) == folder_store.read(two[name]), name


def row_groups(store: Store) -> list[set[str]]:
    """Wells of each row group of cells."""
    keys = write_tables(store, FOLDER, small_screen.inputs())
    file = pq.ParquetFile(pa.BufferReader(store.read(keys["cells"])))
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    return [set(file.read_row_group(index)["well"].to_pylist()) for index in range(file.num_row_groups)]


def test_row_groups_of_cells_hold_whole_wells_in_plate_order(folder_store, monkeypatch):
    assert row_groups(folder_store) == [set(WELLS)]
    monkeypatch.setattr(publish_cells, "ROW_GROUP_BYTES", 700)
    assert row_groups(folder_store) == [{"A01", "A02"}, {"A03", "B01"}, {"B02", "B03"}]
    monkeypatch.setattr(publish_cells, "ROW_GROUP_BYTES", 1)
    assert row_groups(folder_store) == [{well} for well in WELLS]


def test_cells_are_written_before_those_of_the_next_row_group_are_read(folder_store, monkeypatch):
    monkeypatch.setattr(publish_cells, "ROW_GROUP_BYTES", 1)
    sizes: list[int] = []
    path = folder_store.local_path(f"{FOLDER}/cells.parquet")

    def read_part(manifest: dict[str, Any], entry: str) -> pa.Table:
        if entry == "part":
            sizes.append(path.stat().st_size)
        return small_screen.read_part(manifest, entry)

    written(folder_store, read_part=read_part)
    assert len(sizes) == 12
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] < sizes[10]


def test_cells_hold_the_values_of_the_parts_with_null_for_nan(folder_store):
    cells = written(folder_store)["cells"].to_pylist()
    first = cells[0]
    assert (first["well"], first["site"], first["ObjectNumber"], first[AREA], first[RATIO]) == ("A01", 1, 1, 111, None)
    assert [row[AREA] for row in cells if row["well"] == "B03"] == [611, 612, 613, 621, 622, 623]
    assert cells[1][RATIO] == 1.5


def test_features_a_site_was_not_measured_for_are_null(folder_store):
    tables = written(folder_store, read_part=part_with(ObjectNumber=[1, 2], **{AREA: [5.0, 7.0]}))
    assert tables["cells"].column(RATIO).null_count == 24
    assert by_well(tables["wells"])["A01"][AREA] == 6.0
    assert by_well(tables["wells"])["A01"][RATIO] is None


@pytest.mark.parametrize("odd", ["Nuclei_Unheard_Of", "well", "run"])
def test_columns_that_no_description_explains_are_refused(folder_store, odd):
    read_part = part_with(ObjectNumber=[1], **{odd: ["x"]})
    with pytest.raises(StoredDataError, match=f"columns that the recipe does not describe: {odd}") as caught:
        written(folder_store, read_part=read_part)
    assert (caught.value.plate, caught.value.well, caught.value.site) == ("P1", "A01", 1)


def test_wells_hold_the_median_over_the_cells_of_all_their_sites(folder_store):
    wells = by_well(written(folder_store)["wells"])
    assert list(wells) == list(WELLS)
    assert wells["A01"][AREA] == (113 + 121) / 2
    assert wells["A01"][RATIO] == (1.5 + 2.5) / 2
    assert (wells["A01"]["nuclei_count"], wells["A01"]["treatment"], wells["A01"]["control"]) == (6, "DMSO", "negcon")
    assert (wells["A03"]["concentration"], wells["A03"]["concentration_unit"]) == (1.0, "uM")


def test_site_that_measured_no_cells_is_no_obstacle(folder_store):
    manifests = [*small_screen.manifests()[1:], small_screen.manifest("A01", 1, nuclei=0, part=None)]
    tables = written(folder_store, manifests=tuple(manifests))
    assert by_well(tables["wells"])["A01"][AREA] == 122
    assert tables["cells"].num_rows == 33


def test_recipe_without_features_gives_tables_without_them(folder_store):
    tables = written(folder_store, feature_descriptions=[], read_part=part_with())
    assert tables["wells"].column_names[-1] == "reasons"
    assert (tables["cells"].num_rows, tables["features"].num_rows) == (0, 0)


def test_statistics_are_those_of_the_control_wells_medians(folder_store):
    tables = written(folder_store)
    row = tables["statistics"].to_pylist()[0]
    z_prime = 1 - 3 * 2 * math.sqrt(5000) / 300
    assert (row["feature"], row["n_negcon"], row["n_poscon"], row["reason"]) == (AREA, 2, 2, None)
    assert row["z_prime"] == pytest.approx(z_prime)
    assert row["ssmd"] == pytest.approx(300 / math.sqrt(10000))
    plate = tables["plates"].to_pylist()[0]
    assert (plate["z_prime"], plate["z_prime_feature"]) == (row["z_prime"], AREA)


def test_statistics_of_a_feature_that_the_recipe_does_not_measure_say_so(folder_store):
    two = b"[Nuclei_AreaShape_Eccentricity, Nuclei_AreaShape_Area]"
    text = small_screen.YAML.replace(b"[Nuclei_AreaShape_Area]", two)
    tables = written(folder_store, experiment=small_screen.experiment(text))
    unknown, known = tables["statistics"].to_pylist()
    assert (unknown["z_prime"], unknown["reason"]) == (None, "wells has no such column under this recipe")
    assert known["z_prime"] is not None
    assert tables["plates"].to_pylist()[0]["z_prime_feature"] == "Nuclei_AreaShape_Eccentricity"


def test_plate_without_statistics_or_plate_map_has_null_for_both(folder_store):
    text = small_screen.YAML.replace(b"statistics: [Nuclei_AreaShape_Area]", b"statistics: []")
    tables = written(folder_store, experiment=small_screen.experiment(text), plate_map=None)
    assert tables["statistics"].num_rows == 0
    plate = tables["plates"].to_pylist()[0]
    assert (plate["z_prime"], plate["z_prime_feature"]) == (None, None)
    assert tables["wells"].column("control").null_count == 6


def test_limits_of_the_declaration_decide_the_verdicts(folder_store):
    item = small_screen.manifest("A01", 1)
    item["image_metrics"][0]["PercentSaturated"] = 2.5
    tables = written(folder_store, manifests=(item, *small_screen.manifests()[1:]))
    reason = "DNA in A01 site 1: 2.5 % of pixels are saturated (limit 1 %)"
    for name in ("images", "sites", "wells", "plates"):
        rows = tables[name].to_pylist()
        assert [row["reasons"] for row in rows if row["verdict"] == "warn"] == [[reason]], name
        assert {row["verdict"] for row in rows[1:]} <= {"pass"}


def test_empty_control_well_may_have_no_nuclei(folder_store):
    manifests = [small_screen.manifest(well, 1, nuclei=0) for well in ("B02", "B03")]
    wells = by_well(written(folder_store, manifests=tuple(manifests))["wells"])
    assert "B02 site 1: no nuclei were found" in wells["B02"]["reasons"]
    assert not any("nuclei" in reason for reason in wells["B03"]["reasons"])


def test_sites_end_done_failed_or_missing_and_expected_ones_are_never_left_out():
    inputs = small_screen.inputs(
        manifests=(small_screen.manifest("A02", 1),),
        failed=({"well": "A01", "site": 2, "reason": "out of memory"},),
        missing_sites=(("A01", 1),),
        faults=({"kind": "unreadable", "name": "x", "reason": "r", "well": "A01", "site": 1, "channel": "DNA"},),
        decisions=({"kind": "missing", "well": "A01", "site": 2, "channel": "RNA", "by": "patience", "reason": "r"},),
    )
    first, second, third, fourth, *rest = collect_sites(inputs)
    assert (first.well, first.site, first.state, first.faulted) == ("A01", 1, "missing", {"DNA"})
    assert (second.state, second.reason, second.missing) == ("failed", "out of memory", {"RNA"})
    assert (third.state, third.manifest) == ("done", inputs.manifests[0])
    assert fourth.state == "missing"
    assert len(rest) == 8


def test_files_that_are_no_images_make_no_image_faulted():
    faults = [{"kind": "duplicate", "name": "x", "reason": "r", "well": "A01", "site": 1, "channel": "DNA"}]
    assert collect_sites(small_screen.inputs(faults=tuple(faults)))[0].faulted == frozenset()


def test_faults_decisions_and_failures_are_told_in_words(folder_store):
    tables = written(
        folder_store,
        manifests=tuple(small_screen.manifests()[2:]),
        failed=({"well": "A01", "site": 2, "reason": "out of memory"},),
        missing_sites=(("A01", 1),),
        faults=(
            {"kind": "unreadable", "name": "a.tif", "reason": "cut off", "well": "A01", "site": 1, "channel": "DNA"},
            {"kind": "unknown", "name": "notes.txt", "reason": "no image", "well": None, "site": None, "channel": None},
        ),
        decisions=({"kind": "missing", "well": "A01", "site": 1, "channel": "RNA", "by": "Ada", "reason": "lost"},),
        is_declared=False,
    )
    faults = tables["faults"].to_pylist()
    assert [(row["name"], row["kind"], row["well"]) for row in faults] == [
        ("notes.txt", "unknown", None),
        ("a.tif", "unreadable", "A01"),
    ]
    decision = tables["decisions"].to_pylist()[0]
    assert (decision["kind"], decision["channel"], decision["decided_by"], decision["reason"]) == (
        "missing",
        "RNA",
        "Ada",
        "lost",
    )
    assert [row["state"] for row in tables["images"].to_pylist()][:4] == ["faulted", "missing", "arrived", "arrived"]
    site = tables["sites"].to_pylist()[1]
    assert site["reasons"] == ["A01 site 2: the site could not be processed: out of memory"]
    plate = tables["plates"].to_pylist()[0]
    assert (plate["status"], plate["is_declared"], plate["sites_failed"], plate["sites_missing"]) == (
        "with-missing",
        False,
        1,
        1,
    )


def test_provenance_stands_in_site_runs(folder_store):
    row = written(folder_store)["site_runs"].to_pylist()[0]
    assert (row["well"], row["site"], row["inputs"], row["content"]) == ("A01", 1, "A011in", "A011content")
    assert row["started_at"].isoformat() == "2026-02-03T04:05:06.500000+00:00"
    assert (row["seconds"], row["cpu_seconds"]) == (1.5, 1.25)
    assert (row["host"], row["software"], row["device"]) == ("worker-1", "0.1", "cpu")
    assert (row["environment"], row["place"]) == ("gcp", "europe-west4")
    assert (row["machine_seconds"], row["price_per_hour"], row["cost"]) == (1.2, 0.6, 0.0002)
    assert row["versions"] == "python 3.11.7, numpy 2.3.1"
    assert (row["part_key"], row["zarr_group"]) == ("parts/A01-1.arrow", "A/1/s1x1")


def test_features_are_explained(folder_store):
    area, ratio, mean = written(folder_store)["features"].to_pylist()
    assert (mean["feature"], mean["objects"], mean["channel"]) == (IMAGE_MEAN, "Image", None)
    assert (area["feature"], area["family"], area["objects"], area["channel"]) == (AREA, "AreaShape", "Nuclei", None)
    assert (area["unit"], area["definition"]) == ("px", "number of pixels of the nucleus")
    assert (ratio["feature"], ratio["channel"]) == (RATIO, "RNA")


def test_features_of_images_have_a_row_per_image(folder_store):
    manifests = [small_screen.manifest("A01", 1), small_screen.manifest("A01", 2, missing=["RNA"])]
    rows = written(folder_store, manifests=tuple(manifests))["image_features"].to_pylist()
    place = [(row["well"], row["site"], row["channel"], row[IMAGE_MEAN]) for row in rows]
    assert place == [("A01", 1, "DNA", 0.25), ("A01", 1, "RNA", 0.25), ("A01", 2, "DNA", 0.5)]


def test_wells_hold_the_statistics_that_the_declaration_asks_for(folder_store):
    text = small_screen.YAML.replace(b"analysis:", b"analysis:\n  wells: [median, mean, mad, count]")
    wells = by_well(written(folder_store, experiment=small_screen.experiment(text))["wells"])
    assert (wells["A01"][AREA], wells["A01"][f"Mean_{AREA}"]) == (117, 117)
    assert (wells["A01"][f"MAD_{AREA}"], wells["A01"][f"Count_{AREA}"], wells["A01"][f"Count_{RATIO}"]) == (5, 6, 4)
