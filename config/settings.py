"""Settings: what an operator may set, where it is read from, and what it means.

Read, strongest first, from arguments, `ISTHMUS_*` variables, a folder of secret files, a YAML file, the defaults below.
Promises: a name that is no setting is an error with a suggestion, whatever the source; a secret is never printed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from yarl import URL

from isthmus.config.budgets import BudgetSettings, ProtectionSettings
from isthmus.config.transforms import Declared

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+[^\s]*$"), AfterValidator(lambda url: url.rstrip("/"))]

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


class SalesforceSettings(Declared):
    """A Salesforce org; an app with the client credentials flow or the JWT bearer flow (salesforce.md §3). Files are read
    again at each login, so a secret or key is changed without a restart."""

    login_url: Url = Field(description="The org's own domain, `https://<my-domain>.my.salesforce.com`.")
    client_id: str = Field(min_length=1, description="The connected app's consumer key.")
    client_secret: SecretStr | None = Field(
        default=None, min_length=1, description="The connected app's consumer secret; or one of the files below."
    )
    client_secret_file: Path | None = Field(default=None, description="A file that holds the consumer secret.")
    private_key_file: Path | None = Field(
        default=None, description="An RSA private key, PEM, to log in by JWT instead; needs `username`."
    )
    username: str | None = Field(default=None, min_length=1, description="The integration user, for JWT.")
    audience: Url = Field(
        default="https://login.salesforce.com",
        description="For JWT; `https://test.salesforce.com` for a sandbox.",
    )
    allow_duplicates: bool = Field(default=False, description="Save records that a duplicate rule only warns of.")
    api_version: str = Field(default="60.0", pattern=r"^\d{2}\.0$", description="The API version.")
    transport: Literal["pubsub", "cometd"] = Field(
        default="pubsub",
        description="How changes come: the Pub/Sub API, or CometD, where only HTTPS gets through.",
    )
    pubsub_url: Annotated[str, Field(pattern=r"^(grpcs?://)?[^\s/:]+:\d{1,5}$")] = Field(
        default="api.pubsub.salesforce.com:7443",
        description="Where the Pub/Sub API is, `host:port`; with `grpc://` before it, without TLS.",
    )
    channels: tuple[Annotated[str, Field(pattern="^/data/")], ...] = Field(
        default=("/data/ChangeEvents",), min_length=1, description="The change data capture channels."
    )
    client_name: str = Field(
        default="isthmus", min_length=1, description="How our own writes are named in change events."
    )
    budget: BudgetSettings = Field(default_factory=BudgetSettings, description="How many of the daily calls are ours.")

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        given = [self.client_secret, self.client_secret_file, self.private_key_file]
        if sum(one is not None for one in given) != 1:
            raise ValueError("set one of client_secret, client_secret_file and private_key_file")
        if (self.private_key_file is None) != (self.username is None):
            raise ValueError("private_key_file and username go together")
        return self


class WebhookSettings(Declared):
    """How Dynamics shows that a webhook is its own (dynamics.md §1.2)."""

    kind: Literal["key", "header", "query"] = Field(
        default="key", description="`key`: `?code=…`; `header` or `query`: a pair of your choosing."
    )
    name: str = Field(
        default="code", min_length=1, description="The header's or parameter's name; `code` for kind `key`."
    )
    keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="Values that are valid now; two while rotating, the newest first. Or `keys_file`.",
    )
    keys_file: Path | None = Field(
        default=None,
        description="A file with the values instead, read at each webhook; one a line, the newest first.",
    )
    url: Url | None = Field(
        default=None,
        description="Where Dynamics reaches this node, `https://<node>/webhooks/dynamics`; only to provision it.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind == "key" and self.name != "code":
            raise ValueError("a webhook key always comes as `code`: leave out name, or choose another kind")
        if not all(key.get_secret_value() for key in self.keys):
            raise ValueError("keys: an empty key would let anyone in")
        if bool(self.keys) == (self.keys_file is not None):
            raise ValueError("give one of keys and keys_file")
        return self


class Cloud(NamedTuple):
    """One of Microsoft's clouds: who issues its tokens, and how its environments' addresses end."""

    authority: str
    domain: str


# GCC, with addresses in crm9.dynamics.com, logs in at the public cloud.
CLOUDS = {
    "public": Cloud("https://login.microsoftonline.com", ".dynamics.com"),
    "usgov": Cloud("https://login.microsoftonline.us", ".crm.microsoftdynamics.us"),
    "usgovdod": Cloud("https://login.microsoftonline.us", ".crm.appsplatform.us"),
    "china": Cloud("https://login.partner.microsoftonline.cn", ".crm.dynamics.cn"),
}


class EntraSettings(Declared):
    """Where an environment is, and who we are there: an app registration with one proof (dynamics.md §3.1)."""

    url: Url = Field(description="The environment.")
    cloud: Literal["public", "usgov", "usgovdod", "china"] = Field(
        default="public", description="The cloud that it is in; GCC is in the public one."
    )
    authority: Url | None = Field(default=None, description="Who issues tokens. Unset: the cloud's own.")
    tenant: str = Field(min_length=1, description="The Entra tenant's id.")
    client_id: str = Field(min_length=1, description="The app registration's id.")
    client_secret: SecretStr | None = Field(default=None, min_length=1, description="The app registration's secret.")
    secret_file: Path | None = Field(
        default=None,
        description="A file with the secret instead, read at each login; one a line, the newest first, while rotating.",
    )
    certificate_file: Path | None = Field(
        default=None, description="A private key and its certificate instead, PEM, read at each login."
    )
    graph: Url | None = Field(
        default=None,
        description="Microsoft Graph, e.g. `https://graph.microsoft.com`: lets `isthmus renew` write `secret_file` anew.",
    )
    scope: str | None = Field(default=None, description="The token's scope. Unset: `<url>/.default`.")
    ca_file: Path | None = Field(default=None, description="Certificates to trust instead of the system's, PEM.")

    @model_validator(mode="after")
    def _proves_itself(self) -> Self:
        given = [name for name in ("client_secret", "secret_file", "certificate_file") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("give one of client_secret, secret_file and certificate_file")
        if self.graph is not None and self.secret_file is None:
            raise ValueError("graph renews a secret_file: give one")
        ends = {name for name, cloud in CLOUDS.items() if (URL(self.url).host or "").endswith(cloud.domain)}
        if ends and self.cloud not in ends:
            raise ValueError(f"the address is of the cloud {min(ends)}: set cloud to it")
        return self

    @property
    def issuer(self) -> str:
        """Who issues tokens."""
        return self.authority or CLOUDS[self.cloud].authority

    @property
    def secret(self) -> str:
        """The secret, where it is told and not in a file."""
        return self.client_secret.get_secret_value() if self.client_secret else ""


class DynamicsSettings(EntraSettings):
    """A Dataverse environment."""

    url: Url = Field(description="The environment, `https://<org>.crm.dynamics.com`.")
    api_version: str = Field(default="v9.2", pattern=r"^v\d+\.\d+$", description="The Web API version.")
    webhook: WebhookSettings | None = Field(default=None, description="Unset: no webhook is accepted.")
    feed_seconds: Seconds | None = Field(
        default=60.0,
        description="Seconds between two looks at what change tracking tells; `null`: never, webhooks alone.",
    )
    budget: ProtectionSettings = Field(
        default_factory=ProtectionSettings, description="How much of service protection's windows is for what."
    )


class OperationsSettings(EntraSettings):
    """A Finance & Operations environment (dynamics.md §5)."""

    url: Url = Field(description="The environment, `https://<name>.operations.dynamics.com`.")
    api_version: str = Field(
        default="10.0", pattern=r"^\d+\.\d+$", description="The application's version; `isthmus check` compares it."
    )
    company: str = Field(
        pattern=r"^[A-Za-z0-9]{1,4}$", description="The legal entity that new records belong to, e.g. `usmf`."
    )
    user: str | None = Field(
        default=None, description="The user that the application works as in F&O; only to provision its role."
    )
    endpoint: str | None = Field(
        default=None,
        description="The business events endpoint in F&O that sends to this node; only to provision what it sends.",
    )
    event_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="Values of `code` that an event may come with; two while rotating. Unset: none comes in.",
    )
    event_keys_file: Path | None = Field(
        default=None, description="A file with the values instead, read at each event; one a line."
    )

    @field_validator("event_keys")
    @classmethod
    def _filled(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(key.get_secret_value() for key in keys):
            raise ValueError("an empty key would let anyone in")
        return keys


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
