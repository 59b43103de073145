"""The real processes of one machine on small plates, made quick to notice and to give up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from flows.settings import Settings
from flows.stack import local_services
from flows.supervise import Supervisor, find_free_ports
from tests.chaos.light import light_services
from tests.chaos.processes import MARK, Processes

WORKERS, PLATES_AT_ONCE, SETTLE_S = 2, 4, 1.0


def make_settings(folder: Path, store: str) -> Settings:
    """Settings of a stack whose state lies in a folder; ports are free ones."""
    server, scheduler, web = find_free_ports(3)
    return Settings(
        store=store,
        api_url=f"http://127.0.0.1:{server}/api",
        scheduler=f"tcp://127.0.0.1:{scheduler}",
        web_port=web,
        state_folder=folder / "state",
        workers=WORKERS,
        plates_at_once=PLATES_AT_ONCE,
        linger_s=15.0,
        heartbeat_s=4.0,
        heartbeat_stale_s=12.0,
        settle_s=SETTLE_S,
        rescan_s=1.0,
    )


@contextmanager
def run_stack(
    settings: Settings, folder: Path, environment: Mapping[str, str], *, is_light: bool
) -> Iterator[Processes]:
    """Run the stack for the block, or the light one; its processes have these variables besides."""
    describe = light_services if is_light else local_services
    services = [
        replace(service, environment={**(service.environment or {}), **environment, MARK: str(folder)})
        for service in describe(settings, folder / "logs")
    ]
    with Supervisor(services) as supervisor:
        supervisor.wait_until_ready(240.0)
        with Processes(supervisor, folder, folder / "logs" / "cluster.log") as processes:
            yield processes
