from __future__ import annotations

from tests.chaos.upload_kills import main


def test_killed_uploads_and_cut_networks_leave_equal_sums() -> None:
    assert main(seed=5, files=250, kills=2, pause_s=1.0) == 0
