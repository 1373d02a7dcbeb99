"""The shape of the project: who may know whom, and what must be said where."""

from __future__ import annotations

import ast
import functools
import graphlib
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from app.directives import DIRECTIVES, PEER
from app.reload import FIXED
from dialects import LISTEN_DIALECTS
from harness.processes import ROOT
from settings import Settings
from version import VERSION

LAYERS: dict[str, set[str]] = {
    "settings": set(),
    "version": set(),
    "unicode_names": set(),
    "text": {"unicode_names"},
    "net": set(),
    "domain": {"settings", "text", "unicode_names"},
    "protocol": {"domain", "text"},
    "store": {"domain"},
    "replica": {"domain", "net", "store"},
    "dialects": {"domain", "peering", "protocol", "settings", "text", "version"},
    "peering": {"domain", "net", "protocol", "settings", "text"},
    "federation": {"domain", "peering", "protocol", "settings", "text"},
    "web": {"domain", "net", "protocol", "text"},
    "app": {
        "dialects",
        "domain",
        "federation",
        "net",
        "peering",
        "protocol",
        "replica",
        "settings",
        "store",
        "text",
        "web",
        "version",
    },
    "server": {
        "app",
        "dialects",
        "domain",
        "federation",
        "net",
        "peering",
        "protocol",
        "settings",
        "store",
        "text",
        "web",
    },
    "engine": {"app", "net", "replica"},
    "ui": {"app", "net", "text", "version"},
    "client": {"app", "net", "text", "ui"},
    "harness": set(),
    "testing": {"harness"},
    "bench": {"harness"},
    "tools": {"domain", "harness", "replica", "store"},
}
"""Which packages (and modules at the top level) each of them knows, besides itself. What a lower one needs of a higher
one is handed to it."""

HOMES: dict[str, set[str]] = {
    "protocol": {
        "audiences",
        "commands",
        "first_line",
        "gate",
        "line_bucket",
        "paced_session",
        "session_input",
        "session_output",
        "session_state",
        "transport",
    },
    "store": {
        "change_records",
        "channel_keys",
        "channel_records",
        "database_copies",
        "database_damage",
        "database_files",
        "database_schema",
        "message_history",
        "stored_messages",
        "write_ahead_log",
    },
}
"""Modules at the top level that are parts of another one."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


PRODUCT = {
    module_name(path): path
    for path in sorted([*ROOT.glob("*.py"), *ROOT.glob("[a-z]*/**/*.py")])
    if path.relative_to(ROOT).parts[0] != "testing"
}
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


@functools.cache
def tree_of(name: str) -> ast.AST:
    return ast.parse(PRODUCT[name].read_text(encoding="utf-8"))


@functools.cache
def imports(name: str) -> frozenset[str]:
    """Every module that a module imports, also late, and also for types only."""
    names = set()
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are written in full"
            assert node.module is not None
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names if f"{node.module}.{alias.name}" in PRODUCT}
    return frozenset(names)


def imports_here(name: str) -> set[str]:
    """Every other module of the project that a module imports."""
    return {other for other in imports(name) if other in PRODUCT} - {name}


def layer(name: str) -> str:
    top = name.partition(".")[0]
    return next((home for home, modules in HOMES.items() if top in modules), top)


@pytest.mark.parametrize("name", PRODUCT)
def test_imports_point_one_way(name: str) -> None:
    assert {layer(other) for other in imports_here(name)} <= {layer(name), *LAYERS[layer(name)]}


def test_the_client_knows_nothing_of_the_server() -> None:
    shared = {"app", "app.bootstrap", "app.commandline"}
    known = {other for name in PRODUCT if layer(name) in ("client", "ui") for other in imports_here(name)}
    assert {name for name in known if layer(name) == "app"} <= shared


def test_no_module_is_imported_by_what_it_imports() -> None:
    graphlib.TopologicalSorter({name: imports_here(name) for name in PRODUCT}).prepare()


@pytest.mark.parametrize("name", [name for name in PRODUCT if name.partition(".")[0] in ("testing", "harness")])
def test_the_case_runner_needs_the_standard_library_alone(name: str) -> None:
    known = {*sys.stdlib_module_names, "harness"}
    assert {module.partition(".")[0] for module in imports(name)} <= known


def test_sql_is_in_the_modules_of_the_store() -> None:
    opening = [
        "change_records",
        "database_copies",
        "database_damage",
        "database_schema",
        "message_history",
        "store",
        "stored_messages",
        "write_ahead_log",
    ]
    speaking = ["channel_records", *opening]
    assert [name for name in PRODUCT if "sqlite3" in imports(name)] == opening
    sql = re.compile(r"\b(SELECT .+ FROM|INSERT INTO|DELETE FROM|UPDATE \w+ SET|CREATE TABLE)\b")
    assert {name for name, path in PRODUCT.items() if sql.search(path.read_text())} <= {*speaking}


def test_sockets_are_where_they_belong() -> None:
    pure = (
        "protocol",
        "audiences",
        "commands",
        "first_line",
        "gate",
        "session_input",
        "session_output",
        "session_state",
        "transport",
        "federation",
        *DOMAIN,
        *DIALECTS,
        *PEERING,
    )
    for name in (*pure, "store", "database_files", "app.passwords", "app.config", "app.logs"):
        assert not imports(name) & {"socket", "selectors", "ssl", "asyncio"}, name
    for name in pure:
        assert not imports(name) & {"time", "datetime", "threading", "os"}, f"{name} needs no clock and no system"


PUBLIC = {"_asdict", "_exit", "_field_defaults", "_fields", "_make", "_replace", "_srcfile"}
"""What has an underscore in the standard library and may be used all the same."""


def slots(nodes: list[ast.AST]) -> set[str]:
    """The names in `__slots__` of a module's classes."""
    return {
        name
        for node in nodes
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__"
        for name in ast.literal_eval(node.value)
    }


@pytest.mark.parametrize("name", PRODUCT)
def test_private_attributes_are_used_in_their_own_module(name: str) -> None:
    nodes = list(ast.walk(tree_of(name)))
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)} | slots(nodes)
    foreign = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute)
        and re.match("_[^_]", node.attr)
        and ast.unparse(node.value) not in ("self", "cls", "super()")
    }
    assert foreign - own - PUBLIC == set()


@pytest.mark.parametrize("name", PRODUCT)
def test_nothing_sends_until_all_has_left(name: str) -> None:
    """Such a call blocks, or fails in the middle."""
    used = {node.attr for node in ast.walk(tree_of(name)) if isinstance(node, ast.Attribute)}
    assert "sendall" not in used


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


def test_the_version_is_the_same_everywhere() -> None:
    assert f'version = "{VERSION}"\n' in document("pyproject.toml")
    assert re.search(rf"^## {re.escape(VERSION)}\b", document("CHANGELOG.md"), re.MULTILINE)


def test_no_file_is_one_that_a_run_leaves_behind() -> None:
    if not FILES:
        pytest.skip("not a checkout")
    left = (".db", ".pyc", ".log", ".orig", ".pem", ".rej", ".whl")
    assert [path.name for path in FILES if path.suffix in left] == []
    assert not (ROOT / "testing" / "__init__.py").exists(), "it would hide testing.py"


def test_unit_tests_mirror_the_packages() -> None:
    unit = ROOT / "testing" / "unit"
    places = {path.relative_to(unit).parts[0] for path in unit.glob("*/**/test_*.py")}
    assert places <= {"project", *LAYERS}
    assert not list((ROOT / "testing").glob("test_*.py"))


# ---- documents ----

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def document(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DIRECTIVES)
def test_the_settings_document_has_every_directive(name: str) -> None:
    assert re.search(rf"^\| `{name} ", document("docs/settings.md"), re.MULTILINE)


def test_the_settings_document_has_no_other_directive() -> None:
    documented = re.findall(rf"^\| `([a-z-]+|{PEER}) ", document("docs/settings.md"), re.MULTILINE)
    assert sorted(documented) == sorted(DIRECTIVES)


def test_the_operation_document_has_what_takes_a_restart() -> None:
    """A new setting is listed there, or in a table of app/reload.py."""
    section = re.search(r"These settings take a restart:\n\n(.*?)\n\n", document("docs/operation.md"), re.DOTALL)
    assert section
    listed = {name.replace("-", "_") for name in re.findall(r"`([a-z-]+)`", section[1])}
    assert listed - {"tls_", "handshake_seconds"} == FIXED


def test_the_documents_have_every_dialect_of_a_port() -> None:
    (row,) = re.findall(r"^\| `listen .*", document("docs/settings.md"), re.MULTILINE)
    assert {name for name in LISTEN_DIALECTS if f"`{name}`" not in row} == set()


@pytest.mark.parametrize("name", ["docs/settings.md", "PROTOCOL.md"])
def test_ranges_in_documents_are_those_of_the_settings(name: str) -> None:
    ranges = re.findall(r"`([a-z-]+) <(\d+) to (\d+)>`", document(name))
    assert ranges
    for directive, least, most in ranges:
        assert DIRECTIVES[directive].expects == f"a whole number from {least} to {most}", directive


def test_defaults_in_documents_are_those_of_the_settings() -> None:
    defaults = Settings()._asdict()
    for name in ("docs/settings.md", "PROTOCOL.md"):
        for directive, default in re.findall(r"^\| `([a-z-]+) [^|]*` \| (\d+) \|", document(name), re.MULTILINE):
            assert str(defaults[directive.replace("-", "_")]) == default, (name, directive)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_in_documents_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", path.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        document = path.parent / target if target else path
        assert document.exists(), target
        if anchor:
            assert anchor in anchors(document.read_text(encoding="utf-8")), f"{target}#{anchor}"


def anchors(text: str) -> set[str]:
    """The anchors that a Markdown document's headings get; the second of the same words gets `-1`."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
    seen = Counter[str]()
    for number, anchor in enumerate(plain):
        seen[anchor] += 1
        if seen[anchor] > 1:
            plain[number] = f"{anchor}-{seen[anchor] - 1}"
    return {*plain}


REFUSE = """\
import runpy, sys
sys.argv = ["{0}.py", "5050", "--what"]
try: runpy.run_path("{0}.py", run_name="__main__")
except SystemExit as end: assert end.code == 1"""

RARELY_NEEDED = {
    "app.replicated",
    "replica",
    "asyncio",
    "concurrent.futures",
    "hmac",
    "ipaddress",
    "prompt_toolkit",
    "shutil",
    "tempfile",
    "web",
    "websockets",
}
FOR_SERVING = {"app.node", "bcrypt", "domain.chat", "logging", "net.loop", "protocol", "sqlite3"}
FOR_CHATTING = {"logging", "net", "socket", "ui.connection", "ui.dialects.base", "ui.manual"}


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        pytest.param(REFUSE.format("client"), FOR_CHATTING | RARELY_NEEDED, id="client-refuses"),
        pytest.param("import client, ui.pipes", RARELY_NEEDED, id="client-in-a-pipe"),
        pytest.param(REFUSE.format("server"), FOR_SERVING | RARELY_NEEDED, id="server-refuses"),
        pytest.param("import server", RARELY_NEEDED, id="server-starts"),
    ],
)
def test_a_start_loads_nothing_that_it_may_not_need(program: str, unwanted: set[str]) -> None:
    # What a tool such as coverage has loaded before the program's first line does not count.
    show = f"import sys; before = {{*sys.modules}}\n{program}\nprint(*{{*sys.modules}} - before)"
    modules = subprocess.check_output([sys.executable, "-c", show], cwd=ROOT, text=True).split()
    assert not unwanted & set(modules)
