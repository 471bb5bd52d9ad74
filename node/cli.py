"""The command `isthmus`: what can be asked for, and what the exit code means. The work is done elsewhere.

Promises: 0 it went well, 1 it went wrong, 2 it was asked for wrongly; a fault we know is one `error:` line and one
`hint:` line on stderr, never a traceback. Only what a verb needs is imported, when it is called.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from isthmus.config.errors import ConfigError, IsthmusError
from isthmus.node.cli_dead import dead
from isthmus.node.cli_identity import identity
from isthmus.node.cli_review import review
from isthmus.node.form import form

OK, FAILED, MISUSED = 0, 1, 2

app = App(
    name="isthmus",
    help="Joins Salesforce and Dynamics 365 over Kafka.",
    version=lambda: f"isthmus {version('isthmus')} ({form()})",
    help_format="plaintext",
)
table = App(name="table", help="Look into the node's state.")
app.command(table)
app.command(dead)
app.command(review)
app.command(identity)
mapping = App(name="mapping", help="Try mappings before they are used.")
app.command(mapping)

Config = Annotated[Path | None, Parameter(help="The settings file; else $ISTHMUS_CONFIG, else ./isthmus.yaml.")]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")]
Kind = Literal["salesforce-cometd", "salesforce-pubsub", "dynamics-webhook"]


@app.command
def worker(*, config: Config = None) -> int:
    """Run a worker of this node until it is told to stop."""
    from isthmus.config.load import load_settings

    # Before the worker's own imports, which take longer than finding a wrong setting.
    settings = load_settings(config)
    from isthmus.node.worker import run_worker

    return run_worker(settings)


@app.command
def demo(
    *,
    once: Annotated[bool, Parameter(negative=(), help="Stop when both sides agree.")] = False,
    as_json: AsJson = False,
    size: Annotated[int, Parameter(help="How many records the day has.")] = 250,
    seed: Annotated[int, Parameter(help="The same seed gives the same day.")] = 1,
) -> int:
    """Play a day: both platforms simulated here, a real Kafka, a worker, and the books at the end."""
    from isthmus.node.demo import run_demo

    return run_demo(once=once, as_json=as_json, size=size, seed=seed)


@app.command
def decode(
    kind: Kind,
    file: Annotated[str, Parameter(help="A file, or - for stdin.", allow_leading_hyphen=True)] = "-",
    *,
    schema: Annotated[Path | None, Parameter(help="The Avro schema of salesforce-pubsub payloads.")] = None,
) -> int:
    """Print the changes that a platform's own message stands for, one JSON object a line."""
    from isthmus.node.decode import decode_command

    return decode_command(kind, file, schema)


@app.command
def check(*, config: Config = None, as_json: AsJson = False) -> int:
    """Ask whether settings, Kafka and both platforms are as this node needs them."""
    import logging

    from isthmus.config.load import load_settings
    from isthmus.node.check import refused, report, run_check

    # What its clients log would only say again, at length, what the findings say.
    logging.disable(logging.CRITICAL)
    try:
        settings = load_settings(config)
    except ConfigError as fault:
        return report([refused(fault)], as_json=as_json)
    return run_check(settings, as_json=as_json)


@app.command
def provision(
    *,
    config: Config = None,
    apply: Annotated[bool, Parameter(negative=(), help="Make what is missing.")] = False,
    as_json: AsJson = False,
) -> int:
    """Say what both platforms need for this node and whether it is there; with --apply, make it."""
    import logging

    from isthmus.config.load import load_settings
    from isthmus.node.provision import run_provision

    logging.disable(logging.CRITICAL)
    return run_provision(load_settings(config), apply=apply, as_json=as_json)


@app.command
def renew(*, config: Config = None, as_json: AsJson = False) -> int:
    """Renew the secret of the app registration where it ends within a month; for a daily job."""
    import logging

    from isthmus.config.load import load_settings
    from isthmus.node.renewal import run_renew

    logging.disable(logging.CRITICAL)
    return run_renew(load_settings(config), as_json=as_json)


@table.command
def get(name: str, key: str, *, config: Config = None) -> int:
    """Print a table's value for a key, as the running workers hold it."""
    from isthmus.config.load import load_settings
    from isthmus.node.table_get import table_get

    return table_get(load_settings(config), name, key)


@app.command
def trace(
    ids: Annotated[list[str], Parameter(help="Canonical ids, native ones (system:id), change or correlation ids.")],
    *,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Print whole histories of records, from source change to target write, as Kafka's topics hold them."""
    from isthmus.config.load import load_settings
    from isthmus.node.trace import run_trace

    return run_trace(load_settings(config), ids, as_json=as_json)


@app.command
def match(
    entity: Annotated[str, Parameter(help="The entity, e.g. account.")],
    *,
    between: Annotated[list[str], Parameter(help="Two systems, where it lives in more.")] = [],  # noqa: B006
    apply: Annotated[bool, Parameter(negative=(), help="Load what was found; ask of the likely ones.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Show which records of two systems are the same, before they are joined for the first time."""
    import logging

    from isthmus.config.load import load_settings
    from isthmus.node.match import run_match

    logging.disable(logging.CRITICAL)
    return run_match(load_settings(config), entity, between, apply=apply, as_json=as_json)


@mapping.command(name="check")
def mapping_check(*, config: Config = None, as_json: AsJson = False) -> int:
    """Compare the mappings with what both platforms say of their own fields."""
    import logging

    from isthmus.config.load import load_settings
    from isthmus.node.mapping_check import run_mapping_check

    logging.disable(logging.CRITICAL)
    return run_mapping_check(load_settings(config), as_json=as_json)


@mapping.command(name="try")
def mapping_try(
    folder: Annotated[Path, Parameter(help="The folder with the edited entity files.")],
    *,
    since: Annotated[str, Parameter(help="How far back: 30m, 1h, 2d.")] = "1h",
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Show which golden values would be others by an edited mapping, for recent changes; writes nothing."""
    from isthmus.config.load import load_settings
    from isthmus.node.mapping_try import run_mapping_try

    return run_mapping_try(load_settings(config), folder, since, as_json=as_json)


Why = Annotated[str, Parameter(help="Why, for those who read the history.")]
Yes = Annotated[bool, Parameter(negative=(), help="Do not ask.")]


@mapping.command(name="activate")
def mapping_activate(
    folder: Annotated[Path, Parameter(help="The folder with the entity files.")],
    *,
    why: Why = "",
    yes: Yes = False,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Count what edited rules would change on all live records, ask, and put them in force."""
    from isthmus.config.load import load_settings
    from isthmus.node.mapping_activate import run_activate

    return run_activate(load_settings(config), folder, why, yes=yes, as_json=as_json)


@mapping.command(name="undo")
def mapping_undo(
    entity: str, *, why: Why = "", yes: Yes = False, config: Config = None, as_json: AsJson = False
) -> int:
    """Put in force what was before the last activation."""
    from isthmus.config.load import load_settings
    from isthmus.node.mapping_activate import run_undo

    return run_undo(load_settings(config), entity, why, yes=yes, as_json=as_json)


@mapping.command(name="history")
def mapping_history(*entities: str, config: Config = None, as_json: AsJson = False) -> int:
    """Which versions of the mappings were put in force, when, by whom and why."""
    from isthmus.config.load import load_settings
    from isthmus.node.mapping_activate import run_history

    return run_history(load_settings(config), entities, as_json=as_json)


@app.command(show=False)
def docs() -> int:
    """Write the generated pages under docs/reference anew."""
    from isthmus.node.docs import write_docs

    for path in write_docs():
        print(path)
    return OK


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; the exit code."""
    try:
        code = app(list(arguments), print_error=False, exit_on_error=False, result_action="return_value")
    except CycloptsError as fault:
        return _complain(str(fault).strip(), "isthmus --help lists what there is", MISUSED)
    except ConfigError as fault:
        return _complain(str(fault), fault.hint, MISUSED)
    except IsthmusError as fault:
        return _complain(str(fault), fault.hint, FAILED)
    except KeyboardInterrupt:
        return 130
    return code if isinstance(code, int) else OK


def _complain(message: str, hint: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    return code


def main() -> None:
    """The entry point."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
