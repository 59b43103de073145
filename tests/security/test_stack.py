"""The real services at work on a hostile plate: who can reach them, what they write, where their secrets go."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.parts import require
from tests.security.hostile import MARKUP
from tests.security.packed import find_secrets
from tests.security.sockets import LOOPBACK, command_of, listening, read_of
from tests.security.stack import (
    HOOK,
    MAIL,
    NEWS_HOOK,
    NEWS_MAIL,
    NEWS_SLACK,
    PASSWORD,
    SECRETS,
    TOKEN,
    USER,
    Stack,
    run_stack,
    say_secrets,
)

IN_BLOCKS = (HOOK, MAIL, NEWS_HOOK, NEWS_SLACK, NEWS_MAIL)
"""Addresses that stand in blocks on the server, and in no process's environment."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with run_stack(tmp_path_factory.mktemp("stack")) as stack:
        stack.wait_for("the plate is not published", lambda: list(stack.data.glob("results/screen/P1/*/projected/*")))
        say_secrets(stack)
        yield stack


def test_nothing_listens_beyond_this_machine(stack: Stack) -> None:
    found = listening(stack.processes())
    assert len(found) >= 5, "server, scheduler and its page, worker, web server"
    assert [(address, program) for address, program in found if address not in LOOPBACK] == []


def test_secrets_are_in_no_log_record_table_page_or_database(stack: Stack) -> None:
    found, searched = find_secrets(stack.folder, SECRETS)
    assert found == []
    assert searched > 50
    assert (stack.folder / "state" / "prefect" / "prefect.db").stat().st_size > 100_000
    assert list(stack.data.rglob("*.parquet")), "tables are searched"


def test_secrets_are_in_no_command_line(stack: Stack) -> None:
    stack.processes()
    for program in ("flows.web", "prefect.engine"):
        assert any(program in line for line in stack.command_lines), f"{program} was not seen"
    for line in stack.command_lines:
        assert not any(secret in line for secret in SECRETS.values()), line


def test_each_secret_is_told_to_those_alone_who_need_it(stack: Stack) -> None:
    others = [pid for pid in stack.processes() if pid != stack.process.pid]
    told = {
        secret: {command_of(pid) for pid in others if secret.encode() in read_of(pid, "environ")}
        for secret in (TOKEN, PASSWORD, *IN_BLOCKS)
    }
    assert told[TOKEN]
    assert all("flows.web" in line for line in told[TOKEN]), told
    assert {secret: told[secret] for secret in IN_BLOCKS} == {secret: set() for secret in IN_BLOCKS}
    assert told[PASSWORD], "what an environment holds is seen"


def test_the_api_asks_for_its_password(stack: Stack) -> None:
    assert stack.ask(f"{stack.api_url}/admin/version").status_code == 401
    assert stack.ask(f"{stack.api_url}/admin/version", auth=(USER, "wrong")).status_code == 401
    assert stack.ask(f"{stack.api_url}/admin/version", auth=(USER, PASSWORD)).status_code == 200


def test_the_api_answers_no_web_page_of_others(stack: Stack) -> None:
    """Neither one that names its own origin nor one whose name leads to this machine (DNS rebinding)."""
    url, auth = f"{stack.api_url}/admin/version", (USER, PASSWORD)
    assert stack.ask(url, auth=auth, origin="https://evil.example").status_code == 421
    assert stack.ask(url, auth=auth, origin="null").status_code == 421
    assert stack.ask(url, auth=auth, host="evil.example").status_code == 421
    own = stack.ask(url, auth=auth, origin=f"http://127.0.0.1:{stack.ports[0]}")
    assert own.headers["access-control-allow-origin"] == f"http://127.0.0.1:{stack.ports[0]}"


def test_the_web_server_asks_for_its_token(stack: Stack) -> None:
    (page,) = stack.data.glob("results/screen/P1/*/page")
    address = f"{stack.web_url}/{page.relative_to(stack.data)}/"
    assert stack.ask(address).status_code == 401
    answer = stack.ask(address, authorization=f"Bearer {TOKEN}")
    assert (answer.status_code, answer.content) == (200, (page / "index.html").read_bytes())
    plates = stack.ask(f"{stack.web_url}/status.json", authorization=f"Bearer {TOKEN}").json()["plates"]
    assert {plate["plate"]: plate["state"] for plate in plates}["P1"] == "published"


def test_artifacts_hold_no_markup_of_names(stack: Stack) -> None:
    with closing(sqlite3.connect(stack.folder / "state" / "prefect" / "prefect.db")) as database:
        rows = database.execute("select type, data, description from artifact").fetchall()
    assert {kind for kind, _, _ in rows} >= {"markdown", "table"}
    assert any("<script>" in data for kind, data, _ in rows if kind == "table"), "a hostile name came as far as that"
    for kind, data, description in rows:
        assert "<script" not in f"{description}"
        if kind == "markdown":
            assert "<script" not in data, data
            assert MARKUP not in data


def test_everything_ran_with_few_folders_that_can_be_written(stack: Stack) -> None:
    require("unshare")
    mounts = read_of(stack.process.pid, "mounts").decode().splitlines()
    by_place = {line.split()[1]: line.split()[3].split(",")[0] for line in mounts}
    assert by_place["/"] == "ro"
    assert by_place[str(stack.data)] == "rw"
    assert "Read-only file system" not in stack.last_words()
