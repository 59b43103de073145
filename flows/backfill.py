"""`platestream backfill`: plates under a recipe that they lack, at low priority: by runs of the server, or here.

Both leave everything in the store: a backfill that is begun again does what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flows.cluster import open_for_run
from flows.process_folder import OnLook, process_job
from flows.settings import Settings
from imaging.backfill import BackfillPlan
from imaging.errors import MissingPartError, PlateError
from imaging.experiment import Experiment
from imaging.job import plate_job
from imaging.plate_recipes import BACKGROUND
from imaging.store import Store

DEPLOYMENT = "process-plate/process-plate-background"
TAG = "backfill"
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one plate's part of a backfill ended, in words; ``is_well`` unless something is wrong."""

    plate: str
    said: str
    is_well: bool = True


def backfill_here(
    plan: BackfillPlan,
    chosen: Experiment,
    store: Store,
    settings: Settings,
    *,
    on_begin: Callable[[str], None] = lambda plate: None,
    on_look: OnLook = lambda plan: None,
) -> Iterator[Outcome]:
    """Process the plates of a backfill on this machine, one after the other; one at fault stops none of the others."""
    if not plan.todo:
        return
    with _one_cluster(settings) as shared:
        for each in plan.todo:
            on_begin(each.plate)
            job = plate_job(store, chosen, each.plate, settle_s=0.0)
            try:
                done = process_job(job, shared, priority=BACKGROUND, on_look=on_look)
            except PlateError as error:
                yield Outcome(each.plate, str(error), is_well=False)
            else:
                sites = len(done.plan.of("done"))
                yield Outcome(each.plate, f"published ({done.publication.status}), {sites} sites, {done.verdict}")


@contextmanager
def _one_cluster(settings: Settings) -> Iterator[Settings]:
    """Settings of a cluster that all plates share: on this machine it takes seconds to start."""
    with open_for_run(settings) as address:
        yield settings.model_copy(update={"compute": "address", "scheduler": address})


def request_runs(plan: BackfillPlan, settings: Settings) -> list[Outcome]:
    """Ask the Prefect server for a run of each plate of a backfill, unless one is open already.

    Raises
    ------
    MissingPartError
        If the server has no such deployment.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    server: dict[Any, str] = {PREFECT_API_URL: settings.api_url}
    if settings.auth:
        server[PREFECT_API_AUTH_STRING] = settings.auth
    outcomes = []
    with temporary_settings(server), get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound as error:
            raise MissingPartError(
                f"the Prefect server at {settings.api_url} has no deployment {DEPLOYMENT}: run `platestream deploy`, "
                "or process the plates on this machine with --here"
            ) from error
        is_open = _open_runs(client)
        for each in plan.todo:
            asked = {"experiment": plan.experiment, "plate": each.plate, "recipe": plan.recipe}
            if tuple(asked.values()) in is_open:
                outcomes.append(Outcome(each.plate, "a run is open already"))
                continue
            client.create_flow_run_from_deployment(
                deployment.id, parameters={**asked, "priority": BACKGROUND}, tags=[TAG, plan.recipe]
            )
            outcomes.append(Outcome(each.plate, "a run is asked for"))
    return outcomes


def _open_runs(client: Any) -> set[tuple[str, str, str]]:
    """Experiment, plate and recipe of every backfill's run that has not ended."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.objects import StateType

    states = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[TAG]), state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states))
    )
    found: set[tuple[str, str, str]] = set()
    for offset in range(0, 1_000_000, _PAGE):
        runs = client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE, offset=offset)
        found |= {tuple(run.parameters.get(name, "") for name in ("experiment", "plate", "recipe")) for run in runs}
        if len(runs) < _PAGE:
            break
    return found
