"""What is shipped for those who host a server: the unit of systemd, the container image, the config of both.

No container is built here: the image's files and commands are tried one by one, in a directory.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.peer import PATIENCE
from harness.processes import ROOT
from harness.servers import ServerProcess, free_ports
from support.programs import SERVER

UNIT = ROOT / "contrib" / "crosstalk.service"
CONFIG = ROOT / "contrib" / "crosstalk.conf"
INSTALLED = "/opt/crosstalk"

MAX_EXPOSURE = 1.5
"""What `systemd-analyze security` may find; 10 is a service that may do everything."""


# ---- the config ----


def test_the_config_of_a_service_is_right(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SERVER, CONFIG, "--check-config"], cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


# ---- the unit ----


def installed(unit: str) -> str:
    """The unit with the program where it is here."""
    return unit.replace(INSTALLED, str(ROOT))


def analyze(*words: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze on the unit."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    path = directory / UNIT.name
    path.write_text(installed(UNIT.read_text()))
    command = ["systemd-analyze", *words, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, "LC_ALL": "C"})


def test_systemd_finds_no_mistake_in_the_unit(tmp_path: Path) -> None:
    done = analyze("verify", "--man=no", directory=tmp_path)
    told = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, told) == (0, [])


def test_the_unit_may_do_little(tmp_path: Path) -> None:
    done = analyze("security", "--offline=true", "--no-pager", directory=tmp_path)
    if "offline" in done.stderr:
        pytest.skip("this systemd-analyze needs a running systemd")
    found = re.search(r"exposure level for crosstalk\.service: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= MAX_EXPOSURE


def settings_of(unit: str) -> dict[str, list[str]]:
    """The values of each setting of a unit, in order."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def config_lines(port: int, metrics: int) -> list[str]:
    """The shipped config, with ports that are free."""
    text = CONFIG.read_text()
    assert "listen 5050 " in text
    return text.replace("5050", f"127.0.0.1:{port}").replace("9464", str(metrics)).splitlines()


def test_the_units_commands_are_those_of_this_program(tmp_path: Path) -> None:
    """It starts, reloads and stops as the unit says, in a state directory of its own."""
    settings = settings_of(UNIT.read_text())
    assert settings["Type"] == ["notify"]
    assert settings["WorkingDirectory"] == [f"%S/{settings['StateDirectory'][0]}"]
    (start,) = settings["ExecStart"]
    check, hang_up = settings["ExecReload"]
    assert hang_up == "/bin/kill -HUP $MAINPID"
    program, config, *words = start.split()
    assert (program, config) == (f"{INSTALLED}/server.py", "/etc/crosstalk/crosstalk.conf")
    assert check == f"{program} {config} --check-config"
    with ServerProcess(tmp_path, *config_lines(*free_ports(2)), port=None, words=words) as server:
        server.wait_for(f"database={re.escape(str(tmp_path))}/crosstalk.db")
        server.signal(signal.SIGHUP)
        server.wait_for("SIGHUP|reload")
        with server.peer() as peer:
            assert peer.ask("PING") == ["RESULT PING 1"]
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


# ---- the image ----


def steps(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, with their arguments."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in joined.splitlines() if line]


STEPS = steps((ROOT / "Dockerfile").read_text())
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def argument(instruction: str) -> str:
    """The argument of the last instruction of a kind."""
    return [rest for name, rest in STEPS if name == instruction][-1]


def is_ignored(path: str) -> bool:
    parts = path.split("/")
    beginnings = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return any(
        fnmatch.fnmatchcase(part, pattern.removeprefix("**/"))
        for pattern in IGNORED
        for part in ([*beginnings, *parts] if pattern.startswith("**/") else beginnings)
    )


def context() -> list[str]:
    """The files that an image is made of."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [name for name in listed.split("\0") if name and not is_ignored(name) and (ROOT / name).is_file()]


def test_the_image_is_made_of_files_that_exist() -> None:
    files = context()
    if not files:
        pytest.skip("not a checkout")
    for name, rest in STEPS:
        if name == "COPY" and not rest.startswith("--from="):
            *sources, _target = rest.split()
            for source in sources:
                assert source == "." or source in files, source
    tops = {name.split("/")[0] for name in files}
    assert {"server.py", "setup", "app", "page", "contrib"} <= tops
    assert not {"testing", "bench", "tools", ".git", ".venv"} & tops


def test_the_image_is_a_service_that_is_not_root() -> None:
    names = [name for name, _rest in STEPS]
    assert names.count("FROM") == 2
    assert argument("USER") not in ("root", "0")
    assert argument("VOLUME") == argument("WORKDIR")
    assert names.index("VOLUME") > max(at for at, name in enumerate(names) if name == "RUN"), "it would hide its owner"
    assert argument("STOPSIGNAL") == "SIGTERM"
    entry, command = json.loads(argument("ENTRYPOINT")), json.loads(argument("CMD"))
    assert entry[1] == f"{INSTALLED}/server.py"
    assert command[1:] == ["--hangup", "reload"]
    assert command[0] in argument_of_copy("contrib/crosstalk.conf")
    assert f"listen {argument('EXPOSE')} auto" in CONFIG.read_text()


def argument_of_copy(source: str) -> str:
    """Where a file is in the image."""
    return next(rest.split()[1] for name, rest in STEPS if name == "COPY" and rest.split()[0] == source)


def image(directory: Path) -> Path:
    """Copy what the image is made of to a directory, with this environment in the place of the image's."""
    files = context()
    if not files:
        pytest.skip("not a checkout")
    for name in files:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, directory / name)
    (directory / ".venv").symlink_to(ROOT / ".venv")
    return directory


def test_the_images_set_up_and_health_check_work_with_its_files_alone(tmp_path: Path) -> None:
    program = image(tmp_path / "image")
    (command,) = [rest for name, rest in STEPS if name == "RUN" and "setup" in rest]
    subprocess.run(command, shell=True, cwd=program, check=True, capture_output=True)
    port, metrics = free_ports(2)
    check = json.loads(argument("HEALTHCHECK").partition("CMD ")[2])
    check = [sys.executable, *(word.replace("9464", str(metrics)) for word in check[1:])]
    assert subprocess.run(check, capture_output=True).returncode != 0
    in_image = f'shift 2; set -- {sys.executable} {program}/server.py "$@"'
    with ServerProcess(tmp_path, *config_lines(port, metrics), port=None, shell=in_image):
        assert subprocess.run(check, capture_output=True, timeout=PATIENCE).returncode == 0


def test_the_first_process_of_a_container_ends_by_sigterm(tmp_path: Path) -> None:
    """The kernel gives such a process no signal that it does not handle."""
    alone = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces here")
    with ServerProcess(tmp_path, shell=f'set -- {" ".join(alone)} "$@"') as server:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        os.kill(int(children.read_text().split()[0]), signal.SIGTERM)
        server.wait_for("stopping")
        assert server.wait() == 0
