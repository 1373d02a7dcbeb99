"""The line being typed: its keys, its completion, its history, and the toolbar below it.

prompt_toolkit is imported by the functions that use it, so this module can be imported without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from text import replaced
from ui.dialects.base import WordCompletion
from ui.secrets import cut, hide
from ui.typed_history import HistoryFile

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.output import Output

MIN_ROWS = 4
"""Rows of the smallest terminal that has a toolbar."""


class PromptHooks(NamedTuple):
    """The calls by which a screen gets what belongs to the line being typed.

    Attributes:
        prompt: returns the text before the line.
        progress: returns the text at its right end, if there is room.
        toolbar: returns the text below it, for a number of columns.
        complete: see `ClientDialect`.
        secret_start: see `ClientDialect`. Secrets are neither shown nor kept.
        switch: called with the number of Alt and a digit; Alt-0 is 10.
        interrupted: Ctrl-C on an empty line.
        history: keeps the lines.
        styles: the colours.
    """

    prompt: Callable[[], str]
    progress: Callable[[], str]
    toolbar: Callable[[int], str]
    complete: Callable[[str], WordCompletion]
    secret_start: Callable[[str], int]
    switch: Callable[[int], None]
    interrupted: Callable[[], None]
    history: HistoryFile
    styles: dict[str, str]

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
    from prompt_toolkit.history import History
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

    class Lines(History):
        def load_history_strings(self) -> Iterable[str]:
            return reversed(hooks.history.load())

        def append_string(self, string: str) -> None:
            if kept := "\n".join(map(hooks.without_secrets, string.split("\n"))):
                super().append_string(kept)

        def store_string(self, string: str) -> None:
            hooks.history.append(string)

    session: PromptSession[str] = PromptSession(
        message=lambda: [("class:prompt", hooks.prompt())],
        rprompt=lambda: [("class:progress", hooks.progress())],
        completer=Words(),
        complete_while_typing=False,
        enable_suspend=True,
        history=Lines(),
        input_processors=[Mask()],
        key_bindings=_key_bindings(hooks),
        style=Style.from_dict(hooks.styles),
        output=output,
    )
    _add_toolbar(session, hooks)
    return session


def _add_toolbar(session: PromptSession[str], hooks: PromptHooks) -> None:
    """Put a toolbar below the line. That of `PromptSession` waits for a terminal that tells its cursor's position."""
    from prompt_toolkit.filters import Condition, is_done
    from prompt_toolkit.layout.containers import ConditionalContainer, HSplit, Window
    from prompt_toolkit.layout.controls import FormattedTextControl

    def size() -> tuple[int, int]:
        return session.app.output.get_size()

    control = FormattedTextControl(lambda: [("class:toolbar", hooks.toolbar(size()[1]))])
    has_room = Condition(lambda: size()[0] >= MIN_ROWS)
    layout = session.layout.container
    assert isinstance(layout, HSplit)
    layout.children.append(
        ConditionalContainer(Window(control, height=1, dont_extend_height=True), ~is_done & has_room)
    )


def _key_bindings(hooks: PromptHooks) -> KeyBindings:
    from prompt_toolkit.enums import DEFAULT_BUFFER
    from prompt_toolkit.filters import has_focus
    from prompt_toolkit.key_binding import KeyBindings

    bindings = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)

    @bindings.add("c-c", filter=typing)
    def _interrupt(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.text:
            buffer.reset()
            buffer.on_text_changed.fire()
        else:
            hooks.interrupted()

    @bindings.add("tab", filter=typing)
    def _complete(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state:
            buffer.complete_next()
            return
        before = buffer.document.current_line_before_cursor
        word = before[before.rfind(" ") + 1 :]
        is_name = bool(word) and not before.lstrip().startswith("/") and not word.startswith("@")
        buffer.start_completion(select_first=is_name, insert_common_part=not is_name)

    for digit in range(10):
        bindings.add("escape", str(digit), filter=typing)(lambda _event, number=digit or 10: hooks.switch(number))
    return bindings
