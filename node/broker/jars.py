"""Kafka's jars: fetched once from a Maven repository, kept in the user's cache, checked at every start.

Promises: only bytes with the pinned SHA-256 ever reach the cache, each by one rename, so that a crash or a second
process fetching at the same time can leave nothing half done.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import stamina

from isthmus.config.errors import IsthmusError
from isthmus.node.broker.progress import progress

MAVEN_CENTRAL = "https://repo.maven.apache.org/maven2"
CONNECTIONS = 6
ATTEMPTS = 3


@dataclass(frozen=True)
class Jar:
    """One pinned jar; `coordinate` is `group:artifact:version`."""

    sha256: str
    size: int
    coordinate: str

    @property
    def name(self) -> str:
        """The file's name."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def pinned() -> list[Jar]:
    """The jars of kafka.lock."""
    lines = files(__package__).joinpath("kafka.lock").read_text(encoding="utf-8").splitlines()
    split = (line.split() for line in lines if not line.startswith("#"))
    return [Jar(sha256, int(size), coordinate) for sha256, size, coordinate in split]


def cache_folder() -> Path:
    """`$ISTHMUS_CACHE`, else `isthmus` in the user's cache folder."""
    if named := os.environ.get("ISTHMUS_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isthmus"


def prepare(folder: Path, jars: Sequence[Jar], repository: str | None = None) -> list[Path]:
    """The jars as files of `folder`, fetched where they are missing or spoilt. IsthmusError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if _missing(folder, jars):
            with _alone(folder):
                # Whoever had the folder before us may have fetched everything.
                _fetch(folder, _missing(folder, jars), repository or _repository())
    except OSError as fault:
        raise IsthmusError(
            f"Kafka could not be fetched: {fault}",
            code="KAFKA",
            hint="the first start needs a Maven repository (ISTHMUS_MAVEN_URL names a mirror) and a cache folder to "
            "write to (ISTHMUS_CACHE); or set KAFKA_URL to a Kafka that runs already",
        ) from fault
    return [folder / jar.name for jar in jars]


def _repository() -> str:
    return (os.environ.get("ISTHMUS_MAVEN_URL") or MAVEN_CENTRAL).rstrip("/")


def _missing(folder: Path, jars: Sequence[Jar]) -> list[Jar]:
    return [jar for jar in jars if not _intact(folder / jar.name, jar)]


def _intact(file: Path, jar: Jar) -> bool:
    if not file.is_file() or file.stat().st_size != jar.size:
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == jar.sha256


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path, jars: Sequence[Jar], repository: str) -> None:
    total = sum(jar.size for jar in jars)
    if not jars:
        return
    with (
        progress(f"fetching Kafka, once: {len(jars)} files", total) as advance,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        for _ in pool.map(lambda jar: _fetch_one(folder, jar, repository, advance), jars):
            pass


def _fetch_one(folder: Path, jar: Jar, repository: str, advance: Callable[[int], None]) -> None:
    for attempt in stamina.retry_context(OSError, attempts=ATTEMPTS, wait_initial=0.2, wait_max=5.0):
        with attempt, tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as part:
            file = _download(Path(part), jar, repository)
            if not _intact(file, jar):
                raise OSError(f"{jar.name} from {repository} is not the file that is pinned")
            os.replace(file, folder / jar.name)
    advance(jar.size)


def _download(part: Path, jar: Jar, repository: str) -> Path:
    # Here, not above: with a full cache nothing of it is needed, and it is slow to import.
    from jgo.maven import MavenContext

    group, artifact, version = jar.coordinate.split(":")
    maven = MavenContext(repo_cache=part, local_repos=[], remote_repos={"": repository}, timeout=30)
    try:
        return Path(maven.project(group, artifact).at_version(version).artifact().resolve())
    except RuntimeError as fault:
        raise OSError(f"{jar.name} is not to be had from {repository}") from fault
