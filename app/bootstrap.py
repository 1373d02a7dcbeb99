"""What the programs need before they start: the modules that ./setup installs, and the standard descriptors."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the module signal takes half of a start to load
import os
import sys
from typing import IO

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENVIRONMENT = os.path.join(ROOT, ".venv")

INTERRUPTED = 130
"""Exit status of a program that SIGINT has ended, as shells report it."""


def end_quietly_when_interrupted() -> None:
    """Have SIGINT end the program without a traceback while it starts. Where SIGINT is ignored it stays so."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, lambda _signum, _frame: os._exit(INTERRUPTED))


def hold_back_signals(hangup: str | None) -> None:
    """Keep signals that stop no server waiting until its handlers are installed: they must not end a start (P37).

    Args:
        hangup: the setting; None where it is not known yet.
    """
    kept = (_signal.SIGUSR1, _signal.SIGHUP) if hangup == "reload" else (_signal.SIGUSR1,)
    _signal.pthread_sigmask(_signal.SIG_BLOCK, kept)


def use_environment(*needed: str) -> None:
    """Return if the modules can be imported here; else start this program again with the environment's Python.

    Exits with status 1 and one line that says what to do, if the environment is missing, unusable or incomplete.
    """
    from importlib.machinery import PathFinder

    missing = [module for module in needed if PathFinder.find_spec(module) is None]
    if not missing:
        return
    python = os.path.join(ENVIRONMENT, "bin", "python")
    remedy = f"run {ROOT}/setup first"
    try:
        if os.path.samefile(sys.prefix, ENVIRONMENT):
            for directory in sys.path:  # one that cannot be listed looks empty to the import
                if directory.startswith(ENVIRONMENT):
                    os.listdir(directory)
        else:
            os.execv(python, [python, *sys.orig_argv[1:]])
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            remedy = f"{error.filename or python} cannot be used: {error.strerror}"
    sys.exit(f"{os.path.basename(sys.argv[0])}: {', '.join(missing)} is not installed; {remedy}")


def occupy_standard_descriptors() -> None:
    """Open /dev/null for each standard descriptor that is closed (`2>&-`), so that no socket gets its number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


CONFIG_VARIABLE = "CROSSTALK_CONFIG"
"""Names the descriptor with the config's text, for a program that replaces this one (exec)."""


def hand_over_config(text: bytes) -> None:
    """Keep the config's text for the program that replaces this one (exec): the file may have been a pipe."""
    with _scratch_file() as file:
        file.write(text)
        file.flush()
        descriptor = os.dup(file.fileno())
    os.set_inheritable(descriptor, True)
    os.environ[CONFIG_VARIABLE] = str(descriptor)


def _scratch_file() -> IO[bytes]:
    """Return a file without a name; on Linux it is in memory, since the disk may be full."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("config"), "w+b")
    import tempfile

    return tempfile.TemporaryFile()


def handed_over_config() -> bytes | None:
    """Return the text that `hand_over_config` has kept, once; None without such a text."""
    descriptor = os.environ.pop(CONFIG_VARIABLE, None)
    if descriptor is None:
        return None
    with open(int(descriptor), "rb") as file:
        file.seek(0)
        return file.read()
