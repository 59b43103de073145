"""Beyond this machine the web server shows nothing without its token, and the token is in no address, log or page."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from flows.settings import Settings
from flows.web import access
from flows.web.access import COOKIE, COOKIE_S, Door, is_loopback, local_target
from flows.web.service import check_web
from imaging.errors import ConfigurationError, MissingPartError
from imaging.store import FolderStore
from tests.security.served import TOKEN, Served, serve

PAGE = "/results/E1/P1/v1-3fa9c2d4/page/"
CHUNK = "/images/E1/P1.zarr/zarr.json"
SHOWN = ("/", "/status.json", PAGE, CHUNK, f"{PAGE}data.js")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FolderStore:
    store = FolderStore(tmp_path_factory.mktemp("access"))
    for key in (f"{PAGE}index.html", f"{PAGE}data.js", CHUNK):
        store.write(key.strip("/"), b"shown")
    return store


@pytest.fixture(scope="module")
def served(store: FolderStore) -> Iterator[Served]:
    with serve(store, token=TOKEN) as served:
        yield served


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "lab-server", "127.0.0.1.example.org", "2001:db8::1"])
def test_without_a_token_nothing_is_shown_beyond_this_machine(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"would show every plate to whoever reaches .*PLATESTREAM_WEB_TOKEN"):
        check_web(Settings(web_host=host))


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("", False)])
def test_loopback_is_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_port_that_is_taken_is_named_before_anything_starts(served: Served) -> None:
    with pytest.raises(MissingPartError, match=rf"cannot listen on port {served.port} of 127\.0\.0\.1"):
        check_web(Settings(web_port=served.port))


@pytest.mark.parametrize("path", SHOWN)
def test_nothing_is_shown_without_the_token(served: Served, path: str) -> None:
    answer = served.get(path)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="platestream"')
    assert b"shown" not in answer.content


@pytest.mark.parametrize("path", ["/images/E1/P1.zarr/absent", "/results/absent", "/nothing", "/status.json/x"])
def test_without_the_token_nobody_learns_what_is_there(served: Served, path: str) -> None:
    assert served.get(path).status_code == 401


@pytest.mark.parametrize("path", SHOWN)
def test_the_token_in_a_header_opens_everything(served: Served, path: str) -> None:
    assert served.get(path, authorization=f"Bearer {TOKEN}").status_code == 200


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, f"Bearer x{TOKEN}"],
)
def test_a_wrong_token_opens_nothing(served: Served, header: str) -> None:
    assert served.raw(CHUNK.encode(), headers={"authorization": header})[0] == 401


def test_a_token_in_an_address_opens_nothing(served: Served) -> None:
    for query in (f"?token={TOKEN}", f"?access_token={TOKEN}", f"?authorization=Bearer+{TOKEN}"):
        assert served.get(f"{CHUNK}{query}").status_code == 401


def test_a_browser_is_asked_for_the_token_and_led_on(served: Served) -> None:
    asked = served.get(PAGE, accept="text/html")
    assert (asked.status_code, asked.headers["location"]) == (303, f"/login?next={PAGE}")
    form = served.get(asked.headers["location"])
    assert 'type="password"' in form.text
    let_in = served.post(asked.headers["location"], token=TOKEN)
    assert (let_in.status_code, let_in.headers["location"]) == (303, PAGE)
    cookie = let_in.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    assert served.get(PAGE, cookie=cookie.split(";")[0]).content == b"shown"
    assert "data-token" in served.get("/", cookie=cookie.split(";")[0]).text
    assert f'{COOKIE}="";' in served.post("/logout").headers["set-cookie"]


def test_a_cookie_is_marked_secure_behind_tls(served: Served) -> None:
    import httpx

    answer = httpx.post(
        f"{served.url}/login", data={"token": TOKEN}, headers={"x-forwarded-proto": "https"}, trust_env=False
    )
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("given", ["", "x", TOKEN[:-1], TOKEN.upper()])
def test_the_form_takes_no_other_token(served: Served, given: str) -> None:
    answer = served.post("/login", token=given)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert "This is not the token." in answer.text


def test_a_form_without_end_is_cut_off(served: Served) -> None:
    assert served.post("/login", token="x" * 10_000).status_code == 413


def test_a_cookie_cannot_be_made_without_the_token_or_last_for_ever() -> None:
    door = Door(TOKEN)
    cookie = door.make_cookie(now=1000.0)
    until, _, signature = cookie.partition(".")
    assert door.takes_cookie(cookie, now=1000.0 + COOKIE_S - 1)
    assert not door.takes_cookie(cookie, now=1000.0 + COOKIE_S)
    assert not door.takes_cookie(f"{int(until) + 1}.{signature}", now=1000.0)
    assert not Door(TOKEN[::-1]).takes_cookie(cookie, now=1000.0)
    assert not Door("").takes_cookie(Door("").make_cookie(), now=1000.0)
    for forged in ("", ".", until, f"{until}.", f".{signature}", "x.y", f"{until}.{signature}.", "9" * 5000):
        assert not door.takes_cookie(forged, now=1000.0), forged


def test_tokens_and_cookies_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(access.hmac, "compare_digest", compare)
    door = Door(TOKEN)
    assert not door.knows("")
    assert not door.knows("x" * 5000)
    assert door.knows(TOKEN)
    door.takes_cookie("x")
    assert len(compared) == 4
    assert {len(text) for pair in compared for text in pair} == {32}, "of one length, so that no length is told"


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("/results/E 1/P1/v1/page/", "/results/E%201/P1/v1/page/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("evil.example", "/"),
        ("/x\r\nset-cookie: a=b", "/"),
        ("", "/"),
    ],
)
def test_the_way_on_from_the_form_never_leaves_the_server(served: Served, address: str, target: str) -> None:
    assert local_target(address) == target
    from urllib.parse import quote

    assert served.post(f"/login?next={quote(address)}", token=TOKEN).headers["location"] == target


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4280", "127.0.0.1.evil.example", "localhost.evil", "", "[::2]"]
)
def test_without_a_token_only_names_of_this_machine_are_answered(store: FolderStore, host: str) -> None:
    """Else any web page could read plates through the browser of whoever works here (DNS rebinding)."""
    with serve(store) as served:
        assert served.get(CHUNK).status_code == 200
        assert served.get(CHUNK, host="localhost:9999").status_code == 200
        answer = served.get(CHUNK, host=host)
    assert (answer.status_code, b"shown" in answer.content) == (421, False)


@pytest.mark.parametrize("path", ["/", PAGE, "/login", "/nothing", "/web/index.js"])
def test_every_answer_tells_the_browser_to_only_show_it(served: Served, path: str) -> None:
    headers = served.get(path, authorization=f"Bearer {TOKEN}").headers
    assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize(
    ("origins", "origin", "is_allowed"),
    [
        ("", "http://localhost:8000", True),
        ("", "http://127.0.0.1:8000", True),
        ("", "https://evil.example", False),
        ("", "http://localhost.evil.example", False),
        ("", "null", False),
        ("https://viewer.example", "https://viewer.example", True),
        ("https://viewer.example https://b.example", "https://b.example", True),
        ("https://viewer.example", "https://evil.example", False),
        ("*", "https://any.example", True),
    ],
)
def test_only_allowed_web_sites_may_read_images(
    store: FolderStore, origins: str, origin: str, is_allowed: bool
) -> None:
    with serve(store, origins=origins) as served:
        answer = served.get(CHUNK, origin=origin, range="bytes=0-1")
        asked = served.get(
            CHUNK,
            method="OPTIONS",
            origin=origin,
            access_control_request_method="GET",
            access_control_request_headers="range, authorization",
        )
    allowed = (origin, "*") if is_allowed else (None,)
    assert answer.headers.get("access-control-allow-origin") in allowed
    assert asked.headers.get("access-control-allow-origin") in allowed
    assert "access-control-allow-credentials" not in answer.headers
    if is_allowed:
        assert asked.status_code == 200
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert {"content-range", "content-length", "accept-ranges", "etag"} <= set(exposed.split(", "))


@pytest.mark.parametrize("path", ["/status.json", PAGE, f"{PAGE}data.js"])
def test_no_web_site_may_read_pages_and_states(store: FolderStore, path: str) -> None:
    with serve(store, origins="*") as served:
        assert "access-control-allow-origin" not in served.get(path, origin="https://any.example").headers


def test_a_viewer_elsewhere_is_told_that_it_needs_the_token(store: FolderStore) -> None:
    with serve(store, token=TOKEN, origins="https://viewer.example") as served:
        refused = served.get(CHUNK, origin="https://viewer.example")
        taken = served.get(CHUNK, origin="https://viewer.example", authorization=f"Bearer {TOKEN}")
    assert (refused.status_code, taken.status_code) == (401, 200)
    assert refused.headers["access-control-allow-origin"] == "https://viewer.example"


def test_the_state_of_the_server_is_told_to_anybody(served: Served) -> None:
    assert served.get("/health").text == "ok\n"


@pytest.mark.parametrize("token", ["short", "x" * 15, "with a space in it", "ünicode-is-no-header", "x" * 20 + "\n"])
def test_a_poor_token_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("PLATESTREAM_WEB_TOKEN", token)
    with pytest.raises(ConfigurationError) as caught:
        Settings()
    (problem,) = caught.value.problems
    assert problem.startswith("PLATESTREAM_WEB_TOKEN must have at least 16 letters")
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "origins", ["viewer.example", "https://viewer.example/path", "https://*.example", "* https://a"]
)
def test_origins_that_could_mean_more_are_refused(origins: str) -> None:
    with pytest.raises(ConfigurationError, match="must be origins such as"):
        Settings(web_origins=origins)


@pytest.mark.parametrize(
    ("changes", "is_told"), [({}, False), ({"access_log": True, "log_level": "info"}, True)], ids=["ours", "planted"]
)
def test_no_request_is_logged_with_what_it_asked(
    store: FolderStore,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    is_told: bool,
) -> None:
    """Neither by us nor by uvicorn, whose logs would go to the standard output; with its log of requests they do."""
    with caplog.at_level(logging.DEBUG), serve(store, token=TOKEN, **changes) as served:
        served.raw(f"/?token={TOKEN}".encode())
        served.raw(b"/login?next=" + TOKEN.encode())
    assert (TOKEN in caplog.text + "".join(capfd.readouterr())) is is_told
