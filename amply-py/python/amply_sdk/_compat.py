"""The functions of the published Python SDK 0.1.0, which this package replaces without a change."""

from __future__ import annotations

from ._client import Client
from ._errors import ProtocolError
from ._outcome import TrackedRoute
from ._results import Answer
from ._route import Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KEPT = 8
_clients: dict[tuple[str, str], Client] = {}


def route_task(
    *,
    api_key: str,
    task: str,
    base_url: str = "https://www.useamply.com",
    dimension: int | None = None,
    workload_type: str | None = None,
    filter_complexity: str | None = None,
    budget_usd: float | None = None,
    latency_target_ms: float | None = None,
) -> Route:
    """Asks which provider should run a task, without a client of one's own. The environment is not read.

    What is asked is left to the server to check.

    Args:
        api_key: The API key.
        task: The task in plain words.
        base_url: The server.
        dimension: Dimensions of one vector.
        workload_type: `insert_heavy`, `query_heavy` or `hybrid`.
        filter_complexity: `low`, `medium` or `high`.
        budget_usd: A hint in USD.
        latency_target_ms: A hint in ms.

    Raises:
        TypeError: The key or the task is missing.
        AmplyApiError: With `.status` and `.body`.

    Example:
        >>> import amply_sdk
        >>> amply_sdk.route_task(api_key=sandbox.user_key, task="store 1M vectors", base_url=sandbox.url)["recommended"]
        'qdrant'
    """
    if not api_key:
        raise TypeError("api_key is missing; pass your API key")
    if not task:
        raise TypeError("task is missing; say in plain words what is to be done")
    body: dict[str, Any] = {"task": task}
    hints = {
        "dimension": dimension,
        "workload_type": workload_type,
        "filter_complexity": filter_complexity,
        "budget_usd": budget_usd,
        "latency_target_ms": latency_target_ms,
    }
    body.update((name, value) for name, value in hints.items() if value is not None)
    answer = _client(api_key, base_url).request("POST", "/route", body)
    if not isinstance(answer, Answer) or not isinstance(answer.get("recommended"), str):
        raise ProtocolError(
            "the answer recommends nobody, so that it is no answer of Amply; see where the base URL leads",
            status=answer.meta.status if isinstance(answer, Answer) else 200,
            body=answer,
            may_have_been_charged=True,
        )
    route = Route(answer)
    route._source = answer._source
    return route


def route_task_tracked(
    *,
    api_key: str,
    task: str,
    base_url: str = "https://www.useamply.com",
    dimension: int | None = None,
    workload_type: str | None = None,
    filter_complexity: str | None = None,
    budget_usd: float | None = None,
    latency_target_ms: float | None = None,
) -> TrackedRoute:
    """Asks for a route, together with the means to report how it went. Arguments and errors: `route_task`.

    Example:
        >>> import amply_sdk
        >>> route, report_outcome = amply_sdk.route_task_tracked(
        ...     api_key=sandbox.user_key, task="store 1M vectors", base_url=sandbox.url
        ... )
        >>> report_outcome(success=True, actual_latency_ms=42).credits_awarded
        1
    """
    if not api_key:
        raise TypeError("api_key is missing; pass your API key")
    if not task:
        raise TypeError("task is missing; say in plain words what is to be done")
    return _client(api_key, base_url).route_task_tracked(
        task,
        dimension=dimension,
        workload_type=workload_type,  # type: ignore[arg-type]
        filter_complexity=filter_complexity,  # type: ignore[arg-type]
        budget_usd=budget_usd,
        latency_target_ms=latency_target_ms,
    )


def _client(api_key: str, base_url: str) -> Client:
    """The same for the same key and server, so that connections are kept."""
    client = _clients.get((api_key, base_url))
    if client is None:
        client = Client(api_key=api_key, base_url=base_url, principal="ignore")
        while len(_clients) >= _KEPT:
            _clients.pop(next(iter(_clients)), None)
        _clients[api_key, base_url] = client
    return client
