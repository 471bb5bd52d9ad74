"""The compiled form: mypyc compiles a wheel's hot modules, those that pyproject.toml lists (docs/adr/0009-compiled.md).

Promises: only a wheel is compiled, never an editable install; each module's .py lies beside it. Where nothing can be
compiled the wheel is the interpreted one, and a line says why; so it is, without a word, where ISTHMUS_COMPILE is 0.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from setuptools import Extension, setup

ROOT = Path(__file__).parent
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
# Beside each other, so that mypy sees isthmus.<folder> as it is installed and a traceback names a file that is there.
LINKED, GENERATED = Path("build/linked"), Path("build/mypyc")


def wanted() -> bool:
    """Is this a wheel, and can it be compiled?"""
    if "bdist_wheel" not in sys.argv or os.environ.get("ISTHMUS_COMPILE") == "0":
        return False
    fault = compiler_fault()
    if fault:
        print(f"isthmus: nothing is compiled, the wheel is the interpreted one (slower, the same events): {fault}")
    return not fault


def compiler_fault() -> str:
    """Why C cannot be compiled for this Python; empty where it can."""
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC")
    if not compiler:  # not a Unix: setuptools finds what there is
        return ""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tried.c").write_text("#include <Python.h>\n")
        words = [*compiler.split(), f"-I{sysconfig.get_path('include')}", "-c", "tried.c"]
        try:
            tried = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        except OSError as fault:
            return str(fault)
    return f"{compiler}: {tried.stderr.strip().partition(chr(10))[0]}" if tried.returncode else ""


def compiled() -> list[Extension]:
    """The modules as C, and how to build it."""
    from mypyc.build import mypycify

    link()
    files = [f"isthmus/{name}.py" for name in DECLARED["isthmus"]["compiled"]]
    target = os.path.relpath(GENERATED, LINKED)
    # Of what is not compiled only the types are looked at: whatever else is wrong there is for `make types` to say.
    words = ["--config-file", str(ROOT / "pyproject.toml"), "--follow-imports=silent", *files]
    with working_in(LINKED):
        made = mypycify(words, target_dir=target, group_name="isthmus", opt_level="3", debug_level="1")
    for extension in made:
        for paths in (extension.sources, extension.include_dirs, extension.depends):
            paths[:] = [os.path.normpath(LINKED / path) for path in paths]
        # What a newer compiler warns of is no reason not to install.
        words = [word for word in extension.extra_compile_args if word != "-Werror"]
        # Compiled functions call each other directly, not as what another library might replace.
        extension.extra_compile_args = words + (["-fvisibility=hidden"] if os.name == "posix" else [])
    return made


def link() -> None:
    """The folders stand at the root but are imported as isthmus.<folder>."""
    (LINKED / "isthmus").mkdir(parents=True, exist_ok=True)
    for package, folder in DECLARED["setuptools"]["package-dir"].items():
        place = LINKED / package.replace(".", "/")
        if package.count(".") == 1 and not place.is_symlink():
            place.symlink_to(os.path.relpath(ROOT / folder, place.parent))  # a folder that is copied takes it along


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """mypyc takes paths as they are seen from where it works."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


setup(ext_modules=compiled() if wanted() else [])
