"""Reports the end of a function: one run line, and an exception if anything failed.

The portal and the alerts detect a failure only by the exception.
"""

from collections.abc import Callable

from git_refresh.failures.diagnosis import DiagnosisContext, diagnose, noted
from git_refresh.model.values import Problem, Slice
from git_refresh.output.log import RedactingLogger
from git_refresh.run.report import Report, log_nothing_done
from git_refresh.settings.load import SettingsError

LONGEST_MESSAGE = 4_000
"""Maximum characters of the raised text."""


class RunFailedError(Exception):
    """Something in the run failed. The text is one line without secrets."""


def failure_of(
    work: Callable[[], Report | None], logger: RedactingLogger, slice_: Slice | None = None
) -> str:
    """Call `work`, and return its failure or "". If `work` raises, log a run line with the reason."""
    try:
        report = work()
    except SettingsError as error:
        problems: tuple[Problem, ...] = tuple(error.problems)
        failure = f"No workspace was refreshed: the app settings are invalid. {'; '.join(map(str, problems))}"
    except Exception as error:  # noqa: BLE001  # a bug must not suppress the run line
        problems = (noted("run", diagnose(error, DiagnosisContext()), "error"),)
        failure = str(problems[0])
    else:
        return "" if report is None or report.result == "ok" else report.summary()
    log_nothing_done(problems, logger, slice_)
    return failure


def raise_failure(failure: str, logger: RedactingLogger) -> None:
    """Raise `RunFailedError` unless `failure` is empty.

    Security: call this outside of every `except`, because the exception's context could quote secrets.
    """
    if failure:
        raise RunFailedError(logger.redact_text(failure, LONGEST_MESSAGE))
