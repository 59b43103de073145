"""Loading into BigQuery through a stand-in on this machine: rows per second, and seconds from a record to its rows.

    load        one plate's tables through our loader, with names of jobs, checks and comparison, against the same
                Parquet files given to Google's client one after the other
    latency     from the record of a publication to its rows in a view, beside `platestream warehouse`

The stand-in answers within milliseconds where BigQuery takes seconds for a job: what is measured is our own work.
"""

from __future__ import annotations

import io
import tempfile
import threading
import time
from typing import Any

import pyarrow.parquet as pq
from google.cloud import bigquery

from benchmarks.results_file import measure, write_result
from imaging.store import open_store
from imaging.table_schema import table_of
from imaging.tables import TABLES
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.live import LiveLoader
from imaging.warehouse.publications import Loader, to_parquet
from imaging.warehouse.rounds import Rounds
from imaging.warehouse.schemas import LOADED, base_name
from tests.imaging import small_screen
from tests.standins.bigquery_jobs import BigQueryJobs

WELLS, SITES, CHANNELS, FEATURES = 308, 4, 6, 1_500
RUNS = 5
INTERVAL_S = 1.0


def write_plate(store: Any, number: int) -> dict[str, str]:
    """Write the tables of a plate of 7,392 images and 1,500 features, and its record."""
    plate = f"P{number}"
    place = {"experiment": "screen", "plate": plate, "recipe": small_screen.RECIPE, "run": f"run{number}"}
    wells = [f"{chr(65 + n // 24)}{n % 24 + 1:02d}" for n in range(WELLS)]
    sites = [{**place, "well": well, "site": site + 1, "state": "done"} for well in wells for site in range(SITES)]
    images = [
        {**row, "state": "arrived", "channel": f"C{n}", "FocusScore": 0.1 * n} for row in sites for n in range(CHANNELS)
    ]
    features = [f"Nuclei_Intensity_MeanIntensity_{n}" for n in range(FEATURES)]
    of_wells = [{**place, "well": well, **dict.fromkeys(features, 0.5 * n)} for n, well in enumerate(wells)]
    rows = {"images": images, "sites": sites, "plates": [{**place, "status": "complete"}]}
    files = {name: table_of(TABLES[name], found) for name, found in rows.items()}
    files["wells"] = table_of(TABLES["wells"], of_wells, features)
    keys = {}
    for name, table in files.items():
        keys[name] = f"{small_screen.results(plate)}published/000001-x/{name}.parquet"
        store.write(keys[name], to_parquet(table))
    return keys


def publish(store: Any, number: int, keys: dict[str, str]) -> None:
    """Write the record that makes a plate's tables count."""
    small_screen.record(store, 1, plate=f"P{number}", run=f"run{number}", tables=keys)


def load_bare(client: bigquery.Client, store: Any, keys: dict[str, str]) -> None:
    """Load a plate's Parquet files with Google's client alone."""
    options = bigquery.ParquetOptions()
    options.enable_list_inference = True
    config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND", parquet_options=options)
    for table in LOADED:
        if table.name in keys:
            data = store.read(keys[table.name])
            names = pq.read_schema(io.BytesIO(data)).names
            features = [name for name in names if name not in {column.name for column in table.columns}]
            target = f"lab.screens.{base_name(table, features)}"
            client.load_table_from_file(io.BytesIO(data), target, size=len(data), job_config=config).result()


def bench_load() -> dict[str, Any]:
    """Our loader against Google's client alone, on the same files."""
    with tempfile.TemporaryDirectory() as folder, BigQueryJobs() as server:
        store = open_store(folder)
        client = server.client()
        loader = Loader(Warehouse(client, "screens", pause_s=0.02), store)
        loader.prepare()
        plates = {number: write_plate(store, number) for number in range(RUNS + 1)}
        for number, keys in plates.items():
            publish(store, number, keys)
        loader.load_plate("screen", "P0")  # makes the version of wells
        rows = sum(pq.ParquetFile(io.BytesIO(store.read(key))).metadata.num_rows for key in plates[0].values())
        numbers = iter(range(1, RUNS + 1))
        ours = measure(lambda: loader.load_plate("screen", f"P{next(numbers)}"), runs=RUNS)
        bare = measure(lambda: load_bare(client, store, plates[0]), runs=RUNS)
    return {
        "rows_per_plate": rows,
        "feature_columns": FEATURES,
        "loader": ours,
        "reference_bare_client": bare,
        "rows_per_s": round(rows / ours["wall_median_s"]),
        "reference_rows_per_s": round(rows / bare["wall_median_s"]),
        "ratio_to_reference": round(ours["wall_median_s"] / bare["wall_median_s"], 2),
    }


def bench_latency() -> dict[str, Any]:
    """Seconds from a publication's record to its rows, with rounds every second."""
    with tempfile.TemporaryDirectory() as folder, BigQueryJobs() as server:
        store = open_store(folder)
        warehouse = Warehouse(server.client(), "screens", pause_s=0.02)
        rounds = Rounds(Loader(warehouse, store), LiveLoader(warehouse, store))
        plates = {number: write_plate(store, number) for number in range(RUNS)}
        rounds.round()  # finds the plates: new ones are looked for every ten minutes only
        stop = threading.Event()

        def keep() -> None:
            while not stop.wait(INTERVAL_S):
                rounds.round()

        thread = threading.Thread(target=keep)
        thread.start()
        try:
            numbers = iter(plates.items())
            seen = measure(lambda: _publish_and_wait(server, store, *next(numbers)), runs=RUNS)
        finally:
            stop.set()
            thread.join()
    return {"interval_s": INTERVAL_S, "from_record_to_rows": seen}


def _publish_and_wait(server: BigQueryJobs, store: Any, number: int, keys: dict[str, str]) -> None:
    publish(store, number, keys)
    sql = f"SELECT COUNT(*) AS n FROM screens.images WHERE plate = 'P{number}'"
    while server.tables.query(sql, {}).to_pylist() != [{"n": WELLS * SITES * CHANNELS}]:
        time.sleep(0.02)


def main() -> None:
    """Measure both and write the results."""
    print(write_result("warehouse", {"load": bench_load(), "latency": bench_latency()}).read_text())


if __name__ == "__main__":
    main()
