"""The Azure Functions app: its triggers, nothing else."""

import os
from collections.abc import Mapping
from typing import List  # noqa: UP035  # the worker takes no list[str] in func.Out

import azure.functions as func

app = func.FunctionApp()

on_schedule = app.timer_trigger(
    arg_name="timer", schedule="%REFRESH_SCHEDULE%", run_on_startup=False, use_monitor=True
)
SLICES, STORAGE = "git-refresh-slices", "AzureWebJobsStorage"

# What they import is heavy: it is loaded with the first run, not while the app starts.
if os.environ.get("FAN_OUT", "").strip() != "queue":

    @on_schedule
    def refresh_git(timer: func.TimerRequest) -> None:
        """Refresh the Git credentials and Git folders of every workspace in the app settings; raise if any of it failed."""
        from git_refresh.app import run_scheduled  # noqa: PLC0415  # see above

        status: Mapping[str, object] | None = timer.schedule_status  # type: ignore[attr-defined]  # the worker passes the full class
        run_scheduled(os.environ, status, past_due=timer.past_due)

else:

    @app.function_name("refresh_git")
    @on_schedule
    @app.queue_output(arg_name="slices", queue_name=SLICES, connection=STORAGE)
    def dispatch(timer: func.TimerRequest, slices: func.Out[List[str]]) -> None:  # noqa: UP006  # see above
        """Put a message for each slice of the workspaces on the queue; raise if the settings allow no run."""
        from git_refresh import fan_out  # noqa: PLC0415  # see above

        status: Mapping[str, object] | None = timer.schedule_status  # type: ignore[attr-defined]  # see above
        slices.set(fan_out.dispatch(os.environ, status, past_due=timer.past_due))

    @app.queue_trigger(arg_name="message", queue_name=SLICES, connection=STORAGE)
    def refresh_slice(message: func.QueueMessage) -> None:
        """Refresh the workspaces of one slice; raise if any of it failed."""
        from git_refresh import fan_out  # noqa: PLC0415  # see above

        fan_out.refresh_slice(os.environ, fan_out.Delivery.of(message))
