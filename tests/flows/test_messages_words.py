"""The words of messages: what each channel gets, and that no text of a plate pings or formats anything."""

from __future__ import annotations

import email
import email.policy
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.messages import outbox
from flows.messages.channels import Channel, Letter, NotTakenError, UnsureError, slack_body, teams_body, webhook_body
from flows.messages.escaping import ESCAPES, NO_WIDTH, for_slack, for_teams
from flows.messages.message import (
    PUBLISHED,
)
from flows.messages.news import plate_message
from flows.messages.rounds import make_letter
from flows.messages.templates import Words, read_templates, word
from flows.settings import Settings
from imaging.errors import ConfigurationError
from imaging.job import PlateJob
from imaging.store import FolderStore
from tests.flows.receivers import mail_server, webhook
from tests.flows.told import BAD, TICK, began_long_ago, messenger, note
from tests.imaging.small_damage import copy_of, publish_plate


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
