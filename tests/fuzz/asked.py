"""What people and other programs ask: SQL, command lines, settings, addresses, messages, names of objects."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import lru_cache
from unittest import mock

import pyarrow as pa
from hypothesis import strategies as st

from flows import cli
from flows.arrivals_subscription import Bucket, find_plate
from flows.settings import Settings
from imaging.errors import PlateError, RefusedNameError
from imaging.listing import StoredObject, sort_objects
from imaging.names import check_name
from imaging.query import QueryError, run_query
from imaging.store import Store, open_store
from imaging.wells import expand_wells, parse_well
from tests.fuzz.damage import ODD_WORDS, damaged_text
from tests.fuzz.promise import Target, answer, check_error, check_sentence

# SQL

QUERIES = (
    "SELECT plate, well, COUNT(*) AS n FROM wells WHERE well = 'B03' GROUP BY plate, well ORDER BY n DESC LIMIT 5",
    "WITH a AS (SELECT * FROM plate_runs) SELECT a.plate, SAFE_DIVIDE(1, 0) FROM a JOIN promotions USING (experiment)",
    "SELECT APPROX_QUANTILES(number, 4)[OFFSET(2)], CURRENT_DATE() FROM `plate_runs` WHERE plate IN ('a', \"b\")",
    "SELECT * FROM plate_runs UNION ALL SELECT * FROM plate_runs; DROP TABLE wells",
    "COPY (SELECT 1) TO '/etc/x.csv'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT CAST('x' AS INT64), CAST('2026-02-30' AS DATE), 1 / 0, REPEAT('x', 9), GENERATE_ARRAY(1, 9)",
)


@lru_cache
def empty_store() -> Store:
    """A store without anything."""
    return open_store("memory://fuzz-nothing")


def try_sql(case: tuple[bytes, str]) -> None:
    """A table, or what is wrong with the question in one sentence."""
    text, dialect = case[0].decode(errors="replace"), case[1]
    try:
        found = run_query(empty_store(), text, dialect=dialect)
    except QueryError as error:
        check_error(error)
        return
    assert isinstance(found, pa.Table)


# Command lines

WORDS = (
    "init", "check", "process", "watch", "status", "sql", "validate", "recipes", "promote", "backfill", "reconcile",
    "export", "choose", "upload", "warehouse", "segment", "measure", "manifests", "verify", "repair", "clean", "alerts",
    "doctor", "web", "rebuild-warehouse", "--store", "--json", "--debug", "--quick", "--dry-run",
    "--help", "--out", "--format", "csv", "--recipe", "--because", "--dialect", "duckdb", "screen", "P1", "gcp",
    "memory://fuzz-nothing", "/nonexistent/folder", "SELECT 1", "--device", "cpu", "--plate", "--image", "-", "--",
)  # fmt: skip
ENDLESS = {
    "watch", "serve", "web", "demo", "deploy", "cluster", "certificates", "process", "upload", "warehouse", "repair",
    "doctor", "rebuild-warehouse",
}  # fmt: skip
"""Commands that would start something, speak to a service or write where they are told."""


def try_command_line(arguments: list[str]) -> None:
    """It ends with one of our exit statuses, and with no traceback."""
    words = [word for word in arguments if word not in ENDLESS and "\x00" not in word]
    said = io.StringIO()
    status: object = 0
    with mock.patch("sys.argv", ["platestream", *words]), redirect_stdout(io.StringIO()), redirect_stderr(said):
        try:
            cli.main()
        except SystemExit as end:
            status = end.code or 0
    assert status in (0, 1, 2, 3), status
    assert "Traceback" not in said.getvalue() or "--debug" in words


# Settings and addresses

ADDRESSES = (
    "gs://lab/screens?endpoint=http://127.0.0.1:4443",
    "file:///data/screens",
    "memory://name",
    "http://127.0.0.1:4200/api",
    "tcp://127.0.0.1:8786",
    "postgresql+asyncpg://user:secret@127.0.0.1:5432/prefect",
)


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Only these variables of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PLATESTREAM_", "PREFECT_"))}
    with mock.patch.dict(os.environ, {**kept, **values}, clear=True):
        yield


def try_settings(values: dict[str, str]) -> None:
    """Settings that can be used, or every fault of them; a secret is in none of the sentences."""
    named = {f"PLATESTREAM_{name}": value.replace("\x00", "") for name, value in values.items()}
    with environment(named):
        try:
            said = " ".join(Settings().as_environment())
        except PlateError as error:
            check_error(error)
            said = str(error)
    shown = " ".join(value for name, value in values.items() if name not in _SECRET)
    hidden = [value for name, value in values.items() if name in _SECRET and len(value) > 20 and value not in shown]
    assert not any(value in said for value in hidden), "a secret stands in a sentence"


def try_address(data: bytes) -> None:
    """A store or a sentence; folders are left alone."""
    url = data.decode(errors="replace")
    if "://" in url and not url.startswith("file:"):
        answer(open_store, url)
        answer(Bucket.of, url)


# Names

KEYS = ("screens/raw/screen/P1/B03_s1_DNA.tif", "screens/raw/A/P//B03.tif", "screens/raw/../x", "screens/raw/A/P1/a/")


def try_message(case: tuple[bytes, bytes, bytes]) -> None:
    """A plate whose names can be folders, or the reason why a message tells of none."""
    texts = [each.decode(errors="replace") for each in case]
    found = find_plate(dict(zip(("eventType", "bucketId", "objectId"), texts, strict=True)), Bucket("lab", "screens/"))
    if isinstance(found, str):
        check_sentence(found)
    else:
        assert [check_name("plate", name) for name in found] == list(found)
        assert "/".join(found) in texts[2]


def try_keys(names: list[bytes]) -> None:
    """Every name of a bucket is listed or refused, and what is listed could be a file's path."""
    texts = [name.decode(errors="surrogateescape") for name in names]
    listing = sort_objects(StoredObject(text, 1, "t", 1.0) for text in texts)
    assert len(listing.objects) + len(listing.refused) == len(texts)
    for item in listing.objects:
        assert item.key.isprintable()
        assert not {"", ".", ".."} & set(item.key.split("/"))
    for refused in listing.refused:
        check_sentence(refused.reason)
        assert refused.shown.isprintable()


def try_well(data: bytes) -> None:
    """A well has a name that gives it again, and whatever is none is a ValueError."""
    text = data.decode(errors="replace")
    for read in (parse_well, expand_wells):
        try:
            found = read(text)
        except ValueError as error:
            check_sentence(str(error))
            continue
        for well in found if isinstance(found, list) else [found]:
            assert parse_well(str(well)) == well
    try:
        assert check_name("plate", text) == text
    except RefusedNameError as error:
        check_error(error)


_SECRET = {name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
_NAMES = [name.upper() for name in Settings.model_fields]
_VALUES = damaged_text(*ADDRESSES, "1.5", "10", "true", "lab", "europe-west4").map(
    lambda raw: raw.decode(errors="replace")
)
TARGETS = (
    Target("SQL", st.tuples(damaged_text(*QUERIES), st.sampled_from(["bigquery", "duckdb"])), try_sql, 8),
    Target(
        "command lines",
        st.lists(st.sampled_from(WORDS) | st.sampled_from(WORDS) | st.sampled_from(ODD_WORDS), max_size=7),
        try_command_line,
        25,
    ),
    Target("settings", st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=3), try_settings, 40),
    Target("addresses of stores", damaged_text(*ADDRESSES), try_address, 40),
    Target("messages of arrivals", st.tuples(*[damaged_text(*KEYS, "OBJECT_FINALIZE", "lab")] * 2, damaged_text(*KEYS))
        | st.tuples(st.just(b"OBJECT_FINALIZE"), st.just(b"lab"), damaged_text(*KEYS)), try_message, 60),
    Target("names in a bucket", st.lists(damaged_text(*KEYS), max_size=6), try_keys, 60),
    Target("wells and plates", damaged_text("B03", "A01-D12", "AF48", "A01-A12, B03", "BR1__2020"), try_well, 80),
)  # fmt: skip
