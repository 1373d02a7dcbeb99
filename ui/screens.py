"""The prompt, and the lines above it, on terminals with and without cursor movement.

prompt_toolkit is imported by the functions that use it, so this module can be imported without it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from text import replaced
from ui.dialects.base import STYLES, Fragments, WordCompletion, cut, hide, without_style
from ui.streams import STDOUT, write_all

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.output import Output


class PromptHooks(NamedTuple):
    """The calls by which a screen gets what belongs to the line being typed.

    Attributes:
        prompt: gives the text before the line.
        progress: gives the text at its right end, if there is room.
        complete: see `ClientDialect`.
        secret_start: see `ClientDialect`. Secrets are neither shown nor kept.
    """

    prompt: Callable[[], str]
    progress: Callable[[], str]
    complete: Callable[[str], WordCompletion]
    secret_start: Callable[[str], int]

    def mask(self, line: str) -> str:
        """Mask the secrets of a typed line, and control characters that Tab may have completed; the length stays."""
        return replaced(hide(line, self.secret_start(line)))

    def without_secrets(self, line: str) -> str:
        """Cut the secrets off a typed line, for the history."""
        return cut(line, self.secret_start(line))


def line_session(hooks: PromptHooks, output: Output) -> PromptSession[str]:
    """Build a line editor: it hides passwords, keeps them out of its history, and completes words."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import InMemoryHistory
    from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
    from prompt_toolkit.layout.utils import explode_text_fragments
    from prompt_toolkit.styles import Style

    class Mask(Processor):
        def apply_transformation(self, ti: TransformationInput) -> Transformation:
            shown = explode_text_fragments(ti.fragments)
            hidden = hooks.mask(ti.document.lines[ti.lineno])
            return Transformation([(part[0], letter) for part, letter in zip(shown, hidden, strict=False)])

    class Words(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            word, choices = hooks.complete(document.current_line_before_cursor)
            return (Completion(choice, -len(word), display=replaced(choice)) for choice in choices)

    class History(InMemoryHistory):
        def append_string(self, string: str) -> None:
            super().append_string("\n".join(map(hooks.without_secrets, string.split("\n"))))

    return PromptSession(
        message=lambda: [("class:prompt", hooks.prompt())],
        rprompt=lambda: [("class:progress", hooks.progress())],
        completer=Words(),
        complete_while_typing=False,
        enable_suspend=True,
        history=History(),
        input_processors=[Mask()],
        style=Style.from_dict(dict(STYLES)),
        output=output,
    )


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
            KeyboardInterrupt: Ctrl-C was typed.
        """
        return await self._session.prompt_async(set_exception_handler=False)

    def repeat(self, prompt: str, line: str) -> None:
        """Keep the line that was just typed on the screen, behind this prompt."""
        raise NotImplementedError

    def show(self, lines: Iterable[Fragments]) -> None:
        """Show lines above the one that is being typed."""
        raise NotImplementedError

    def refresh(self) -> None:
        """The prompt or the progress has changed."""
        self._app.invalidate()

    def redraw(self) -> None:
        """Another program has used the terminal: draw the line again."""
        self._app.renderer.erase()  # also forgets the terminal's modes
        self._app.invalidate()

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

    def repeat(self, prompt: str, line: str) -> None:
        self.show([[("class:typed", prompt + self._hooks.mask(line))]])

    def show(self, lines: Iterable[Fragments]) -> None:
        from prompt_toolkit.formatted_text import FormattedText
        from prompt_toolkit.renderer import print_formatted_text

        if self._app.is_running:
            self._app.renderer.erase()
        text = FormattedText([part for line in lines for part in (*line, ("", "\n"))])
        assert self._session.style
        print_formatted_text(self._app.output, text, self._session.style)
        self._app.invalidate()


class DumbScreen(Screen):
    """A terminal that can only print (TERM=dumb): no colour, and the typed line is printed letter by letter."""

    def __init__(self, hooks: PromptHooks) -> None:
        from prompt_toolkit.output import DummyOutput

        super().__init__(hooks, DummyOutput())
        self._buffer = self._session.default_buffer
        self._buffer.on_text_changed += self._typed
        self._printed = ""
        """The line being typed, as it stands on the screen."""

    async def ask(self) -> str:
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
