"""The queries of README.md and docs/sql.md: each runs, gives what is printed, and means the same on BigQuery."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa
import pytest
from google.cloud.bigquery import Client, QueryJobConfig

from imaging.query import run_query
from imaging.store import Store, open_store
from imaging.tables import TABLES
from imaging.views import view_names
from kernels.feature import FeatureDescription
from tests.imaging import small_screen
from tests.imaging.bigquery_copy import copy_store
from tests.parts import ROOT
from tests.standins.bigquery import BigQueryStandIn

RATIO = "Cells_Intensity_NucleusCytoplasmRatio_GFP"
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "sql.md").read_text()
ANSWERED = re.findall(r"```sql\n(.*?)```\n```\n(.*?)```", README, re.DOTALL)
EXAMPLES = re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL)
QUERIES = [*(query for query, _ in ANSWERED), *EXAMPLES]


@pytest.fixture(scope="module")
def plate() -> Store:
    """A published plate under the demo plate's name, with the columns that the queries name."""
    store = open_store("memory://sql-guide")
    ratio = FeatureDescription(RATIO, "Intensity", "Cells", "GFP", "", "mean in the nucleus over that in the cytoplasm")
    declared = small_screen.experiment()
    analysis = declared.analysis.model_copy(update={"statistics": [RATIO]})
    place = {"well": "A01", "site": 1, "channel": "DNA"}
    small_screen.publish(
        store,
        plate="BBBC013",
        experiment=declared.model_copy(update={"analysis": analysis}),
        feature_descriptions=[*small_screen.FEATURES, ratio],
        read_part=_with_ratio,
        faults=({"kind": "duplicate", "name": "x.tif", "reason": "the same image under a second name", **place},),
    )
    return store


def _with_ratio(record: dict[str, object], entry: str = "part") -> pa.Table:
    cells = small_screen.read_part(record, entry)
    return cells if entry == "image_part" else cells.append_column(RATIO, cells[small_screen.AREA])


@pytest.fixture(scope="module")
def client(bigquery: BigQueryStandIn, plate: Store) -> Iterator[Client]:
    with closing(bigquery.client()) as client:
        dataset = client.create_dataset("guide")
        copy_store(plate, client, dataset)
        client.default_query_job_config = QueryJobConfig(default_dataset=dataset.reference)
        yield client
        client.delete_dataset(dataset, delete_contents=True)


def test_there_are_ten_queries_with_answers() -> None:
    assert len(ANSWERED) == 10


@pytest.mark.parametrize(("query", "answer"), ANSWERED)
def test_a_query_of_the_readme_gives_the_columns_that_it_shows(plate: Store, query: str, answer: str) -> None:
    rows = run_query(plate, query)
    assert rows.column_names == answer.splitlines()[0].split()
    assert rows.num_rows > 0
    shown = answer.splitlines()
    assert shown[-1].split(" ")[0] == str(len(shown) - 2)


@pytest.mark.parametrize("query", EXAMPLES)
def test_an_example_runs(plate: Store, query: str) -> None:
    run_query(plate, query)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_names_the_same_columns_and_finds_as_many_rows_on_bigquery(
    plate: Store, client: Client, query: str
) -> None:
    here, there = run_query(plate, query), client.query(query).result()
    assert [field.name for field in there.schema] == here.column_names
    assert len(list(there)) == here.num_rows


@pytest.mark.parametrize("name", [*TABLES, *view_names()])
def test_every_table_and_view_has_a_sentence_and_an_example(name: str) -> None:
    described = re.search(rf"^`{name}`: [^`\n]{{10,}}.*?```sql\n(.*?)```", GUIDE, re.DOTALL | re.MULTILINE)
    assert described is not None
    assert re.search(rf"\b{name}\b", described[1])
