"""Settings of a run and of the services around it: the only file that reads the environment.

Every field is an environment variable: ``linger_s`` is ``PLATESTREAM_LINGER_S``. Prefect's own ``PREFECT_API_URL`` and
``PREFECT_API_AUTH_STRING`` are read when ours are not set.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from imaging.errors import ConfigurationError

PREFIX = "PLATESTREAM_"
ELSEWHERE = ("PLATESTREAM_DEBUG", "PLATESTREAM_TEST_ALL")
"""Names with our prefix that are no settings: the command line's and the tests'."""
DATABASE_URL = f"{PREFIX}DATABASE_URL"
"""Holds a password: no process gets it but the Prefect server."""
WEB_TOKEN = f"{PREFIX}WEB_TOKEN"
"""No process gets it but the web server."""
CHANNELS = ("alert_webhook", "alert_slack", "alert_email")
"""Where alerts go. The addresses are passwords, too: they are put into blocks, and no process gets them."""
MESSAGE_CHANNELS = ("message_slack", "message_teams", "message_webhook", "message_email")
"""Where messages go, passwords likewise; whoever sends them asks the Prefect server for its blocks."""
WITHHELD = {"database_url": DATABASE_URL, "web_token": WEB_TOKEN} | {
    name: PREFIX + name.upper() for name in (*CHANNELS, *MESSAGE_CHANNELS)
}
"""Settings that one service needs at most, and that no other process is told."""
LEAST_TOKEN = 16
"""Characters of a token that cannot be found by trying."""
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")
_LINKS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?")
_IN_SQL = re.compile(r"[A-Za-z0-9_.:-]{1,1024}")
_PASSWORD = re.compile(r"//[^/\s]*@")
"""What stands before the host of an address, and may be a password."""
_ADDRESS = re.compile(r"(tcp|tls|ucx)://[^/:\s]+(:\d{1,5})")


def _xdg_folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable, ""))  # a relative path is to be ignored, says the XDG specification
    return (folder if folder.is_absolute() else Path.home() / default) / "platestream"


def _emulator(variable: str, service: str) -> Any:
    return Field(
        None,
        validation_alias=AliasChoices(PREFIX + variable.removesuffix("_HOST"), variable),
        description=f"host:port of a stand-in for {service}; switches credentials off",
    )


class Settings(BaseSettings):
    """What a run and its services need to know about where they are.

    Raises
    ------
    ConfigurationError
        One sentence per value that cannot be used and per ``PLATESTREAM_`` name that is no setting.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", validate_default=True, populate_by_name=True
    )

    store: str = Field(
        "platestream-data",
        description="root of images, results and tables: a folder, file:///, gs://bucket/prefix or memory://name",
    )
    scheduler: str = Field("tcp://127.0.0.1:8786", description="address of the Dask scheduler")
    compute: Literal["local", "cuda", "address", "gke"] = Field(
        "local",
        description="which Dask cluster: local and cuda are started on this machine (cuda: one worker per GPU), "
        "address is one that runs already, gke one on Kubernetes",
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="where kernels compute; cuda without a GPU is an error")
    workers: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="worker processes of a cluster on this machine; default one per core or GPU",
    )
    workers_floor: int | None = Field(
        None, ge=0, le=1024, description="how many of them stay when there is no work; default all"
    )
    environment: str = Field(
        "local", min_length=1, description="name of this environment, a file of deployments/; recorded with each site"
    )
    place: str = Field(
        "local", min_length=1, description="where this environment computes, such as europe-west4; see placement"
    )
    sites_in_flight: int = Field(3, ge=1, le=100, description="sites of one plate handed to each worker at a time")
    plates_at_once: int = Field(8, ge=1, le=1000, description="plates that `serve` follows at the same time")
    linger_s: float = Field(60.0, ge=0, description="seconds that a run waits after the last image arrived")
    heartbeat_s: float = Field(30.0, gt=0, description="seconds between two heartbeats of a plate's follower")
    heartbeat_stale_s: float = Field(90.0, gt=0, description="age in seconds at which a heartbeat means nobody follows")
    settle_s: float = Field(3.0, ge=0, description="age in seconds below which a local file is still being written")
    rescan_s: float = Field(2.0, gt=0, description="seconds between two looks at a plate being imaged")
    sweep_s: float = Field(
        60.0, gt=0, description="with a subscription, seconds between two looks at a plate of which no message came"
    )
    reconnect_s: float = Field(60.0, ge=0, description="seconds that a run waits for a Dask scheduler that went away")
    notice_s: float = Field(
        25.0, gt=0, description="seconds between SIGTERM and the end of a worker whose machine is taken away"
    )
    idle_s: float = Field(900.0, gt=0, description="seconds without work after which a cluster goes down to its floor")
    no_progress_s: float = Field(
        1800.0, gt=0, description="seconds in which no site ends although some run, after which workers are let go"
    )
    sites_per_gpu: int = Field(4, ge=1, le=32, description="sites that a CUDA worker has in hand at a time")
    gpu_memory_fraction: float = Field(
        0.8, gt=0, le=1, description="share of a GPU's memory that the pool of a worker may take"
    )
    tls_ca: Path | None = Field(None, description="PEM file of the authority that Dask's certificates must come from")
    tls_cert: Path | None = Field(None, description="PEM file of this process's certificate for Dask")
    tls_key: Path | None = Field(None, description="PEM file of that certificate's key")
    google_project: str | None = Field(None, description="Google Cloud project of dataset and subscription")
    google_credentials: str | None = Field(
        None, description="name of a prefect-gcp GcpCredentials block; default Google's application default credentials"
    )
    subscription: str | None = Field(
        None, description="Pub/Sub subscription that tells of new images; without one, folders are looked at"
    )
    dataset: str | None = Field(None, description="BigQuery dataset that publications are loaded into; default none")
    dataset_location: str = Field("", description="BigQuery location of the dataset, such as EU or europe-west4")
    storage_emulator: str | None = _emulator("STORAGE_EMULATOR_HOST", "Cloud Storage")
    pubsub_emulator: str | None = _emulator("PUBSUB_EMULATOR_HOST", "Pub/Sub")
    bigquery_emulator: str | None = _emulator("BIGQUERY_EMULATOR_HOST", "BigQuery")
    warehouse_interval_s: float = Field(
        60.0, gt=0, description="seconds between two loads of what is being imaged into the warehouse"
    )
    price_per_worker_hour: float | None = Field(
        None, ge=0, description="USD that an hour of one worker costs; without it no cost is recorded"
    )
    budget_per_plate: float | None = Field(None, ge=0, description="USD after which a plate gets no more work")
    budget_per_day: float | None = Field(None, ge=0, description="USD of one UTC day after which no work is begun")
    alert_every_s: float = Field(60.0, gt=0, description="seconds between two looks of the watcher for alerts")
    alert_after_s: float = Field(
        1800.0, gt=0, description="seconds without progress of a plate, or without its next image, that are an alert"
    )
    alert_queue_s: float = Field(
        7200.0, gt=0, description="seconds that a site with all its images may wait before that is an alert"
    )
    alert_disk_percent: float = Field(
        5.0, ge=0, lt=100, description="percentage of a disk below which its free space is an alert"
    )
    alert_webhook: SecretStr | None = Field(
        None, description="https://... that alerts are posted to as JSON, put into a block by `platestream deploy`"
    )
    alert_slack: SecretStr | None = Field(
        None, description="Slack's incoming webhook that alerts are sent to, put into a block likewise"
    )
    alert_email: SecretStr | None = Field(
        None,
        description="mailtos://USER:PASSWORD@SERVER?from=...&to=... that alerts are sent by, put into a block likewise",
    )
    message_slack: SecretStr | None = Field(
        None, description="Slack's incoming webhook that messages are sent to, put into a block by `platestream deploy`"
    )
    message_teams: SecretStr | None = Field(
        None, description="address of a Teams workflow that messages are sent to, put into a block likewise"
    )
    message_webhook: SecretStr | None = Field(
        None, description="https://... that messages are posted to as JSON, put into a block likewise"
    )
    message_email: SecretStr | None = Field(
        None,
        description="mailtos://USER:PASSWORD@SERVER?from=...&to=... that messages go by, put into a block likewise",
    )
    message_links: str = Field(
        "", description="address of the web server in messages, such as https://plates.lab.example; without it no links"
    )
    message_digest_hour: int = Field(6, ge=0, le=23, description="hour of the day (UTC) at which the digest is sent")
    database_url: SecretStr | None = Field(
        None,
        description="address of the Prefect server's PostgreSQL, postgresql+asyncpg://...; default SQLite in the "
        "state folder",
    )
    keep_runs_days: float = Field(
        30.0, gt=0, description="days that the Prefect server keeps runs that ended, with their artifacts and events"
    )
    keep_publications: int | None = Field(
        None, ge=1, description="newest publications of a plate that are kept; default all. See docs/operations.md"
    )
    api_url: str = Field(
        "http://127.0.0.1:4200/api",
        validation_alias=AliasChoices(f"{PREFIX}API_URL", "PREFECT_API_URL"),
        description="address of the Prefect API",
    )
    api_auth: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices(f"{PREFIX}API_AUTH", "PREFECT_API_AUTH_STRING"),
        description="user:password of the Prefect API, when it asks for one",
    )
    web_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="address that the web server listens on; 0.0.0.0 for all of this machine's, which takes a token",
    )
    web_port: int = Field(4280, ge=1, le=65535, description="port of the web server")
    web_token: SecretStr | None = Field(
        None, description="what the web server asks for before it shows anything; beyond this machine it needs one"
    )
    web_origins: str = Field(
        "",
        description="web sites whose viewers may read images from the web server, such as https://viewer.example.org, "
        "separated by spaces; * for all; default those of this machine",
    )
    state_folder: Path = Field(
        default_factory=lambda: _xdg_folder("XDG_STATE_HOME", ".local/state"),
        description="folder for the Prefect database, logs and process ids of services on this machine",
    )
    cache_folder: Path = Field(
        default_factory=lambda: _xdg_folder("XDG_CACHE_HOME", ".cache"),
        description="folder for what can be made again, such as an empty Prefect database",
    )

    def __init__(self, **values: Any) -> None:
        unknown = _unknown_names(os.environ)
        try:
            super().__init__(**values)
        except ValidationError as error:
            unknown += [_sentence(fault) for fault in error.errors()]
        if unknown:
            raise ConfigurationError("the settings cannot be used:", tuple(unknown))

    @field_validator("store")
    @classmethod
    def _make_absolute(cls, store: str) -> str:
        if not store.strip():
            raise ValueError("must name a folder or a gs:// address")
        if "://" not in store:
            return str(Path(store).expanduser().absolute())
        scheme = store.split("://")[0]
        if scheme not in ("file", "gs", "memory"):
            raise ValueError("must be a folder, file:///, gs://bucket/prefix or memory://name")
        return store

    @field_validator("scheduler")
    @classmethod
    def _check_address(cls, address: str) -> str:
        if _ADDRESS.fullmatch(address) is None:
            raise ValueError("must be an address such as tcp://127.0.0.1:8786")
        return address

    @field_validator("api_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must be an address such as http://127.0.0.1:4200/api")
        if _PASSWORD.search(url):
            raise ValueError(f"must hold no password, for addresses are written into logs; {PREFIX}API_AUTH takes it")
        return url.rstrip("/")

    @field_validator("dataset", "google_project")
    @classmethod
    def _check_name_in_sql(cls, name: str | None) -> str | None:
        if name is not None and _IN_SQL.fullmatch(name) is None:
            raise ValueError("must be a name of letters, digits, _, -, . and :, for it stands in SQL")
        return name

    @field_validator("web_token")
    @classmethod
    def _check_token(cls, token: SecretStr | None) -> SecretStr | None:
        text = token.get_secret_value() if token else ""
        if token and (len(text) < LEAST_TOKEN or not text.isascii() or not text.isprintable() or " " in text):
            raise ValueError(
                f"must have at least {LEAST_TOKEN} letters, digits and signs, and no space; "
                "`openssl rand -hex 32` makes a good one"
            )
        return token

    @field_validator("web_origins")
    @classmethod
    def _check_origins(cls, origins: str) -> str:
        if origins.strip() != "*" and not all(map(_ORIGIN.fullmatch, origins.split())):
            raise ValueError("must be origins such as https://viewer.example.org, without a path, or * alone")
        return origins

    @field_validator("message_links")
    @classmethod
    def _check_links(cls, links: str) -> str:
        if links and _LINKS.fullmatch(links) is None:
            raise ValueError("must be an address such as https://plates.lab.example, without a password")
        return links

    @field_validator("state_folder", "cache_folder")
    @classmethod
    def _make_folder_absolute(cls, folder: Path) -> Path:
        return folder.expanduser().absolute()

    @model_validator(mode="after")
    def _check_heartbeats(self) -> Settings:
        if self.heartbeat_stale_s < 2 * self.heartbeat_s:
            raise ValueError(
                f"{PREFIX}HEARTBEAT_STALE_S must be at least twice {PREFIX}HEARTBEAT_S, or one late heartbeat starts "
                f"a second run; got {self.heartbeat_stale_s:g} and {self.heartbeat_s:g}"
            )
        return self

    @property
    def auth(self) -> str:
        """``user:password`` of the Prefect API; empty when it asks for none."""
        return self.api_auth.get_secret_value() if self.api_auth else ""

    def following(self) -> dict[str, Any]:
        """How a follower goes about a plate: keyword arguments of ``flows.follow.Follower``."""
        return {
            "linger_s": self.linger_s,
            "relist_s": self.rescan_s,
            "heartbeat_s": self.heartbeat_s,
            "sites_in_flight": self.sites_in_flight,
        }

    def as_environment(self) -> dict[str, str]:
        """These settings as variables for a process of ours: ``{"PLATESTREAM_STORE": "/data", ...}``.

        What one service alone needs (the database's address, which holds a password, and the web server's token) is
        not among them, nor are the addresses that alerts go to.
        """
        values = {name: getattr(self, name) for name in type(self).model_fields if name not in WITHHELD}
        for name, value in values.items():
            if isinstance(value, SecretStr):
                values[name] = value.get_secret_value()
        return {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items() if value is not None}


def child_environment(changes: Mapping[str, str], *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Environment of a process that we start: ours less names that begin with ``without``, ``changes`` on top.

    The address of the Prefect server's database, the web server's token and the addresses that alerts go to are handed
    on to nobody who does not get them by ``changes``.
    """
    withheld = (*WITHHELD.values(), *without)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(withheld)}
    return {**kept, **changes}


def _unknown_names(environment: Mapping[str, str]) -> list[str]:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    sentences = []
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in known or name in ELSEWHERE:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        sentences.append(f"{name} is no setting; " + (f"is {near[0]} meant?" if near else "unset it"))
    return sentences


def _sentence(fault: Any) -> str:
    """Turn one fault of pydantic into one sentence that names the variable and the value."""
    message = fault["msg"].removeprefix("Value error, ").replace("Input should", "must")
    if not fault["loc"]:
        return message
    place = str(fault["loc"][0])
    name = place if place.isupper() else PREFIX + place.upper()
    if name == f"{PREFIX}API_URL":
        name += " (or PREFECT_API_URL)"
    if fault["type"] == "extra_forbidden":
        return f"{place} is no setting"
    field = Settings.model_fields.get(place.lower().removeprefix(PREFIX.lower()))
    meaning = f" ({field.description})" if field is not None and field.description else ""
    is_secret = field is not None and "SecretStr" in str(field.annotation)
    got = "" if is_secret else f", got {_PASSWORD.sub('//...@', repr(fault['input']))[:200]}"
    return f"{name} {message}{got}{meaning}"
