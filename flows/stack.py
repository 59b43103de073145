"""Everything on one machine as services of one supervisor: Prefect server, Dask cluster, runner, watcher, web server.

Where the settings name a BigQuery dataset, also what loads the warehouse.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from flows.cluster import cluster_service
from flows.messages.outbox import read_since
from flows.serve import serve_service
from flows.server import client_variables, prefect_environment, server_service
from flows.settings import CHANNELS, MESSAGE_CHANNELS, Settings
from flows.supervise import Service, Supervisor, interrupt_on_termination
from flows.watchdogs.channels import check_channels
from flows.web.service import check_web, web_address, web_service
from imaging.errors import ConfigurationError
from imaging.store import open_store

CLUSTER_STATE = "cluster.json"
"""File in the state folder with the process ids of the cluster's workers."""

AGAIN_S = 60.0
"""Seconds until addresses that the server did not take are told it again."""

log = logging.getLogger(__name__)


def local_services(settings: Settings, logs: Path) -> list[Service]:
    """Describe the services of one machine, in the order in which they are stopped last to first."""
    port = _local_port(settings.api_url)
    state = settings.state_folder
    runs_elsewhere = settings.compute == "address"
    cluster = [] if runs_elsewhere else [cluster_service(settings, logs / "cluster.log", state / CLUSTER_STATE)]
    return [
        server_service(settings, port, logs / "server.log"),
        *cluster,
        serve_service(settings, logs / "runner.log"),
        service_of(settings, "watch", logs),
        *([service_of(settings, "warehouse", logs)] if settings.dataset else []),
        web_service(settings, logs / "web.log"),
    ]


def _local_port(api_url: str) -> int:
    """Port of the server that is to run here.

    Raises
    ------
    ConfigurationError
        If the address is another machine's, or names no port.
    """
    address = urlsplit(api_url)
    if address.hostname not in ("127.0.0.1", "localhost") or address.port is None:
        raise ConfigurationError(
            f"a server on this machine has an address such as http://127.0.0.1:4200/api, the settings say {api_url}; "
            "with a server elsewhere, run `platestream cluster` and `platestream watch`"
        )
    return address.port


def service_of(settings: Settings, name: str, logs: Path) -> Service:
    """A long-lived process of ours: the module ``flows.<name>``, with its log."""
    client = client_variables(settings.api_url, settings.state_folder / "prefect", settings.auth)
    variables = client | settings.as_environment()
    environment = prefect_environment(variables)
    return Service(name, (sys.executable, "-m", f"flows.{name}"), logs / f"{name}.log", environment)


def serve(settings: Settings) -> None:
    """Run everything on this machine until the process is stopped; ``platestream serve``."""
    check_web(settings)
    check_channels(settings)
    note_first_channel(settings)
    logs = settings.state_folder / "logs"
    with interrupt_on_termination(), Supervisor(local_services(settings, logs)) as supervisor:
        supervisor.wait_until_ready()
        is_told = tell_channels(settings)
        log.info(
            "watching %s; Prefect UI at %s; logs in %s", settings.store, settings.api_url.removesuffix("/api"), logs
        )
        log.info("plates and their pages at %s", web_address(settings))
        try:
            while True:
                time.sleep(3600.0 if is_told else AGAIN_S)
                is_told = is_told or tell_channels(settings)
        except KeyboardInterrupt:
            return


def note_first_channel(settings: Settings) -> None:
    """Have all be told that is recorded from now on: a plate may be published before the server knows the channels."""
    if any(getattr(settings, channel) for channel in MESSAGE_CHANNELS):
        read_since(open_store(settings.store))


def tell_channels(settings: Settings) -> bool:
    """Tell the server where alerts and messages go; ``False`` where it did not take that and is to be told again."""
    if not any(getattr(settings, channel) for channel in (*CHANNELS, *MESSAGE_CHANNELS)):
        return True
    from prefect.exceptions import PrefectException  # loads Prefect, which this process else does without

    from flows.deploy import deploy_alerts

    try:
        deploy_alerts(settings)
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:  # Prefect's own for a server out of reach
        log.warning("where alerts go could not be registered, which is tried again: %s", type(error).__name__)
        return False
    return True
