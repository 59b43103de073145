"""The main job on Google Cloud: images into a bucket, rows out of BigQuery, Prefect and Dask real in between."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flows.demo import EXPERIMENT, PLATE
from flows.google import open_data_store
from imaging.query import run_query
from tests.cloud.lab import Lab
from tests.parts import require
from tests.standins.messages import Disorder


def test_a_plate_goes_from_the_bucket_to_rows_of_bigquery(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require("bqemulator")
    with Lab(tmp_path, rows="A") as lab:
        images = lab.upload(disorder=Disorder(copies=2, spread_s=1.0))
        uploaded = time.time()
        (plate,) = lab.wait_for("SELECT * FROM plate_overview WHERE status = 'complete'")
        seen = time.time()
        assert (plate["experiment"], plate["plate"]) == (EXPERIMENT, PLATE)
        assert (plate["images_arrived"], plate["sites_done"]) == (images, 12)
        store = open_data_store(lab.settings)
        for table in ("images", "sites", "wells", "plates", "site_runs", "well_heatmap"):
            (counted,) = lab.query(f"SELECT COUNT(*) AS n FROM {table}")
            assert counted["n"] == run_query(store, f"SELECT COUNT(*) AS n FROM {table}")["n"][0].as_py(), table
        ratio = "Cells_Intensity_NucleusCytoplasmRatio_GFP"
        sql = f"SELECT well, concentration, nuclei_count, {ratio} AS ratio FROM wells ORDER BY well"
        rows = lab.query(sql)
        assert rows == run_query(store, sql).to_pylist()
        (runs,) = lab.query("SELECT COUNT(*) AS n FROM plate_runs_all")
        (cost,) = lab.query("SELECT SUM(cost) AS usd FROM site_runs")
        assert cost["usd"] > 0
    with capsys.disabled():
        counts = lab.backlog.counts
        print(f"\n{images} images uploaded, messages {counts}, {runs['n']} publication(s) in BigQuery")
        print(f"last upload to the plate's row: {seen - uploaded:.1f} s; cost {cost['usd']:.5f} USD")
