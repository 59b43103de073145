from __future__ import annotations

from pathlib import Path

import pytest

from flows.settings import Settings, child_environment
from imaging.errors import ConfigurationError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in os.environ:
        if name.startswith(("PLATESTREAM_", "PREFECT_API_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def problems_of(monkeypatch: pytest.MonkeyPatch, **environment: str) -> tuple[str, ...]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        Settings()
    return caught.value.problems


def test_defaults_stand_without_any_variable(tmp_path: Path) -> None:
    settings = Settings()
    assert settings.store == str(Path("platestream-data").absolute())
    assert (settings.scheduler, settings.device, settings.workers) == ("tcp://127.0.0.1:8786", "cpu", None)
    assert (settings.linger_s, settings.heartbeat_s, settings.heartbeat_stale_s) == (60, 30, 90)
    assert (settings.plates_at_once, settings.reconnect_s, settings.auth) == (8, 60, "")
    assert (settings.settle_s, settings.rescan_s) == (3, 2)
    assert settings.api_url == "http://127.0.0.1:4200/api"
    assert settings.state_folder == tmp_path / ".local/state/platestream"
    assert settings.cache_folder == tmp_path / ".cache/platestream"


def test_variables_with_our_prefix_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATESTREAM_LINGER_S", "2.5")
    monkeypatch.setenv("PLATESTREAM_STORE", "gs://bucket/lab")
    monkeypatch.setenv("PLATESTREAM_WORKERS", "7")
    settings = Settings()
    assert (settings.linger_s, settings.store, settings.workers) == (2.5, "gs://bucket/lab", 7)


def test_the_api_address_of_prefect_counts_unless_ours_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://lab:4200/api/")
    assert Settings().api_url == "http://lab:4200/api"
    monkeypatch.setenv("PLATESTREAM_API_URL", "http://ours:4200/api")
    assert Settings().api_url == "http://ours:4200/api"


def test_folders_of_the_desktop_standard_are_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/big/cache")
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert Settings().cache_folder == Path("/big/cache/platestream")
    assert Settings().state_folder.is_absolute()
    assert "not" not in Settings().state_folder.parts


def test_a_store_in_the_home_folder_is_found() -> None:
    assert Settings(store="~/plates").store == str(Path.home() / "plates")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("LINGER_S", "soon", r"PLATESTREAM_LINGER_S must be a valid number.*got 'soon' \(seconds that a run waits"),
        ("LINGER_S", "-1", r"PLATESTREAM_LINGER_S must be greater than or equal to 0, got '-1'"),
        ("DEVICE", "tpu", r"PLATESTREAM_DEVICE must be 'cpu' or 'cuda', got 'tpu'"),
        ("WORKERS", "0", r"PLATESTREAM_WORKERS must be greater than or equal to 1"),
        ("STORE", "s3://bucket", r"PLATESTREAM_STORE must be a folder, file:///, gs://bucket/prefix or memory://name"),
        ("STORE", " ", r"PLATESTREAM_STORE must name a folder"),
        ("SCHEDULER", "localhost:8786", r"PLATESTREAM_SCHEDULER must be an address such as tcp://127.0.0.1:8786"),
        ("API_URL", "localhost", r"PLATESTREAM_API_URL \(or PREFECT_API_URL\) must be an address such as http://"),
        ("HEARTBEAT_S", "60", r"PLATESTREAM_HEARTBEAT_STALE_S must be at least twice PLATESTREAM_HEARTBEAT_S"),
    ],
)
def test_a_bad_value_gives_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    (problem,) = problems_of(monkeypatch, **{f"PLATESTREAM_{name}": value})
    assert __import__("re").match(sentence, problem), problem


def test_all_bad_values_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = problems_of(monkeypatch, PLATESTREAM_DEVICE="tpu", PLATESTREAM_LINGER_S="soon")
    assert len(problems) == 2


def test_a_misspelt_variable_is_refused_with_the_likely_name(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = problems_of(monkeypatch, PLATESTREAM_WORKRES="3")
    assert problems == ("PLATESTREAM_WORKRES is no setting; is PLATESTREAM_WORKERS meant?",)


def test_a_misspelt_keyword_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="lingers is no setting"):
        Settings(lingers=3)


def test_a_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:geheim")
    settings = Settings()
    assert "geheim" not in repr(settings)
    assert settings.auth == "admin:geheim"


def test_settings_travel_to_a_child_process_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(store="/data", linger_s=1.5, workers=3, api_auth="a:b", api_url="http://x/api")
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_the_databases_address_is_shown_nowhere_and_handed_on_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATESTREAM_DATABASE_URL", "postgresql+asyncpg://prefect:geheim@db/prefect")
    settings = Settings()
    assert "geheim" not in repr(settings)
    assert "geheim" not in str(settings.as_environment())
    assert "geheim" not in str(child_environment(settings.as_environment()))
    assert child_environment({"PLATESTREAM_DATABASE_URL": "x"})["PLATESTREAM_DATABASE_URL"] == "x"


def test_following_names_what_the_follower_takes() -> None:
    assert Settings(linger_s=1, rescan_s=2, heartbeat_s=3, sites_in_flight=4).following() == {
        "linger_s": 1,
        "relist_s": 2,
        "heartbeat_s": 3,
        "sites_in_flight": 4,
    }


def test_a_child_gets_our_environment_with_changes_and_without_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_PROFILE", "private")
    monkeypatch.setenv("KEPT", "yes")
    environment = child_environment({"PREFECT_API_URL": "http://x"}, without=("PREFECT_",))
    assert (environment["KEPT"], environment["PREFECT_API_URL"]) == ("yes", "http://x")
    assert "PREFECT_PROFILE" not in environment
    assert child_environment({})["PREFECT_PROFILE"] == "private"
