"""The example platform of docs/ as the conformance suite takes one: its folder on the path, its package installed.

"Installed" is what an installer would write beside it: the metadata with the entry points of its pyproject.toml.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"


def installed(to: Path) -> Path:
    """A folder for `sys.path` with the package and its metadata."""
    shutil.copytree(EXAMPLE / "shelf", to / "shelf", ignore=shutil.ignore_patterns("__pycache__"))
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = to / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in of.items()) for group, of in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return to
