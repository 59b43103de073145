"""What a cluster tells people: an event that an automation may turn into a message."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

NO_PROGRESS = "cluster.no-progress"


@dataclass(frozen=True)
class NoProgress:
    """No site ended for a long time although there are some to do; all workers but the floor were let go.

    Parameters
    ----------
    scheduler
        Address of the cluster's scheduler.
    environment
        Name of the environment.
    sites
        Sites that workers had in hand.
    waiting
        Sites that no worker had in hand.
    minutes
        For how long none ended, or, with none in hand, for how long no worker took one.
    """

    scheduler: str
    environment: str
    sites: int
    waiting: int
    minutes: float
    event_id: uuid.UUID = field(default_factory=uuid.uuid4)
    occurred: datetime = field(default_factory=lambda: datetime.now(UTC))

    kind: ClassVar[str] = NO_PROGRESS

    @property
    def experiment(self) -> str:
        """It is about no experiment."""
        return ""

    @property
    def plate(self) -> str:
        """It is about no plate."""
        return ""

    def __str__(self) -> str:
        if not self.sites:
            return (
                f"no progress at {self.scheduler}: no worker took any of {self.waiting} waiting sites within "
                f"{self.minutes:.3g} minutes, so all workers above the floor are let go and, after as long again, "
                "asked for anew; see why machines or their workers do not come"
            )
        return (
            f"no progress at {self.scheduler}: none of {self.sites} sites in the hands of workers ended within "
            f"{self.minutes:.3g} minutes, so all workers above the floor are let go; look at the log of a worker"
        )

    def as_prefect(self) -> dict[str, Any]:
        """Return the event as Prefect's API takes it."""
        return {
            "id": str(self.event_id),
            "event": self.kind,
            "occurred": self.occurred.isoformat(),
            "resource": {
                "prefect.resource.id": f"cluster.{self.environment}",
                "prefect.resource.name": f"cluster {self.environment}",
            },
            "related": [],
            "payload": {
                "scheduler": self.scheduler,
                "sites": self.sites,
                "waiting": self.waiting,
                "minutes": self.minutes,
                "message": str(self),
            },
        }
