"""The real services at work on a hostile plate: who can reach them, what they write, where their secrets go."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.parts import require
from tests.security.hostile import MARKUP
from tests.security.stack import AUTH, SECRETS, TOKEN, Stack, read_of, run_stack

_LISTENS = "0A"
_USER, _, _PASSWORD = AUTH.partition(":")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with run_stack(tmp_path_factory.mktemp("stack")) as stack:
        stack.wait_for("the plate is not published", "results/screen/P1/*/projected/*")
        yield stack


def sockets_of(pids: list[int]) -> dict[str, str]:
    """Inode of each socket that these processes hold -> program."""
    found = {}
    for pid in pids:
        folder = Path(f"/proc/{pid}/fd")
        for number in os.listdir(folder) if folder.exists() else []:
            try:
                target = os.readlink(folder / number)
            except FileNotFoundError:
                continue
            if match := re.fullmatch(r"socket:\[(\d+)\]", target):
                found[match[1]] = read_of(pid, "cmdline").replace(b"\0", b" ").decode()
    return found


def listening(held: dict[str, str]) -> list[tuple[str, str]]:
    """Address in the kernel's form, and program, of each TCP socket that listens and each UDP socket."""
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            address, state, inode = columns[1], columns[3], columns[9]
            if inode in held and (state == _LISTENS or table.startswith("udp")):
                found.append((address.partition(":")[0], held[inode]))
    return found


def test_nothing_listens_beyond_this_machine(stack: Stack) -> None:
    found = listening(sockets_of(stack.processes()))
    assert len(found) >= 5, "server, scheduler and its page, worker, web server"
    loopback = ("0100007F", "00000000000000000000000001000000")
    assert [(address, program) for address, program in found if address not in loopback] == []


def test_secrets_are_in_no_log_record_table_page_or_database(stack: Stack) -> None:
    searched = 0
    for path in stack.folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            searched += 1
            for name, secret in SECRETS.items():
                assert secret.encode() not in data, f"{name} in {path}"
    assert searched > 50
    assert (stack.folder / "state" / "prefect" / "prefect.db").stat().st_size > 100_000


def test_secrets_are_in_no_command_line(stack: Stack) -> None:
    stack.processes()
    assert any("flows.web" in line for line in stack.command_lines)
    assert any("prefect.engine" in line or "flow_run" in line or "flows.serve" in line for line in stack.command_lines)
    for line in stack.command_lines:
        assert not any(secret in line for secret in SECRETS.values()), line


def test_the_web_servers_token_is_told_to_the_web_server_alone(stack: Stack) -> None:
    told = {
        read_of(pid, "cmdline").replace(b"\0", b" ").decode()
        for pid in stack.processes()
        if pid != stack.process.pid and TOKEN.encode() in read_of(pid, "environ")
    }
    assert told
    assert all("flows.web" in line for line in told), told


def test_the_api_asks_for_its_password(stack: Stack) -> None:
    assert stack.ask(f"{stack.api_url}/admin/version").status_code == 401
    assert stack.ask(f"{stack.api_url}/admin/version", auth=(_USER, "wrong")).status_code == 401
    assert stack.ask(f"{stack.api_url}/admin/version", auth=(_USER, _PASSWORD)).status_code == 200


def test_the_api_answers_no_web_page_of_others(stack: Stack) -> None:
    """Neither one that names its own origin nor one whose name leads to this machine (DNS rebinding)."""
    url, auth = f"{stack.api_url}/admin/version", (_USER, _PASSWORD)
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
