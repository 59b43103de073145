"""The files for TLS between Dask's processes, and who is kept out by them."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from flows import compute as compute_module
from flows.clusters.certificates import ROLES, certificate_names, make_certificates
from flows.clusters.look import ask
from flows.clusters.security import explain_silence, read_security, warn_of_plain_text
from flows.compute import connect
from flows.settings import Settings, child_environment
from flows.supervise import find_free_ports
from imaging.errors import ConfigurationError, MissingPartError
from tests.flows.jobs import sleep
from tests.flows.test_compute import wait_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls") / "certificates"
    make_certificates(folder)
    return folder


def tls_settings(folder: Path, scheduler: str = "tls://127.0.0.1:1", role: str = "client", **more: object) -> Settings:
    certificate, key = (folder / name for name in certificate_names(role))
    return Settings(scheduler=scheduler, tls_ca=folder / "ca.pem", tls_cert=certificate, tls_key=key, **more)


def test_nobody_but_the_owner_can_read_a_key(folder: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    keys = ["ca-key.pem", *(certificate_names(role)[1] for role in ROLES)]
    assert {modes[name] for name in keys} == {0o600}
    assert len(modes) == 8
    assert folder.stat().st_mode & 0o777 == 0o700


def test_certificates_are_valid_for_the_time_that_is_said(tmp_path: Path) -> None:
    end = make_certificates(tmp_path / "a", days=10)
    certificate = x509.load_pem_x509_certificate((tmp_path / "a" / "worker.pem").read_bytes())
    assert certificate.not_valid_after_utc == end.replace(microsecond=0)
    assert 9 <= (end - datetime.now(UTC)).days < 10
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((tmp_path / "a" / "ca.pem").read_bytes()))


def test_certificates_are_not_overwritten(folder: Path) -> None:
    before = (folder / "ca.pem").read_bytes()
    with pytest.raises(ConfigurationError, match=r"holds ca\.pem, ca-key\.pem, scheduler\.pem, .*not overwritten"):
        make_certificates(folder)
    assert (folder / "ca.pem").read_bytes() == before


def test_an_address_without_tls_needs_no_certificate() -> None:
    assert read_security(Settings()) is None


def test_certificates_and_address_must_fit(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="also needs PLATESTREAM_TLS_CA and PLATESTREAM_TLS_KEY; `platestream"):
        read_security(Settings(scheduler="tls://127.0.0.1:1", tls_cert=folder / "client.pem"))
    with pytest.raises(ConfigurationError, match="PLATESTREAM_SCHEDULER must begin with tls://"):
        read_security(tls_settings(folder, "tcp://127.0.0.1:1"))
    with pytest.raises(ConfigurationError, match=r"cannot be used \(.*No such file.*PLATESTREAM_TLS_CA="):
        read_security(tls_settings(tmp_path))
    mixed = tls_settings(folder).model_copy(update={"tls_key": folder / "worker-key.pem"})
    with pytest.raises(ConfigurationError, match=r"cannot be used \(.*MISMATCH"):
        read_security(mixed)


@pytest.fixture(scope="module")
def scheduler(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster with TLS in a process of its own."""
    (port,) = find_free_ports(1)
    settings = tls_settings(folder, f"tls://127.0.0.1:{port}", "scheduler", workers=1)
    log = (tmp_path_factory.mktemp("cluster") / "log").open("wb")
    environment = child_environment(settings.as_environment())
    with log, subprocess.Popen([sys.executable, "-m", "flows.cluster"], env=environment, stderr=log) as process:
        wait_for(lambda: _listens(port))
        yield settings.scheduler
        process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_client_with_a_certificate_of_the_authority_is_served(folder: Path, scheduler: str) -> None:
    settings = tls_settings(folder, scheduler)
    with connect(settings) as compute:
        assert compute.submit(sleep, 0.01, key="a").result(60) == 0.01
        client: Any = compute.client()
        (worker,) = client.nthreads()
        assert worker.startswith("tls://")

    def is_idle() -> bool:
        look = ask(scheduler, read_security(settings))
        return (look.ended, look.waiting, look.busy) == (1, 0, {"0": 0})

    wait_for(is_idle)


def test_whoever_has_no_certificate_is_refused_in_a_sentence(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute_module, "ATTEMPT_S", 1.0)
    plain = scheduler.replace("tls://", "tcp://")
    with pytest.raises(MissingPartError, match=f"^the scheduler at {plain} asks for TLS: set .* to {scheduler}, and"):
        connect(Settings(scheduler=plain))


def test_a_certificate_of_another_authority_is_refused_in_a_sentence(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute_module, "ATTEMPT_S", 1.0)
    make_certificates(tmp_path / "foreign")
    with pytest.raises(MissingPartError, match=f"^the scheduler at {scheduler} and this process do not accept each"):
        connect(tls_settings(tmp_path / "foreign", scheduler))


def test_the_scheduler_itself_asks_for_a_certificate(folder: Path, scheduler: str) -> None:
    """Else who skips the check of its certificate, as any attacker would, were let in."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.check_hostname = False
    address = ("127.0.0.1", int(scheduler.rpartition(":")[2]))
    with (
        socket.create_connection(address, 5) as plain,
        context.wrap_socket(plain) as secret,
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        secret.recv(1)


def test_a_scheduler_without_tls_is_named_as_such(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tls://127.0.0.1:{server.getsockname()[1]}"
        server.settimeout(5)
        # what listens here never answers, as little as a scheduler that waits for a whole message
        assert explain_silence(address).startswith(f"what listens at {address} does not speak TLS: set")
    assert explain_silence(address) == ""


@pytest.mark.parametrize(
    ("compute", "address", "is_warned"),
    [
        ("address", "tcp://scheduler.lab:8786", True),
        ("gke", "tcp://10.0.0.1:8786", True),
        ("address", "tls://scheduler.lab:8786", False),
        ("address", "tcp://127.0.0.1:8786", False),
        ("local", "tcp://scheduler.lab:8786", False),
    ],
)
def test_a_scheduler_in_a_network_without_tls_is_warned_of_once(
    compute: str, address: str, is_warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_plain_text.cache_clear()
    caplog.set_level(logging.WARNING)
    warn_of_plain_text(compute, address)
    warn_of_plain_text(compute, address)
    assert ["is used without TLS" in message for message in caplog.messages] == [True] * is_warned
