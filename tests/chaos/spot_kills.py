"""Take workers of a running stack away as spot machines go: SIGTERM, and after a random notice SIGKILL.

    python -m tests.chaos.spot_kills [--kills 20] [--workers 3] [--seed N] [--folder FOLDER]

Each kill hits a worker with a running site. Images of the demo's plate are uploaded as the kills go on, so that the
plate is not through before the last of them. Prints each kill with the counts before and after it; exit status 0 only
if the final values equal a calm run's, no site failed or was done twice, no more sites were begun anew than were in
flight at the kills, and no process is left.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from flows.demo import EXPERIMENT, IMAGES, PLATE, Demo, prepare
from flows.keeper import find_descendants
from flows.stack import local_services
from flows.supervise import Supervisor
from imaging.publication import is_current, read_publication
from tests.chaos.kills import compare_to_calm, log_of, wait_for
from tests.chaos.worker_log import log_lines

LONGEST_NOTICE_S = 2.0
"""Of a spot machine it is 25 s; here less, so that sites are cut off as well as finished."""
SITES = 48


@dataclass(frozen=True)
class State:
    """What the workers' log says: sites that were worked through, and which process works on which."""

    ended: Counter[str]
    begun: Counter[str]
    found: Counter[str]
    running: dict[int, str]

    def __str__(self) -> str:
        return (
            f"{len(self.ended)} of {SITES} sites done, {len(self.running)} in flight, "
            f"{sum(self.begun.values()) - sum(self.found.values())} begun"
        )


def look(demo: Demo) -> State:
    """Read the log; processes that are no more work on nothing."""
    ended, begun, found = Counter[str](), Counter[str](), Counter[str]()
    running: dict[int, str] = {}
    for line in log_lines(log_of(demo)):
        if line.what == "begun":
            begun[line.site] += 1
            running[line.pid] = line.site
        elif line.what != "failed":
            (found if line.what == "found" else ended)[line.site] += 1
            running.pop(line.pid, None)
    return State(ended, begun, found, {pid: site for pid, site in running.items() if _is_alive(pid)})


def _is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists()


class Upload:
    """The plate's images, site by site in a random order."""

    def __init__(self, demo: Demo, chance: random.Random) -> None:
        self.folder = demo.folder / "data" / "raw" / EXPERIMENT / PLATE
        self.folder.mkdir(parents=True)
        self.sites: list[tuple[Path, ...]] = list(
            zip(*(sorted((IMAGES / "images").glob(f"Channel{channel}-*")) for channel in (1, 2)), strict=True)
        )
        chance.shuffle(self.sites)

    def send(self, count: int) -> None:
        """Upload the next so many sites."""
        for site in self.sites[:count]:
            for path in site:
                (self.folder / path.name).write_bytes(path.read_bytes())
        del self.sites[:count]


def kill_one(demo: Demo, chance: random.Random, number: int) -> State:
    """Wait for a site that runs, take its worker away, wait until that is gone; return what was so before."""
    before = look(demo)
    deadline = time.monotonic() + 120
    while not before.running:
        if time.monotonic() > deadline:
            raise SystemExit("no site runs that a kill could hit")
        time.sleep(0.02)
        before = look(demo)
    pid, site = chance.choice(sorted(before.running.items()))
    notice_s = chance.uniform(0, LONGEST_NOTICE_S)
    os.kill(pid, signal.SIGTERM)
    noticed_at = time.monotonic()
    while _is_alive(pid) and time.monotonic() - noticed_at < notice_s:
        time.sleep(0.01)
    end = "left by itself"
    if _is_alive(pid):
        end = f"was killed after {notice_s:.2f} s"
        os.kill(pid, signal.SIGKILL)
    while _is_alive(pid):
        time.sleep(0.01)
    after = look(demo)
    fate = "which it ended" if after.ended[site] > before.ended[site] else "which is to be done again"
    print(f"{time.strftime('%H:%M:%S')} kill {number}: worker {pid} with {site}, {fate}, {end}")
    print(f"    before: {before}\n    after:  {after}", flush=True)
    return before


def main(kills: int, workers: int, seed: int, folder: Path) -> int:
    """Run the plate with the kills and without any; compare."""
    chance = random.Random(seed)
    print(f"seed {seed}: {kills} kills of {workers} workers")
    demo = prepare(folder / "killed")
    settings = demo.settings.model_copy(update={"workers": workers})
    portion = max(1, (SITES - 2 * workers) // kills)
    with Supervisor(local_services(settings, demo.folder / "logs")) as supervisor:
        supervisor.wait_until_ready()
        upload = Upload(demo, chance)
        upload.send(2 * workers)
        in_flight = 0
        for number in range(1, kills + 1):
            in_flight += len(kill_one(demo, chance, number).running)
            upload.send(portion)
        upload.send(SITES)
        plan = wait_for(demo, lambda plan: plan.is_publishable and is_current(demo.job, plan))
        children = find_descendants(os.getpid())
    state = look(demo)
    redone = sum(state.begun.values()) - sum(state.found.values()) - SITES
    twice = [site for site, count in state.ended.items() if count > 1]
    left = [pid for pid in children if _is_alive(pid)]
    failed = len(plan.of("failed"))
    print(f"published: {state}")
    print(
        f"sites begun anew: {redone} (in flight at the kills: {in_flight}); done twice: {len(twice)}; failed: {failed}"
    )
    print(f"sites found done by a worker that was to do them: {sum(state.found.values())}; processes left: {len(left)}")
    is_equal = compare_to_calm(demo, read_publication(demo.job, plan.records.last_publication), folder / "calm")
    return 0 if is_equal and 0 <= redone <= in_flight and not (twice or left or failed) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.spot_kills")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(given.kills, given.workers, given.seed, (given.folder or Path(temporary)).absolute()))
