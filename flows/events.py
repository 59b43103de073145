"""Events that tell others about a plate: hints, never the truth.

An event can be lost, doubled or late; whoever is woken by one looks at the store.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, Field

from flows.server import api_client
from imaging.errors import MissingPartError

IMAGES_ARRIVED = "plate.images-arrived"
BACKGROUND_WORK = "plate.background-work"
PUBLISHED = "plate.published"
BUDGET_EXCEEDED = "plate.budget-exceeded"
EXPERIMENT_CHANGED = "experiment.changed"
EXPERIMENT_UPDATED = "experiment.updated"
RESENT_FOR_S = 30.0
RETRY_FOR_S = 5.0
"""A server that just became healthy still answers 503 for a moment."""
PAUSE_S = 0.25


def resource_id(experiment: str, plate: str) -> str:
    """Name a plate for Prefect: ``plate.<experiment>.<plate>``.

    Everything but letters, digits, ``_`` and ``-`` is percent-encoded, the full stop too: else plate ``b.c`` of
    experiment ``a`` and plate ``c`` of experiment ``a.b`` were one resource.
    """
    return f"plate.{encode_name(experiment)}.{encode_name(plate)}"


class Event(Protocol):
    """What can be sent: it has a kind and perhaps a plate, and knows how Prefect's API takes it."""

    kind: ClassVar[str]

    @property
    def experiment(self) -> str:
        """Experiment that it is about; empty when about none."""
        ...

    @property
    def plate(self) -> str:
        """Plate that it is about; empty when about none."""
        ...

    def as_prefect(self) -> dict[str, Any]:
        """Return the event as Prefect's API takes it."""
        ...


class PlateEvent(BaseModel):
    """What every event of a plate says.

    Parameters
    ----------
    experiment, plate
        The plate.
    recipe
        Under which recipe; empty when not known.
    run
        The publication (its hash), where there is one; empty otherwise.
    event_id, occurred
        Identity and time; an event sent twice under one id counts once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]

    experiment: str = Field(min_length=1)
    plate: str = Field(min_length=1)
    recipe: str = ""
    run: str = ""
    event_id: uuid.UUID = Field(default_factory=uuid.uuid4)
    occurred: datetime = Field(default_factory=lambda: datetime.now(UTC))

    def as_prefect(self) -> dict[str, Any]:
        """Return the event as Prefect's API takes it: the resource's labels for triggers, the rest as payload."""
        labels = {
            "prefect.resource.id": resource_id(self.experiment, self.plate),
            "prefect.resource.name": f"{self.experiment}/{self.plate}",
            "plate.experiment": self.experiment,
            "plate.name": self.plate,
            "plate.recipe": self.recipe,
            "plate.run": self.run,
        }
        return {
            "id": str(self.event_id),
            "event": self.kind,
            "occurred": self.occurred.isoformat(),
            "resource": {name: value for name, value in labels.items() if value},
            "related": [],
            "payload": self.model_dump(mode="json", exclude={"event_id", "occurred"}),
        }


class ImagesArrived(PlateEvent):
    """A plate has images to process and nobody follows it.

    Parameters
    ----------
    reason
        What there is to do, in words.
    """

    kind: ClassVar[str] = IMAGES_ARRIVED

    reason: str = ""


class BackgroundWork(ImagesArrived):
    """A plate has images to process under a recipe that can wait, and nobody follows it."""

    kind: ClassVar[str] = BACKGROUND_WORK


class Published(PlateEvent):
    """A plate has a new publication.

    Parameters
    ----------
    number
        The publication's number, from 1.
    is_complete
        Whether no site is missing or failed.
    verdict
        ``pass``, ``warn`` or ``fail``; empty when there is none.
    """

    kind: ClassVar[str] = PUBLISHED

    number: int = Field(ge=1)
    is_complete: bool = True
    verdict: str = ""


class BudgetExceeded(PlateEvent):
    """A plate gets no more work because a budget is used up.

    Parameters
    ----------
    budget
        Which: ``plate``, ``day`` or ``uploads``.
    spent, limit
        USD spent and allowed.
    reason
        What to do, in words.
    """

    kind: ClassVar[str] = BUDGET_EXCEEDED

    budget: Literal["plate", "day", "uploads"]
    spent: float = Field(ge=0)
    limit: float = Field(ge=0)
    reason: str = ""


class ExperimentEvent(BaseModel):
    """What every event of an experiment says; the label that names it is that of its plates' events.

    Parameters
    ----------
    experiment
        The experiment.
    event_id, occurred
        Identity and time; an event sent twice under one id counts once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]

    experiment: str = Field(min_length=1)
    event_id: uuid.UUID = Field(default_factory=uuid.uuid4)
    occurred: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def plate(self) -> str:
        """Plate that it is about: none."""
        return ""

    def as_prefect(self) -> dict[str, Any]:
        """Return the event as Prefect's API takes it."""
        return {
            "id": str(self.event_id),
            "event": self.kind,
            "occurred": self.occurred.isoformat(),
            "resource": {
                "prefect.resource.id": f"experiment.{encode_name(self.experiment)}",
                "prefect.resource.name": self.experiment,
                "plate.experiment": self.experiment,
            },
            "related": [],
            "payload": self.model_dump(mode="json", exclude={"event_id", "occurred"}),
        }


class ExperimentChanged(ExperimentEvent):
    """An experiment's publications are not those of its last analysis, and nobody analyses it.

    Parameters
    ----------
    reason
        What there is to do, in words.
    """

    kind: ClassVar[str] = EXPERIMENT_CHANGED

    reason: str = ""


class ExperimentUpdated(ExperimentEvent):
    """An experiment has a new analysis under a recipe.

    Parameters
    ----------
    recipe, run, number
        The analysis: its recipe, its hash, and its number from 1.
    is_analysed, reason
        Whether it could be made, and why not.
    hits
        Treatments that are hits; ``None`` where there is no analysis.
    """

    kind: ClassVar[str] = EXPERIMENT_UPDATED

    recipe: str
    run: str
    number: int = Field(ge=1)
    is_analysed: bool = True
    reason: str = ""
    hits: int | None = None


def emit(api_url: str, event: Event, *, auth: str = "", timeout_s: float = 5.0) -> None:
    """Send an event to a Prefect API and wait until it was taken.

    Prefect's own ``emit_event`` hands the event to a thread and loses it in silence when the server is down.

    Parameters
    ----------
    api_url
        Address of the API, e.g. ``http://127.0.0.1:4200/api``.
    event
        The event.
    auth
        ``user:password``, when the API asks for one.
    timeout_s
        Seconds that one attempt may take.

    Raises
    ------
    MissingPartError
        When the API does not answer, or refuses.
    """
    deadline = time.monotonic() + RETRY_FOR_S
    with api_client(api_url, auth=auth, timeout_s=timeout_s) as client:
        while True:
            try:
                answer = client.post("/events", json=[event.as_prefect()])
                answer.raise_for_status()
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                    raise _refusal(api_url, event, f"answered {error.response.status_code}") from error
                time.sleep(PAUSE_S)
            except httpx.TransportError as error:
                raise _refusal(api_url, event, f"cannot be reached ({error})") from error
            else:
                return


@dataclass
class Sender:
    """Sends events of plates; one that was perhaps taken, as no answer came, is sent again under its own id.

    Prefect counts an id once. After half a minute it is a new event: triggers do not care for old ones.
    """

    api_url: str
    auth: str = ""
    _unsure: dict[tuple[str, ...], PlateEvent] = field(default_factory=dict)

    def send(self, event: PlateEvent) -> None:
        """Send an event, or the one before it of the same plate, recipe and kind; errors as ``emit``."""
        key = (event.kind, event.experiment, event.plate, event.recipe)
        before = self._unsure.get(key)
        if before is not None and (event.occurred - before.occurred).total_seconds() < RESENT_FOR_S:
            event = before
        self._unsure[key] = event
        emit(self.api_url, event, auth=self.auth)
        del self._unsure[key]


def _refusal(api_url: str, event: Event, what: str) -> MissingPartError:
    return MissingPartError(
        f"the Prefect API at {api_url} {what}, so the event {event.kind} was not sent; start the server, or set "
        "PREFECT_API_URL to the address of yours, ending in /api",
        experiment=event.experiment,
        plate=event.plate,
    )


def encode_name(name: str) -> str:
    """Percent-encode a name as a part of a resource's id: all but letters, digits, ``_`` and ``-``."""
    return quote(name, safe="").replace(".", "%2E").replace("~", "%7E")
