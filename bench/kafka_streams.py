"""Kafka Streams' way of the work: builds the Java project beside this file if needed, starts it, passes its line on.

The Java process measures itself; this one only prepares and cleans up.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from common import Options, create_output, data_folder, parser

NAME = "kafka_streams"
PROJECT = Path(__file__).with_name("kafka_streams")
JAR = PROJECT / "target" / "kafka-streams.jar"
JVM = ("-Xms1g", "-Xmx1g", "-XX:+UseParallelGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
THREADS = 1


def build() -> None:
    """Build the jar, unless it is newer than all that it is made of."""
    sources = [PROJECT / "pom.xml", *(PROJECT / "src").rglob("*.java")]
    if JAR.exists() and all(JAR.stat().st_mtime > source.stat().st_mtime for source in sources):
        return
    subprocess.run(["mvn", "-q", "-B", "package"], cwd=PROJECT, check=True, stdout=sys.stderr)


def missing() -> str | None:
    """Why it cannot run here, if it cannot."""
    lacking = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    return f"skipped: {NAME} needs {' and '.join(lacking)} on the path" if lacking else None


def command(chosen: Options, folder: Path, threads: int, jvm: list[str]) -> list[str]:
    """How the Java process is started."""
    given = {**{name: getattr(chosen, name) for name in chosen.__slots__}, "folder": folder, "threads": threads}
    said = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return ["java", *(jvm or JVM), "-jar", str(JAR), *said]


def main() -> None:
    """The command line."""
    made = parser(__doc__)
    made.add_argument("--threads", type=int, default=THREADS)
    made.add_argument("--jvm", action="append", default=[], help="a JVM option instead of ours, e.g. --jvm=-Xmx1g")
    said = vars(made.parse_args())
    if why := missing():
        sys.exit(why)
    threads, jvm = said.pop("threads"), said.pop("jvm")
    chosen = Options(**said)
    build()
    create_output(chosen, NAME)
    with (
        data_folder() as folder,
        subprocess.Popen(command(chosen, folder, threads, jvm), stdin=subprocess.PIPE) as java,
    ):
        code = java.wait()
    sys.exit(code)


if __name__ == "__main__":
    main()
