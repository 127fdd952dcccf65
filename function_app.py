"""The Azure Functions app: its triggers, nothing else."""

import os

import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(arg_name="timer", schedule="%REFRESH_SCHEDULE%", run_on_startup=False, use_monitor=True)
def refresh_git(timer: func.TimerRequest) -> None:
    """Refresh the Git credentials and Git folders of every workspace in the app settings; raise if any of it failed."""
    from git_refresh.app import tick  # noqa: PLC0415  # heavy SDKs: loaded with the first run, not while the app starts

    tick(os.environ, timer.schedule_status)  # type: ignore[attr-defined]  # the worker passes the full class
