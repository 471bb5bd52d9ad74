"""What the benchmarks say, as people read it: tables in docs/performance.md and docs/growth.md, and a plot beside each.

Promises: only the part of a page between its two marks is replaced; a plot is SVG, drawn without any library.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
TOLD = {
    "floor": "bare librdkafka + RocksDB loop",
    "intake": "Isthmus: intake",
    "identify": "Isthmus: identify",
    "merge": "Isthmus: merge",
    "whole": "Isthmus: the whole way, one worker",
    "kafka_streams": "Kafka Streams 4.3.1 (warm)",
    "quix": "Quix Streams",
    "plain_faust": "plain Faust 0.15.3",
}
OURS = ("intake", "identify", "merge", "whole")
WIDTH, ROW, LEFT = 760, 30, 260


def table(found: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = ["| contender | CPU µs a change | changes/s | times the floor |", "|---|---:|---:|---:|"]
    floor = found["cpu_us_per_change"]["floor"]
    for name, told in TOLD.items():
        if name in found["cpu_us_per_change"]:
            cpu, speed = found["cpu_us_per_change"][name], found["changes_per_second"][name]
            lines.append(f"| {told} | {cpu:.1f} | {speed:,} | {cpu / floor:.2f} |")
    rounds = f"Medians of {found['rounds']} rounds of {found['changes']:,} changes each, after as many to warm up."
    return "\n".join([*lines, "", f"{rounds} {_where(found)}"])


def _where(found: dict[str, Any]) -> str:
    form = "compiled, as in a wheel" if found["compiled"] else "interpreted, as in a checkout"
    return f"Isthmus {form}. {found['machine']}, {found['date']}."


def plot(found: dict[str, Any]) -> str:
    """CPU per change as bars."""
    cpu = found["cpu_us_per_change"]
    return _bars([(TOLD[name], cpu[name], name in OURS) for name in TOLD if name in cpu], "µs")


def _bars(held: Sequence[tuple[str, float, bool]], unit: str) -> str:
    """What is told, its figure, and whether it is in our colour."""
    scale = (WIDTH - LEFT - 110) / max(figure for _, figure, _ in held)
    bars = [
        f'<text x="{LEFT - 8}" y="{row * ROW + 20}" text-anchor="end">{escape(told)}</text>'
        f'<rect x="{LEFT}" y="{row * ROW + 6}" width="{figure * scale:.0f}" height="18" '
        f'fill="{"#2a6f97" if is_ours else "#a9b4c2"}"/>'
        f'<text x="{LEFT + figure * scale + 6:.0f}" y="{row * ROW + 20}">{figure:,.0f} {unit}</text>'
        for row, (told, figure, is_ours) in enumerate(held)
    ]
    size = f'width="{WIDTH}" height="{len(held) * ROW + 10}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">{"".join(bars)}</svg>\n'


def write_pages(found: dict[str, Any]) -> None:
    """Renew the table and the plot of docs/performance.md."""
    _renew("performance", f"{table(found)}\n\n![CPU per change](performance.svg)", plot(found))


def _renew(name: str, text: str, drawing: str) -> None:
    page = DOCS / f"{name}.md"
    told = page.read_text()
    before, after = told[: told.index(BEGIN) + len(BEGIN)], told[told.index(END) :]
    page.write_text(f"{before}\n{text}\n{after}")
    (DOCS / f"{name}.svg").write_text(drawing)


# -- growth


def write_growth(found: dict[str, Any]) -> None:
    """Renew the tables and the plot of docs/growth.md."""
    text = "\n\n".join((_states(found["state"]), _spreads(found["spread"]), _where(found)))
    bars = [(_place(one), one["changes_per_second"], True) for one in found["spread"]]
    picture = "![Changes a second by partitions and workers](growth.svg)"
    _renew("growth", f"{text}\n\n{picture}", _bars(bars, "changes/s"))


def _states(states: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| golden records | wiped worker whole after | standby whole after | disk | memory | merge, CPU µs a change"
        " | merge, changes/s |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in states:
        lines.append(
            f"| {one['keys']:,} | {one['wiped_seconds']:.1f} s | {one['standby_seconds']:.1f} s"
            f" | {one['disk_bytes'] / 1e6:,.0f} MB | {one['memory_bytes'] / 1e6:,.0f} MB"
            f" | {one['cpu_us_per_change']:.0f} | {one['changes_per_second']:,} |"
        )
    return "\n".join(lines)


def _spreads(spreads: Sequence[dict[str, Any]]) -> str:
    lines = ["| partitions | workers | the whole way, changes/s | CPU µs a change |", "|---:|---:|---:|---:|"]
    for one in spreads:
        lines.append(
            f"| {one['partitions']} | {one['workers']} | {one['changes_per_second']:,} | {one['cpu_us_per_change']:.0f} |"
        )
    return "\n".join(lines)


def _place(one: dict[str, Any]) -> str:
    return f"partitions: {one['partitions']}, workers: {one['workers']}"
