"""A few plates through the real server, runner and watcher: one run each, and as few calls as are known.

The long form is `make load`; see docs/load.md.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.load.__main__ import measure_load
from benchmarks.load.counted_server import NOT_COUNTED, Counted
from benchmarks.load.docs import fill
from benchmarks.load.figures import Sample, growth
from benchmarks.load.lab import Options, name_request
from benchmarks.load.table import load_table

MOST_CALLS = 120
"""API calls of one plate with 20 stages: more is a change that a server of a lab would feel."""


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict:
    said: list[str] = []
    options = Options(plates=3, burst=3, at_once=2, every=1)
    figures = measure_load(tmp_path_factory.mktemp("load"), options, said.append)
    assert said
    return figures


def test_each_plate_is_published_and_no_run_begins_unasked(figures: dict) -> None:
    assert (figures["ended"], figures["plates_published"]) == ("complete", 3)
    # a second event of a plate is sent where the server takes more than half a minute to make a run of the first
    assert 1.0 <= figures["runs_per_plate"]["mean"] <= figures["asked_per_plate"] + 0.01  # both are rounded
    assert figures["run_states"]["COMPLETED"] >= 3
    assert not figures["run_states"].keys() & {"FAILED", "CRASHED", "CANCELLED"}
    assert not any(figures["restarts"].values())


def test_runs_are_forks_of_one_process(figures: dict) -> None:
    assert figures["cold_runs"] == 0
    assert figures["forks_seen"] >= 1


def test_a_plate_costs_a_bounded_number_of_calls(figures: dict) -> None:
    assert 10 < figures["api_calls_per_plate"] <= MOST_CALLS
    assert not [name for name in figures["calls_by_kind_per_plate"] if "heartbeat" in name]


def test_what_the_load_asks_for_itself_is_not_counted() -> None:
    async def app(scope: dict, receive: object, send: object) -> None:
        """Answer nothing."""

    counted = Counted(app)
    for headers in ([(b"accept", b"*/*")], [(b"accept", b"*/*"), (NOT_COUNTED.encode(), b"1")]):
        scope = {"type": "http", "method": "POST", "path": "/api/flow_runs/filter", "headers": headers}
        asyncio.run(counted(scope, None, None))
    assert counted.counts == {"POST /api/flow_runs/filter": 1}


def test_the_table_says_what_was_measured(figures: dict) -> None:
    table = load_table(figures)
    assert "| 3 of 3 (complete), 3 |" in table
    assert "runs started per plate" in table


def test_growth_is_the_slope_of_the_second_half() -> None:
    def sample(plates: int, rss: float) -> Sample:
        memory = {"server": rss, "runner": 100.0, "watch": 100.0}
        return Sample(float(plates), plates, memory, {}, 0.0, plates / 10, {}, {})

    samples = [sample(plates, 300.0 + 10 * min(plates, 50)) for plates in range(0, 101, 10)]
    slopes = growth(samples)
    assert slopes["server_rss_kb"] == 0
    assert slopes["database_kb"] == 100
    assert slopes["database_gb_per_week"] == 0.4
    assert growth(samples[:1]) == {}


@pytest.mark.parametrize(
    ("request_line", "name"),
    [
        ("GET /storage/v1/b/lab/o?prefix=screens/raw/load/P1/", "list raw/*/*"),
        ("GET /lab?list-type=2&prefix=screens/results/load/P1/v1/publications", "list results/*/*/*/publications"),
        ("GET /lab/screens/results/load/P1/v1/sites/A01-1-x.json", "read results/*/*/*/sites/"),
        ("PUT /lab/screens/raw/load/P1/A01_w1.tif", ""),
        ("DELETE /lab/screens/results/load/P1/v1/heartbeat.json", "delete results/*/*/*/heartbeat.json"),
    ],
)
def test_requests_to_a_bucket_are_counted_by_what_they_are_for(request_line: str, name: str) -> None:
    assert name_request(request_line) == name


def test_a_table_is_put_between_its_marks(tmp_path: Path) -> None:
    text = "a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\nkept\n<!-- end -->\n"
    assert fill(text, "one", "| new |") == text.replace("old", "| new |")
    assert fill(text, "three", "| new |") == text
