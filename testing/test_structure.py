"""The shape of the project: who may know whom, and what must be said where."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import console
import federation
from config import DIRECTIVES, PEER, Settings
from dialects import hello, mailbox, result, rooms
from support import ROOT

SERVER_ROOMS = {
    "addresses", "bootstrap", "commandline", "config", "console", "dialects", "domain", "dialects.hello",
    "dialects.mailbox", "dialects.result", "dialects.rooms", "federation", "logs", "loop", "options", "passwords",
    "peering.proof", "protocol", "signals", "sockets", "store", "throttle", "workqueue",
}  # fmt: skip

MAY_IMPORT: dict[str, set[str]] = {
    "server": SERVER_ROOMS,
    "dialects": {"dialects.hello", "dialects.mailbox", "dialects.result", "dialects.rooms"},
    "dialects.hello": {"domain", "protocol"},
    "dialects.mailbox": {"domain", "protocol"},
    "dialects.result": {"domain", "protocol"},
    "dialects.rooms": {"domain", "protocol"},
    "console": {"dialects.rooms", "domain", "logs", "peering.links", "protocol"},
    "federation": {"config", "domain", "peering.links", "peering.members", "peering.peers", "protocol"},
    "peering": set(),
    "peering.members": {"config", "domain", "peering.peers"},
    "peering.links": {"addresses", "config", "domain", "peering.peers", "peering.proof", "protocol"},
    "peering.peers": {"config", "deadlines", "domain", "peering.proof", "protocol"},
    "peering.proof": set(),
    "store": {"database_files", "domain"},
    "database_files": set(),
    "passwords": {"domain", "pool", "throttle", "workqueue"},
    "throttle": {"addresses", "domain"},
    "workqueue": {"addresses", "pool"},
    "client_options": {"commandline", "talks"},
    "client": {
        "bootstrap", "client_options", "files", "loop", "network", "protocol", "streams", "talks", "talks.talk",
        "terminal",
    },
    "terminal": {"files", "loop", "network", "protocol", "streams", "talks", "talks.slash", "talks.talk"},
    "files": {"protocol", "streams"},
    "network": {"deadlines", "loop", "protocol", "sockets"},
    "streams": {"protocol"},
    "talks": {"files", "talks.hello", "talks.mailbox", "talks.result", "talks.rooms", "talks.talk"},
    "talks.hello": {"protocol", "talks.talk"},
    "talks.mailbox": {"protocol", "talks.talk"},
    "talks.result": {"protocol", "talks.talk"},
    "talks.rooms": {"protocol", "talks.talk"},
    "talks.slash": {"protocol", "talks.talk"},
    "talks.talk": {"protocol"},
    "domain": {"config", "protocol"},
    "protocol": {"domain"},
    "loop": {"addresses", "deadlines", "pool", "sockets"},
    "deadlines": set(),
    "sockets": set(),
    "pool": set(),
    "addresses": set(),
    "config": {"domain", "peering.proof", "protocol"},
    "options": {"commandline", "config", "console"},
    "logs": set(),
    "signals": set(),
    "bootstrap": set(),
    "commandline": set(),
    "testing": {"harness.cases", "harness.processes", "harness.report"},
    "harness": set(),
    "harness.cases": {"harness.language", "harness.player", "harness.processes", "harness.report", "harness.text"},
    "harness.player": {
        "harness.actors", "harness.language", "harness.processes", "harness.report", "harness.text",
    },
    "harness.report": set(),
    "harness.language": {"harness.actors", "harness.text"},
    "harness.actors": {"harness.processes", "harness.text"},
    "harness.processes": {"harness.text"},
    "harness.text": set(),
    "bench": set(),
}  # fmt: skip
"""Whom each of our files or packages knows. What a lower one needs of a higher one is handed to it."""

PACKAGES = ("domain",)
"""Packages that have one row for all of their modules."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


PRODUCT = {
    module_name(path): path
    for place in ("", "domain", "dialects", "peering", "talks", "harness")
    for path in sorted((ROOT / place).glob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in PRODUCT.items()}
DIALECTS = [name for name in PRODUCT if name.startswith("dialects")]
PEERING = [name for name in PRODUCT if name.startswith("peering") and name != "peering.proof"]
DOMAIN = [name for name in PRODUCT if name.startswith("domain")]
FILES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.split("\0")
    if name and (ROOT / name).is_file()
]  # fmt: skip


def imports(tree: ast.AST) -> set[str]:
    """Every module that a file imports, also late, and also for types only."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are written in full"
            assert node.module is not None
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names if f"{node.module}.{alias.name}" in PRODUCT}
    return names


def unit(name: str) -> str:
    """The name of a module's row."""
    package = name.partition(".")[0]
    return package if package in PACKAGES else name


@pytest.mark.parametrize("name", PRODUCT)
def test_imports_point_one_way(name: str) -> None:
    assert unit(name) in MAY_IMPORT, "say here whom it may know"
    known = set(map(unit, imports(TREES[name]) & set(PRODUCT)))
    assert known <= MAY_IMPORT[unit(name)] | ({unit(name)} & set(PACKAGES))


def test_every_room_is_there() -> None:
    assert set(map(unit, PRODUCT)) == set(MAY_IMPORT)


@pytest.mark.parametrize("name", [name for name in PRODUCT if name.partition(".")[0] in ("testing", "harness")])
def test_the_case_runner_needs_the_standard_library_alone(name: str) -> None:
    known = {*sys.stdlib_module_names, "harness"}
    assert {module.partition(".")[0] for module in imports(TREES[name])} <= known


def test_sql_is_in_one_room() -> None:
    assert [name for name in PRODUCT if "sqlite3" in imports(TREES[name])] == ["store"]
    sql = re.compile(r"\b(SELECT .+ FROM|INSERT INTO|DELETE FROM|UPDATE \w+ SET|CREATE TABLE)\b")
    assert [name for name, path in PRODUCT.items() if sql.search(path.read_text())] == ["store"]


def test_sockets_are_where_they_belong() -> None:
    pure = ("protocol", "federation", *DOMAIN, *DIALECTS, *PEERING)
    for name in (*pure, "store", "database_files", "passwords", "config", "logs"):
        assert not imports(TREES[name]) & {"socket", "selectors", "ssl", "asyncio"}, name
    for name in pure:
        assert not imports(TREES[name]) & {"time", "datetime", "threading", "os"}, (
            f"{name} needs no clock and no system"
        )


@pytest.mark.parametrize("name", PRODUCT)
def test_nothing_sends_until_all_has_left(name: str) -> None:
    """Such a call blocks, or fails in the middle."""
    used = {node.attr for node in ast.walk(TREES[name]) if isinstance(node, ast.Attribute)}
    assert "send" + "all" not in used
    assert "send" + "all" not in PRODUCT[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PRODUCT)
def test_every_file_opens_with_what_it_is(name: str) -> None:
    assert ast.get_docstring(TREES[name])


@pytest.mark.parametrize("program", ["setup", "server.py", "testcov"])
def test_programs_can_be_run(program: str) -> None:
    assert os.access(ROOT / program, os.X_OK)
    assert (ROOT / program).read_bytes().startswith(b"#!")


def test_no_file_knows_the_machine_on_which_it_was_written() -> None:
    if not FILES:
        pytest.skip("not a checkout")
    private = [b"/" + word + b"/" for word in (b"work", b"home", b"Users")]
    found = [path.name for path in FILES for word in private if word in path.read_bytes()]
    assert found == []


def test_no_file_is_one_that_a_run_leaves_behind() -> None:
    if not FILES:
        pytest.skip("not a checkout")
    assert [path.name for path in FILES if path.suffix in (".db", ".pyc", ".log", ".orig", ".rej")] == []
    assert not (ROOT / "testing" / "__init__.py").exists(), "it would hide testing.py"


# ---- documents ----


def document(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


USAGES: dict[str, set[str]] = {
    "R": {command.usage for command in result.COMMANDS.values()},
    "H": {command.usage for command in hello.COMMANDS.values()},
    "O": {command.usage for command in rooms.COMMANDS.values()},
    "F": {command.usage for verb, command in rooms.FILE_COMMANDS.items() if rooms.COMMANDS.get(verb) is not command},
    "P": {command.usage for command in console.COMMANDS.values()},
    "B": {command.usage for command in mailbox.COMMANDS.values()},
    "L": {command.usage for command in federation.COMMANDS.values()},
}
"""How commands are typed, by the letter of their rules in the protocol document."""


@pytest.mark.parametrize("letter", USAGES)
def test_the_protocol_document_has_the_commands_and_no_other(letter: str) -> None:
    rows = re.findall(rf"^\| {letter}\d+ \| (`.+?`) \|", document("PROTOCOL.md"), re.MULTILINE)
    documented = {usage.replace("\\|", "|") for row in rows for usage in re.findall(r"`([^`]+)`", row)}
    assert {usage for usage in documented if not usage.startswith(("RECV", "RESULT", "DELIVERY"))} == USAGES[letter]


@pytest.mark.parametrize("name", DIRECTIVES)
def test_the_readme_has_every_directive(name: str) -> None:
    assert re.search(rf"^\| `{name} ", document("README.md"), re.MULTILINE)


def test_the_readme_has_no_other_directive() -> None:
    (settings,) = re.findall(r"^## Settings\n(.*?)^## ", document("README.md"), re.MULTILINE | re.DOTALL)
    documented = re.findall(rf"^\| `([a-z-]+|{PEER}) ", settings, re.MULTILINE)
    assert sorted(documented) == sorted(DIRECTIVES)


@pytest.mark.parametrize("name", ["README.md", "PROTOCOL.md"])
def test_ranges_in_documents_are_those_of_the_settings(name: str) -> None:
    ranges = re.findall(r"`([a-z-]+) <(\d+) to (\d+)>`", document(name))
    assert ranges
    for directive, least, most in ranges:
        assert DIRECTIVES[directive].expects == f"a whole number from {least} to {most}", directive


def test_defaults_in_documents_are_those_of_the_settings() -> None:
    defaults = Settings()._asdict()
    for name in ("README.md", "PROTOCOL.md"):
        for directive, default in re.findall(r"^\| `([a-z-]+) [^|]*` \| (\d+) \|", document(name), re.MULTILINE):
            assert str(defaults[directive.replace("-", "_")]) == default, (name, directive)


@pytest.mark.parametrize("name", ["README.md", "PROTOCOL.md", "TESTING.md", "CHANGELOG.md"])
def test_links_in_documents_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document(name)):
        if "://" not in target:
            assert (ROOT / target).exists(), target
