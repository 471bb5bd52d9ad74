"""The compiled form: what is listed can be compiled, and the program says which form runs.

Under `make test-compiled` (EXPECT_COMPILED) every listed module has to be the compiled one.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest
import setuptools

from isthmus.node import cli
from isthmus.node.form import COMPILED, INTERPRETED, form
from isthmus.tables.golden import GOLDEN
from isthmus.tables.unit import Unit

ROOT = Path(__file__).parents[2]
STUBS = {"yaml": "types-PyYAML"}
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())
LISTED: list[str] = DECLARED["tool"]["isthmus"]["compiled"]
# Packages whose types mypy does not look for anywhere.
OVERRIDES = [one for one in DECLARED["tool"]["mypy"]["overrides"] if one.get("follow_imports") == "skip"]
UNSEEN = {name.removesuffix(".*") for one in OVERRIDES for name in one["module"]}
EXPECTED = os.environ.get("EXPECT_COMPILED") == "1"


@pytest.mark.parametrize("name", LISTED)
def test_every_listed_module_is_there(name: str) -> None:
    assert (ROOT / f"{name}.py").is_file()


@pytest.mark.parametrize("name", LISTED)
def test_no_listed_module_declares_a_type_that_is_made_of_its_annotations(name: str) -> None:
    """A compiled class has none: msgspec and pydantic would see no fields."""
    tree = ast.parse((ROOT / f"{name}.py").read_text())
    bases = {ast.unparse(base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases}
    assert not bases & {"msgspec.Struct", "Struct", "BaseModel", "pydantic.BaseModel"}


def test_the_list_has_an_order_and_names_nothing_twice() -> None:
    assert sorted(set(LISTED)) == LISTED


@pytest.mark.skipif(not EXPECTED, reason="make test-compiled asks for it")
@pytest.mark.parametrize("name", LISTED)
def test_every_listed_module_is_compiled(name: str) -> None:
    assert form(f"isthmus.{name.replace('/', '.')}") == COMPILED


@pytest.mark.skipif(not EXPECTED, reason="make test-compiled asks for it")
@pytest.mark.parametrize("systems", [("salesforce",), ("salesforce", "dynamics")])
def test_both_forms_give_the_same_events_and_golden_records(systems: tuple[str, ...]) -> None:
    here, checkout = measured(systems, os.environ), measured(systems, {**os.environ, "PYTHONPATH": ""})
    assert (here["compiled"], checkout["compiled"]) == (True, False)
    assert here["digest"] == checkout["digest"]


def measured(systems: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, object]:
    """Merge over some thousand changes, in memory."""
    words = ["--total", "4000", "--records", "300", "--rounds", "1", "--systems", *systems]
    command = [sys.executable, str(ROOT / "bench" / "fold.py"), *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_a_module_that_is_not_listed_is_interpreted() -> None:
    assert form("isthmus.node.form") == INTERPRETED


def test_a_process_that_the_tests_start_runs_the_same_form(tmp_path: Path) -> None:
    code = "from isthmus.node.form import form; print(form())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == form()


def test_the_version_says_the_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.strip().endswith(f"({form()})")


def test_a_traceback_names_the_file_and_the_line() -> None:
    with pytest.raises(KeyError) as raised:
        Unit({}).get(GOLDEN, b"c-1")
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert last.filename.endswith("tables/unit.py")
    assert last.lineno is not None
    source = (ROOT / "tables" / "unit.py").read_text().splitlines()
    assert source[last.lineno - 1].strip() == "own = self.puts[table.name]"


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """setup.py, of which nothing was built."""
    monkeypatch.setattr(setuptools, "setup", lambda **_: None)
    found = importlib.util.spec_from_file_location("isthmus_setup", ROOT / "setup.py")
    assert found is not None
    assert found.loader is not None
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    return made


@pytest.mark.parametrize("compiler", ["/nowhere/cc", "false"])
def test_without_a_compiler_that_works_a_wheel_is_interpreted_and_one_line_says_why(
    build: ModuleType, compiler: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["setup.py", "bdist_wheel"])
    monkeypatch.setenv("CC", compiler)
    assert not build.wanted()
    (line,) = capsys.readouterr().out.splitlines()
    assert "the wheel is the interpreted one" in line
    assert compiler in line


@pytest.mark.parametrize("asked", ["editable_wheel", "egg_info", "dist_info", "sdist"])
def test_only_a_wheel_is_compiled(build: ModuleType, asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISTHMUS_COMPILE", raising=False)
    monkeypatch.setattr(build, "compiler_fault", lambda: "")
    monkeypatch.setattr(sys, "argv", ["setup.py", "bdist_wheel"])
    assert build.wanted()
    monkeypatch.setenv("ISTHMUS_COMPILE", "0")
    assert not build.wanted()
    monkeypatch.delenv("ISTHMUS_COMPILE")
    monkeypatch.setattr(sys, "argv", ["setup.py", asked])
    assert not build.wanted()


def test_a_folder_that_was_moved_compiles_what_is_in_it_and_nothing_elsewhere(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    (before / "tables").mkdir(parents=True)
    monkeypatch.setattr(build, "ROOT", before)
    monkeypatch.chdir(before)
    build.link()
    before.rename(after)
    assert (after / "build/linked/isthmus/tables").resolve() == after / "tables"


@pytest.mark.parametrize(("one", "other"), [("one()", '"no"'), ('"no"', "1")])
def test_types_that_do_not_fit_stop_a_build_only_in_what_is_compiled(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, one: str, other: str
) -> None:
    """What others' packages say of their types is of their newest versions, which nobody has tried with us yet."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    (tmp_path / "tables/other.py").write_text(f"def one() -> int:\n    return {other}\n")
    listed = f"from isthmus.tables.other import one\n\n\ndef two() -> int:\n    return {one}\n"
    (tmp_path / "tables/listed.py").write_text(listed)
    declared = {"isthmus": {"compiled": ["tables/listed"]}, "setuptools": {"package-dir": {"isthmus.tables": "tables"}}}
    monkeypatch.setattr(build, "DECLARED", declared)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    if one == "one()":
        assert build.compiled()
    else:
        with pytest.raises(SystemExit):
            build.compiled()


def test_the_mypy_that_compiles_is_the_one_that_checks() -> None:
    checks = {one for one in DECLARED["project"]["optional-dependencies"]["dev"] if one.startswith("mypy==")}
    assert checks & {*DECLARED["build-system"]["requires"]}


def test_what_is_compiled_can_be_seen_with_its_types_where_only_the_build_is_installed() -> None:
    """A checkout's own environment has everything, and mypy would look into it; a clean machine has not."""
    told = {re.split("[<>=]", one)[0] for one in DECLARED["build-system"]["requires"]}
    assert {STUBS.get(name, name) for name in strangers(LISTED) - UNSEEN} <= told


def test_nothing_that_is_raised_is_compiled() -> None:
    """A compiled class keeps no attribute that its class body sets, such as the code and hint of an error."""
    for name in LISTED:
        classes = (
            one for one in ast.walk(ast.parse((ROOT / f"{name}.py").read_text())) if isinstance(one, ast.ClassDef)
        )
        bases = {ast.unparse(base) for one in classes for base in one.bases}
        assert not {base for base in bases if base.endswith(("Error", "Exception", "Lost"))}, name


def strangers(modules: Sequence[str]) -> set[str]:
    """The packages of others that these modules import, and those that they import."""
    files, found, todo = set[Path](), set[str](), [ROOT / name for name in modules]
    while todo:
        at = todo.pop()
        file = at / "__init__.py" if at.is_dir() else at.with_suffix(".py")
        if file in files or not file.is_file():
            continue
        files.add(file)
        for name in imported(ast.parse(file.read_text())):
            first, *rest = name.split(".")
            if first == "isthmus":
                todo.append(ROOT.joinpath(*rest))
            elif first not in sys.stdlib_module_names:
                found.add(first)
    return found


def imported(tree: ast.AST) -> Iterator[str]:
    """Every name that is imported anywhere, a module's or one in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{one.name}" for one in node.names)
