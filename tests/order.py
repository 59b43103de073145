"""Which process runs which tests, and when: for runs of several processes (``pytest --dist loadfile``).

A file stays in one process. Files that share a service are one piece, for each process would start the service for
itself. What takes longest begins first, so that no long piece is left for the end, when the other processes are idle;
the rest follows by its number of tests. The hooks of pytest at the end are tests/conftest.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from xdist.scheduler import LoadFileScheduling

SHARED = {
    "the Prefect server": (
        "tests/flows/test_alert_channels.py",
        "tests/flows/test_artifacts.py",
        "tests/flows/test_backfill.py",
        "tests/flows/test_budget.py",
        "tests/flows/test_deploy.py",
        "tests/flows/test_deploy_google.py",
        "tests/flows/test_events.py",
        "tests/flows/test_google.py",
        "tests/flows/test_message_channels.py",
        "tests/flows/test_process_experiment.py",
        "tests/flows/test_waiting_runs.py",
        "tests/flows/test_warehouse.py",
    ),
    "the BigQuery stand-in": (
        "tests/imaging/test_sql_guide.py",
        "tests/imaging/test_views_bigquery.py",
        "tests/imaging/test_warehouse_emulator.py",
        "tests/standins/test_bigquery_standin.py",
    ),
}
"""Files whose tests take the fixtures of SERVICES, by the service; what takes two is with the dearer one."""

SERVICES = {"the Prefect server": {"server", "deployed"}, "the BigQuery stand-in": {"bigquery", "dataset"}}

SLOW = (
    "tests/chaos/test_campaign.py",
    "the Prefect server",
    "tests/cloud/test_upload_to_bigquery.py",
    "tests/security/test_stack.py",
    "tests/imaging/test_illumination_plate.py",
    "tests/chaos/test_faults.py",
    "tests/flows/test_drills.py",
    "the BigQuery stand-in",
    "tests/flows/test_keep.py",
    "tests/load/test_load.py",
    "tests/flows/test_server_postgresql.py",
    "tests/flows/test_preemption.py",
    "tests/cuda/test_resources.py",
    "tests/kernels/test_features_gpu.py",
    "tests/flows/test_server.py",
    "tests/imaging/test_real_folders.py",
    "tests/imaging/test_repair.py",
    "tests/flows/test_cli_recipes.py",
    "tests/test_oddities.py",
    "tests/flows/test_compute.py",
    "tests/imaging/test_live_page.py",
    "tests/imaging/test_protocol.py",
    "tests/imaging/test_illumination_protocol.py",
    "tests/flows/test_follow.py",
    "tests/imaging/test_planted_plate.py",
    "tests/imaging/test_export_memory.py",
    "tests/fuzz/test_fuzz.py",
    "tests/chaos/test_upload_kills.py",
    "tests/security/test_clusters.py",
)
"""Pieces of more than 15 seconds, the longest about first."""

T = TypeVar("T")

_PIECES = {file: service for service, files in SHARED.items() for file in files}


def piece_of(nodeid: str) -> str:
    """The piece that a test belongs to: its file, or the service that the file shares with others."""
    file = nodeid.partition("::")[0]
    return _PIECES.get(file, file)


def sort_tests(tests: list[T], nodeid: Callable[[T], str]) -> list[T]:
    """Sort tests by their pieces, the longest first, and leave each piece's in their order."""
    pieces: dict[str, list[T]] = {}
    for test in tests:
        pieces.setdefault(piece_of(nodeid(test)), []).append(test)
    ranks = {piece: rank for rank, piece in enumerate(SLOW)}
    order = sorted(pieces, key=lambda piece: (ranks.get(piece, len(SLOW)), -len(pieces[piece])))
    return [test for piece in order for test in pieces[piece]]


class PieceScheduling(LoadFileScheduling):
    """Hands out pieces in the order in which the processes have collected them."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        config.option.loadscopereorder = False  # else the piece with the fewest tests comes last, however long it takes
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return piece_of(nodeid)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items[:] = sort_tests(items, lambda item: item.nodeid)


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist nobody asks
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> PieceScheduling | None:
    return PieceScheduling(config, log) if config.option.dist == "loadfile" else None
