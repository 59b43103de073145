"""What stands in images and maps reaches results only where it was asked for, and never as a formula or a query."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.report import report_publication
from imaging.export.forms import Export
from imaging.export.selection import select_plates
from imaging.projection import read_table
from imaging.publication import read_publication
from imaging.query import QueryError, run_query
from imaging.store import FolderStore
from tests.imaging import small_screen
from tests.security.hostile import FORMULA, LINK, MARKUP, OPERATOR, publish_screen
from tests.security.packed import contents, files_below


def test_names_of_operators_in_images_are_in_no_result(hostile: Path) -> None:
    raw = hostile / "raw" / "screen" / "P1" / "A01_w1.tif"
    assert raw.read_bytes().count(OPERATOR.encode()) >= 4, "tags and OME-XML of the images name a person"
    looked_at = 0
    for path in hostile.rglob("*"):
        if path.is_file() and "raw" not in path.relative_to(hostile).parts:
            looked_at += 1
            assert OPERATOR.encode() not in contents(path), path
    assert looked_at > 40


def test_no_part_of_a_published_page_can_end_its_script(hostile: Path) -> None:
    (folder,) = hostile.glob("results/screen/P1/*/page")
    data = (folder / "data.js").read_text("ascii")
    assert "window.hacked" in data
    assert "<" not in data
    assert "&" not in data


def test_a_publications_artifacts_show_hostile_reasons_as_text(tmp_path: Path) -> None:
    job = publish_screen(tmp_path / "store")
    publication = read_publication(job, 1)
    assert publication is not None
    plates = read_table(job, publication, "plates")
    place, kind = plates.column_names.index("reasons"), plates.schema.field("reasons").type
    buffer = io.BytesIO()
    pq.write_table(plates.set_column(place, "reasons", pa.array([[MARKUP, LINK]], kind)), buffer)
    job.store.write(publication.tables["plates"], buffer.getvalue())
    told: list[tuple[Any, ...]] = []
    reporter: Any = SimpleNamespace(
        markdown=lambda *values: told.append(values), table=lambda *values: told.append(values)
    )
    report_publication(reporter, job, publication)
    (_, text, _), (_, faults, _) = told
    assert "&lt;script&gt;window.hacked" in text
    assert r"\[click\]\(javascript:window.hacked=3\)" in text
    assert not {"<", ">"} & set(text)
    assert [row["name"] for row in faults] == [f"A01{MARKUP.replace('/', '')}.tif"], "rows are data, and no Markdown"


@pytest.mark.parametrize("form", ["xlsx", "csv", "cpg"])
def test_exports_hold_hostile_texts_as_text(hostile: Path, tmp_path: Path, form: str) -> None:
    from imaging.export.gallery import Gallery

    (published,) = select_plates(FolderStore(hostile), "screen").plates
    gallery = Gallery(tmp_path, "project", "batch") if form == "cpg" else None
    written = list(Export(form, "profiles", tmp_path, gallery).write(published))
    assert all(tmp_path in item.path.parents for item in written)
    if form == "xlsx":
        with zipfile.ZipFile(written[0].path) as book:
            sheets = "".join(book.read(name).decode() for name in book.namelist() if name.endswith(".xml"))
        assert FORMULA in sheets
        assert "<f>" not in sheets
        assert "<script" not in sheets


ESCAPES = [
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM read_parquet('{secret}')",
    "SELECT * FROM read_json('{secret}')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM query('SELECT * FROM read_text(''{secret}'')')",
    "SELECT * FROM query_table('{secret}')",
    "SELECT * FROM parquet_metadata('{secret}')",
    "SELECT getenv('HOME')",
    "COPY (SELECT 1) TO '{secret}.out'",
    "COPY plates FROM '{secret}'",
    "ATTACH '{secret}' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "EXPORT DATABASE '{secret}.out'",
    "CREATE TABLE x AS SELECT 1",
    "DROP VIEW plates",
    "SELECT 1; DROP VIEW plates",
    "SELECT 1; COPY (SELECT 1) TO '{secret}.out'",
    "WITH x AS (SELECT * FROM read_text('{secret}')) SELECT * FROM x",
    "SELECT (SELECT content FROM read_text('{secret}'))",
]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FolderStore]:
    """A store with a published plate that is only asked, and at the end is as it was."""
    store = FolderStore(tmp_path_factory.mktemp("asked") / "store")
    small_screen.publish(store)
    before = {path: path.stat().st_mtime_ns for path in files_below(Path(store.root))}
    yield store
    assert {path: path.stat().st_mtime_ns for path in files_below(Path(store.root))} == before


@pytest.mark.parametrize("dialect", ["bigquery", "duckdb"])
@pytest.mark.parametrize("sql", ESCAPES)
def test_a_query_reads_tables_and_nothing_else(asked: FolderStore, tmp_path: Path, sql: str, dialect: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret outside\n")
    with pytest.raises(QueryError) as caught:
        run_query(asked, sql.format(secret=secret), dialect=dialect)
    assert "the secret outside" not in str(caught.value)
    assert not list(tmp_path.glob("secret.*"))


def test_a_name_that_holds_sql_is_only_a_name(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "it's '); DROP TABLE plates; --")
    small_screen.publish(store)
    assert run_query(store, "SELECT plate FROM plates").to_pylist() == [{"plate": "P1"}]
    assert run_query(store, f"SELECT plate FROM plates WHERE plate = '{MARKUP}'").num_rows == 0
