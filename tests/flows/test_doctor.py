"""`platestream doctor` and `platestream alerts`, on a store that is sound and on some that are not."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows import doctor_services
from flows.doctor import Finding, examine
from flows.doctor_services import (
    check_cluster,
    check_gpu,
    check_server,
    check_warehouse,
    check_watcher,
    seconds_apart,
)
from flows.doctor_store import check_disks, check_installation, check_store, clock_finding
from flows.settings import Settings
from flows.watchdogs.alert import Alert
from flows.watchdogs.memory import Memory, write_memory
from flows.watchdogs.rounds import ALERT
from imaging.store import FolderStore
from tests.flows.api_standin import api_standin
from tests.flows.command_line import command_line
from tests.standins.bigquery_jobs import BigQueryJobs
from tests.standins.gcs import GcsStandIn

NOBODY = {"api_url": "http://127.0.0.1:9/api", "scheduler": "tls://127.0.0.1:9"}
DISK = Alert("disk-near-full", "lab1", 1_770_091_500.0, "the disk is nearly full", "make room")


def settings_of(folder: Path, **said: object) -> Settings:
    values = NOBODY | {"store": str(folder), "state_folder": folder, "cache_folder": folder} | said
    return Settings(**values)  # pyright: ignore[reportArgumentType]


def levels(findings: list[Finding]) -> dict[str, str]:
    return {finding.about: finding.level for finding in findings}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    for name, value in NOBODY.items():
        monkeypatch.setenv(f"PLATESTREAM_{name.upper()}", value)
    return command_line(monkeypatch, capfd, tmp_path)


def remember(store: FolderStore, now: float) -> None:
    memory = Memory()
    memory.begin(now, every_s=60)
    memory.end([DISK])
    write_memory(store, memory)


def test_what_is_installed_is_what_the_lock_says(tmp_path: Path) -> None:
    (fine,) = check_installation(Settings())
    assert (fine.level, fine.what.split(",")[0]) == ("fine", "platestream 0.1.0")
    (tmp_path / "requirements.lock").write_text("numpy==1.0 \\\n    --hash=x\npydantic==1.0\nnot-here==1\n")
    (wrong,) = check_installation(Settings(), root=tmp_path)
    assert wrong.level == "wrong"
    assert wrong.what.startswith("2 of 3 packages are of other versions than requirements.lock says: numpy ")
    assert " instead of 1.0" in wrong.what
    (note,) = check_installation(Settings(), root=tmp_path / "none")
    assert note.level == "note"


def test_a_sound_store_is_left_as_it_was(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("raw/screen/P1/a.tif", b"x")
    found = list(check_store(settings_of(tmp_path)))
    assert [str(finding) for finding in found] == [
        f"fine   store: {tmp_path} can be listed, read, written and deleted from",
        "fine   clocks: that of the store agrees with ours",
        "fine   store: raw/ holds images of 1 experiment",
    ]
    assert [item.key for item in store.list("").objects] == ["raw/screen/P1/a.tif"]


def test_a_bucket_is_checked_like_a_folder(gcs: GcsStandIn) -> None:
    found = list(check_store(Settings(store=gcs.address("lab/screens"))))
    assert levels(found) == {"store": "note", "clocks": "fine"}
    (gone,) = check_store(Settings(store=gcs.address("nobody/screens")))
    assert gone.level == "wrong"
    assert "cannot be used" in gone.what


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    (wrong,) = check_store(settings_of(tmp_path / "typo"))
    assert (wrong.level, wrong.to_do) == ("wrong", "give its folder by --store or PLATESTREAM_STORE")
    assert list(check_watcher(settings_of(tmp_path / "typo"))) == []
    assert not (tmp_path / "typo").exists()


def test_a_store_that_takes_nothing_is_wrong(tmp_path: Path) -> None:
    (tmp_path / ".staging").write_text("a file where files are staged")
    *_, wrong = check_store(settings_of(tmp_path))
    assert wrong.level == "wrong"
    assert "the folder took no file" in wrong.what


def test_a_store_that_overwrites_instead_of_creating_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderStore, "create", lambda self, key, data: self.write(key, data) or True)
    wrong = next(iter(check_store(settings_of(tmp_path))))
    assert wrong.level == "wrong"
    assert "does not create an object only where there is none, which all records rest on" in wrong.what


def test_a_store_whose_clock_is_wrong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderStore, "modified", lambda self, key: time.time() - 90)
    clock = next(finding for finding in check_store(settings_of(tmp_path)) if finding.about == "clocks")
    assert (clock.level, clock.what) == (
        "wrong",
        "the clock of this machine and that of the store are 1 min 30 s apart",
    )
    assert clock_finding("store", 4.9).level == "fine"


def test_a_disk_with_little_room_is_wrong(tmp_path: Path) -> None:
    (fine,) = check_disks(settings_of(tmp_path, alert_disk_percent=0))
    (wrong,) = check_disks(settings_of(tmp_path, alert_disk_percent=99.999999))
    assert (fine.level, wrong.level, wrong.to_do) == ("fine", "wrong", "make room or move it")
    assert f"are free for the store ({tmp_path})" in fine.what


def test_services_that_are_not_there_are_told_with_what_to_start(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (server,) = check_server(settings)
    assert server.what.startswith("no Prefect server answers at http://127.0.0.1:9/api")
    assert server.to_do.startswith("start `platestream serve`")
    (cluster,) = check_cluster(settings)
    assert cluster.level == "wrong"
    assert "TLS" in cluster.what


def test_what_is_not_asked_for_is_no_fault(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert [finding.level for check in (check_gpu, check_warehouse) for finding in check(settings)] == ["fine", "fine"]


def test_a_dataset_that_was_never_made_is_named(tmp_path: Path, bigquery_jobs: BigQueryJobs) -> None:
    given = {"bigquery_emulator": bigquery_jobs.url, "google_project": "lab", "dataset": "nowhere"}
    (warehouse,) = check_warehouse(settings_of(tmp_path, **given))
    assert warehouse.level == "wrong"
    assert "there is no dataset lab.nowhere; platestream warehouse makes it" in warehouse.what


def test_a_dataset_that_cannot_be_reached_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    (warehouse,) = check_warehouse(settings_of(tmp_path, dataset="lab"))
    assert warehouse.level == "wrong"
    assert "no credentials for Google Cloud" in warehouse.what


def test_the_watcher_and_its_alerts_are_told(tmp_path: Path) -> None:
    (nobody,) = check_watcher(settings_of(tmp_path))
    assert (nobody.level, nobody.what) == ("wrong", "nobody has looked at this store for alerts yet")
    remember(FolderStore(tmp_path), time.time())
    watcher, alert = check_watcher(settings_of(tmp_path))
    assert watcher.level == "fine"
    assert (alert.level, alert.what, alert.to_do) == ("wrong", "the disk is nearly full", "make room")


def test_the_doctor_goes_through_everything_and_fails_where_something_is_wrong(run, tmp_path: Path) -> None:
    outcome = run("doctor", "--store", tmp_path)
    assert outcome.status == 1
    lines = outcome.out.splitlines()
    assert lines[-1] == "3 things are wrong"
    assert [line.split(":")[0] for line in lines if line.startswith("wrong")] == [
        "wrong  server",
        "wrong  cluster",
        "wrong  watcher",
    ]
    rows = json.loads(run("doctor", "--store", tmp_path, "--json").out)
    assert [row["about"] for row in rows if row["level"] == "wrong"] == ["server", "cluster", "watcher"]
    assert rows[0].keys() == {"about", "level", "what", "to_do"}
    assert len(rows) == len(list(examine(settings_of(tmp_path))))


def test_alerts_are_shown_by_a_command_and_below_the_plates(run, tmp_path: Path) -> None:
    assert run("alerts", "--store", tmp_path).out.startswith("nobody has looked at this store for alerts yet; start")
    assert "nobody" not in run("status", "--store", tmp_path).out  # a desk without services is no fault
    remember(FolderStore(tmp_path), time.time())
    said = "alert: the disk is nearly full; make room\n"
    assert run("alerts", "--store", tmp_path).out == said
    assert run("status", "--store", tmp_path).out.endswith(said)
    (row,) = json.loads(run("alerts", "--store", tmp_path, "--json").out)["alerts"]
    assert (row["kind"], row["subject"], row["is_told"]) == ("disk-near-full", "lab1", False)


def test_a_store_without_alerts_says_so(run, tmp_path: Path) -> None:
    memory = Memory()
    memory.begin(time.time(), every_s=60)
    write_memory(FolderStore(tmp_path), memory)
    assert run("alerts", "--store", tmp_path).out == "no alerts\n"


def test_a_test_alert_goes_the_way_of_all_alerts(run, monkeypatch: pytest.MonkeyPatch) -> None:
    with api_standin() as (url, got):
        monkeypatch.setenv("PLATESTREAM_API_URL", url)
        outcome = run("alerts", "--test")
    assert outcome.out.startswith(f"the Prefect server at {url} took a test alert")
    assert got[0].body[0]["event"] == ALERT
    assert got[0].body[0]["payload"]["message"] == "this is a test of Platestream's alerts; nothing is to be done"


def test_how_long_an_answer_took_is_not_taken_for_a_wrong_clock() -> None:
    assert seconds_apart(1000.0, 1060.0, 1055.0, 1056.0) == 0
    assert seconds_apart(1000.0, 1060.0, 998.0, 999.0) == 1
    assert seconds_apart(1000.0, 1001.0, 1031.0, 1032.0) == 30


def test_a_prefect_server_that_answers_slowly_has_no_wrong_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.time()
    clock = iter([began - 60.0, began])  # it let the question lie for a minute
    monkeypatch.setattr(doctor_services, "time", SimpleNamespace(time=lambda: next(clock)))
    with version_api() as address:
        found = list(check_server(Settings(api_url=address)))
    assert [finding.level for finding in found if finding.about == "clocks"] == ["fine"]


@contextlib.contextmanager
def version_api() -> Iterator[str]:
    """An API that knows its version and nothing else, and says what its clock says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = b'"0"' if self.path.endswith("/admin/version") else b"{}"
            self.send_response(200 if data == b'"0"' else 500)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()
