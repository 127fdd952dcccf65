"""A function app in Microsoft's Python worker library, without the Functions host.

From Python 3.13 on, production runs `azure-functions-runtime`. It reads attributes of the host's messages and
builds responses from the given message types, so records can replace protobuf. `%SETTING%` look-ups and roles
of the host are not covered. Its timer is `localcloud.timer`; its queues are `localcloud.queues` and
`localcloud.listener`.

Facts: https://github.com/Azure/azure-functions-host, FunctionRpc.proto, WorkerFunctionInvoker.cs, Utility.cs
(ApplyBindingData) and GrpcMessageConversionExtensions.cs; https://github.com/Azure/azure-sdk-for-net,
QueueTriggerBinding.cs (CreateBindingData)
"""

import asyncio
import json
import sys
import uuid
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import azure_functions_runtime as runtime

from localcloud.timer import NEVER, Call, Status

SUCCESS = 1


class _Record(SimpleNamespace):
    """A protobuf message with any fields; reading another one returns None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class _TypedData(SimpleNamespace):
    """A value with exactly one field. The worker expects an AttributeError for other fields."""

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802  # protobuf's name
        return next(iter(vars(self)), None)


class _ParameterBinding(_Record):
    def WhichOneof(self, _: str) -> str:  # noqa: N802  # protobuf's name
        return "data"


class _BindingInfo(_Record):
    undefined, out, inout = 0, 1, 2


class _StatusResult(_Record):
    Failure, Success = 0, SUCCESS


MESSAGES = SimpleNamespace(
    BindingInfo=_BindingInfo,
    FunctionLoadResponse=_Record,
    FunctionMetadataResponse=_Record,
    InvocationResponse=_Record,
    ParameterBinding=_ParameterBinding,
    RpcException=_Record,
    RpcFunctionMetadata=_Record,
    RpcRetryOptions=_Record,
    StatusResult=_StatusResult,
    TypedData=_TypedData,
    WorkerInitResponse=_Record,
    WorkerMetadata=_Record,
)


class AppError(Exception):
    """The worker could not load the app: the exception's message and stack trace."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one invocation; `outputs` maps a binding's name to its value."""

    ok: bool
    message: str
    stack_trace: str
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedMessage:
    """A message as the host reads it: decoded text, and the queue's times."""

    text: str
    id: str
    dequeue_count: int
    inserted: datetime
    expires: datetime
    next_visible: datetime
    pop_receipt: str

    def metadata(self) -> dict[str, _TypedData]:
        """Return the metadata: the queue's fields, overridden by top-level fields of a JSON text.

        A text's field of the same name, in any case, hides the queue's own. Values are text, objects are
        JSON, and lists and null are missing.
        """
        given = {
            "QueueTrigger": _TypedData(string=self.text),
            "DequeueCount": _TypedData(json=json.dumps(self.dequeue_count)),
            "ExpirationTime": _TypedData(json=json.dumps(self.expires.isoformat())),
            "Id": _TypedData(string=self.id),
            "InsertionTime": _TypedData(json=json.dumps(self.inserted.isoformat())),
            "NextVisibleTime": _TypedData(json=json.dumps(self.next_visible.isoformat())),
            "PopReceipt": _TypedData(string=self.pop_receipt),
        }
        names = {name.lower(): name for name in given}
        for name, value in _fields(self.text).items():
            if isinstance(value, dict):
                data = _TypedData(json=json.dumps(value))
            elif value is None or isinstance(value, list):
                continue
            else:
                data = _TypedData(string=str(value))
            given[names.setdefault(name.lower(), name)] = data
        return given


class Worker:
    """The worker of one app directory; a process can have only one, because of a global registry.

    `bindings`: each function's bindings, as the host sees them.
    """

    def __init__(self, app: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._path = str(app)
        sys.path.insert(0, self._path)
        runtime.start_threadpool_executor()
        try:
            self.bindings = self._load()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        runtime.stop_threadpool_executor()
        sys.path.remove(self._path)
        self._loop.close()

    def fire_timer(
        self,
        function: str,
        *,
        last: datetime = NEVER,
        following: datetime | None = None,
        past_due: bool = False,
    ) -> Outcome:
        """Call a timer's function once.

        `last`: the start of the previous run (default: none).
        `following`: the occurrence of this call (default: now).
        `past_due`: whether it was missed or stopped.
        """
        due = following or datetime.now(UTC)
        return self.call_timer(function, Call(due, Status(last, due, last), past_due).info)

    def call_timer(self, function: str, info: Mapping[str, object]) -> Outcome:
        """Call a timer's function with the host's argument, `timer.Call.info`."""
        return self.run(self.fire(function, info))

    async def fire(self, function: str, info: Mapping[str, object]) -> Outcome:
        """Call a timer's function, concurrently with others."""
        return await self._invoke(function, _TypedData(json=json.dumps(info)), {})

    def deliver(
        self,
        function: str,
        text: str,
        *,
        message_id: str | None = None,
        dequeue_count: int = 1,
        inserted: datetime | None = None,
    ) -> Outcome:
        """Deliver a queue message, by default a new one; `inserted` defaults to now."""
        now = datetime.now(UTC)
        message = QueuedMessage(
            text=text,
            id=message_id or str(uuid.uuid4()),
            dequeue_count=dequeue_count,
            inserted=inserted or now,
            expires=(inserted or now) + timedelta(days=7),
            next_visible=now + timedelta(minutes=10),
            pop_receipt="receipt",
        )
        return self.run(self.process(function, message))

    async def process(self, function: str, message: QueuedMessage) -> Outcome:
        """Call a function with a queue message, concurrently with others."""
        return await self._invoke(function, _TypedData(string=message.text), message.metadata())

    def run[Result](self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in the worker's loop, as functions run."""
        return self._loop.run_until_complete(work)

    def _load(self) -> dict[str, list[dict[str, Any]]]:
        init = _Record(capabilities={}, function_app_directory=self._path)
        self._ask(runtime.worker_init_request(_message(worker_init_request=init)))
        answer = self._ask(runtime.functions_metadata_request(_message(functions_metadata_request=_Record())))
        functions = answer.function_metadata_results or []
        self._ids = {function.name: function.function_id for function in functions}
        for function in functions:
            load = _Record(function_id=function.function_id, metadata=function)
            self._ask(runtime.function_load_request(_message(function_load_request=load)))
        return {function.name: [json.loads(raw) for raw in function.raw_bindings] for function in functions}

    async def _invoke(self, function: str, data: _TypedData, metadata: Mapping[str, _TypedData]) -> Outcome:
        trigger = next(b["name"] for b in self.bindings[function] if b["type"].endswith("Trigger"))
        invocation = _Record(
            invocation_id=str(uuid.uuid4()),
            function_id=self._ids[function],
            input_data=[_ParameterBinding(name=trigger, data=data)],
            trigger_metadata=metadata,
            trace_context=_Record(trace_parent="", trace_state="", attributes={}),
            retry_context=_Record(retry_count=0, max_retry_count=0),
        )
        answer = await runtime.invocation_request(_message(invocation_request=invocation))
        error = answer.result.exception or _Record(message="", stack_trace="")
        outputs = {output.name: _value(output.data) for output in answer.output_data or ()}
        return Outcome(answer.result.status == SUCCESS, error.message, error.stack_trace, outputs)

    def _ask(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  # the library's messages have no types
        answer = self.run(work)
        if answer.result.status != SUCCESS:
            error = answer.result.exception
            raise AppError(f"{error.message}\n{error.stack_trace}")
        return answer


def _message(**content: object) -> _Record:
    return _Record(request=_Record(**content), properties={"protos": MESSAGES, "host": "127.0.0.1"})


def _fields(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _value(data: _TypedData) -> object:
    """Return the value that the host passes to the output binding."""
    kind, value = next(iter(vars(data).items()))
    return json.loads(value) if kind == "json" else value
