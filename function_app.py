"""Triggers of the Azure Functions app."""

import os
from collections.abc import Mapping
from typing import List  # noqa: UP035  # the worker rejects list[str] in func.Out

import azure.functions as func

app = func.FunctionApp()

on_schedule = app.timer_trigger(
    arg_name="timer", schedule="%REFRESH_SCHEDULE%", run_on_startup=False, use_monitor=True
)
SLICES, STORAGE = "git-refresh-slices", "AzureWebJobsStorage"

# The imports inside the functions are heavy: they load with the first run, not at the app's start.
if os.environ.get("FAN_OUT", "").strip() != "queue":

    @on_schedule
    def refresh_git(timer: func.TimerRequest) -> None:
        """Refresh all workspaces in the app settings; raise if anything failed."""
        from git_refresh.app import run_scheduled  # noqa: PLC0415  # see above

        status: Mapping[str, object] | None = timer.schedule_status  # type: ignore[attr-defined]  # the worker passes the full class
        run_scheduled(os.environ, status, past_due=timer.past_due)

else:

    @app.function_name("refresh_git")
    @on_schedule
    @app.queue_output(arg_name="slices", queue_name=SLICES, connection=STORAGE)
    def dispatch(timer: func.TimerRequest, slices: func.Out[List[str]]) -> None:  # noqa: UP006  # see above
        """Queue one message for each slice of the workspaces; raise if the settings allow no run."""
        from git_refresh import fan_out  # noqa: PLC0415  # see above

        status: Mapping[str, object] | None = timer.schedule_status  # type: ignore[attr-defined]  # see above
        slices.set(fan_out.dispatch(os.environ, status, past_due=timer.past_due))

    @app.queue_trigger(arg_name="message", queue_name=SLICES, connection=STORAGE)
    def refresh_slice(message: func.QueueMessage) -> None:
        """Refresh the workspaces of one slice; raise if anything failed."""
        from git_refresh import fan_out  # noqa: PLC0415  # see above

        fan_out.refresh_slice(os.environ, fan_out.Delivery.of(message))
