"""The settings file of the client, and passwords from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from ui.options import complete, parse_command_line
from ui.preferences import Preferences, PreferencesError, Server, check_colours, default_path, known_password, load

FILE = """\
user = "ann"
bell = false

[colours]
alert = "bold ansigreen"

[servers.home]
host = "chat.example"
port = 5050
channels = ["garden", "attic"]
password-file = "~/secret"

[servers.course]
port = 5378
dialect = "hello"
user = "zoe"
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file of a user with a home of their own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("CROSSTALK_PASSWORD", raising=False)
    path = tmp_path / ".config" / "crosstalk" / "client.toml"
    path.parent.mkdir(parents=True)
    path.write_text(FILE)
    return path


def test_the_file_is_where_the_system_has_it(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_path() == str(settings)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/me")
    assert default_path() == "/etc/me/crosstalk/client.toml"


def test_what_the_file_says(settings: Path) -> None:
    preferences = load(str(settings))
    assert preferences.servers == {
        "home": Server(5050, "chat.example", channels=["garden", "attic"], password_file="~/secret"),
        "course": Server(5378, dialect="hello", user="zoe"),
    }
    assert (preferences.user, preferences.bell, preferences.plain) == ("ann", False, False)
    assert preferences.colours == {"alert": "bold ansigreen"}


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load(str(tmp_path / "none")) == Preferences()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("user = ", "Invalid value"),
        ("\xff", "Invalid statement"),
        ("user = 5", "user: a text is needed"),
        ('user = "a b"', "user: one word is needed"),
        ('bell = "yes"', "bell: true or false is needed"),
        ("beep = true", "beep is not one of user, bell"),
        ('password = "x"', "password: no password belongs in this file"),
        ('[servers.home]\nport = 1\npassword = "x"', "servers.home.password: no password belongs in this file"),
        ("[servers.home]", "servers.home.port: a number from 1 to 65535 is needed"),
        ("[servers.home]\nport = 70000", "servers.home.port: a number from 1 to 65535 is needed"),
        ("[servers.home]\nport = true", "servers.home.port: a number is needed"),
        ("[servers.1234]\nport = 1", "servers.1234: a name is not a number"),
        ("servers = 5", "servers: a table is needed"),
        ("[servers]\nhome = 5", "servers.home is not a table"),
        ('[servers.home]\nport = 1\ndialect = "irc"', "servers.home.dialect: not one of result, hello"),
        ('[servers.home]\nport = 1\nchannels = ["a b"]', "servers.home.channels: a list of names is needed"),
        ("[servers.home]\nport = 1\nchannels = [5]", "servers.home.channels: a list of names is needed"),
        ('[colours]\nuser9 = "red"', "colours.user9 is not one of prompt"),
        ("[colours]\nalert = 5", "colours.alert: a text is needed"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "client.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(PreferencesError, match=r"client\.toml: .+") as failure:
        load(str(path))
    assert complaint in str(failure.value) or text == "\xff"
    assert "\n" not in str(failure.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(PreferencesError, match="Is a directory"):
        load(str(tmp_path))


def test_a_colour_that_is_none_is_told() -> None:
    assert check_colours({"alert": "bold ansigreen", "note": "#ff0000"}) == ""
    assert check_colours({"alert": "boldly"}).startswith("colours.alert: ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["home"], {"port": 5050, "host": "chat.example", "user": "ann", "channels": ["garden", "attic"]}),
        (["home", "bob"], {"user": None, "name": "bob", "dialect": "rooms"}),
        (["home", "--user", "bob"], {"user": "bob", "host": "chat.example"}),
        (["home", "--host", "here"], {"host": "here"}),
        (["course"], {"port": 5378, "dialect": "hello", "name": "zoe", "user": None}),
        (["5378"], {"port": 5378, "dialect": "hello", "name": "zoe"}),
        (["5050"], {"user": "ann", "dialect": "result", "channels": ()}),
        (["5050", "--host", "chat.example"], {"user": "ann", "channels": ["garden", "attic"]}),
        (["9", "--dialect", "mailbox"], {"user": None, "name": None}),
    ],
)  # fmt: skip
def test_the_command_line_wins(settings: Path, words: list[str], expected: dict[str, object]) -> None:
    options = parse_command_line(words)
    if options.is_port and not isinstance(options.port, int):
        complete(options)
    found = {name: getattr(options, name) for name in expected}
    found["port" if "port" in found else "host"] = int(found["port"]) if "port" in found else found.get("host")
    assert {name: found[name] for name in expected} == expected
    assert (options.bell, options.colours) == (False, {"alert": "bold ansigreen"})


@pytest.mark.parametrize("words", [["work"], ["0"], ["70000"], ["-1"]])
def test_a_port_that_is_none_is_refused(settings: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_command_line(words)
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("client.py: ")


def test_a_wrong_settings_file_is_one_line(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings.write_text("beep = true\n")
    with pytest.raises(SystemExit) as end:
        parse_command_line(["home"])
    assert end.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


# ---- passwords ----


def test_a_password_comes_from_the_environment_or_a_file(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert known_password("") == ""
    (settings.parent / "secret").write_text("hush\n")
    (settings.parent / "secret").chmod(0o600)
    assert known_password("~/.config/crosstalk/secret") == "hush"
    monkeypatch.setenv("CROSSTALK_PASSWORD", "other")
    assert known_password("~/.config/crosstalk/secret") == "other"


@pytest.mark.parametrize(
    ("content", "mode", "complaint"),
    [
        ("hush\n", 0o640, "others can read it; chmod 600"),
        ("hush\n", 0o604, "others can read it"),
        ("", 0o600, "one word"),
        ("two words\n", 0o600, "one word"),
        ("a\nb\n", 0o600, "one word"),
        (None, 0o600, "No such file"),
    ],
)
def test_a_password_file_that_is_not_private_is_refused(
    settings: Path, content: str | None, mode: int, complaint: str
) -> None:
    path = settings.parent / "secret"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(PreferencesError, match=complaint):
        known_password(str(path))


def test_a_password_file_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CROSSTALK_PASSWORD", raising=False)
    with pytest.raises(PreferencesError):
        known_password(str(tmp_path))
