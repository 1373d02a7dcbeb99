"""Plays a case on servers of its own: `play(case, settings) -> Record`."""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from pathlib import Path

from harness.actors import Stage
from harness.language import Case, Step
from harness.processes import Settings, seconds_since
from harness.report import Entry, Outcome, Record, Trouble
from harness.text import Failed


def play(case: Case, settings: Settings | None = None) -> Record:
    """Play a case on servers of its own, in a directory of its own. A failure is in the record."""
    settings = settings or Settings()
    record = Record(case.name, case.file)
    began = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="crosstalk-testing-"))
    try:
        stage = Stage(case.roles, settings, directory)
        record.error = _perform_all(case, stage, record.transcript, began)
        record.error = _close(case, stage, record.error)
    finally:
        if settings.keep:
            record.directory = str(directory)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    record.outcome = Outcome.FAILED if record.error else Outcome.PASSED
    record.seconds = seconds_since(began)
    return record


def _perform_all(case: Case, stage: Stage, transcript: list[Entry], began: float) -> Trouble | None:
    """Play the steps, up to the first one that fails."""
    for step in case.steps:
        trouble, received = None, None
        try:
            received = perform(stage, step)
        except Exception as error:
            trouble = _trouble(step, error)
            received = trouble.received
        transcript.append(Entry(step.line, step.name, step.action.symbol, step.text, received, seconds_since(began)))
        if trouble:
            return trouble
    return None


def perform(stage: Stage, step: Step) -> str | None:
    """Play a step; return what was received. Raises Failed."""
    return step.action.play(stage.actor(step.name), step.argument)


def _close(case: Case, stage: Stage, trouble: Trouble | None) -> Trouble | None:
    """Stop everything. If all steps passed, a server that ended badly fails the step that started it."""
    for name, complaint in stage.close():
        start = next(step for step in case.steps if step.name == name and step.action.symbol in ("@", "@@"))
        trouble = trouble or _trouble(start, Failed(f"the server {complaint}"))
    if trouble:
        trouble.stderr = stage.stderr()
    return trouble


def _trouble(step: Step, error: Exception) -> Trouble:
    if isinstance(error, Failed):
        return Trouble(step.line, step.text, error.message, error.expected, error.received)
    return Trouble(step.line, step.text, render_exception(error))


def render_exception(error: Exception) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
