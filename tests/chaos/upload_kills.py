"""Kill an upload five times by SIGKILL at random moments, then cut its network, and hold all sums against the source.

    python -m tests.chaos.upload_kills [--seed N] [--files N] [--kills N] [--pause-s S]

The bucket is the stand-in's, over real sockets, through a network that refuses, resets in the middle of a body, loses
answers and passes on answers of 503. Exit status 0 only if all sums are equal at the end, no object got a second
version, and nothing was sent twice but what was in flight at a kill or a cut.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from flows.settings import child_environment
from tests.parts import ROOT
from tests.standins.gcs import GcsStandIn
from tests.standins.network import Network

TRANSFERS = 4
BYTES_PER_S = 20e6
PREFIX = "screens/raw/chaos/P1/"


@dataclass
class Bucket:
    """The stand-in's bucket, and what was done to it: versions made and files sent, by path."""

    gcs: GcsStandIn
    versions: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.gcs.create_bucket("lab")
        self.gcs.notify(self._hear, prefix=PREFIX)

    def _hear(self, data: bytes, attributes: dict[str, str]) -> None:
        if attributes["eventType"] == "OBJECT_FINALIZE":
            self.versions[attributes["objectId"].removeprefix(PREFIX)] += 1

    def sent(self) -> Counter[str]:
        """How often each file was sent whole, whatever the answer."""
        start = f"PUT /lab/{PREFIX}"
        requests = [unquote(request) for request in list(self.gcs.requests)]
        return Counter(request.removeprefix(start) for request in requests if request.startswith(start))

    def sums(self) -> dict[str, str]:
        """MD5 of each object's bytes."""
        blobs = self.gcs.objects("lab")
        return {
            name.removeprefix(PREFIX): hashlib.md5(data).hexdigest()
            for name, data in blobs.items()
            if name.startswith(PREFIX)
        }


def make_source(folder: Path, files: int, chance: random.Random) -> dict[str, str]:
    """Make images of 1 to 60 kB, one of 35 MB and a manifest; returns their MD5 by path."""
    for number in range(files):
        path = folder / "Images" / f"r{number // 24:02d}c{number % 24:02d}f01-ch1.dat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(1_000, 60_000)))
    (folder / "Images" / "large.dat").write_bytes(chance.randbytes(33 << 20))
    (folder / "Images" / "Index.xml").write_text("<EvaluationInputData/>")
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.md5(path.read_bytes()).hexdigest() for path in found}


def start(source: Path, network: Network, state: Path) -> subprocess.Popen[str]:
    """Start an upload as a user does."""
    command = [sys.executable, "-m", "flows.cli", "upload", str(source), f"gs://lab/screens?endpoint={network.url}"]
    command += ["--experiment", "chaos", "--plate", "P1", "--settle", "0.2", "--transfers", str(TRANSFERS), "--json"]
    environment = child_environment({"XDG_STATE_HOME": str(state), "PYTHONPATH": str(ROOT)})
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True, cwd=ROOT)


def kill_once(number: int, bucket: Bucket, upload: subprocess.Popen[str], chance: random.Random) -> None:
    """Kill an upload a moment after it began to send, or before."""
    before, began = len(bucket.sent()), time.monotonic()
    wants = chance.random() < 0.8  # else it is killed while it starts, lists and compares
    while wants and len(bucket.sent()) == before and upload.poll() is None and time.monotonic() - began < 60:
        time.sleep(0.01)
    time.sleep(chance.uniform(0.0, 0.8))
    is_killed = upload.poll() is None
    upload.kill()
    upload.communicate()
    after = bucket.sent()
    print(
        f"{time.strftime('%H:%M:%S')} kill {number}: pid {upload.pid} "
        f"{'killed by SIGKILL' if is_killed else 'had ended'} after {time.monotonic() - began:.2f} s; sent by it "
        f"{len(after) - before}, in the bucket {len(bucket.sums())}, sent twice so far {twice(after)}",
        flush=True,
    )


def twice(sent: Counter[str]) -> int:
    """How many files were sent again, each time counted."""
    return sum(count - 1 for count in sent.values())


def trouble(network: Network, bucket: Bucket, upload: subprocess.Popen[str], pause_s: float) -> int:
    """Cut the network in each of its ways while an upload runs; returns how many requests were answered by 503."""
    _await_sending(bucket, upload)
    _say(f"the network refuses connections for {pause_s:g} s")
    network.cut()
    time.sleep(pause_s)
    network.restore()
    _await_sending(bucket, upload)
    _say("the network loses three answers")
    network.lose_answers(3)
    _await_sending(bucket, upload)
    _say(f"the bucket answers all by 503 for {pause_s:g} s")
    asked = len(bucket.gcs.requests)
    bucket.gcs.fail_next(*[503] * 10_000)
    time.sleep(pause_s)
    bucket.gcs.fail_next()
    refusals = len(bucket.gcs.requests) - asked
    _await_sending(bucket, upload)
    _say(f"connections are reset after 30 kB, in the middle of a body, for {pause_s:g} s")
    network.reset_after(30_000)
    time.sleep(pause_s)
    network.reset_after(None)
    _await_sending(bucket, upload)
    _say("the network works again")
    return refusals


def _await_sending(bucket: Bucket, upload: subprocess.Popen[str], files: int = 20) -> None:
    """Wait until an upload has sent some more files."""
    before = len(bucket.sent())
    while len(bucket.sent()) < before + files and upload.poll() is None:
        time.sleep(0.02)


def main(*, seed: int, files: int, kills: int, pause_s: float) -> int:
    """Run all of it; returns the exit status."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as temporary, GcsStandIn() as gcs:
        source, state = Path(temporary) / "source", Path(temporary) / "state"
        expected = make_source(source, files, chance)
        bucket = Bucket(gcs)
        with Network(int(gcs.url.rpartition(":")[2]), bytes_per_s=BYTES_PER_S) as network:
            size = sum(path.stat().st_size for path in source.rglob("*.*"))
            _say(f"{len(expected)} files, {size / 1e6:.0f} MB, seed {seed}")
            for number in range(1, kills + 1):
                kill_once(number, bucket, start(source, network, state), chance)
                if number == kills // 2 + 1:
                    lost = [path.unlink() for path in state.rglob("*.jsonl")]
                    _say(f"the journal is lost ({len(lost)} file)")
            by_kills, severed = twice(bucket.sent()), network.severed
            upload = start(source, network, state)
            watch = threading.Timer(180, upload.kill)
            watch.start()
            refusals = trouble(network, bucket, upload, pause_s)
            summary = json.loads(upload.communicate()[0])
            watch.cancel()
            severed = network.severed - severed
        sent, found = bucket.sent(), bucket.sums()
    print(f"last run: {json.dumps({k: v for k, v in summary.items() if k != 'source'})}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"greatest memory of an upload: {peak / 1e6:.0f} MB")
    is_equal = found == expected
    versions = {path: count for path, count in bucket.versions.items() if count != 1}
    by_cuts = twice(sent) - by_kills
    print(f"sums equal: {is_equal} ({len(found)} of {len(expected)} objects)")
    print(f"objects that got a second version: {versions or 'none'}")
    print(f"sent twice after kills: {by_kills} (in flight at {kills} kills: at most {kills * TRANSFERS})")
    print(f"sent twice after cuts: {by_cuts} (answered by 503: {refusals}, connections severed: {severed})")
    is_well = is_equal and not versions and by_kills <= kills * TRANSFERS and by_cuts <= refusals + severed
    print("all is well" if is_well and upload.returncode == 0 else f"NOT WELL, exit status {upload.returncode}")
    return 0 if is_well and upload.returncode == 0 else 1


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.upload_kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10_000)
    parser.add_argument("--files", type=int, default=1500)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--pause-s", type=float, default=4.0, help="how long each trouble of the network lasts")
    sys.exit(main(**vars(parser.parse_args())))
