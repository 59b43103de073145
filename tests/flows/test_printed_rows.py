"""Rows on a terminal: as many columns as fit, and a word about the others."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from rich.table import Table

from flows.printed_rows import LEAST_WIDTH, Format, open_console, print_rows


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def on_terminal(rows: pa.Table, width: int = 80) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        print_rows(rows, Format.table)
        return capsys.readouterr().out.splitlines()

    return on_terminal


WIDE = pa.table({"well": ["A01", "A02"]} | {f"feature_{number:04d}": [0.5, 12.25] for number in range(1500)})


def test_a_wide_table_shows_the_columns_that_fit_and_counts_the_others(printed) -> None:
    assert printed(WIDE, 41) == [
        " well  feature_0000  feature_0001 ",
        " A01   0.5           0.5          ",
        " A02   12.25         12.25        ",
        "2 rows; 1,498 more columns did not fit: name those you want, or take --format csv or json",
    ]


def test_a_table_that_just_fits_is_shown_whole(printed) -> None:
    rows = WIDE.select(["well", "feature_0000", "feature_0001"])
    assert printed(rows, 6 + 14 + 14)[-1] == "2 rows"
    assert printed(rows, 6 + 14 + 13)[-1].startswith("2 rows; 1 more column did not fit")


def test_long_texts_are_broken_into_lines_before_a_column_is_left_out(printed) -> None:
    rows = pa.table({"reason": ["the file ends after 59 % of its pixel data"], "site": [1]})
    assert printed(rows, LEAST_WIDTH + 2 + 6) == [
        " reason                    site ",
        " the file ends after 59 %  1    ",
        " of its pixel data              ",
        "1 row",
    ]


def test_the_first_column_is_shown_on_the_narrowest_terminal(printed) -> None:
    lines = printed(pa.table({"name": ["Channel1-24-B-12.tif"], "n": [1]}), 12)
    assert "".join(line.strip() for line in lines[1:-1]) == "Channel1-24-B-12.tif"
    assert lines[-1].startswith("1 row; 1 more column did not fit")


def test_no_column_and_no_row_are_said_and_not_drawn(printed) -> None:
    assert printed(WIDE.slice(0, 0).select(["well"])) == [" well ", "0 rows"]


def test_moments_lists_and_gaps_are_readable(printed) -> None:
    moment = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    rows = pa.table({"at": [moment], "reasons": [["a", "b"]], "nothing": [None]})
    assert printed(rows)[1].rstrip() == " 2026-02-03 04:05:06Z  a; b"


def test_a_table_in_a_pipe_cuts_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("plate", "recipe", "state", box=None)
    table.add_row(*(letter * 90 for letter in "abc"))
    open_console().print(table)
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split() == [letter * 90 for letter in "abc"]


def test_a_value_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    rows = pa.table({"treatment\x1b[2J": ["\x1b]0;hacked\x07 DMSO", "two\nlines", "\u202edesrever", "µM"]})
    print_rows(rows, Format.table)
    out = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)
    assert r"\x1b]0;hacked\x07 DMSO" in out
    assert r"\u202edesrever" in out
    assert "µM" in out
