"""The leaderboard: recipes side by side, hits gained and lost against the first, as rows and as a page."""

from __future__ import annotations

import pyarrow as pa

from imaging.analyses.analysis_records import list_analyses, read_analyses
from imaging.analyses.board import LEADERBOARD, Entry, board_of_records, compare, hits_of
from imaging.analyses.board_page import board_page
from imaging.store import FolderStore
from tests.imaging.small_analyses import EXPERIMENT, record_analysis

A, B, C = ("a", "1 uM"), ("b", ""), ("c", "0.5 uM")


def test_hits_are_gained_and_lost_against_the_first() -> None:
    board = compare([Entry("one", {"nsc": 0.5}, frozenset({A, B})), Entry("two", {"nsc": 0.7}, frozenset({B, C}))])
    first, second = board.rows
    assert "gained" not in first
    assert (second["gained"], second["lost"]) == (1, 1)
    assert (second["gained_examples"], second["lost_examples"]) == (["c 0.5 uM"], ["a 1 uM"])
    assert board.table().schema.names == [column.name for column in LEADERBOARD.columns]
    assert board.table()["gained"].to_pylist() == [None, 1]


def test_the_first_that_could_be_analysed_is_the_measure() -> None:
    board = compare([Entry("one", reason="no controls"), Entry("two", hits=frozenset({A})), Entry("three")])
    assert board.rows[0]["reason"] == "no controls"
    assert "lost" not in board.rows[1]
    assert board.rows[2]["lost"] == 1


def test_all_hits_gained_are_named() -> None:
    many = frozenset((f"t{number:02d}", "") for number in range(30))
    board = compare([Entry("one"), Entry("two", hits=many)])
    assert board.rows[1]["gained"] == 30
    assert board.rows[1]["gained_examples"] == [f"t{number:02d}" for number in range(30)]


def test_what_is_not_decided_is_no_hit() -> None:
    rows = [
        {"treatment": "a", "concentration": 1.0, "concentration_unit": "uM", "is_hit": True},
        {"treatment": "b", "concentration": None, "concentration_unit": None, "is_hit": None},
        {"treatment": "c", "concentration": 0.5, "concentration_unit": None, "is_hit": False},
    ]
    assert hits_of(rows) == {A}


def test_recorded_analyses_are_compared(folder_store: FolderStore) -> None:
    record_analysis(folder_store, 1, hits=("x", "y"))
    record_analysis(folder_store, 1, recipe="other-89abcdef", hits=("y", "z"))
    records = read_analyses(folder_store, list_analyses(folder_store, EXPERIMENT))
    board = board_of_records(folder_store, sorted(records, key=lambda record: record.recipe, reverse=True))
    assert [row["recipe"] for row in board.rows] == ["standard-0123abcd", "other-89abcdef"]
    assert (board.rows[1]["gained"], board.rows[1]["lost"]) == (2, 2)
    assert board.rows[1]["gained_examples"] == ["y 0.5 y", "z 1 z"]
    assert isinstance(board.table(), pa.Table)


def test_the_page_marks_the_best_and_takes_names_for_text() -> None:
    odd = "<script>alert(1)</script>"
    entries = [
        Entry("one", {"nsc": 0.5, "hits": 1}, frozenset({(odd, "")}), ("a note & more",)),
        Entry("two", {"nsc": 0.75, "hits": 0}),
        Entry(odd, reason="<b>none</b>"),
    ]
    page = board_page(odd, compare(entries))
    assert "<script" not in page
    assert page.count("class=best") == 1
    assert "class=best>0.750" in page
    assert "a note &amp; more" in page
    assert "&lt;b&gt;none&lt;/b&gt;" in page
    assert "Lost: &lt;script&gt;" in page
