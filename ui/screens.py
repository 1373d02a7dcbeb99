"""The line being typed, and the lines above it, on terminals with and without cursor movement.

prompt_toolkit is imported by the functions that use it, so this module can be imported without it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from text import clean
from ui.clock import Clock
from ui.editor import PromptHooks, line_session
from ui.rendering import Fragments, without_style
from ui.streams import STDOUT, write_all
from ui.wrapping import wrap

if TYPE_CHECKING:
    from prompt_toolkit.application import Application
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.layout.screen import Char
    from prompt_toolkit.output import Output

WITHOUT_CURSOR = ("", "dumb", "unknown")
"""Values of TERM of terminals that can only print."""

TITLED = re.compile(r"xterm|rxvt|screen|tmux|alacritty|foot|kitty|konsole|vte|gnome|st-|wezterm|mintty|contour")
"""Matches the start of TERM of terminals whose title can be set, and set back."""

REFLOWING = {
    "TMUX": r".", "VTE_VERSION": r".", "KONSOLE_VERSION": r".", "KITTY_WINDOW_ID": r".", "WT_SESSION": r".",
    "TERM_PROGRAM": r"iTerm|Apple_Terminal|vscode|WezTerm|ghostty|mintty", "TERM": r"alacritty|foot|contour|.*kitty",
}  # fmt: skip
"""Variables, and what their values begin with, of terminals that break their rows anew when they become narrower."""

PUSH_TITLE, POP_TITLE = "\x1b[22;2t", "\x1b[23;2t"


class Screen:
    """A line being typed, and lines above it. All calls come from the thread of `ask`."""

    def __init__(self, hooks: PromptHooks, output: Output) -> None:
        self._session = line_session(hooks, output)
        self._app = self._session.app
        self._hooks = hooks

    async def ask(self) -> str:
        """Let a line be typed.

        Raises:
            EOFError: the input is at its end, or `end` was called.
            KeyboardInterrupt: SIGINT has come, which is not Ctrl-C: the terminal's modes make that a key.
        """
        return await self._session.prompt_async(set_exception_handler=False)

    def repeat(self, prompt: str, line: str) -> None:
        """Keep the line that was just typed on the screen, behind this prompt."""
        raise NotImplementedError

    def show(self, lines: Iterable[Fragments]) -> None:
        """Show lines above the one that is being typed."""
        raise NotImplementedError

    def refresh(self) -> None:
        """The prompt, the toolbar or the progress has changed."""
        self._app.invalidate()

    def redraw(self) -> None:
        """Another program has used the terminal: draw the line again."""
        self._app.renderer.erase()  # also forgets the terminal's modes
        self._app.invalidate()

    def bell(self) -> None:
        """Ring the bell."""
        raise NotImplementedError

    def set_title(self, title: str) -> None:
        """Set the terminal's title if it allows that; an empty one gives back the title from before."""

    def end(self) -> None:
        """Make a running `ask` raise EOFError."""
        if self._app.future is not None and not self._app.future.done():
            self._app.exit(exception=EOFError)


class RichScreen(Screen):
    """A terminal that can move its cursor: the line being typed stays below everything.

    prompt_toolkit's `run_in_terminal` will not do to print above it: meanwhile the terminal echoes the keys.
    """

    def __init__(self, hooks: PromptHooks) -> None:
        from prompt_toolkit.output import ColorDepth
        from prompt_toolkit.output.vt100 import Vt100_Output

        depth = ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else ColorDepth.from_env()
        output = Vt100_Output.from_pty(sys.stdout, os.environ.get("TERM"), depth)
        output.enable_cpr = False  # cursor position requests, which some terminals never answer
        super().__init__(hooks, output)
        self._app.erase_when_done = True
        self._titled = False
        self._reflows = any(re.match(start, os.environ.get(name, "")) for name, start in REFLOWING.items())
        self._columns = 0
        """Columns of the terminal when the line was drawn last."""
        self._app.after_render += self._drawn
        renderer = self._app.renderer
        self._erase = renderer.erase
        renderer.erase = self._erase_all  # type: ignore[method-assign]  # also when the terminal is resized

    def repeat(self, prompt: str, line: str) -> None:
        self.show([[("class:typed", prompt + self._hooks.mask(line))]])

    def show(self, lines: Iterable[Fragments]) -> None:
        from prompt_toolkit.formatted_text import FormattedText
        from prompt_toolkit.renderer import print_formatted_text
        from prompt_toolkit.utils import get_cwidth

        if self._app.is_running:
            self._app.renderer.erase()
        width = self._app.output.get_size().columns
        rows = [row for line in lines for row in wrap(line, width, Clock.WIDTH, get_cwidth)]
        text = FormattedText([part for row in rows for part in (*row, ("", "\n"))])
        assert self._session.style
        print_formatted_text(self._app.output, text, self._session.style)
        self._app.invalidate()

    def _drawn(self, _app: Application[str]) -> None:
        self._columns = self._app.output.get_size().columns

    def _erase_all(self, leave_alternate_screen: bool = True) -> None:
        """Erase the line being typed, also where a narrower terminal has broken its rows anew."""
        screen, columns = self._app.renderer.last_rendered_screen, self._app.output.get_size().columns
        if self._reflows and screen is not None and columns < self._columns:
            cursor = screen.get_cursor_position(self._app.layout.current_window)
            widths = [_width(screen.data_buffer[row]) for row in range(cursor.y)]
            self._app.output.cursor_up(reflowed_rows(widths, cursor.x, columns))
        self._erase(leave_alternate_screen)

    def bell(self) -> None:
        self._app.output.bell()
        self._app.output.flush()

    def set_title(self, title: str) -> None:
        output = self._app.output
        if not TITLED.match(os.environ.get("TERM", "")) or not (title or self._titled):
            return
        if title and not self._titled:
            output.write_raw(PUSH_TITLE)
        if title:
            output.set_title(clean(title))
        else:
            output.write_raw(POP_TITLE)
        self._titled = bool(title)
        output.flush()


def _width(row: Mapping[int, Char]) -> int:
    """Return the columns of a drawn row, without the blanks at its end."""
    return max((column + 1 for column, char in row.items() if char.char.strip()), default=0)


def reflowed_rows(widths: Sequence[int], cursor: int, columns: int) -> int:
    """Return the rows that are added above the cursor when a terminal becomes narrower and breaks its rows anew.

    Args:
        widths: columns of each row above that of the cursor.
        cursor: the column of the cursor.
        columns: columns of the terminal now.
    """
    return sum(max(0, -(-width // columns) - 1) for width in widths) + cursor // columns


class DumbScreen(Screen):
    """A terminal that can only print (TERM=dumb), or a screen reader: no colour, and one line for each message."""

    def __init__(self, hooks: PromptHooks) -> None:
        from prompt_toolkit.output import DummyOutput

        super().__init__(hooks, DummyOutput())
        self._buffer = self._session.default_buffer
        self._buffer.on_text_changed += self._typed
        self._printed = ""
        """The line being typed, as it stands on the screen."""

    async def ask(self) -> str:
        self._buffer.reset()  # or the last line would be printed again, behind another prompt
        self._reprint()
        try:
            return await super().ask()
        finally:
            self._print("\n")

    def repeat(self, prompt: str, line: str) -> None:
        """Nothing: the line is on the screen already."""

    def show(self, lines: Iterable[Fragments]) -> None:
        text = "".join([without_style(line) + "\n" for line in lines])
        if self._app.is_running:
            self._print(f"\n{text}")
            self._reprint()
        else:
            self._print(text)

    def redraw(self) -> None:
        self._print("\n")
        self._reprint()

    def bell(self) -> None:
        self._print("\a")

    def _typed(self, _buffer: Buffer) -> None:
        line = self._line()
        if not line.startswith(self._printed):
            self._print("\n")
            self._printed = ""
        self._print(line[len(self._printed) :])
        self._printed = line

    def _reprint(self) -> None:
        self._printed = self._line()
        self._print(self._printed)

    def _line(self) -> str:
        return self._hooks.prompt() + "\n".join(map(self._hooks.mask, self._buffer.text.split("\n")))

    def _print(self, text: str) -> None:
        write_all(STDOUT, text.encode(errors="replace"))


def make_screen(hooks: PromptHooks, plain: bool) -> Screen:
    """Make the screen for this terminal; a plain one, as a screen reader needs it, only prints."""
    prints_only = plain or os.environ.get("TERM", "") in WITHOUT_CURSOR
    return DumbScreen(hooks) if prints_only else RichScreen(hooks)
