"""Our tables, loads and views on bqemulator, another BigQuery than the one that our own stand-in is."""

from __future__ import annotations

from datetime import UTC, datetime

from imaging.acquisitions import decision_key
from imaging.names import to_json
from imaging.query import run_query
from imaging.store import FolderStore
from imaging.views import view_names
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.live import LiveLoader
from imaging.warehouse.publications import Loader
from imaging.warehouse.rounds import Rounds
from imaging.warehouse.schemas import LOADED
from tests.imaging import small_screen
from tests.imaging.small_screen import AREA, manifest, publish, write_manifest
from tests.imaging.test_warehouse_publications import areas
from tests.standins.bigquery import BigQueryStandIn

NOW = datetime(2026, 2, 3, 12, tzinfo=UTC).timestamp()


def test_publications_and_plates_in_progress_are_shown_on_bqemulator_as_on_duckdb(
    bigquery: BigQueryStandIn, folder_store: FolderStore
) -> None:
    publish(folder_store, 1)
    publish(folder_store, 2, run="run2", manifests=tuple(small_screen.manifests()[:4]))
    publish(folder_store, 1, plate="P2", run="r2", feature_descriptions=[small_screen.FEATURES[0]], read_part=areas)
    write_manifest(folder_store, manifest("A01", 1, plate="P3"))
    publish(folder_store, 1, plate="P4", run="r4", barcode="P2", first_image_at=1.5e9)
    publish(folder_store, 1, plate="P5", run="r5", barcode="P2", first_image_at=1.6e9)
    for number, plate in enumerate(("P5", "P4"), start=1):
        listed = [{"plate": name, "status": "complete", "first_image_at": 1.5e9} for name in ("P4", "P5")]
        decided = {"experiment": "screen", "barcode": "P2", "number": number, "plate": plate, "reason": "so"}
        decided |= {"decided_by": "Ada", "decided_at": "2026-02-03T05:00:00Z", "rule": None, "by_hand": None}
        folder_store.create(decision_key("screen", "P2", number), to_json(decided | {"acquisitions": listed}))
    warehouse = Warehouse(bigquery.client(), "warehouse")
    try:
        sent = Rounds(Loader(warehouse, folder_store), LiveLoader(warehouse, folder_store)).round(NOW)
        assert sent == {"image_metrics_live": 2, "site_metrics_live": 1}
        names = [table.name for table in LOADED] + ["plate_runs", "images_live", "sites_live"]
        names += ["fault_records", "acquisition_decisions"]
        for name in [*names, *view_names()]:
            sql = f"SELECT COUNT(*) AS n FROM {name}"
            theirs = warehouse.ask(sql.replace(name, f"warehouse.{name}"))
            assert theirs == run_query(folder_store, sql).to_pylist(), name
        (row,) = warehouse.ask(f"SELECT {AREA} AS area FROM warehouse.wells WHERE plate = 'P2' AND well = 'A01'")
        assert row == {"area": 9.0}
        shown = warehouse.ask("SELECT DISTINCT plate FROM warehouse.sites ORDER BY plate")
        assert [row["plate"] for row in shown] == ["P1", "P2", "P4"]
    finally:
        warehouse.client.delete_dataset("warehouse", delete_contents=True)
