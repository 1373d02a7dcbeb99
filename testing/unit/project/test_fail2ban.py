"""contrib/fail2ban against the log of a real server, and docs/limits.md against the limits of the program."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.directives import DIRECTIVES
from harness.processes import ROOT
from harness.servers import ServerProcess

FILTER = ROOT / "contrib" / "fail2ban" / "crosstalk.conf"
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d"
ADDRESS = r"(?P<address>\d+\.\d+\.\d+\.\d+|[0-9a-f:]+)"
"""What fail2ban puts for `<ADDR>`, simplified."""

FORGED = "198.51.100.99"
"""An address of which no client comes, and which clients put wherever they can."""


def patterns() -> list[re.Pattern[str]]:
    """The regular expressions of the filter, as fail2ban reads them."""
    parser = configparser.ConfigParser(interpolation=configparser.BasicInterpolation())
    parser.read(FILTER)
    lines = parser["Definition"]["failregex"].splitlines()
    return [re.compile(line.replace("<ADDR>", ADDRESS)) for line in lines]


def found_by_filter(lines: list[str]) -> list[str]:
    """The address of each line that the filter counts, as fail2ban does: the time is removed first."""
    plain = [re.sub(TIME, "", line) for line in lines if re.match(TIME, line)]
    matches = [next(filter(None, (pattern.search(line) for pattern in patterns())), None) for line in plain]
    return [match["address"] for match in matches if match]


def log_under_attack(tmp_path: Path) -> list[str]:
    """Have clients reach several limits, with names that look like the log, and return the log."""
    names = [
        f"address={FORGED}",
        f"limit-reason=failed-login-address={FORGED}",
        f"x\x0b2026-12-01T00:00:00+00:00\x0bWARNING\x0blimit\x0breason=failed-login\x0baddress={FORGED}",
        f"WARNING\u2028limit\u00a0reason=failed-login\u00a0address={FORGED}",
        "alice",
    ]
    config = ("exempt none", "max-registrations 1", "max-address-connections 2", "listen 0 mailbox")
    with ServerProcess(tmp_path, *config) as server, server.peer() as peer:
        for name in names:
            assert peer.ask(f"LOGIN {name} secret-word") == ["RESULT LOGIN 0"]
        assert peer.ask("REGISTER ann secret-word") == ["RESULT REGISTER 1"]
        assert peer.ask(f"REGISTER limit,{FORGED} secret-word", "REGISTER bob secret-word") == [
            "RESULT REGISTER 0",
            "RESULT REGISTER 0",
        ]
        server.process.write(b"ban account ann\nban server two.example\n")
        server.wait_for("ban server")
        assert peer.ask("LOGIN ann secret-word") == ["RESULT LOGIN 0"]
        with server.peer() as link:
            link.send("FEDERATE-OUT two.example")
            assert link.rest() == b""
        with server.peer():
            server.peer().close()
            server.wait_for("reason=max-address-connections")
        server.wait_for("reason=max-registrations")
        return server.log


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return log_under_attack(tmp_path_factory.mktemp("attacked"))


def test_the_filter_finds_each_attack_and_its_address(log: list[str]) -> None:
    assert found_by_filter(log) == ["127.0.0.1"] * 9


def test_no_client_can_make_a_line_with_an_address_of_its_choice(log: list[str]) -> None:
    assert any(FORGED in line for line in log)
    assert FORGED not in found_by_filter(log)
    assert all(re.match(TIME, line) for line in log)


def test_nothing_secret_is_in_the_log(log: list[str]) -> None:
    assert not any("secret-word" in line for line in log)


def test_each_line_of_a_connection_has_its_number(log: list[str]) -> None:
    limits = [line for line in log if " limit reason=" in line]
    numbers = [int(match[1]) for line in limits if (match := re.search(r"WARNING connection=(\d+) limit", line))]
    assert numbers == [numbers[0] + offset for offset in (0, 0, 0, 0, 0, 0, 0, 1, 3)]


def test_a_line_of_the_journal_is_found_too(log: list[str]) -> None:
    lines = [f"host python3[123]: {line}" for line in log]
    found = [match["address"] for line in lines for pattern in patterns() if (match := pattern.search(line))]
    assert found == ["127.0.0.1"] * 9


@pytest.mark.skipif(shutil.which("fail2ban-regex") is None, reason="fail2ban is not installed")
def test_fail2ban_reads_the_filter(log: list[str], tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"{line}\n" for line in log))
    result = subprocess.run(
        ["fail2ban-regex", "--print-all-matched", path, FILTER], capture_output=True, text=True, check=False
    )
    assert "9 matched" in result.stdout, result.stdout + result.stderr


# ---- docs/limits.md ----

REASON_IN_CODE = re.compile(
    r'(?:report_limit|limits\.note|LimitReached|OutputLimit)\(\s*"([a-z-]+)"|^FAILED_\w+ = "([a-z-]+)"'
    r'|return "([a-z-]+)", "\(refused'
)
"""Where the program names the reason of a limit."""


def test_the_document_has_every_reason_and_no_other() -> None:
    text = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\|(?:[^|]*\|){3} `([a-z-]+)` \|$", text, re.MULTILINE))
    sources = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in ("testing", ".venv")]
    named = {
        word
        for path in sources
        for line in re.findall(REASON_IN_CODE.pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
        for word in line
        if word
    }
    assert named <= documented, named - documented
    assert documented - named <= set(DIRECTIVES), documented - named - set(DIRECTIVES)
