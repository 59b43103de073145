"""What is told of plates, experiments and days."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from prefect.logging import disable_run_logger

from flows.messages import outbox
from flows.messages.channels import Channel
from flows.messages.digest import find_due, make_digest
from flows.messages.message import (
    DIGEST,
    FAILED,
    FAILURES,
    PUBLISHED,
    UPDATED,
    make_message,
)
from flows.messages.news import find_published, plate_message, tell_experiment, tell_plate
from flows.messages.pictures import draw_wells
from flows.messages.rounds import SEARCH_EVERY_S
from flows.process_plate import tell
from flows.settings import Settings
from imaging.errors import ConfigurationError, StoredDataError
from imaging.job import PlateJob, open_experiment
from imaging.names import experiment_key, to_json
from imaging.publication import read_publication
from imaging.store import FolderStore
from tests.flows.dogs import NOWHERE
from tests.flows.receivers import webhook
from tests.flows.test_report import Heard
from tests.flows.told import TICK, began_long_ago, messenger, note
from tests.imaging import small_screen
from tests.imaging.small_damage import copy_of, publish_plate
from tests.imaging.small_plate import EXPERIMENT


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    publish_plate(folder)
    return folder


@pytest.fixture
def job(whole: Path, tmp_path: Path) -> PlateJob:
    return copy_of(whole, tmp_path / "store")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    made = FolderStore(tmp_path / "lab")
    began_long_ago(made)
    return made


@pytest.fixture
def posts() -> Iterator[tuple[str, list[Any]]]:
    with webhook() as (address, got):
        yield address, got


def test_the_run_that_publishes_a_plate_tells_people_though_the_server_is_down(job: PlateJob) -> None:
    heard: Any = Heard()
    with disable_run_logger():
        tell(heard, job, job.survey(), read_publication(job, 1), Settings(api_url=NOWHERE))
    [delivery] = outbox.list_deliveries(job.store, time.time())
    assert outbox.read_told(job.store, delivery).facts["plate"] == job.plate


def test_a_publication_is_told_with_verdict_numbers_and_picture(job: PlateJob, posts: tuple[str, list[Any]]) -> None:
    began_long_ago(job.store)
    assert tell_plate(job.store, job.experiment.name, job.plate, job.recipe, 1)
    assert not tell_plate(job.store, job.experiment.name, job.plate, job.recipe, 1)
    sender = messenger(job.store, Channel("webhook", posts[0]), message_links="https://lab.example/")
    assert sender.look() == 1
    [(headers, body)] = posts[1]
    assert headers["Content-Type"] == "application/json"
    assert body["subject"].startswith(f"{job.experiment.name}/{job.plate}")
    assert body["message"]["plate"] == job.plate
    assert body["link"] == f"https://lab.example/{job.prefix}page/"
    assert body["picture"].startswith("data:image/png;base64,")


def test_what_the_run_did_not_tell_is_found_by_its_mark_and_told_once(
    job: PlateJob, posts: tuple[str, list[Any]]
) -> None:
    began_long_ago(job.store)
    name = job.experiment.name
    assert list(find_published(job.store, name, 0.0)) == [(job.plate, job.recipe, 1)]
    assert list(find_published(job.store, name, time.time() + 60)) == []
    sender = messenger(job.store, Channel("webhook", posts[0]))
    assert [sender.look(tick=TICK), sender.look(tick=TICK + SEARCH_EVERY_S)] == [1, 0]
    assert not tell_plate(job.store, name, job.plate, job.recipe, 1)


def test_a_publication_under_another_recipe_than_the_experiments_is_no_news(job: PlateJob) -> None:
    mark = f"results/{job.experiment.name}/_published/"
    job.store.write(experiment_key(job.experiment.name), EXPERIMENT.encode())
    ours = open_experiment(job.store, job.experiment.name).recipe_id
    job.store.write(f"{mark}{ours}/{job.plate}.000002.99999999999999.json", b"{}")
    for recipe in ("other-0123abcd", "v9+experimental-0123abcd"):
        job.store.write(f"{mark}{recipe}/{job.plate}.000001.99999999999999.json", b"{}")
    job.store.write(f"{mark}other-0123abcd/P9.000001.99999999999999.json", b"{}")
    found = list(find_published(job.store, job.experiment.name, 0.0))
    assert sorted(found) == [(job.plate, ours, number) for number in (1, 2)] + [("P9", "other-0123abcd", 1)]


def test_a_failed_plate_is_a_message_of_its_own(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    saturated = small_screen.manifest("A01", 1)
    saturated["image_metrics"][0]["PercentSaturated"] = 7.5
    small_screen.publish(store, manifests=(saturated, *small_screen.manifests()[1:]))
    found = plate_message(store, "screen", "P1", small_screen.RECIPE, 1)
    assert (found.kind, found.at) == (FAILED if found.facts["verdict"] == "fail" else PUBLISHED, 1770094800.0)
    assert found.facts["z_feature"] == small_screen.AREA
    assert draw_wells(store, found.tables)[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_withdrawn_publication_is_told_as_one(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    small_screen.record(store, 1, status="withdrawn")
    found = plate_message(store, "screen", "P1", small_screen.RECIPE, 1)
    assert (found.facts["verdict"], found.tables) == ("withdrawn", "")


def test_a_picture_is_small_and_none_where_its_table_is_gone(job: PlateJob) -> None:
    message = plate_message(job.store, job.experiment.name, job.plate, job.recipe, 1)
    data = draw_wells(job.store, message.tables)
    assert Image.open(io.BytesIO(data)).width <= 640
    assert len(data) < 18_000
    job.store.write(message.tables, b"damaged")
    assert draw_wells(job.store, message.tables) == b""
    assert draw_wells(job.store, "nothing") == b""


def test_a_new_analysis_is_told_once_and_its_failures_at_once(store: FolderStore, posts: tuple[str, list[Any]]) -> None:
    said: dict[str, Any] = {"experiment": "screen", "analysis": "a1", "recipe": "standard-0", "at": time.time()}
    facts = {"hits": 41, "treatments": 2354, "z_prime": 0.71, "plates": 8, "failures": 12, "gained": ["x 1 µM"]}
    failures = [f"row H of P{number} is out" for number in range(12)]
    told = tell_experiment(
        store, **said, facts=facts, failures=failures, page="results/screen/_experiment/current/page/"
    )
    assert [message.kind for message in told] == [UPDATED, FAILURES]
    assert tell_experiment(store, **said, facts=facts, failures=failures) == []
    assert messenger(store, Channel("webhook", posts[0])).look() == 2
    updated, failed = (body["text"] for _, body in posts[1])
    assert updated.splitlines() == [
        "screen has a new analysis: 41 hits",
        "41 of 2,354 treatments are hits (standard-0)",
        "Z′ (median of plates): 0.71",
        "8 plates, 12 process failures",
        "Hits gained: x 1 µM",
    ]
    assert "row H of P9 is out; and 2 more" in failed


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_a_digest_is_due_at_its_hour() -> None:
    assert find_due(at("2026-03-05T06:00:00"), 6) == at("2026-03-05T06:00:00")
    assert find_due(at("2026-03-05T05:59:59"), 6) == at("2026-03-04T06:00:00")


def test_a_digest_counts_what_happened_in_its_day_and_what_reached_nobody(store: FolderStore) -> None:
    due = at("2026-03-05T06:00:00")
    for number, (verdict, when) in enumerate(
        [("pass", "2026-03-04T06:00:00"), ("warn", "2026-03-05T05:59:00"), ("pass", "2026-03-05T06:00:00")]
    ):
        outbox.tell(store, note(number, at=at(when), verdict=verdict))
    failed = {"experiment": "other", "plate": "P9", "verdict": "fail"}
    outbox.tell(store, make_message(FAILED, ("other", "P9"), due - 60, failed))
    page = "results/screen/_experiment/current/page/index.html"
    tell_experiment(store, experiment="screen", analysis="a", recipe="r", at=due - 5, facts={"hits": 7}, page=page)
    beside = "results/screen/_analyses/page/leaderboard.html"  # a recipe that does not count
    tell_experiment(store, experiment="screen", analysis="b", recipe="x", at=due - 4, facts={"hits": 9}, page=beside)
    lost = next(each for each in outbox.list_deliveries(store, due) if each.kind == FAILED)
    outbox.begin(store, lost, "slack", 1)
    digest = make_digest(store, due, ["slack"])
    assert {name: digest.facts[name] for name in ("day", "plates", "passed", "warned", "failed")} == {
        "day": "2026-03-05",
        "plates": "3",
        "passed": "1",
        "warned": "1",
        "failed": "1",
    }
    assert digest.facts["experiments"] == "other (1 plates); screen (2 plates, 7 hits)"
    assert digest.facts["failed_plates"] == "other/P9"
    assert digest.facts["untold"].startswith("plate-failed-")
    assert make_digest(store, due, ["slack"]).folder == digest.folder


def digests(posts: tuple[str, list[Any]]) -> int:
    return sum(body["message"]["kind"] == DIGEST for _, body in posts[1])


def test_a_digest_is_sent_once_a_day_by_the_earlier_of_two_clocks(
    store: FolderStore, posts: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    hour = datetime.fromtimestamp(now, UTC).hour
    sender = messenger(store, Channel("webhook", posts[0]), message_digest_hour=hour)
    monkeypatch.setattr("flows.messages.digest.read_earlier_clock", lambda store, key: find_due(now, hour) - 1)
    sender.look(now)
    assert digests(posts) == 0  # this machine's clock is ahead of the store's
    monkeypatch.undo()
    sender.look(now)
    sender.look(now)
    messenger(store, Channel("webhook", posts[0]), message_digest_hour=hour).look(now)
    assert digests(posts) == 1


def test_no_digest_is_of_a_day_before_messages_began_or_long_past(tmp_path: Path, posts: tuple[str, list[Any]]) -> None:
    fresh = FolderStore(tmp_path / "fresh")
    now = time.time()
    hour = datetime.fromtimestamp(now, UTC).hour
    messenger(fresh, Channel("webhook", posts[0]), message_digest_hour=hour).look(now)
    began_long_ago(fresh)
    messenger(fresh, Channel("webhook", posts[0]), message_digest_hour=(hour - 13) % 24).look(now)
    assert digests(posts) == 0


def test_settings_take_no_link_that_could_carry_a_secret() -> None:
    with pytest.raises(ConfigurationError, match="MESSAGE_LINKS must be an address") as caught:
        Settings(message_links="https://user:canary@lab.example")
    assert "canary" not in str(caught.value)


def test_no_process_gets_the_addresses_of_messages() -> None:
    said: dict[str, Any] = dict.fromkeys(("message_slack", "message_teams", "message_webhook"), "https://canary")
    settings = Settings(**said, message_email="mailtos://canary")  # pyright: ignore[reportArgumentType]
    assert "canary" not in str(settings.as_environment())
    assert "canary" not in repr(settings)


def test_a_record_of_another_form_is_no_message(store: FolderStore) -> None:
    for content in ([], {"kind": "x", "facts": {}, "about": [], "at": 0, "page": "", "tables": ""}, {"facts": 3}):
        outbox.tell(store, note())
        [delivery] = outbox.list_deliveries(store, time.time())
        store.write(f"{delivery.folder}message.json", to_json(content))
        with pytest.raises(StoredDataError):
            outbox.read_told(store, delivery)
