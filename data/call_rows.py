"""What the readers of function calls share: from a request, functions and the right calls to a task."""

from collections.abc import Mapping, Sequence
from typing import Any

from data.rows import UnusableRowError, as_text
from envs.json.calls import calls_schema
from envs.json.schema import compile_schema
from envs.json.task import Call, CallsGold, JsonTask


def call_task(task_id: str, labels: Mapping[str, str], request: Any, functions: Any, gold: CallsGold) -> JsonTask:
    """The task of calling ``functions`` as ``request`` asks.

    Args:
        functions: a list of ``{name, description?, parameters?}``, or of ``{"function": ...}`` around such objects.

    Raises:
        UnusableRowError: something is missing, or is not of that form.
    """
    if not isinstance(request, str) or not request.strip():
        raise UnusableRowError("no request")
    offered = _offered(functions)
    if any(call.function not in {function["name"] for function in offered} for call in gold.calls):
        raise UnusableRowError("a call of a function that is not offered")
    shown = as_text(offered, "functions are not JSON")
    try:
        schema = as_text(calls_schema(offered), "functions are not JSON")
    except RecursionError as error:
        raise UnusableRowError("parameters are no JSON Schema") from error
    if compile_schema(schema).defect is not None:
        raise UnusableRowError("parameters are no JSON Schema")
    return JsonTask(
        id=task_id,
        labels=labels,
        schema=schema,
        text=request.strip(),
        gold=gold,
        functions=shown,
    )


def right_call(row: Any) -> Call:
    """The call of a row ``{name, arguments, also?, optional?}``, see ``data.function_calls``.

    Raises:
        UnusableRowError: it is not of that form.
    """
    if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
        raise UnusableRowError("a call without a name")
    arguments, also, optional = row.get("arguments") or {}, row.get("also") or {}, row.get("optional") or []
    if not isinstance(arguments, Mapping) or not isinstance(also, Mapping) or not isinstance(optional, Sequence):
        raise UnusableRowError("a call whose arguments are no object")
    if not arguments.keys() >= {*also, *optional} or not all(isinstance(others, list) for others in also.values()):
        raise UnusableRowError("a call that names other values or optional ones of arguments that it lacks")
    return Call(
        function=row["name"],
        arguments={
            name: tuple(as_text(right, "a call that is not JSON") for right in (value, *also.get(name, ())))
            for name, value in arguments.items()
        },
        optional=frozenset(optional),
    )


def _offered(functions: Any) -> list[dict[str, Any]]:
    if not isinstance(functions, list) or not functions:
        raise UnusableRowError("no functions")
    offered = []
    for entry in functions:
        function = entry.get("function", entry) if isinstance(entry, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise UnusableRowError("a function without a name")
        if not isinstance(function.get("parameters") or {}, Mapping):
            raise UnusableRowError("parameters are no JSON Schema")
        offered.append({key: function[key] for key in ("name", "description", "parameters") if key in function})
    if len({function["name"] for function in offered}) < len(offered):
        raise UnusableRowError("two functions of one name")
    return offered
