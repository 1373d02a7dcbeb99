"""What our programs need before they begin: the modules that ./setup installed, and the standard descriptors."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the module signal takes half of a start to load
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENVIRONMENT = os.path.join(ROOT, ".venv")


INTERRUPTED = 130
"""Exit status of a program that SIGINT has ended, as shells give it."""


def end_quietly_when_interrupted() -> None:
    """Have SIGINT end the program without a traceback while it starts. Where SIGINT is ignored it stays so."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, lambda _signum, _frame: os._exit(INTERRUPTED))


def use_environment(*needed: str) -> None:
    """Go on if the modules can be imported here; else start this program again in the environment.

    Exits with status 1 and one line that says what to do when there is no environment, it cannot be used, or it lacks
    the modules too.
    """
    from importlib.machinery import PathFinder

    missing = [module for module in needed if PathFinder.find_spec(module) is None]
    if not missing:
        return
    python = os.path.join(ENVIRONMENT, "bin", "python")
    remedy = f"run {ROOT}/setup first"
    try:
        if os.path.samefile(sys.prefix, ENVIRONMENT):
            for place in sys.path:  # what cannot be listed looks empty to the import
                if place.startswith(ENVIRONMENT):
                    os.listdir(place)
        else:
            os.execv(python, [python, *sys.orig_argv[1:]])
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            remedy = f"{error.filename or python} cannot be used: {error.strerror}"
    sys.exit(f"{os.path.basename(sys.argv[0])}: {', '.join(missing)} is not installed; {remedy}")


def occupy_standard_descriptors() -> None:
    """Open to nowhere what the shell has closed (`2>&-`), so that no socket or database gets the number of one."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
