from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.keeper import find_descendants
from flows.supervise import Service, Supervisor, find_free_ports, interrupt_on_termination, pause_before_restart
from imaging.errors import MissingPartError

# A service with a child in a session of its own, as Prefect's runner and Dask's nannies have, both deaf to SIGTERM.
DEAF = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if not os.fork():
    os.setsid()
    if not os.fork():
        open(sys.argv[1] + ".grandchild", "w").write(str(os.getpid()))
        time.sleep(600)
    time.sleep(600)
open(sys.argv[1] + ".service", "w").write(str(os.getpid()))
time.sleep(600)
"""
POLITE = """
import os, signal, sys, time
def leave(*_):
    open(sys.argv[1], "a").write(sys.argv[2] + "\\n")
    sys.exit()
signal.signal(signal.SIGTERM, leave)
open(sys.argv[1] + "." + sys.argv[2], "w").write(str(os.getpid()))
time.sleep(600)
"""
PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
from pathlib import Path
from flows.supervise import Service, Supervisor, interrupt_on_termination
folder = Path(sys.argv[1])
deaf = [Service(n, (sys.executable, "-I", "-S", "-c", sys.argv[2], str(folder / n)), folder / "log", grace_s=0.2)
        for n in ("one", "two")]
with interrupt_on_termination(), Supervisor(deaf) as supervisor:
    supervisor.wait_until_ready()
    import time
    time.sleep(600)
"""


def wait_for(is_true: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def read_pid(path: Path) -> int:
    wait_for(lambda: path.exists() and path.read_text())
    return int(path.read_text())


def python(code: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", code, *map(str, arguments))


def deaf(folder: Path, name: str = "deaf", *, is_outlived: bool = False) -> Service:
    return Service(name, python(DEAF, folder / name), folder / f"{name}.log", grace_s=0.2, is_outlived=is_outlived)


def polite(folder: Path, name: str) -> Service:
    return Service(name, python(POLITE, folder / "told", name), folder / f"{name}.log")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = find_descendants(os.getpid())
    yield
    wait_for(lambda: not set(find_descendants(os.getpid())) - set(before))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_outlives_the_supervising_process(tmp_path: Path, number: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, tmp_path, DEAF], stderr=subprocess.DEVNULL)
    pids = [read_pid(tmp_path / f"{name}.{who}") for name in ("one", "two") for who in ("service", "grandchild")]
    keepers = find_descendants(parent.pid)
    assert all(map(is_alive, pids))
    parent.send_signal(number)
    parent.wait(20)
    wait_for(lambda: not any(map(is_alive, pids + keepers)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_ends_a_block_like_ctrl_c_and_only_that_block(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    def be_told_to_stop() -> None:
        with interrupt_on_termination():
            os.kill(os.getpid(), number)
            time.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        be_told_to_stop()
    assert signal.getsignal(number) is before


def test_stopping_ends_deaf_services_and_their_grandchildren(tmp_path: Path) -> None:
    with Supervisor([deaf(tmp_path)]):
        pids = [read_pid(tmp_path / f"deaf.{who}") for who in ("service", "grandchild")]
    assert not any(map(is_alive, pids))


def test_stopping_again_or_what_was_never_started_does_nothing(tmp_path: Path) -> None:
    supervisor = Supervisor([polite(tmp_path, "server")])
    supervisor.stop()
    supervisor.start()
    read_pid(tmp_path / "told.server")
    supervisor.stop()
    supervisor.stop()
    assert (tmp_path / "told").read_text().split() == ["server"]


def test_services_are_stopped_in_the_order_asked_for(tmp_path: Path) -> None:
    names = ["server", "cluster", "watch"]
    with Supervisor([polite(tmp_path, name) for name in names], stop_order=["watch", "server", "cluster"]):
        for name in names:
            read_pid(tmp_path / f"told.{name}")
    assert (tmp_path / "told").read_text().split() == ["watch", "server", "cluster"]


def test_a_dead_service_is_started_again_and_counted(tmp_path: Path) -> None:
    with Supervisor([polite(tmp_path, "server"), polite(tmp_path, "watch")]) as supervisor:
        supervisor.wait_until_ready(20)
        first = supervisor.pid("server")
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: supervisor.pid("server") not in (0, first))
        assert is_alive(supervisor.pid("server"))
        assert supervisor.restarts == {"server": 1, "watch": 0}


def test_a_service_comes_back_when_its_keeper_was_killed(tmp_path: Path) -> None:
    with Supervisor([polite(tmp_path, "server")]) as supervisor:
        supervisor.wait_until_ready(20)
        first = supervisor.pid("server")
        keeper = int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(keeper, signal.SIGKILL)
        wait_for(lambda: supervisor.pid("server") not in (0, first))
        assert not is_alive(first)
        assert supervisor.restarts == {"server": 1}


@pytest.mark.parametrize("is_outlived", [False, True])
def test_children_of_a_service_that_died_go_on_only_when_they_may(tmp_path: Path, is_outlived: bool) -> None:
    with Supervisor([deaf(tmp_path, is_outlived=is_outlived)]) as supervisor:
        grandchild = read_pid(tmp_path / "deaf.grandchild")
        wait_for(lambda: supervisor.pid("deaf"))
        os.kill(supervisor.pid("deaf"), signal.SIGKILL)
        wait_for(lambda: supervisor.restarts["deaf"] == 1)
        if is_outlived:
            assert is_alive(grandchild)
        else:
            wait_for(lambda: not is_alive(grandchild))
    assert not is_alive(grandchild)


def test_a_service_that_keeps_dying_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    program = python("import sys; sys.exit('no such database')")
    broken = Service("server", program, tmp_path / "server.log", is_ready=lambda: False)
    with Supervisor([broken]) as supervisor, pytest.raises(MissingPartError, match="server ended 3 times") as caught:
        supervisor.wait_until_ready(20)
    assert "no such database" in str(caught.value)
    assert str(tmp_path / "server.log") in str(caught.value)


def test_a_program_that_is_not_there_is_named_in_the_log(tmp_path: Path) -> None:
    with Supervisor([Service("server", ("no-such-program",), tmp_path / "log")]) as supervisor:
        wait_for(lambda: supervisor.restarts["server"])
    assert "no-such-program cannot be started: No such file" in (tmp_path / "log").read_text()


def test_a_service_that_does_not_get_ready_in_time_is_reported(tmp_path: Path) -> None:
    slow = Service("server", python("import time; time.sleep(600)"), tmp_path / "log", is_ready=lambda: False)
    with (
        Supervisor([slow]) as supervisor,
        pytest.raises(MissingPartError, match=r"server was not ready within 0\.1 s; its log is empty"),
    ):
        supervisor.wait_until_ready(0.1)


def test_waiting_tells_how_long_each_service_took(tmp_path: Path) -> None:
    with Supervisor([polite(tmp_path, "server"), polite(tmp_path, "watch")]) as supervisor:
        seconds = supervisor.wait_until_ready(20, names=["watch"])
    assert list(seconds) == ["watch"]
    assert 0 < seconds["watch"] < 20


def test_services_get_the_environment_that_was_given(tmp_path: Path) -> None:
    code = "import os, time; print(os.environ['ANSWER'], os.environ.get('HOME'), flush=True); time.sleep(600)"
    told = Service("server", python(code), tmp_path / "log", environment={"ANSWER": "42"})
    with Supervisor([told]):
        wait_for(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text())
    assert (tmp_path / "log").read_text() == "42 None\n"


def test_two_services_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="different names"):
        Supervisor([polite(tmp_path, "server"), polite(tmp_path, "server")])


def test_stop_order_must_name_every_service(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop_order"):
        Supervisor([polite(tmp_path, "server")], stop_order=["watch"])


def test_pauses_before_restarts_double_up_to_half_a_minute() -> None:
    assert [pause_before_restart(lives) for lives in (0, 1, 2, 3, 6, 7, 100)] == [0.5, 0.5, 1, 2, 16, 30, 30]


def test_free_ports_differ() -> None:
    assert len(set(find_free_ports(20))) == 20
