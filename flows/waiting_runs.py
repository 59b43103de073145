"""Runs that the Prefect server has already made and that wait for a place: a plate that has one needs no second.

Each event beyond the first would add a run that finds nothing to do, one every few minutes for each plate of a queue.
What the server says is a hint: a run that never begins is not believed in for ever. But each one that was added in vain
doubles the time, for most that wait are only behind others, and these would get one more each hour.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from flows.server import api_client
from imaging.errors import MissingPartError

PlateRecipe = tuple[str, str, str]
"""Experiment, plate and recipe."""
AGE_S = 5.0
"""Seconds that an answer is good for: of many plates that wait, one asks for all."""
BELIEVED_S = {"SCHEDULED": 3600.0, "PENDING": 120.0}
"""Seconds that a run is believed to begin yet, by its state: one whose runner was killed stays Pending for ever.
Each further run of the same plate doubles it."""
AHEAD_S = 300.0
"""Seconds from now by which a run that is believed begins: one that was made while the server's clock was a day ahead
waits for that day, and the plate must not."""
PAGE = 200
FLOW = "process-plate"
"""Flow of the runs that events start; before the server knows a deployment of it, an event would start nothing."""


@dataclass
class WaitingRuns:
    """What waits at a Prefect API, asked at most every few seconds.

    Parameters
    ----------
    api_url
        Address of the API.
    auth
        ``user:password``, when the API asks for one.
    """

    api_url: str
    auth: str = ""
    _waiting: frozenset[PlateRecipe] = frozenset()
    _asked_at: float = float("-inf")
    _is_deployed: bool = False
    _seen: dict[tuple[str, str], float] = field(default_factory=dict)

    def has(self, experiment: str, plate: str, recipe: str) -> bool:
        """Whether a run of a plate waits to begin.

        Raises
        ------
        MissingPartError
            When the server does not answer: one that is at its limit would only get more to do by a further event. And
            as long as it has no deployment that an event could start, as in the first seconds of a fresh one.
        """
        now = time.monotonic()
        if now - self._asked_at >= AGE_S:
            try:
                self._is_deployed = self._is_deployed or self._ask_for_deployment()
                if not self._is_deployed:
                    raise MissingPartError(
                        f"the Prefect API at {self.api_url} has no deployment of {FLOW} yet, so no run is asked for; "
                        "`platestream serve` registers it, and so does `platestream deploy`",
                        experiment=experiment,
                        plate=plate,
                    )
                self._waiting = self.believe(self._ask(), now)
            except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:  # or another answers
                raise MissingPartError(
                    f"the Prefect API at {self.api_url} does not say which runs wait "
                    f"({str(error) or type(error).__name__}), so none is asked for now; start the server, or set "
                    "PREFECT_API_URL to the address of yours",
                    experiment=experiment,
                    plate=plate,
                ) from error
            self._asked_at = time.monotonic()
        return (experiment, plate, recipe) in self._waiting

    def believe(self, runs: list[Mapping[str, Any]], now: float) -> frozenset[PlateRecipe]:
        """Plates of runs that have not waited too long; ``now`` by any clock that does not jump."""
        keys = [(run["id"], run["state_type"]) for run in runs]
        self._seen = {key: self._seen.get(key, now) for key in keys}
        waiting: dict[PlateRecipe, list[tuple[str, str]]] = {}
        for key, named in zip(keys, (run["parameters"] for run in runs), strict=True):
            if {"experiment", "plate", "recipe"} <= named.keys():
                waiting.setdefault((named["experiment"], named["plate"], named["recipe"]), []).append(key)
        return frozenset(
            plate
            for plate, found in waiting.items()
            if any(now - self._seen[key] < BELIEVED_S[key[1]] * 2 ** (len(found) - 1) for key in found)
        )

    def _ask_for_deployment(self) -> bool:
        with api_client(self.api_url, auth=self.auth) as client:
            answer = client.post("/deployments/filter", json={"flows": {"name": {"any_": [FLOW]}}, "limit": 1})
            return bool(answer.raise_for_status().json())

    def _ask(self) -> list[Mapping[str, Any]]:
        runs: list[Mapping[str, Any]] = []
        latest = datetime.now(UTC) + timedelta(seconds=AHEAD_S)
        chosen = {"state": {"type": {"any_": list(BELIEVED_S)}}, "expected_start_time": {"before_": latest.isoformat()}}
        wanted = {"flow_runs": chosen, "sort": "ID_DESC", "limit": PAGE}
        with api_client(self.api_url, auth=self.auth) as client:
            while True:
                answer = client.post("/flow_runs/filter", json=wanted | {"offset": len(runs)})
                page = answer.raise_for_status().json()
                runs += page
                if len(page) < PAGE:
                    return runs
