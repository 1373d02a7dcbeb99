"""bootstrap.py: what a program that begins again finds."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.bootstrap import CONFIG_VARIABLE, hand_over_config, handed_over_config
from harness.processes import ROOT

BEGIN_AGAIN = """\
import os, sys
from app.bootstrap import hand_over_config, handed_over_config
text = handed_over_config()
if text is None:
    hand_over_config(b"node c1\\n" * 1000)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
print(text == b"node c1\\n" * 1000, handed_over_config(), len(os.listdir("/dev/fd")))
"""


def test_the_config_outlives_the_program() -> None:
    output = subprocess.check_output([sys.executable, "-c", BEGIN_AGAIN], cwd=ROOT, text=True)
    plain = subprocess.check_output(
        [sys.executable, "-c", "import os; print(len(os.listdir('/dev/fd')))"], cwd=ROOT, text=True
    )
    assert output.split() == ["True", "None", plain.strip()], "no descriptor stays open"


def test_the_config_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, "")
    monkeypatch.delenv(CONFIG_VARIABLE)
    assert handed_over_config() is None
    hand_over_config(b"max-mail 7\n")
    assert handed_over_config() == b"max-mail 7\n"
    assert CONFIG_VARIABLE not in os.environ
    assert handed_over_config() is None
