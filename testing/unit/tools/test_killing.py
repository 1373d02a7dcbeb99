"""tools/: a server that is killed under load, and what the verdict of that would notice."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from domain.changes import ChannelCreated, Mailed, Said
from store import Store
from tools.killing import run
from tools.soak import EXPLAINED, FAULTS, Scene, frozen, full_disk, soak
from tools.speakers import CHANNEL, MAILBOX, SPEAKERS, Speaker, judge, prepare


def speaker(said: list[str], kept: list[str]) -> Speaker:
    """A speaker that has said and been told this."""
    speaker = Speaker(SPEAKERS[0], 1, "test")
    speaker.said, speaker.kept = said, kept
    return speaker


def test_the_verdict_notices_what_is_lost_doubled_or_from_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    prepare(path)
    store = Store(str(path))
    store.write([ChannelCreated(CHANNEL, MAILBOX, 0.0)])
    store.write(
        [Said("result", CHANNEL, text, 0.0, number) for number, text in enumerate(["a", "b", "b", "1-irc-9", "{"], 1)]
    )
    store.write([Mailed("mailbox", MAILBOX, "m", 0.0)])
    store.close()
    assert judge(path, [speaker(["a", "b", "1-irc-9"], ["a"]), speaker(["m"], ["m"])]).doubled == ["b"]
    verdict = judge(path, [speaker(["a", "b", "gone", "m"], ["a", "gone", "m"])])
    assert verdict == (["gone"], ["b"], ["1-irc-9"])
    assert not verdict
    assert judge(path, [speaker(["a", "b", "1-irc-9", "m", "never acknowledged"], ["a"])])[::2] == ([], [])


def test_every_speaker_knows_what_was_taken_and_what_was_not() -> None:
    lines = {
        "result": ("RECV result lobby t1", "RESULT SAY 0"),
        "rooms": ("[rooms (12:34:56)] t1", None),
        "mailbox": ("message from mailbox has been delivered to away's mailbox", "The mailbox of away is full"),
        "hello": ("SEND-OK", "UNKNOWN"),
        "federation": ("FEDRECV fay fay@far.example lobby t1", "FEDRESULT fay SAY lobby:me 0"),
        "irc": (":irc!~u@host PRIVMSG #lobby :t1", ":me 404 irc #lobby :Cannot send"),
        "page": (":page!~u@host PRIVMSG #lobby t1", ":me 404 page #lobby :Cannot send"),
    }
    assert [row.name for row in SPEAKERS] == [*lines]
    for row in SPEAKERS:
        taken, refused = lines[row.name]
        assert re.match(row.taken, taken)
        assert not re.match(row.refused, taken)
        assert refused is None or (re.match(row.refused, refused) and not re.match(row.taken, refused))


def test_what_was_acknowledged_in_any_dialect_survives_kills() -> None:
    verdict, speakers = run(2, random.Random(7))
    assert verdict, verdict
    assert {each.row.name for each in speakers if each.acknowledged} == {row.name for row in SPEAKERS}


def test_a_frozen_server_and_a_full_disk_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.soak.FAULT_SECONDS", 0.3)
    monkeypatch.setattr("tools.soak.CALM_SECONDS", 0.0)
    scene = Scene(tmp_path, random.Random(7))
    try:
        outcome = soak(scene, 1.0, (frozen, full_disk))
    finally:
        scene.server.close()
    assert outcome, outcome
    assert any(EXPLAINED[0] in line for line in scene.log)
    assert {frozen, full_disk} < {*FAULTS}
