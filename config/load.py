"""Loading settings: finds the sources, and turns whatever is wrong in them into one line an operator can act on.

Promises: every fault is a ConfigError; no message ever quotes a value, since any value may be a secret.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsConfigDict, SettingsError

from isthmus.config.errors import ConfigError
from isthmus.config.settings import NESTED, PREFIX, Settings

DEFAULT_FILE = Path("isthmus.yaml")
# Pydantic's word for a default that was not computed because another field is at fault: no fault of its own.
NO_CAUSE = "default_factory_not_called"
OWN_VARIABLES = ("ISTHMUS_CONFIG", "ISTHMUS_SECRETS_DIR", "ISTHMUS_CACHE", "ISTHMUS_MAVEN_URL", "ISTHMUS_COMPILE")


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """The settings of this process. `config` is the YAML file: else $ISTHMUS_CONFIG, else ./isthmus.yaml if present.

    Raises ConfigError naming the setting at fault, never its value.
    """
    file = _file(config)
    secrets = _secrets(os.environ.get("ISTHMUS_SECRETS_DIR"))
    _check_names(os.environ, secrets)

    class Located(Settings):
        model_config = SettingsConfigDict(yaml_file=file, secrets_dir=secrets)

    try:
        return Located(**overrides)
    except ValidationError as fault:
        errors = (error for error in fault.errors(include_input=False) if error["type"] != NO_CAUSE)
        raise ConfigError("; ".join(_line(error) for error in errors)) from None
    except SettingsError as fault:
        raise ConfigError(f"settings: {fault}", hint="lists and sections in a variable are written as JSON") from None


# What stands below it is known to the packages of those platforms alone.
OPEN = f"platforms{NESTED}"


def _file(config: Path | None) -> Path | None:
    named = config or (Path(os.environ["ISTHMUS_CONFIG"]) if os.environ.get("ISTHMUS_CONFIG") else None)
    file = named or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    if file is None:
        return None
    try:
        declared = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as fault:
        reason = getattr(fault, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"{file}: {reason}", hint="name the settings file by --config or ISTHMUS_CONFIG") from None
    except yaml.YAMLError as fault:
        raise ConfigError(f"{file}: not YAML{_mark(fault)}") from None
    if declared is not None and not isinstance(declared, dict):
        raise ConfigError(f"{file}: not a mapping", hint="sections such as kafka: and node: stand at its top")
    return file


def _mark(fault: yaml.YAMLError) -> str:
    mark = getattr(fault, "problem_mark", None)
    return f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _secrets(named: str | None) -> Path | None:
    if not named:
        return None
    if not Path(named).is_dir():
        raise ConfigError(f"{named}: not a folder", hint="ISTHMUS_SECRETS_DIR names a folder of secret files")
    return Path(named)


def _check_names(environ: Mapping[str, str], secrets: Path | None) -> None:
    known = [NESTED.join(path) for path in paths(Settings)]
    variables = [*OWN_VARIABLES, *(PREFIX + name.upper() for name in known)]
    for name in sorted(environ):
        if name.upper().startswith(PREFIX):
            _check_name(name, name.upper(), variables)
    # Kubernetes keeps its own links in the folder, all with a leading dot.
    for file in sorted(secrets.glob("[!.]*") if secrets else ()):
        _check_name(str(file), file.name.lower(), known)


def _check_name(place: str, name: str, known: list[str]) -> None:
    if name not in known and not name.lower().removeprefix(PREFIX.lower()).startswith(OPEN):
        raise ConfigError(f"{place}: there is no such setting{_nearest(name, known)}")


def paths(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """The path of every section and setting of a model, in the order of declaration."""
    for name, field in model.model_fields.items():
        yield (name,)
        section = section_of(field.annotation)
        if section is not None:
            yield from ((name, *rest) for rest in paths(section))


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The model behind a field's type, also where it is optional; None where the field is a plain setting."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _line(error: ErrorDetails) -> str:
    place = [str(part) for part in error["loc"]]
    name = ".".join(place) or "settings"
    if error["type"] == "extra_forbidden":
        known = [".".join(path) for path in paths(Settings)]
        return f"{name}: there is no such setting{_nearest(name, known)}"
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""
