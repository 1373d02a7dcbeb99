"""The page in a headless Chromium: contrast of what it shows, in each of its themes and states."""

from __future__ import annotations

import signal

from support.chromium import CONTROL, Tab
from support.page_stage import Stage, log_in, reload, say

WEAK = """(() => {
  const parse = (colour) => {
    const [r, g, b, alpha = 1] = colour.match(/[\\d.]+/g).map(Number);
    return colour.startsWith("color(") ? [r * 255, g * 255, b * 255, alpha] : [r, g, b, alpha];
  };
  const over = (top, under) => top.slice(0, 3).map((part, at) => part * top[3] + under[at] * (1 - top[3]));
  const light = (colour) => colour.slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    const colour = node ? parse(getComputedStyle(node).backgroundColor) : [255, 255, 255, 1];
    return colour[3] === 1 ? colour : [...over(colour, ground(node.parentElement)), 1];
  };
  const ratio = (colour, node) => {
    const under = ground(node), [a, b] = [light(over(parse(colour), under)), light(under)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const dimmed = (node) => Boolean(node) && (+getComputedStyle(node).opacity < 1 || dimmed(node.parentElement));
  const weak = [], seen = [];
  for (const node of document.querySelectorAll("body *")) {
    const isField = node.matches("input:not([type=radio], [type=checkbox]), textarea");
    const hasText = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!(isField || hasText) || !node.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const style = getComputedStyle(node), colours = [style.color];
    if (isField) colours.push(getComputedStyle(node, "::placeholder").color);
    seen.push(node.textContent);
    for (const colour of colours) {
      const found = ratio(colour, node);
      if (found < 7 || dimmed(node)) weak.push([node.outerHTML.slice(0, 80), colour, found]);
    }
  }
  return [weak, seen.length];
})()"""
"""What has less than 7:1, or is dimmed, and how much was looked at."""


def check(page: Tab) -> None:
    """Look at the contrast in both themes."""
    for theme in ("light", "dark"):
        page.media(prefers_color_scheme=theme, prefers_reduced_motion="reduce")
        weak, looked_at = page.js(WEAK)
        assert weak == [], theme
        assert looked_at > 3


def test_text_has_a_contrast_of_7_to_1(stage: Stage) -> None:
    page = stage.tab()
    for way in ("login", "register", "guest"):
        page.click(f"[value={way}]")
        check(page)
    page.click("[value=login]")
    log_in(page, "nobody", "wrong")
    page.sees("wrong", "#login-error")
    check(page)


def test_text_in_channels_has_it_too(stage: Stage) -> None:
    name = stage.account("easel", "frame")
    page = stage.page(name)
    page.sees("#easel", "#title")
    peers = [stage.member("easel", "frame")[1] for _ in range(8)]  # of many hues
    peers[0].ask("TOPIC easel colours", f"SAY frame {name}: come")
    for peer in peers:
        peer.ask(f"SAY easel {name}: look at https://example.org/", "SAY easel and more")
    irc = stage.server.peer()
    stage.peers.append(irc)
    irc.send("NICK painter", "USER painter 0 * :x", "JOIN #easel")
    irc.send("PRIVMSG #easel :\x01ACTION paints\x01", "NOTICE #easel :done")
    page.sees("done", "#log")
    page.sees("1", "#channels .badge.mention")
    check(page)
    page.click("#menu")
    check(page)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.js(ground)
    page.media(prefers_color_scheme="light")
    page.click("[name=theme][value=dark]")
    page.wait(f"{ground} === '{dark}'")
    reload(page)
    page.sees("done", "#log")
    assert page.js(ground) == dark, "it is stored"
    page.click("#menu")
    page.click("[name=theme][value=system]")
    page.click("#settings .closes")
    page.key("k", CONTROL)
    page.type("e")
    page.sees("found", "#finder-note")
    check(page)
    page.key("Escape")
    page.click("#leave")
    page.sees("Leave #easel?", "#asking")
    check(page)
    page.click("#asking-no")
    stage.server.signal(signal.SIGSTOP)
    try:
        say(page, "x" * 430)
        page.type("y" * 450)
        page.sees("left", "#count")
        check(page)
        page.type("y" * 100)
        page.sees("too many", "#count")
        page.call(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )
        page.sees("Not confirmed", "#log")
        check(page)
    finally:
        stage.server.signal(signal.SIGCONT)
