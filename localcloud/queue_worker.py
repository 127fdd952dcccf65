"""An instance of the app with its host, for queues and, with `--timers`, for timers.

`python -m localcloud.queue_worker APP [--timers]` works until its stdin closes, then finishes the messages in
progress. If it is killed, other instances get its messages when they become visible. It prints a JSON object
per line: `ready`, the steps of each message (`localcloud.listener.Step`), each call of a timer as `fired`,
and the app's log lines as `log`. An error that would end the host ends it, timers included, with exit code 1.
"""

import argparse
import asyncio
import dataclasses
import functools
import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from localcloud.listener import INVISIBLE_S, QueueListener, Step, set_within
from localcloud.queues import QueueOptions, connected, send_outputs
from localcloud.timer import Timer
from localcloud.worker import Worker


def _say(event: str, **what: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **what}) + "\n")
    sys.stdout.flush()


def _say_step(step: Step) -> None:
    _say(**dataclasses.asdict(step))


class _Handler(logging.Handler):
    """A handler for the worker's own log lines; Azure's libraries belong to the host here."""

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("azure"):
            _say("log", level=record.levelname, logger=record.name, message=record.getMessage())


async def _fire(worker: Worker, function: str, stop: asyncio.Event, options: QueueOptions) -> None:
    """Call a timer's function on schedule, like the instance that has the timer's lock."""
    bindings = worker.bindings[function]
    setting = next(each["schedule"] for each in bindings if each["type"] == "timerTrigger").strip("%")
    timer = Timer(os.environ[setting], datetime.now(UTC))
    while True:
        due = (timer.call.due - datetime.now(UTC)).total_seconds()
        if await set_within(stop, max(due, 0)):
            return
        began, info = datetime.now(UTC), timer.call.info
        outcome = await worker.fire(function, info)
        timer.ended(began, datetime.now(UTC))
        if any(each["type"] == "queue" for each in bindings):
            await asyncio.to_thread(send_outputs, connected(os.environ), bindings, outcome, options)
        _say("fired", function=function, ok=outcome.ok, info=info)


async def _listen(worker: Worker, options: QueueOptions, invisible: float, *, timers: bool) -> None:
    listeners = [
        QueueListener(
            connected(os.environ, binding["connection"]),
            binding["queueName"],
            functools.partial(worker.process, function),
            options,
            invisible=invisible,
            report=_say_step,
        )
        for function, bindings in worker.bindings.items()
        for binding in bindings
        if binding["type"] == "queueTrigger"
    ]
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, daemon=True).start()
    _say("ready", process=os.getpid())
    firing = [
        _fire(worker, function, stop, options)
        for function, bindings in worker.bindings.items()
        if timers and any(each["type"] == "timerTrigger" for each in bindings)
    ]
    await asyncio.gather(*(listener.listen(stop) for listener in listeners), *firing)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m localcloud.queue_worker")
    parser.add_argument("app", type=Path, help="the directory of function_app.py and host.json")
    parser.add_argument("--invisible", type=float, default=INVISIBLE_S, help="seconds, see QueueListener")
    parser.add_argument("--timers", action="store_true", help="call its timers too, by their schedules")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, handlers=[_Handler()], force=True)
    with Worker(arguments.app) as worker:
        options = QueueOptions.read(arguments.app / "host.json")
        worker.run(_listen(worker, options, arguments.invisible, timers=arguments.timers))


if __name__ == "__main__":
    main()
