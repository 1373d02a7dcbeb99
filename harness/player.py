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
from harness.report import Entry, Failure, Outcome, Record
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


def _perform_all(case: Case, stage: Stage, transcript: list[Entry], began: float) -> Failure | None:
    """Play the steps, up to the first one that fails."""
    for step in case.steps:
        failure, received = None, None
        try:
            received = perform(stage, step)
        except Exception as error:
            failure = _failure(step, error)
            received = failure.received
        transcript.append(Entry(step.line, step.name, step.action.symbol, step.text, received, seconds_since(began)))
        if failure:
            return failure
    return None


def perform(stage: Stage, step: Step) -> str | None:
    """Play a step; return what was received. Raises Failed."""
    return step.action.play(stage.actor(step.name), step.argument)


def _close(case: Case, stage: Stage, failure: Failure | None) -> Failure | None:
    """Stop everything. If all steps passed, a server that ended badly fails the step that started it."""
    for name, complaint in stage.close():
        start = next(step for step in case.steps if step.name == name and step.action.symbol in ("@", "@@"))
        failure = failure or _failure(start, Failed(f"the server {complaint}"))
    if failure:
        failure.stderr = stage.stderr()
    return failure


def _failure(step: Step, error: Exception) -> Failure:
    if isinstance(error, Failed):
        return Failure(step.line, step.text, error.message, error.expected, error.received)
    return Failure(step.line, step.text, render_exception(error))


def render_exception(error: Exception) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
