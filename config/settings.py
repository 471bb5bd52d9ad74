"""Settings: what an operator may set, where it is read from, and what it means.

Read, strongest first, from arguments, `ISTHMUS_*` variables, a folder of secret files, a YAML file, the defaults below.
Promises: a name that is no setting is an error with a suggestion, whatever the source; a secret is never printed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from isthmus.config.platforms import DynamicsSettings, OperationsSettings, SalesforceSettings, Seconds, Url
from isthmus.config.transforms import Declared

Port = Annotated[int, Field(ge=1, le=65535)]

PREFIX = "ISTHMUS_"
NESTED = "__"
EVERY_ADDRESS = ("0.0.0.0", "::")


def bootstrap_servers(url: str) -> str:
    """`kafka://a:9092;b` or `a:9092,b` as the plain, comma-separated `host:port` list that Kafka clients take."""
    servers = (part.strip().removeprefix("kafka://") for part in url.replace(";", ",").split(","))
    return ",".join(server for server in servers if server)


def _kafka_url() -> str:
    return os.environ.get("KAFKA_URL") or "localhost:9092"


def _instance(known: Mapping[str, Any]) -> str:
    return f"{socket.gethostname()}-{known.get('http_port', '')}"


class Kafka(Declared):
    """The Kafka that carries everything."""

    url: str = Field(
        default_factory=_kafka_url,
        description="Bootstrap servers, `host:port`, comma-separated. Unset: `$KAFKA_URL`, else `localhost:9092`.",
        validate_default=True,
    )
    replication_factor: int = Field(default=1, ge=1, le=32767, description="Copies of every topic; 3 in production.")

    @field_validator("url")
    @classmethod
    def _named(cls, url: str) -> str:
        if not bootstrap_servers(url):
            raise ValueError("names no server")
        return url

    @property
    def bootstrap(self) -> str:
        """The servers as Kafka clients take them."""
        return bootstrap_servers(self.url)


class NodeSettings(Declared):
    """This node and this worker of it."""

    name: str = Field(
        default="isthmus", pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Workers of one name share the work."
    )
    namespace: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$", description="Put before every topic's name.")
    partitions: int = Field(default=4, ge=1, le=1024, description="Partitions of every topic; cannot be changed later.")
    data_dir: Path = Field(default=Path(".data"), description="State on disk, a cache of Kafka; one folder a worker.")
    http_host: str = Field(default="127.0.0.1", description="The address to listen on.")
    http_port: Port = Field(default=8080, description="The port to listen on.")
    advertised_url: Url | None = Field(
        default=None,
        description="Where other workers reach this one. Unset: made of the two above.",
    )
    instance: str = Field(
        default_factory=_instance,
        min_length=1,
        description="This worker's own lasting name, unlike any other's. Unset: the host's name and the port.",
    )
    frame_bytes: int = Field(default=524_288, ge=1024, le=1_000_000, description="A frame is split at this size.")
    operator_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Who shows it may replay, edit and discard dead letters. Unset: nobody may.",
    )
    standby: bool = Field(
        default=False,
        description="Keep copies of what other workers hold, so that taking over is quick; costs their disk.",
    )
    commit_deadline: Seconds = Field(
        default=30.0, description="A transaction that takes longer ends the worker, in seconds."
    )

    @property
    def own_url(self) -> str:
        """Where other workers reach this one."""
        host = socket.gethostname() if self.http_host in EVERY_ADDRESS else self.http_host
        return self.advertised_url or f"http://{host}:{self.http_port}"


class Pipeline(Declared):
    """How a write that could not be done is tried again, and when a target is left alone (docs/delivery.md)."""

    retry_base: Seconds = Field(
        default=1.0, description="The wait before the second attempt, in seconds; then it doubles."
    )
    retry_cap: Seconds = Field(default=300.0, description="The longest wait, in seconds.")
    ends_most: int = Field(
        default=100,
        ge=1,
        description="So many records of a system may be deleted, deactivated, merged or unlinked for what happened "
        "elsewhere within `ends_seconds`; of more none is until a person says so. Each partition has its share.",
    )
    ends_seconds: Seconds = Field(default=600.0, description="The time within which `ends_most` counts, in seconds.")
    max_attempts: int = Field(
        default=20,
        ge=1,
        description="After so many attempts a write is a dead letter; none counts while its target is left alone.",
    )
    max_age: Seconds = Field(
        default=86_400.0,
        description="A write that fails so long after its first attempt is a dead letter, in seconds.",
    )
    breaker_share: float = Field(
        default=0.5, gt=0, le=1, description="A target is left alone when this share of the calls to it fails"
    )
    breaker_window: Seconds = Field(default=300.0, description="… of those within so many seconds")
    breaker_calls: int = Field(default=5, ge=1, description="… if there were at least so many, on one partition.")
    breaker_probe: Seconds = Field(
        default=60.0,
        description="The longest wait between two tries of a target that is left alone, in seconds; it doubles up to it.",
    )
    drain_rate: float = Field(
        default=100.0,
        gt=0,
        description="Of what waited meanwhile so many writes a second go to it afterwards, beside what is new.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.retry_cap < self.retry_base:
            raise ValueError("retry_cap is below retry_base")
        return self


class Settings(BaseSettings):
    """Everything that can be set. `load_settings` in config/load.py reads files too and says what is wrong."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=NESTED,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        # A secret file is named as the setting, e.g. salesforce__client_secret.
        secrets_prefix="",
        secrets_nested_delimiter=NESTED,
        secrets_dir_missing="error",
    )

    kafka: Kafka = Field(default_factory=Kafka, description="The Kafka that carries everything.")
    node: NodeSettings = Field(default_factory=NodeSettings, description="This node and this worker of it.")
    salesforce: SalesforceSettings | None = Field(
        default=None, description="Unset: this node does not talk to Salesforce."
    )
    dynamics: DynamicsSettings | None = Field(default=None, description="Unset: this node does not talk to Dynamics.")
    operations: OperationsSettings | None = Field(
        default=None, description="Unset: this node does not talk to Finance & Operations."
    )
    platforms: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Further platforms by name, each with the settings of its own package; see docs/platforms.md.",
        repr=False,
    )
    pipeline: Pipeline = Field(default_factory=Pipeline, description="How writes are tried again.")
    entities_dir: Path | None = Field(
        default=None, description="A folder of entity mappings. Unset: those that come with us."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is logged."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, variables, secret files, the YAML file: the first that speaks wins, field by field."""
        return (
            init_settings,
            env_settings,
            NestedSecretsSettingsSource(file_secret_settings),
            YamlConfigSettingsSource(settings_cls),
        )
