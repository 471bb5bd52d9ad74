"""Platforms that come with us: where each of them is, who we are there, and what its webhooks have to show.

Promises: what cannot work together is refused before anything connects; a secret is never printed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from yarl import URL

from isthmus.config.budgets import BudgetSettings, ProtectionSettings
from isthmus.config.transforms import Declared

Seconds = Annotated[float, Field(gt=0)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+[^\s]*$"), AfterValidator(lambda url: url.rstrip("/"))]


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
