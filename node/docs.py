"""Pages that are generated from the code they describe: run `make docs`; a test fails where they have drifted.

Promises: the same code gives the same bytes, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import orjson
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from isthmus.codecs.asyncapi import asyncapi
from isthmus.config.load import section_of
from isthmus.config.mapping import EntityMapping, load_mappings
from isthmus.config.settings import NESTED, PREFIX, Settings
from isthmus.config.transforms import KINDS
from isthmus.node.http import openapi

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# Settings

Generated from `config/settings.py` by `make docs`. Read, strongest first, from: the command line; `ISTHMUS_*`
variables, sections joined by `__`; files of the same name (`salesforce__client_secret`) in the folder
`ISTHMUS_SECRETS_DIR`; the YAML file `--config`, `ISTHMUS_CONFIG` or `./isthmus.yaml`; the defaults. In variables and
secret files, lists are JSON. A name that is not listed here is an error.

Variables that are no settings: `KAFKA_URL` (the default of `kafka.url`; also keeps the demo and the tests from starting
a Kafka of their own), `ISTHMUS_CACHE` (where the local Kafka's jars are kept), `ISTHMUS_MAVEN_URL` (where they are
fetched from), `ISTHMUS_COMPILE` (0 where a wheel is built: the interpreted form).

| setting | variable | type | default | meaning |
|---|---|---|---|---|
"""

TRANSFORMS = """# Transforms

Generated from `config/transforms.py` by `make docs`. How to use them: [mappings](../mappings.md).

| transform | canonical form | field types | what it does |
|---|---|---|---|
"""
OPTIONS = """
## Options

| transform | option | default | meaning |
|---|---|---|---|
"""


def pages() -> dict[str, str]:
    """Every generated page: its path below the repository's root, and its content."""
    return {
        "docs/reference/settings.md": HEAD + "".join(_rows(Settings, ())),
        "docs/reference/settings.schema.json": _json(Settings.model_json_schema()),
        "docs/reference/entity.schema.json": _json(EntityMapping.model_json_schema()),
        "docs/reference/transforms.md": _transforms(),
        "docs/reference/asyncapi.json": _json(asyncapi(load_mappings().entities)),
        "docs/reference/openapi.json": _json(openapi()),
    }


def _json(document: dict[str, Any]) -> str:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"


def write_docs(root: Path = ROOT) -> list[Path]:
    """Write the pages below a folder; their paths."""
    written = []
    for name, content in pages().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        written.append(path)
    return written


def _rows(model: type[BaseModel], section: tuple[str, ...]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = (*section, name)
        inner = section_of(field.annotation)
        if inner is None:
            yield _row(path, field, model.model_json_schema()["properties"][name])
        else:
            yield from _rows(inner, path)


def _transforms() -> str:
    """Every transform, then every option."""
    return TRANSFORMS + "".join(map(_transform, KINDS)) + OPTIONS + "".join(o for kind in KINDS for o in _options(kind))


def _transform(kind: type[Any]) -> str:
    types = ", ".join(f"`{name}`" for name in sorted(kind.types))
    return _line(f"`{_kind(kind)}`", kind.canonical, types, " ".join((kind.__doc__ or "").split()))


def _options(kind: type[Any]) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        if name != "kind":
            choices = ", ".join(f"`{one}`" for one in get_args(field.annotation) if isinstance(one, str))
            meaning = f"{field.description} {f'One of {choices}.' if choices else ''}".strip()
            yield _line(f"`{_kind(kind)}`", f"`{name}`", _default(field), meaning)


def _kind(kind: type[Any]) -> str:
    return str(kind.model_fields["kind"].default)


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _row(path: tuple[str, ...], field: FieldInfo, schema: dict[str, Any]) -> str:
    return _line(
        f"`{'.'.join(path)}`",
        f"`{PREFIX}{NESTED.join(path).upper()}`",
        _type(schema),
        _default(field),
        field.description or "",
    )


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"] if option["type"] != "null")
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    return {"password": "secret", "path": "path"}.get(schema.get("format", ""), str(schema["type"]))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined or field.default is None:
        return "—"
    return f"`{field.default}`" if field.default != "" else "empty"
