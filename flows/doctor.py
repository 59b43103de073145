"""`platestream doctor`: everything that Platestream needs here, checked and said in words.

Each check really does what the pipeline does: it creates, lists and deletes an object, asks the server, has the
scheduler answer. What is not set up is said, and is no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from flows.settings import Settings

Level = Literal["fine", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    about
        What was checked.
    level
        ``fine``; ``note`` for what may be meant so; ``wrong`` for what must be mended.
    what, to_do
        What was found, and what to do about it; empty where nothing is to be done.
    """

    about: str
    level: Level
    what: str
    to_do: str = ""

    def __str__(self) -> str:
        """``wrong  store: it cannot be written; give permission``."""
        return f"{self.level:<6} {self.about}: {self.what}" + (f"; {self.to_do}" if self.to_do else "")

    def as_row(self) -> dict[str, Any]:
        """Its values for JSON."""
        return asdict(self)


Check = Callable[[Settings], Iterator[Finding]]


def examine(settings: Settings) -> Iterator[Finding]:
    """Check everything, the cheap things first; a part that does not answer hinders no other check."""
    from flows.doctor_services import (
        check_alerts,
        check_cluster,
        check_gpu,
        check_messages,
        check_server,
        check_warehouse,
        check_watcher,
    )
    from flows.doctor_store import check_disks, check_installation, check_store

    checks: tuple[Check, ...] = (
        check_installation,
        check_store,
        check_disks,
        check_server,
        check_cluster,
        check_gpu,
        check_warehouse,
        check_watcher,
        check_alerts,
        check_messages,
    )
    for check in checks:
        yield from check(settings)
