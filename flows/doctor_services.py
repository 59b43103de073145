"""The doctor's checks of what runs elsewhere: server, cluster, GPU, warehouse, watcher and the way of alerts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import httpx

from flows.declared import read_automations
from flows.doctor import Finding
from flows.doctor_store import clock_finding
from flows.serve import served_deployments
from flows.server import api_client
from flows.settings import CHANNELS, MESSAGE_CHANNELS, Settings
from flows.watchdogs.channels import BLOCKS
from flows.watchdogs.gather import store_folder
from imaging.errors import ConfigurationError, MissingPartError, PlateError

REGISTER = "`platestream deploy` registers it; `platestream serve` does so by itself"


def check_server(settings: Settings) -> Iterator[Finding]:
    """Check the Prefect server, its version and clock, and that flows and automations are registered with it."""
    about, url = "server", settings.api_url
    try:
        with api_client(url, auth=settings.auth) as client:
            before = time.time()
            answer = client.get("/admin/version")
            after = time.time()
            answer.raise_for_status()
            yield from _check_version(str(answer.json()), url)
            if stamp := answer.headers.get("date"):
                first = parsedate_to_datetime(stamp).timestamp()
                yield clock_finding("Prefect server", seconds_apart(before, after, first, first + 1.0))  # whole seconds
            yield from _check_deployments(client, settings)
            yield from _check_automations(client, settings)
    except httpx.HTTPStatusError as error:
        to_do = "set PREFECT_API_AUTH_STRING to its user:password" if error.response.status_code == 401 else ""
        yield Finding(about, "wrong", f"{url} answers {error.response.status_code}", to_do or "look at its log")
    except (httpx.HTTPError, ValueError) as error:
        what = f"no Prefect server answers at {url} ({' '.join(str(error).split()) or type(error).__name__})"
        yield Finding(about, "wrong", what, "start `platestream serve`, or set PREFECT_API_URL to the address of yours")


def seconds_apart(before: float, after: float, first: float, last: float) -> float:
    """By how much two clocks differ at least: ours said from ``before`` to ``after`` when theirs said one of two times.

    All are Unix seconds; how long the answer was under way, either way, is not known.
    """
    return max(0.0, before - last, first - after)


def _check_version(theirs: str, url: str) -> Iterator[Finding]:
    ours = version("prefect")
    if theirs == ours:
        yield Finding("server", "fine", f"{url} answers, Prefect {theirs}")
    else:
        what = f"{url} runs Prefect {theirs}, and this installation {ours}"
        yield Finding("server", "wrong", what, "install the same version everywhere")


def _check_deployments(client: httpx.Client, settings: Settings) -> Iterator[Finding]:
    for each in served_deployments(settings):
        flow = each.entrypoint.rpartition(".")[2].replace("_", "-")
        answer = client.get(f"/deployments/name/{quote(flow)}/{quote(each.name)}")
        about = f"flow {each.name}"
        if answer.status_code == httpx.codes.NOT_FOUND:
            yield Finding(about, "wrong", "it is not registered, so no event starts it", REGISTER)
            continue
        found = answer.raise_for_status().json()
        if found.get("paused"):
            yield Finding(about, "wrong", "it is paused, so its runs do not begin", "resume it in Prefect's UI")
        elif found.get("status") == "READY":
            yield Finding(about, "fine", "it is registered, and somebody runs it")
        else:
            to_do = f"start `prefect worker start --pool {each.work_pool.name}`, or `platestream serve`"
            yield Finding(about, "wrong", "it is registered, and nobody runs it", to_do)


def _check_automations(client: httpx.Client, settings: Settings) -> Iterator[Finding]:
    known = _known_automations(client)
    wanted = [trigger["name"] for each in served_deployments(settings) for trigger in each.triggers]
    wanted += [each["name"] for each in read_automations() if not any("block" in item for item in each["actions"])]
    for name in wanted:
        about = f"automation {name}"
        if name not in known:
            yield Finding(about, "wrong", "it is not registered", REGISTER)
        elif not known[name]["enabled"]:
            yield Finding(about, "wrong", "it is switched off", "switch it on in Prefect's UI, or `platestream deploy`")
        else:
            yield Finding(about, "fine", "it is registered")


def _known_automations(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while True:
        question = {"limit": 200, "offset": len(found)}
        page = client.post("/automations/filter", json=question).raise_for_status().json()
        before = len(found)
        found |= {each["name"]: each for each in page}
        if len(page) < 200 or len(found) == before:
            return found


def check_cluster(settings: Settings) -> Iterator[Finding]:
    """Check that scheduler and workers answer, and run the same versions as this process."""
    from flows.clusters.look import ask  # loads Dask
    from flows.clusters.security import read_security
    from flows.compute import connect

    about = "cluster"
    try:
        with connect(settings):
            pass
        before = time.time()
        look = ask(settings.scheduler, read_security(settings))
        after = time.time()
    except (MissingPartError, ConfigurationError) as error:
        what, _, to_do = " ".join(str(error).split()).partition(": start one")
        yield Finding(about, "wrong", what, f"start one{to_do}" if to_do else "see what the sentence names")
        return
    workers = f"{len(look.busy)} worker{'' if len(look.busy) == 1 else 's'}"
    if not look.busy and settings.workers_floor != 0 and settings.compute != "gke":
        yield Finding(about, "wrong", f"{settings.scheduler} has no worker", "look at the log of the cluster")
    else:
        what = f"{settings.scheduler} has {workers} of our versions and {look.tasks} sites"
        yield Finding(about, "fine", what)
    if look.time:
        yield clock_finding("scheduler", seconds_apart(before, after, look.time, look.time))


def check_gpu(settings: Settings) -> Iterator[Finding]:
    """Check that a kernel runs on the GPU, where the settings ask for one."""
    if settings.device == "cpu":
        yield Finding("GPU", "fine", "none is asked for (PLATESTREAM_DEVICE=cpu)")
        return
    from flows.clusters.local import check_device

    try:
        check_device(settings.device)
    except MissingPartError as error:
        what, _, to_do = " ".join(str(error).split()).partition("; ")
        yield Finding("GPU", "wrong", what, to_do)
    else:
        yield Finding("GPU", "fine", "a kernel ran on it")


def check_warehouse(settings: Settings) -> Iterator[Finding]:
    """Check that the dataset answers, where the settings name one."""
    if not settings.dataset:
        yield Finding("warehouse", "fine", "none is asked for (PLATESTREAM_DATASET)")
        return
    from flows.warehouse import open_warehouse

    try:
        opened = open_warehouse(settings)
        place = opened.place
    except PlateError as error:
        what = f"the BigQuery dataset {settings.dataset} cannot be used: {' '.join(str(error).split())}"
        yield Finding("warehouse", "wrong", what, "plates are published all the same, and are loaded once it answers")
    else:
        yield Finding("warehouse", "fine", f"{opened.full_name} answers" + (f", in {place}" if place else ""))


def check_watcher(settings: Settings) -> Iterator[Finding]:
    """Check that somebody watches the store, and tell the alerts that stand."""
    from flows.google import open_data_store
    from flows.watchdogs.status import read_alerts

    folder = store_folder(settings)
    if folder is not None and not folder.is_dir():
        return
    try:
        found = read_alerts(open_data_store(settings), every_s=settings.alert_every_s)
    except (PlateError, OSError):  # the check of the store says why
        return
    if found.silence:
        what, _, to_do = found.silence.partition("; ")
        yield Finding("watcher", "wrong", what, to_do)
    else:
        yield Finding("watcher", "fine", "it looks at the store")
    for each in found.standing:
        yield Finding("alert", "wrong", each.alert.what, each.alert.to_do)


def check_alerts(settings: Settings) -> Iterator[Finding]:
    """Check that alerts reach somebody."""
    about = "alerts"
    try:
        with api_client(settings.api_url, auth=settings.auth) as client:
            there = [name for name in CHANNELS if _has_block(client, *BLOCKS[name])]
            known = _known_automations(client).get("platestream alerts") if there else None
    except (httpx.HTTPError, ValueError):  # the check of the server says why
        return
    ways = " and ".join(name.removeprefix("alert_") for name in there)
    if not there:
        to_do = "set PLATESTREAM_ALERT_WEBHOOK, _SLACK or _EMAIL and run `platestream deploy`"
        yield Finding(about, "note", "they stand in the log and in `platestream status` only", to_do)
    elif not known or not known["enabled"]:
        yield Finding(about, "wrong", f"the automation that sends them by {ways} is not there, or off", REGISTER)
    else:
        yield Finding(about, "fine", f"they are sent by {ways}; `platestream alerts --test` tries it")


def check_messages(settings: Settings) -> Iterator[Finding]:
    """Check that messages have words and ways, and which reached nobody."""
    from flows.messages.templates import read_templates

    about = "messages"
    try:
        read_templates()
    except ConfigurationError as error:
        yield Finding(about, "wrong", " ".join(str(error).split()), "mend the file; until then none is sent")
    try:
        with api_client(settings.api_url, auth=settings.auth) as client:
            there = [name for name in MESSAGE_CHANNELS if _has_block(client, *BLOCKS[name])]
    except (httpx.HTTPError, ValueError):  # the check of the server says why
        return
    if not there:
        to_do = (
            "set PLATESTREAM_MESSAGE_SLACK, _TEAMS, _WEBHOOK or _EMAIL and run `platestream deploy` (docs/messages.md)"
        )
        yield Finding(about, "note", "nobody is told of published plates, as there is no channel", to_do)
        return
    ways = " and ".join(name.removeprefix("message_") for name in there)
    yield Finding(about, "fine", f"they are sent by {ways}; `platestream messages --test` tries it")
    if not settings.message_links:
        to_do = "set PLATESTREAM_MESSAGE_LINKS to the address of the web server"
        yield Finding(about, "note", "they have no links to pages", to_do)
    yield from _check_untold(settings, [name.removeprefix("message_") for name in there])


def _check_untold(settings: Settings, channels: list[str]) -> Iterator[Finding]:
    from flows.google import open_data_store
    from flows.messages.outbox import find_untold, list_deliveries

    folder = store_folder(settings)
    if folder is not None and not folder.is_dir():
        return
    try:
        untold = find_untold(list_deliveries(open_data_store(settings), time.time()), channels)
    except (PlateError, OSError):  # the check of the store says why
        return
    if untold:
        what = f"{len(untold)} of the last days reached nobody, the first {untold[0].folder}"
        yield Finding("messages", "wrong", what, "`platestream messages` says which, the watcher's log why")


def _has_block(client: httpx.Client, kind: str, name: str) -> bool:
    address = f"/block_types/slug/{quote(kind)}/block_documents/name/{quote(name)}"
    return client.get(address).status_code == httpx.codes.OK
