"""The web server leads from the table of plates to the pages of their experiments, and serves these."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.web.board import Board
from imaging.analyses.page import write_report
from imaging.page_parts import experiment_page_folder
from imaging.store import FolderStore
from tests.imaging.small_experiment import small_report
from tests.security.served import serve

NAME = "dose response 2026"


def plates() -> list[dict[str, Any]]:
    return [{"experiment": NAME, "plate": "P1", "state": "imaging"}, {"experiment": "other", "plate": "P2"}]


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_the_table_leads_to_the_page_of_an_experiment_that_has_one(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    key = write_report(store, small_report())
    with serve(store, status=plates) as web:
        shown = wait_for(lambda: web.get("/status.json").json()["plates"])
        assert [plate.get("experiment_page") for plate in shown] == [key, None]
        page = f"/{key.removesuffix('index.html')}".replace(" ", "%20")
        assert web.get(page).status_code == 200
        assert web.get(f"{page}data.js").text.startswith("window.EXPERIMENT = ")
        assert web.get(f"{page}../analysis.json").status_code == 404


def test_an_experiment_that_is_known_to_have_a_page_is_not_asked_for_again() -> None:
    asked: list[str] = []
    board = Board(plates, lambda images: False, lambda key: bool(asked.append(key)) or NAME in key)
    for _ in range(2):
        board._read_again()
    board.close()
    pages = [f"{experiment_page_folder(name)}index.html" for name in (NAME, "other")]
    assert sorted(asked) == sorted([*pages, pages[1]])


def test_a_token_is_asked_for_before_a_page_is_shown(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    key = write_report(store, small_report()).replace(" ", "%20")
    with serve(store, status=plates, token="0123456789abcdef") as web:
        assert web.get(f"/{key}").status_code == 401


@pytest.mark.parametrize("address", ["/results/e/_experiment/current/page/page.js/x", "/results/e/_experiment/x.json"])
def test_nothing_else_of_an_experiment_is_shown(tmp_path: Path, address: str) -> None:
    with serve(FolderStore(tmp_path), status=plates) as web:
        assert web.get(address).status_code == 404
