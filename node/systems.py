"""Which platforms this node joins, built from its settings."""

from __future__ import annotations

from isthmus.config.mapping import Mappings
from isthmus.config.platforms import DynamicsSettings, OperationsSettings, SalesforceSettings, WebhookSettings
from isthmus.config.settings import Settings
from isthmus.node.platforms import further
from isthmus.systems.dynamics.adapter import Dynamics, DynamicsConfig
from isthmus.systems.dynamics.session import Webhook
from isthmus.systems.operations.adapter import Operations, OperationsConfig
from isthmus.systems.protocol import System
from isthmus.systems.salesforce.adapter import Salesforce, SalesforceConfig
from isthmus.systems.secret_file import secrets_of


def open_systems(settings: Settings, mappings: Mappings) -> list[System]:
    """An adapter for every configured platform; nothing connects yet."""
    systems: list[System] = []
    if settings.salesforce is not None:
        systems.append(Salesforce(_salesforce(settings.salesforce), mappings.objects("salesforce")))
    if settings.dynamics is not None:
        systems.append(Dynamics(_dynamics(settings.dynamics), mappings.objects("dynamics")))
    if settings.operations is not None:
        systems.append(Operations(_operations(settings.operations), mappings.objects("operations")))
    return [*systems, *further(settings, mappings)]


def _salesforce(settings: SalesforceSettings) -> SalesforceConfig:
    return SalesforceConfig(
        login_url=settings.login_url,
        client_id=settings.client_id,
        client_secret="" if settings.client_secret is None else settings.client_secret.get_secret_value(),
        client_secret_file=settings.client_secret_file,
        private_key_file=settings.private_key_file,
        username=settings.username or "",
        audience=settings.audience,
        allow_duplicates=settings.allow_duplicates,
        api_version=settings.api_version,
        channels=settings.channels,
        client_name=settings.client_name,
        pubsub_url=settings.pubsub_url if settings.transport == "pubsub" else None,
    )


def _dynamics(settings: DynamicsSettings) -> DynamicsConfig:
    return DynamicsConfig(
        url=settings.url,
        authority=settings.issuer,
        tenant=settings.tenant,
        client_id=settings.client_id,
        client_secret=settings.secret,
        api_version=settings.api_version,
        scope=settings.scope,
        ca_file=settings.ca_file,
        feed_seconds=settings.feed_seconds,
        secret_file=settings.secret_file,
        certificate_file=settings.certificate_file,
        webhook=_webhook(settings.webhook),
    )


def _operations(settings: OperationsSettings) -> OperationsConfig:
    return OperationsConfig(
        url=settings.url,
        authority=settings.issuer,
        tenant=settings.tenant,
        client_id=settings.client_id,
        client_secret=settings.secret,
        company=settings.company.lower(),
        api_version=settings.api_version,
        user=settings.user,
        endpoint=settings.endpoint,
        scope=settings.scope,
        ca_file=settings.ca_file,
        secret_file=settings.secret_file,
        certificate_file=settings.certificate_file,
    )


def _webhook(settings: WebhookSettings | None) -> Webhook | None:
    if settings is None or settings.url is None:
        return None
    key = settings.keys[0].get_secret_value() if settings.keys_file is None else secrets_of(settings.keys_file)[0]
    return Webhook(settings.url, settings.kind, settings.name, key)
