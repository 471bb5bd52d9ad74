"""Further platforms than those that come with us: found by their packages' entry points, built from `platforms.<name>`.

Promises: only what the settings name is loaded; what is wrong with it is a ConfigError that names it and quotes no setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from pydantic import ValidationError

from isthmus.config.errors import ConfigError
from isthmus.config.mapping import Mappings
from isthmus.config.settings import Settings
from isthmus.systems.platform import ENTRY_POINTS, Platform, RowVersions
from isthmus.systems.protocol import System

OURS: Mapping[str, RowVersions] = {"salesforce": "none", "dynamics": "ordered", "operations": "unordered"}


def further(settings: Settings, mappings: Mappings) -> list[System]:
    """An adapter for each platform of the settings."""
    return [_built(settings, mappings, name) for name in settings.platforms]


def row_versions(name: str) -> RowVersions:
    """How the versions of a platform's rows compare."""
    return OURS[name] if name in OURS else load(name).row_versions


def load(name: str) -> Platform:
    """What a package declares under this name."""
    if name in OURS:
        raise ConfigError(f"platforms.{name}: comes with us", hint=f"set the section {name}")
    found = [one for one in entry_points(group=ENTRY_POINTS) if one.name == name]
    if len(found) != 1:
        told = "several installed packages declare it" if found else "no installed package declares it"
        raise ConfigError(f"platforms.{name}: {told}", hint=f"one package has to have it as entry point {ENTRY_POINTS}")
    try:
        platform = found[0].load()
    except Exception as fault:
        raise ConfigError(f"platforms.{name}: {found[0].value} cannot be loaded: {fault!r}") from fault
    if not isinstance(platform, Platform):
        raise ConfigError(f"platforms.{name}: {found[0].value} is no isthmus.systems.platform.Platform")
    return platform


def _built(settings: Settings, mappings: Mappings, name: str) -> System:
    platform = load(name)
    try:
        system = platform.build(settings.platforms[name], mappings.objects(name))
    except ValidationError as fault:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in fault.errors(include_input=False))
        raise ConfigError(f"platforms.{name}: {told}") from None
    except ValueError as fault:
        raise ConfigError(f"platforms.{name}: {type(fault).__name__}") from None
    if system.name != name:
        raise ConfigError(f"platforms.{name}: its adapter calls itself {system.name}")
    return system
