"""Kafka's keeper, a process of its own: prepares Kafka's disk, runs it, and ends it when our stdin ends.

Promises: a parent that dies, in whatever way, closes our stdin and so ends Kafka; where we are killed ourselves, Linux
ends Kafka. Run as a script, by the standard library alone, so that it is up at once and nothing can be missing.
"""

from __future__ import annotations

import ctypes
import json
import select
import shutil
import signal
import subprocess
import sys
from typing import Any

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.1


def keep(orders: dict[str, Any]) -> int:
    """Carry out `{"commands": [[argv], …], "log": path, "grace": seconds, "remove": folder or null}`.

    One command after the other until one fails; gives the exit code of the last that ran. The folder is removed only
    when we were told to end: after a failure the parent still wants to read the log.
    """
    code = 0
    with open(orders["log"], "ab") as log:
        for command in orders["commands"]:
            code = code or _run(command, log, orders["grace"])
    if orders["remove"] and _abandoned():
        shutil.rmtree(orders["remove"], ignore_errors=True)
    return code


def _run(command: list[str], log: Any, grace: float) -> int:
    # Safe here, unlike in the parent: this process has one thread, and it lives as long as the child.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_end_with_parent)
    while process.poll() is None and not _abandoned():
        pass
    if process.poll() is None:
        _end(process, grace)
    return process.returncode


def _abandoned() -> bool:
    return bool(select.select([sys.stdin], [], [], POLL_SECONDS)[0])


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(keep(json.loads(sys.argv[1])))
