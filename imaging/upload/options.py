"""How an upload goes about it."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """How an upload goes about it; times in seconds.

    Parameters
    ----------
    settle_s
        How long size and time of change of a file must rest before it is sent.
    follow
        Whether to wait for more files when all are sent.
    until_idle_s
        When following: the end, once nothing came for so long; ``None`` for never.
    end_marker
        When following: path of a file below the folder; once it is there and all is sent, that is the end.
    transfers
        Files sent at the same time.
    rescan_s
        Time between two looks at the folder.
    patience_s
        How long an image may rest without its end before it is sent as it is, and how long the folder may be away.
    lock_patience_s
        How long a file may be kept by another program, as on Windows; elsewhere what may not be read has no permission.
    manifest_wait_s
        How long a manifest is held back for images that keep coming.
    """

    settle_s: float = 3.0
    follow: bool = False
    until_idle_s: float | None = 1800.0
    end_marker: str = ""
    transfers: int = 8
    rescan_s: float = 1.0
    patience_s: float = 60.0
    lock_patience_s: float = 60.0 if os.name == "nt" else 0.0
    manifest_wait_s: float = 600.0
