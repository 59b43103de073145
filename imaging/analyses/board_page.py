"""The leaderboard as a page: one file that opens by a double click, without a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from imaging.analyses.board import LEADERBOARD, Board
from imaging.sentences import counted
from imaging.table_schema import INTEGER, NUMBER, Column

BEST_HIGH = frozenset({"percent_replicating", "mean_map", "nsc", "nscb", "silhouette_label", "map_label"})
"""Scores of which the highest is the best; of the others the page marks none."""
_PERCENT = {
    "percent_replicating": "percent of treatments whose median replicate correlation is above the 95th percentile of "
    "pairs that are no replicates"
}
"""Shares that the page shows as percent, and what it says of them."""
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; } .said { opacity: .75; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
td { white-space: nowrap; }
th, td { padding: .35rem .45rem; text-align: right; border-bottom: 1px solid rgb(128 128 128 / 30%); }
th { font-weight: 600; text-align: right; vertical-align: bottom; } th:first-child, td:first-child { text-align: left; }
td.best { font-weight: 700; } td.best::after { content: " \\2605"; }
td.reason { text-align: left; white-space: normal; }
ul { margin: .25rem 0; padding-left: 1.25rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; } dt { font-weight: 600; }
dd { margin: 0; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def board_page(experiment: str, board: Board) -> str:
    """HTML of the leaderboard of an experiment's analysis recipes."""
    numbers = [column for column in LEADERBOARD.columns if column.kind in (INTEGER, NUMBER)]
    shown = [column for column in numbers if any(row.get(column.name) is not None for row in board.rows)]
    best = {column.name: _best(board, column.name) for column in shown if column.name in BEST_HIGH}
    head = "".join(f'<th title="{escape(_said(column))}">{_label(column.name)}</th>' for column in shown)
    body = "".join(_row(row, [column.name for column in shown], best) for row in board.rows)
    title = f"Analysis recipes of {escape(experiment)}"
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n<style>{_STYLE}</style>\n'
        f"<h1>{title}</h1>\n"
        f'<p class="said">{counted(len(board.rows), "recipe")}; hits are gained and lost against the first. '
        "A star marks the best of a column.</p>\n"
        f'<div class="wide"><table>\n<thead><tr><th>recipe</th>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody>\n</table></div>\n"
        f"{_legend(shown)}{''.join(_examples(row) for row in board.rows)}{_notes(board)}</html>\n"
    )


def _legend(shown: Sequence[Column]) -> str:
    """What each column holds."""
    items = [f"<dt>{_label(column.name)}</dt><dd>{escape(_said(column))}</dd>" for column in shown]
    return f"<h2>Columns</h2><dl>{''.join(items)}</dl>\n" if items else ""


def _row(row: Mapping[str, Any], names: list[str], best: Mapping[str, float | None]) -> str:
    recipe = f"<td>{escape(row['recipe'])}</td>"
    if row.get("reason"):
        return f'<tr>{recipe}<td class="reason" colspan="{max(len(names), 1)}">{escape(row["reason"])}</td></tr>\n'
    cells = []
    for name in names:
        value = row.get(name)
        is_best = value is not None and value == best.get(name)
        cells.append(f"<td{' class=best' if is_best else ''}>{_number(name, value)}</td>")
    return f"<tr>{recipe}{''.join(cells)}</tr>\n"


def _best(board: Board, name: str) -> float | None:
    values = [row[name] for row in board.rows if row.get(name) is not None]
    return max(values) if len(values) > 1 else None


def _examples(row: Mapping[str, Any]) -> str:
    listed = {"Gained": row.get("gained_examples"), "Lost": row.get("lost_examples")}
    items = [f"<li>{what}: {escape(', '.join(names))}</li>" for what, names in listed.items() if names]
    return f"<h2>{escape(row['recipe'])}</h2><ul>{''.join(items)}</ul>\n" if items else ""


def _notes(board: Board) -> str:
    found = [(recipe, notes) for recipe, notes in board.notes.items() if notes]
    if not found:
        return ""
    return "".join(
        f"<h2>Notes on {escape(recipe)}</h2><ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>\n"
        for recipe, notes in found
    )


def _label(name: str) -> str:
    return escape(name.replace("_", " "))


def _said(column: Column) -> str:
    return _PERCENT.get(column.name, column.description)


def _number(name: str, value: float | int | None) -> str:
    if value is None:
        return ""
    if name in _PERCENT:
        return f"{100 * value:.1f} %"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
