"""Writes kafka.lock anew: after changing a version here run `python -m isthmus.node.broker.lock` and read the diff.

Promises: the same versions give the same file, unless the repository changed what it had published.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from jgo.maven import MavenContext
from jgo.parse import Coordinate

from isthmus.node.broker.jars import MAVEN_CENTRAL

LOCK = Path(__file__).parent / "kafka.lock"
# Kafka 4.3 and 4.4 forget commits when they are killed (docs/adr/0007).
# Without slf4j-simple Kafka would end without a word when it cannot start.
WANTED = (("org.apache.kafka", "kafka_2.13", "4.2.2"), ("org.slf4j", "slf4j-simple", "1.7.36"))
HEAD = "# Every jar of Kafka and its runtime: sha256, bytes, Maven coordinate. Written by isthmus.node.broker.lock."


def main() -> None:
    """Resolve, fetch and write."""
    with tempfile.TemporaryDirectory() as folder:
        maven = MavenContext(repo_cache=Path(folder), local_repos=[], remote_repos={"": MAVEN_CENTRAL}, timeout=30)
        wanted = [maven.create_dependency(Coordinate(*names, scope="compile")) for names in WANTED]
        direct, transitive = maven.resolver.resolve(wanted)
        lines = [_line(found.artifact) for found in (*direct, *transitive) if found.scope in ("compile", "runtime")]
    LOCK.write_text("\n".join([HEAD, *sorted(lines, key=lambda line: line.split()[2])]) + "\n", encoding="utf-8")


def _line(artifact: Any) -> str:
    content = artifact.resolve().read_bytes()
    coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
    return f"{hashlib.sha256(content).hexdigest()} {len(content)} {coordinate}"


if __name__ == "__main__":
    main()
