"""How a function ends: with one run line, and by raising, because the portal and alerts see only a function that raises."""

from collections.abc import Callable

from git_refresh.failures.diagnosis import DiagnosisContext, diagnose, noted
from git_refresh.model.values import Problem, Slice
from git_refresh.output.log import RedactingLogger
from git_refresh.run.report import Report, log_nothing_done
from git_refresh.settings.load import SettingsError

LONGEST_MESSAGE = 4_000
"""Characters of what is raised."""


class RunFailedError(Exception):
    """Something in the run failed. Raised last; its text is one line for people, without secrets."""


def failure_of(
    work: Callable[[], Report | None], logger: RedactingLogger, slice_: Slice | None = None
) -> str:
    """Do the work of a function and return why it failed, or nothing. If it returns no report, log a run line that says why."""
    try:
        report = work()
    except SettingsError as error:
        problems: tuple[Problem, ...] = tuple(error.problems)
        failure = f"Nothing was run, because the app settings are wrong. {'; '.join(map(str, problems))}"
    except Exception as error:  # noqa: BLE001  # a defect: without this, the run would have no run line
        problems = (noted("run", diagnose(error, DiagnosisContext()), "error"),)
        failure = str(problems[0])
    else:
        return "" if report is None or report.result == "ok" else report.summary()
    log_nothing_done(problems, logger, slice_)
    return failure


def raise_failure(failure: str, logger: RedactingLogger) -> None:
    """Raise a failure outside of every `except`: an exception's context could quote secrets."""
    if failure:
        raise RunFailedError(logger.redact_text(failure, LONGEST_MESSAGE))
