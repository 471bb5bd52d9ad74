"""Generated pages say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isthmus.config.load import paths, section_of
from isthmus.config.settings import Settings
from isthmus.node.docs import ROOT, pages, write_docs


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_generated_page_has_not_drifted(name: str) -> None:
    assert (ROOT / name).read_text() == pages()[name], "run `make docs`"


def test_the_pages_are_the_same_whatever_is_set_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = pages()
    monkeypatch.setenv("KAFKA_URL", "elsewhere:9092")
    monkeypatch.setenv("ISTHMUS_LOG_LEVEL", "error")
    assert pages() == before
    assert [path.read_text() for path in write_docs(tmp_path)] == list(before.values())


def test_every_setting_has_a_row_and_a_meaning() -> None:
    rows = [line for line in pages()["docs/reference/settings.md"].splitlines() if line.startswith("| `")]
    assert len(rows) == sum(1 for path in paths(Settings) if not _is_section(path))
    assert all(row.rstrip(" |").rsplit("|", 1)[1].strip() for row in rows)


def _is_section(path: tuple[str, ...]) -> bool:
    model = Settings
    for name in path[:-1]:
        model = section_of(model.model_fields[name].annotation)  # type: ignore[assignment]
    return section_of(model.model_fields[path[-1]].annotation) is not None


NAMED = re.compile(r"(tests/[\w/.]+\.(?:py|yaml))(?:::(test_\w+))?")


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    for file, name in set(NAMED.findall(page.read_text())):
        assert (ROOT / file).is_file(), file
        assert not name or f"def {name}(" in (ROOT / file).read_text(), name
