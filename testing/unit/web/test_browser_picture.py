"""The pictures of the page in the README can be drawn again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.chromium import PROGRAM
from support.page_picture import PICTURES, draw


def test_a_netcat_weechat_and_the_page_meet_in_a_picture(tmp_path: Path) -> None:
    if (PROGRAM is None or shutil.which("weechat") is None) and "CI" not in os.environ:
        pytest.skip("there is no Chromium, or no WeeChat")
    draw(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(PICTURES.values())
