"""The ``session-rec`` command: finds its sub-commands by entry points.

Exit codes: 0 done, 1 a defect of ours (with a traceback), 2 something the user gave cannot be used
(one sentence), 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib.metadata import entry_points
from types import FrameType

# One BLAS thread, set before numpy is imported: scores are then the same bits on every run, and a
# daemon takes the one core it was given.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import typer
from rich.console import Console

from session_rec.errors import UserError

GROUP = "session_rec.commands"  #: entry points of this group are ``register(app)`` functions

#: What only the training install has.
_TRAINING = (
    "torch",
    "gensim",
    "transformers4rec",
    "transformers",
    "merlin",
    "pandas",
    "pyarrow",
    "scipy",
    "onnx",
    "dask",
)


def build_app() -> typer.Typer:
    """The application with every installed sub-command."""
    app = typer.Typer(
        name="session-rec",
        help="Session-based next-event prediction: train on clickstreams, serve from Kafka.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        entry.load()(app)
    return app


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> None:
    """Runs the command line; a user's mistake ends in one sentence and exit code 2."""
    console = Console(stderr=True)
    # As Ctrl-C does, a SIGTERM unwinds the stack, so that what a command started is stopped and
    # what it was writing is removed. The daemon and the training loop set handlers of their own.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        build_app()()
    except UserError as e:
        console.print(
            f"session-rec: {e}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(2)
    except ModuleNotFoundError as e:
        if e.name is None or e.name.partition(".")[0] not in _TRAINING:
            raise
        console.print(
            f"session-rec: {e.name} is not installed: this command needs the training install, "
            "pip install 'session-rec[train]'",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        sys.exit(2)
    except PermissionError as e:
        if e.filename is None:
            raise
        console.print(
            f"session-rec: {e.filename}: {e.strerror}: change its permissions or choose another",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("session-rec: interrupted", markup=False)
        sys.exit(130)


if __name__ == "__main__":
    main()
