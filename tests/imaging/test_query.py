"""SQL over real Parquet files: what is shown, what is current, what a query may not do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imaging.errors import PlateError, StoredDataError
from imaging.names import to_json
from imaging.query import QueryError, connect, run_query
from imaging.store import open_store
from imaging.tables import PUBLISHED, TABLES
from imaging.views import table_names
from tests.imaging import small_screen
from tests.imaging.small_screen import AREA, RATIO, RECIPE, ask, publish, record, values

SQL_FILES = sorted((Path(__file__).parents[2] / "imaging" / "sql").glob("*.sql"))


def test_every_table_and_view_is_there_and_empty_in_an_empty_store(folder_store):
    with connect(folder_store) as connection:
        for name in table_names():
            assert connection.sql(f'SELECT * FROM "{name}"').fetchall() == [], name
        described = connection.sql("SELECT * FROM wells_all").columns
        assert described == [column.name for column in TABLES["wells"].columns]


def test_published_rows_can_be_asked_for_on_any_store(store):
    publish(store)
    assert ask(store, "SELECT COUNT(*) AS n, SUM(nuclei_count) AS nuclei FROM wells") == [{"n": 6, "nuclei": 36}]
    assert values(store, f"SELECT {AREA} FROM wells WHERE well = 'A01'") == [117.0]
    assert values(store, "SELECT COUNT(*) FROM cells WHERE site = 2") == [18]
    assert ask(store, "SELECT experiment, plate, recipe, run, number, status, is_current FROM plate_runs") == [
        {
            "experiment": "screen",
            "plate": "P1",
            "recipe": RECIPE,
            "run": "run1",
            "number": 1,
            "status": "complete",
            "is_current": True,
        }
    ]
    moment = values(store, "SELECT published_at FROM plate_runs")[0]
    assert moment.isoformat() == "2026-02-03T05:00:00+00:00"


@pytest.mark.parametrize("table", [table.name for table in PUBLISHED])
def test_every_published_table_can_be_asked_for(screen, table):
    assert len(ask(screen, f"SELECT * FROM {table}")) == len(ask(screen, f"SELECT * FROM {table}_all"))
    assert ask(screen, f"SELECT run FROM {table} LIMIT 1") == [{"run": "run1"}]


def test_only_the_newest_publication_of_a_plate_is_shown(store):
    publish(store, 1)
    publish(store, 2, run="run2", manifests=tuple(small_screen.manifests()[:4]))
    assert values(store, "SELECT DISTINCT run FROM sites") == ["run2"]
    assert values(store, "SELECT COUNT(*) FROM sites WHERE state = 'done'") == [4]
    assert values(store, "SELECT COUNT(*) FROM sites_all") == [24]
    assert values(store, "SELECT number FROM plate_runs WHERE is_current") == [2]


def test_publications_are_ordered_by_number_and_not_by_name(folder_store):
    publish(folder_store, 2, run="run2")
    publish(folder_store, 10, run="run10")
    assert values(folder_store, "SELECT DISTINCT run FROM wells") == ["run10"]


def test_withdrawn_plate_is_hidden_and_the_others_stay(folder_store):
    publish(folder_store, 1)
    publish(folder_store, 1, plate="P2", run="other")
    record(folder_store, 2, status="withdrawn")
    assert values(folder_store, "SELECT DISTINCT plate FROM wells") == ["P2"]
    assert values(folder_store, "SELECT plate FROM plate_overview") == ["P2"]
    assert values(folder_store, "SELECT COUNT(*) FROM wells_all WHERE plate = 'P1'") == [6]


def test_run_that_was_published_withdrawn_and_published_again_is_shown_once(store):
    publish(store, 1)
    record(store, 2, status="withdrawn")
    keys = publish(store, 3)
    assert "000003" in keys["wells"]
    assert values(store, "SELECT COUNT(*) FROM wells") == [6]
    assert values(store, "SELECT COUNT(*) FROM wells_all") == [6]
    assert values(store, "SELECT COUNT(*) FROM plate_overview") == [1]


def test_recipes_of_a_plate_stand_side_by_side(folder_store):
    publish(folder_store)
    keys = publish(folder_store, 2, run="r2")
    other = small_screen.results("P1").replace(RECIPE, "v2-99999999")
    content = {"number": 1, "run": "r2", "status": "complete", "experiment": "screen", "plate": "P1"}
    content |= {"recipe": RECIPE, "published_at": "2026-02-03T05:00:00Z", "tables": keys}
    folder_store.create(f"{other}publications/000001.json", to_json(content | {"recipe": "v2-99999999"}))
    assert values(folder_store, "SELECT COUNT(*) FROM plate_runs WHERE is_current") == [2]


def test_plates_with_different_features_are_joined_by_name(store):
    publish(store, 1)
    only_area = {"feature_descriptions": [small_screen.FEATURES[0]], "read_part": _areas}
    publish(store, 1, plate="P2", run="other", **only_area)
    rows = ask(store, f"SELECT plate, {AREA} AS area, {RATIO} AS ratio FROM wells WHERE well = 'A01' ORDER BY plate")
    assert [(row["plate"], row["ratio"]) for row in rows] == [("P1", 2.0), ("P2", None)]
    assert rows[1]["area"] == 9.0


def _areas(manifest: dict[str, Any], entry: str) -> pa.Table:
    if entry == "image_part":
        return pa.table({"channel": ["DNA"]})
    return pa.table({"ObjectNumber": [1], AREA: [9.0]})


def test_publications_of_older_software_lack_tables_and_columns_without_harm(folder_store):
    keys = publish(folder_store, 1)
    old = {name: key for name, key in keys.items() if name != "statistics"}
    record(folder_store, 1, plate="P9", run="old", tables=old)
    assert values(folder_store, "SELECT COUNT(*) FROM statistics") == [1]
    bare = pa.table({name: ["x"] for name in ("experiment", "plate", "recipe", "run", "kind")})
    path = folder_store.local_path(keys["faults"])
    pq.write_table(bare, path)
    assert ask(folder_store, "SELECT kind, well, site FROM faults_all") == [{"kind": "x", "well": None, "site": None}]


@pytest.mark.parametrize("name", ["a[b]*c?", "o'clock", 'a "b"', "späte Platten"])
def test_folders_may_have_odd_names(tmp_path, name):
    store = open_store(str(tmp_path / name))
    publish(store)
    assert values(store, "SELECT COUNT(*) FROM wells") == [6]


def test_query_reads_no_files_but_those_of_the_tables_it_names(folder_store):
    keys = publish(folder_store)
    folder_store.delete(keys["cells"])
    assert values(folder_store, "SELECT COUNT(*) FROM wells") == [6]
    assert values(folder_store, "SELECT COUNT(*) FROM plate_overview") == [1]
    with pytest.raises(StoredDataError, match="a published table is gone") as caught:
        run_query(folder_store, "SELECT COUNT(*) FROM cells")
    assert caught.value.key == keys["cells"]


def test_table_that_is_gone_is_named_on_other_stores_too(gcs_store):
    keys = publish(gcs_store)
    gcs_store.delete(keys["wells"])
    with pytest.raises(StoredDataError) as caught:
        run_query(gcs_store, "SELECT 1 FROM wells")
    assert caught.value.key == keys["wells"]


def test_damaged_table_is_told_with_its_place(store):
    keys = publish(store)
    store.write(keys["wells"], b"PAR1 nothing PAR1")
    with pytest.raises(StoredDataError, match=r"a published table cannot be read: .*wells\.parquet"):
        run_query(store, "SELECT 1 FROM wells")


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'{"number": 1}'])
def test_damaged_publication_record_is_named(folder_store, data):
    key = f"{small_screen.results()}publications/000001.json"
    folder_store.create(key, data)
    with pytest.raises(StoredDataError) as caught:
        run_query(folder_store, "SELECT 1 FROM wells")
    assert caught.value.key == key


def test_other_files_beside_the_records_are_no_publications(folder_store):
    publish(folder_store)
    folder_store.write(f"{small_screen.results()}publications/notes.json", b"?")
    assert values(folder_store, "SELECT COUNT(*) FROM plate_runs") == [1]


# --- what a query may look like ---------------------------------------------------------------------------------------


def test_queries_are_bigquerys_unless_they_say_duckdb(screen):
    bigquery = 'SELECT SAFE_DIVIDE(nuclei_count, 0) AS x, `column`, row FROM wells WHERE well = "A03"'
    assert ask(screen, bigquery) == [{"x": None, "column": 3, "row": "A"}]
    assert values(screen, "SELECT r FROM wells, UNNEST(reasons) AS r WHERE well = 'B03' ORDER BY r")[0].startswith(
        "B03"
    )
    duck = "SELECT list_sum([nuclei_count, 1])::INTEGER AS x FROM wells WHERE well = 'A03'"
    assert ask(screen, duck, dialect="duckdb") == [{"x": 7}]


def test_order_and_names_of_the_query_are_kept(screen):
    table = run_query(screen, "SELECT Well AS Place FROM wells ORDER BY well DESC LIMIT 2;")
    assert table.to_pydict() == {"Place": ["B03", "B02"]}


def test_sums_of_integers_are_integers_where_they_fit(screen):
    table = run_query(screen, "SELECT SUM(nuclei_count) AS n, COUNTIF(nuclei_count > 3) AS m, NULL AS o FROM wells")
    assert table.schema.types[:2] == [pa.int64(), pa.int64()]
    assert table.to_pylist() == [{"n": 33, "m": 5, "o": None}]
    large = run_query(screen, "SELECT SUM(nuclei_count + 9223372036854775800) AS n, 1 AS x FROM wells")
    assert large.to_pylist() == [{"n": 33 + 6 * 9223372036854775800, "x": 1}]


def test_common_table_expressions_and_upper_case_names_work(screen):
    assert values(screen, "WITH w AS (SELECT * FROM WELLS) SELECT COUNT(*) FROM w") == [6]


def test_catalogue_can_be_asked_for(screen):
    names = run_query(screen, "SELECT table_name AS x FROM information_schema.tables", dialect="duckdb")[
        "x"
    ].to_pylist()
    assert set(table_names()) <= set(names)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELEC 1", "the SQL cannot be read at line 1, column 7: "),
        ("SELECT (1", "the SQL cannot be read at line 1, column 9: Expecting )"),
        ("SELECT 'a", "the SQL cannot be read: "),
        ("", "the SQL must be one SELECT statement, got 0 statements"),
        ("SELECT 1; SELECT 2", "the SQL must be one SELECT statement, got 2 statements"),
        ("SELECT x FROM wells", 'the query failed: Binder Error: Referenced column "x" not found'),
        ("SELECT 1 FROM wels", "there is no table wels, did you mean wells; tables are images, sites"),
        ("SELECT 1 FROM `zz\x07zz`", r"there is no table zz\x07zz; tables are images, sites"),
        ("SELECT '\x15", r"the SQL cannot be read: "),
        ("SELECT 1 FROM zzzz", "there is no table zzzz; tables are images, sites"),
        ("SELECT nofunction(1)", "the query failed: Catalog Error: Scalar Function with name nofunction"),
        ("SELECT CAST('a' AS INT64)", "the query failed: Conversion Error: Could not convert string 'a'"),
    ],
)
def test_faults_in_sql_are_told_in_one_sentence(folder_store, sql, words):
    with pytest.raises(QueryError) as caught:
        run_query(folder_store, sql)
    assert str(caught.value).startswith(words)
    assert str(caught.value).isprintable()
    assert isinstance(caught.value, PlateError)
    assert isinstance(caught.value, ValueError)


def test_unknown_dialect_is_refused(folder_store):
    with pytest.raises(QueryError, match="the dialect must be bigquery or duckdb, got 'mysql'"):
        run_query(folder_store, "SELECT 1", dialect="mysql")


# --- what a query may not do ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "DROP VIEW wells",
        "CREATE TABLE x AS SELECT 1",
        "INSERT INTO wells VALUES (1)",
        "DELETE FROM wells_all WHERE TRUE",
        "SET enable_external_access = true",
        "COPY (SELECT 1) TO '{folder}/x.csv'",
        "COPY (SELECT 1) TO '{wells}' (FORMAT parquet, USE_TMP_FILE false)",
        "ATTACH '{folder}/x.duckdb'",
        "INSTALL httpfs",
        "PRAGMA database_list",
        "EXPORT DATABASE '{folder}/x'",
        "EXPLAIN ANALYZE SELECT 1",
    ],
)
@pytest.mark.parametrize("dialect", ["bigquery", "duckdb"])
def test_statements_that_could_change_anything_are_refused(screen, sql, dialect):
    before = screen.list("").objects
    wells = next(item.key for item in before if item.key.endswith("/wells.parquet"))
    text = sql.format(folder=screen.local_path(""), wells=screen.local_path(wells))
    with pytest.raises(QueryError):
        run_query(screen, text, dialect=dialect)
    assert screen.list("").objects == before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_parquet('{cells}')",
        "SELECT * FROM read_parquet('https://example.org/x.parquet')",
    ],
)
def test_queries_read_no_other_files(screen, tmp_path, sql):
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    cells = next(item.key for item in screen.list("").objects if item.key.endswith("/cells.parquet"))
    text = sql.format(secret=secret, folder=tmp_path, cells=screen.local_path(cells))
    with pytest.raises(QueryError, match="the query asks for files; it can read the tables and nothing else"):
        run_query(screen, text + ", wells", dialect="duckdb")


def test_connection_given_to_callers_reads_no_other_files_and_stays_locked(folder_store, tmp_path):
    publish(folder_store)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with connect(folder_store) as connection:
        with pytest.raises(duckdb.PermissionException):
            connection.sql(f"SELECT * FROM read_csv('{tmp_path}/secret.csv')")
        with pytest.raises(duckdb.InvalidInputException):
            connection.execute("SET enable_external_access = true")


def test_python_variables_are_no_tables(folder_store):
    hidden = pa.table({"a": [1]})
    with pytest.raises(QueryError, match="there is no table hidden"):
        run_query(folder_store, "SELECT * FROM hidden")
    assert hidden.num_rows == 1


def test_other_processes_can_query_and_publish_while_a_connection_is_open(folder_store):
    publish(folder_store)
    program = (
        "import sys; from imaging.store import open_store; from imaging.query import run_query\n"
        "print(run_query(open_store(sys.argv[1]), 'SELECT COUNT(*) AS n FROM wells').to_pydict())"
    )
    with connect(folder_store) as connection:
        assert connection.sql("SELECT COUNT(*) FROM wells").fetchall() == [(6,)]
        command = [sys.executable, "-c", program, folder_store.url]
        root = Path(__file__).parents[2]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
        assert done.stdout.strip() == "{'n': [6]}"
        publish(folder_store, 2, run="run2")
        assert values(folder_store, "SELECT DISTINCT run FROM wells") == ["run2"]
        assert connection.sql("SELECT DISTINCT run FROM wells").fetchall() == [("run1",)]
