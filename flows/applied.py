"""What `platestream deploy` did about one declared thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Change = Literal["created", "updated", "unchanged", "removed"]


@dataclass(frozen=True, slots=True)
class Applied:
    """One declared thing and what was done about it."""

    kind: str
    name: str
    change: Change

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.change}"
