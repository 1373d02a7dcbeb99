"""What `./setup` installs, with a Python that only writes down what it is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.processes import ROOT

PYTHON = """\
#!/bin/sh
case "$*" in
    -c*) ;;
    '-m venv --clear .venv') rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    *) for word; do last=$word; done; case "$*" in *' -r '*) cat "$last" >>pip.log ;; esac ;;
esac
"""


class Checkout:
    """A directory with the set-up alone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("setup", "requirements.txt"):
            shutil.copy(ROOT / name, directory)
        (directory / "python").write_text(PYTHON)
        (directory / "python").chmod(0o700)

    def set_up(self, *words: str) -> set[str]:
        """Run the set-up; return the names of what it has asked pip for."""
        log = self.directory / "pip.log"
        log.unlink(missing_ok=True)
        environment = {**os.environ, "PYTHON": str(self.directory / "python")}
        subprocess.run([self.directory / "setup", *words], env=environment, check=True, capture_output=True)
        return {line.split(">")[0] for line in log.read_text().splitlines()} if log.exists() else set()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_each_program_can_be_installed_alone(checkout: Checkout) -> None:
    assert checkout.set_up("--client") == {"prompt_toolkit"}
    assert checkout.set_up("--client") == set()
    assert checkout.set_up("--server") == {"prompt_toolkit", "bcrypt"}
    assert checkout.set_up("--client") == set()


def test_all_of_it_includes_both(checkout: Checkout) -> None:
    assert checkout.set_up() > {"prompt_toolkit", "bcrypt", "pytest"}
    for words in ((), ("--client",), ("--server",)):
        assert checkout.set_up(*words) == set()


def test_what_is_no_longer_required_is_installed_no_more(checkout: Checkout) -> None:
    checkout.set_up("--client")
    marker = checkout.directory / ".venv" / "requirements.txt"
    marker.write_text("prompt_toolkit>=1\n")
    assert checkout.set_up("--server") == {"bcrypt"}
    assert checkout.set_up("--client") == {"bcrypt", "prompt_toolkit"}


def test_another_word_is_refused(checkout: Checkout) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failure:
        checkout.set_up("--all")
    assert failure.value.stderr == b"setup: --all is not one of --client, --server\n"
