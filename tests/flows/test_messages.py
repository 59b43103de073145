"""Messages on their way: the outbox, kills between its records, and receivers that really listen."""

from __future__ import annotations

import email
import email.policy
import io
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from prefect.logging import disable_run_logger

from flows.messages import outbox
from flows.messages.channels import Channel, Letter, NotTakenError, UnsureError, slack_body, teams_body, webhook_body
from flows.messages.digest import find_due, make_digest
from flows.messages.escaping import ESCAPES, NO_WIDTH, for_slack, for_teams
from flows.messages.message import (
    DIGEST,
    FAILED,
    FAILURES,
    LONGEST_FACT,
    PUBLISHED,
    UPDATED,
    Message,
    clean,
    fact_text,
    make_message,
)
from flows.messages.news import find_published, plate_message, tell_experiment, tell_plate
from flows.messages.pictures import draw_wells
from flows.messages.rounds import PAUSES_S, SEARCH_EVERY_S, Messenger, make_letter
from flows.messages.templates import Words, read_templates, word
from flows.process_plate import tell
from flows.settings import Settings
from flows.watch import watch
from imaging.errors import ConfigurationError, MissingPartError, StoredDataError
from imaging.job import PlateJob, open_experiment
from imaging.names import experiment_key, to_json
from imaging.publication import read_publication
from imaging.store import FolderStore, Store
from tests.flows.dogs import NOWHERE, UNASKED
from tests.flows.receivers import mail_server, webhook
from tests.flows.test_report import Heard
from tests.imaging import small_screen
from tests.imaging.small_damage import copy_of, publish_plate
from tests.imaging.small_plate import EXPERIMENT

BAD = "<!channel> @everyone *b* [x](http://evil.example) <@U1> & </at>"
TICK = 1000.0


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


def began_long_ago(store: Store) -> None:
    outbox.read_since(store)
    path = store.local_path(outbox.SINCE)
    assert path is not None
    os.utime(path, (1e9, 1e9))


def messenger(store: Store, *channels: Channel, **said: Any) -> Messenger:
    url = store.local_path("x")
    assert url is not None
    long_past = (datetime.now(UTC).hour - 13) % 24  # so that no digest is among what is sent
    settings = Settings(store=str(url.parent), **{"message_digest_hour": long_past} | said)
    return Messenger(store, settings, read=lambda settings: list(channels))


def note(number: int = 1, at: float | None = None, **facts: Any) -> Message:
    said = {"experiment": "screen", "plate": f"P{number}", "verdict": "pass"} | facts
    return make_message(PUBLISHED, ("screen", f"P{number}"), time.time() if at is None else at, said)


def states(store: Store) -> list[str]:
    return sorted(item.key.rpartition("/")[2] for item in store.list("messages").objects if "/since" not in item.key)


# what is told


def test_a_message_is_there_once_however_often_it_is_told(store: FolderStore) -> None:
    first = note(at=1e9)
    assert outbox.tell(store, first)
    assert not outbox.tell(store, note(at=1e9, verdict="warn"))
    [delivery] = outbox.list_deliveries(store, 1e9)
    assert outbox.read_told(store, delivery) == first
    assert delivery.kind == PUBLISHED
    assert delivery.folder.startswith("messages/2001-09-09/plate-published-")


def test_facts_are_one_printable_line_of_bounded_length() -> None:
    assert clean("a\n\tb\u202ec\u200bd\x1b[31m") == "a b c d [31m"
    assert len(clean("x" * 9999)) == LONGEST_FACT
    assert [fact_text(each) for each in (None, float("nan"), 0.71234, 1234, ["a", None, "b\n"])] == [
        "",
        "",
        "0.712",
        "1,234",
        "a; b",
    ]


def test_facts_and_kinds_that_nobody_knows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"facts of plate-published must be among .* got \['secret'\]"):
        make_message(PUBLISHED, (), 0.0, {"secret": "x"})
    with pytest.raises(ValueError, match="kind must be one of"):
        Message("gossip", (), 0.0)


def test_a_damaged_record_is_said_and_hinders_no_other(
    store: FolderStore, posts: tuple[str, list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    outbox.tell(store, note(1))
    [delivery] = outbox.list_deliveries(store, time.time())
    store.write(f"{delivery.folder}message.json", b'{"kind": "plate-published"}')
    with pytest.raises(StoredDataError, match="damaged"):
        outbox.read_told(store, delivery)
    outbox.tell(store, note(2))
    assert messenger(store, Channel("webhook", posts[0])).look() == 1
    assert "the record of a message is damaged" in caplog.text


# once


def test_each_channel_gets_a_message_once(store: FolderStore) -> None:
    with webhook() as (address, got), webhook() as (slack, said):
        channels = (Channel("webhook", address), Channel("slack", slack))
        outbox.tell(store, note())
        first = messenger(store, *channels)
        assert [first.look(tick=TICK), first.look(tick=TICK + 9), messenger(store, *channels).look()] == [2, 0, 0]
    assert len(got) == len(said) == 1
    assert states(store) == [
        "message.json",
        "slack-1-begun.json",
        "slack-sent.json",
        "webhook-1-begun.json",
        "webhook-sent.json",
    ]


def test_of_two_senders_at_once_one_sends(store: FolderStore) -> None:
    outbox.tell(store, note())
    seen = [outbox.list_deliveries(store, time.time())[0] for _ in range(2)]
    assert [outbox.begin(store, each, "slack", 1) for each in seen] == [True, False]


def test_who_is_killed_between_sending_and_recording_sends_nothing_twice(
    store: FolderStore, posts: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.tell(store, note())
    channel = Channel("webhook", posts[0])

    class Killed(BaseException):
        pass

    def die(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "note_sent", die)
        with pytest.raises(Killed):
            messenger(store, channel).look()
    assert messenger(store, channel).look() == 0
    assert len(posts[1]) == 1
    [delivery] = outbox.list_deliveries(store, time.time())
    assert delivery.reached("webhook") == "unknown"


def test_who_is_killed_before_beginning_leaves_it_to_the_next(
    store: FolderStore, posts: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.tell(store, note())
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "begin", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            messenger(store, Channel("webhook", posts[0])).look()
    assert messenger(store, Channel("webhook", posts[0])).look() == 1


def test_what_was_refused_is_sent_again_after_a_pause(store: FolderStore) -> None:
    outbox.tell(store, note())
    with webhook([503, 429]) as (address, got):
        sender = messenger(store, Channel("webhook", address))
        assert sender.look(tick=TICK) == 0
        assert sender.look(tick=TICK + PAUSES_S[0] - 1) == 0
        assert len(got) == 1
        assert sender.look(tick=TICK + PAUSES_S[0]) == 0
        assert sender.look(tick=TICK + PAUSES_S[0] + PAUSES_S[1]) == 1
    assert len(got) == 3
    [delivery] = outbox.list_deliveries(store, time.time())
    failed = json.loads(store.read(f"{delivery.folder}webhook-1-failed.json"))
    assert failed == {"why": "it answered 503"}


def test_attempts_are_bounded(store: FolderStore) -> None:
    outbox.tell(store, note())
    with webhook([500] * 99) as (address, got):
        sender = messenger(store, Channel("webhook", address))
        for number in range(12):
            sender.look(tick=TICK + 5000 * number)
        assert len(got) == outbox.ATTEMPTS
    [delivery] = outbox.list_deliveries(store, time.time())
    assert delivery.reached("webhook") == "failed"
    assert outbox.find_untold([delivery], ["webhook", "slack"]) == [delivery]


def test_without_an_answer_nothing_is_sent_again(store: FolderStore) -> None:
    outbox.tell(store, note())
    with webhook([0]) as (address, got):
        sender = messenger(store, Channel("webhook", address))
        assert [sender.look(tick=TICK + 5000 * number) for number in range(3)] == [0, 0, 0]
        assert len(got) == 1


def test_a_redirect_is_not_followed() -> None:
    with webhook([302]) as (address, got):
        with pytest.raises(NotTakenError, match="it answered 302"):
            Channel("webhook", address).send(Letter(Words("s", ()), {}))
        assert len(got) == 1


def test_without_a_channel_nothing_is_sent_and_nothing_is_searched(job: PlateJob) -> None:
    outbox.tell(job.store, note())
    assert messenger(job.store).look() == 0
    assert states(job.store) == ["message.json"]
    assert not job.store.exists(outbox.SINCE)


def test_what_happened_before_the_first_channel_is_no_news(job: PlateJob, posts: tuple[str, list[Any]]) -> None:
    tell_plate(job.store, job.experiment.name, job.plate, job.recipe, 1)
    time.sleep(0.05)  # times of files are those of a clock that ticks
    assert messenger(job.store, Channel("webhook", posts[0])).look() == 0
    assert posts[1] == []


def test_messages_of_days_ago_are_not_sent_and_forgotten_after_a_month(
    store: FolderStore, posts: tuple[str, list[Any]]
) -> None:
    now = time.time()
    outbox.tell(store, note(1, at=now - 4 * 86_400))
    outbox.tell(store, note(2, at=now - 40 * 86_400))
    assert messenger(store, Channel("webhook", posts[0])).look() == 0
    assert len(states(store)) == 1
    assert store.exists(outbox.SINCE)


def test_a_server_that_does_not_say_where_to_send_keeps_messages_waiting(
    store: FolderStore, posts: tuple[str, list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    outbox.tell(store, note())
    is_down = True

    def read(settings: Settings) -> list[Channel]:
        if is_down:
            raise MissingPartError("the server is down")
        return [Channel("webhook", posts[0])]

    sender = messenger(store)
    sender.read = read
    assert sender.look(tick=TICK) == 0
    assert "messages wait: the server is down" in caplog.text
    is_down = False
    assert sender.look(tick=TICK + 1) == 1


def test_looks_happen_beside_the_watcher_and_a_fault_ends_none_of_them(
    store: FolderStore, posts: tuple[str, list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    outbox.tell(store, note())
    sender = messenger(store, Channel("webhook", posts[0]))
    sender.templates = lambda: 1 / 0  # pyright: ignore[reportAttributeAccessIssue]
    sender.tend(TICK)
    assert sender._looking is not None
    assert sender._looking.exception() is not None
    sender.templates = read_templates
    sender.tend(TICK + 60)
    assert sender._looking is not None
    assert sender._looking.result() == 1
    assert "messages could not be sent: ZeroDivisionError" in caplog.text


def test_the_watcher_tends_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path / "lab")
    outbox.tell(store, note(at=time.time() - 40 * 86_400))
    deadline = time.monotonic() + 60

    class EnoughError(Exception):
        pass

    def rest(seconds: float) -> None:
        if not states(store) or time.monotonic() > deadline:
            raise EnoughError
        threading.Event().wait(0.05)

    monkeypatch.setattr("flows.watch.time.sleep", rest)
    said: dict[str, Any] = {"api_url": NOWHERE, "scheduler": UNASKED, "state_folder": tmp_path}
    said["cache_folder"] = tmp_path
    with pytest.raises(EnoughError):
        watch(Settings(store=str(tmp_path / "lab"), **said))
    assert states(store) == []


# of plates and experiments


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


# words


def test_texts_of_plates_ping_nobody_and_format_nothing() -> None:
    for name, escape in ESCAPES.items():
        said = escape(BAD)
        assert "<!channel" not in said, name
        assert "@everyone" not in said
        assert "<@U1" not in said
        assert "http://" not in said
    assert "<" not in for_slack(BAD)
    assert for_slack("a & b") == "a &amp; b"
    teams = for_teams(BAD)
    assert f"\\*b\\* \\[x\\]\\(http{NO_WIDTH}:" in teams
    assert "<" not in teams


def test_a_plate_with_a_hostile_name_is_told_without_a_ping(store: FolderStore) -> None:
    outbox.tell(store, note(plate=BAD, experiment=BAD, reasons=[BAD]))
    with webhook() as (slack, said), webhook() as (teams, carded), webhook() as (address, got):
        channels = (Channel("slack", slack), Channel("teams", teams), Channel("webhook", address))
        assert messenger(store, *channels).look() == 3
    for body in (said[0][1], carded[0][1], got[0][1]):
        text = json.dumps(body, ensure_ascii=False)
        assert "<!channel" not in text
        assert "@everyone" not in text
        assert "<@" not in text
    assert {block["text"]["type"] for block in said[0][1]["blocks"]} == {"plain_text"}
    assert said[0][1]["mrkdwn"] is False


def test_a_line_whose_facts_are_not_there_is_left_out() -> None:
    kinds = read_templates()
    said = word(kinds[PUBLISHED], note(z_prime=0.5), str)
    assert said == Words("screen/P1 is published: pass", ())
    full = note(z_prime=0.5, z_feature="Area", sites_done=3, sites_expected=4, status="complete")
    assert word(kinds[PUBLISHED], full, str).lines == ("Z′ of Area: 0.5", "3 of 4 sites, complete")


def test_a_file_of_words_with_faults_is_refused_with_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    path = tmp_path / "deployments" / "messages.yaml"
    with pytest.raises(ConfigurationError, match="is not there"):
        read_templates(tmp_path)
    path.write_text("gossip: {subject: x}\ndigest: {subject: $secret, channels: [pigeon]}\ntest: {subject: '5 $ x'}\n")
    with pytest.raises(ConfigurationError) as caught:
        read_templates(tmp_path)
    assert len(caught.value.problems) == 4
    path.write_text("digest: {subject: x, colour: red}")
    with pytest.raises(ConfigurationError, match="colour"):
        read_templates(tmp_path)
    path.write_text("a: [")
    with pytest.raises(ConfigurationError, match="is no YAML"):
        read_templates(tmp_path)


def test_a_kind_that_is_left_out_of_the_file_or_a_channel_of_a_kind_is_not_told(
    store: FolderStore, posts: tuple[str, list[Any]]
) -> None:
    outbox.tell(store, note())
    sender = messenger(store, Channel("webhook", posts[0]))
    sender.templates = dict
    assert sender.look(tick=TICK) == 0
    sender.templates = lambda: {PUBLISHED: read_templates()[PUBLISHED].model_copy(update={"channels": ("slack",)})}
    assert sender.look(tick=TICK) == 0
    assert posts[1] == []


def test_each_channel_has_a_body_of_its_own_form() -> None:
    letter = Letter(Words("subject", ("one", "two")), {"kind": "x"}, "https://lab.example/p/", b"PNG")
    slack = slack_body(letter)
    assert slack["blocks"][-1]["text"]["text"] == "<https://lab.example/p/|Open the page>"
    assert slack["blocks"][1]["text"]["text"] == "one\ntwo"
    [card] = teams_body(letter)["attachments"]
    assert [part["type"] for part in card["content"]["body"]] == ["TextBlock", "TextBlock", "TextBlock", "Image"]
    assert card["content"]["actions"][0]["url"] == "https://lab.example/p/"
    large = Letter(letter.words, {}, "", b"x" * 40_000)
    assert "Image" not in json.dumps(teams_body(large))
    assert webhook_body(letter)["picture"] == "data:image/png;base64,UE5H"
    assert webhook_body(Letter(letter.words, {}))["picture"] == ""
    assert slack_body(Letter(Words("x" * 400, ()), {}))["blocks"][0]["text"]["text"][149] == "…"


def test_a_letter_has_subject_text_link_and_the_picture_of_its_plate(job: PlateJob) -> None:
    message = plate_message(job.store, job.experiment.name, job.plate, job.recipe, 1)
    settings = Settings(store=str(job.store.local_path("x")), message_links="https://lab.example")
    letter = make_letter(job.store, settings, message, read_templates()[message.kind], "email")
    with mail_server() as (host, letters):
        Channel("email", f"mailto://{host}?from=platestream@lab.example&to=night@lab.example").send(letter)
    parsed = email.message_from_string(letters[0], policy=email.policy.default)
    assert parsed["To"] == "night@lab.example"
    assert str(parsed["Subject"]) == letter.words.subject
    parts = [part.get_content_type() for part in parsed.walk()]
    assert "image/png" in parts
    text = parsed.get_body(("plain", "html"))  # pyright: ignore[reportAttributeAccessIssue]
    assert "https://lab.example/results/" in text.get_content().replace("\n", "")


def test_a_mail_server_that_is_not_there_took_nothing_and_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    channel = Channel("email", "mailto://user:canary@127.0.0.1:9?from=a@lab.example&to=b@lab.example")
    with caplog.at_level(logging.DEBUG), pytest.raises(NotTakenError) as caught:
        channel.send(Letter(Words("s", ("t",)), {}))
    assert "canary" not in f"{caught.value}{channel}{caplog.text}"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/canary", "ftp://canary", "http://[canary", "json://canary"])
def test_no_address_is_named_where_something_goes_wrong(url: str, caplog: pytest.LogCaptureFixture) -> None:
    channel = Channel("webhook", url, headers={"Authorization": "canary"})
    with caplog.at_level(logging.DEBUG), pytest.raises((NotTakenError, UnsureError)) as caught:
        channel.send(Letter(Words("s", ()), {}))
    assert "canary" not in f"{caught.value}{caught.value.__cause__}{channel}{caplog.text}"


# the digest


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
    tell_experiment(store, experiment="screen", analysis="a", recipe="r", at=due - 5, facts={"hits": 7})
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
