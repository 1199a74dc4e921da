"""How a route went: tracked routes, what a report comes to, and the outbox."""

from __future__ import annotations

import time

from . import _native, _read
from ._results import Answer, Item
from ._route import Route, _route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from datetime import datetime
    from typing import Any


class Reported(Answer):
    """What the server said to a report; empty where the route had been reported before, so that nothing was sent.

    Example:
        >>> route, report_outcome = client.route_task_tracked("store 1M vectors")
        >>> report_outcome(success=True, actual_latency_ms=42).credits_awarded
        1
        >>> report_outcome(success=True).is_repeated
        True
    """

    __slots__ = ()
    _shown = ("received", "credits_awarded")

    @property
    def credits_awarded(self) -> int | None:
        """How many credits the report brought; 0 where nothing was sent."""
        return _read.whole(self.get("credits_awarded")) if self else 0

    @property
    def is_repeated(self) -> bool:
        """Whether the route had been reported before, so that this report did nothing."""
        return not self or _read.flag(self.get("duplicate")) is True


class Audit(Answer):
    """What the server knows of a route, with a proof that it is what it was.

    Example:
        >>> audit = client.audit(client.route_task("store 1M vectors").route_id)
        >>> audit.proof_hash is not None
        True
    """

    __slots__ = ()
    _shown = ("request_id", "outcome")

    @property
    def route_id(self) -> str | None:
        """The id of the route."""
        return _read.text(self.get("request_id"))

    @property
    def route(self) -> dict[str, Any] | None:
        """What was recommended, and what it cost."""
        return _object(self.get("route"))

    @property
    def outcome(self) -> dict[str, Any] | None:
        """How it was reported to have gone; None until it was reported."""
        return _object(self.get("outcome"))

    @property
    def proof_hash(self) -> str | None:
        """The hash that proves the rest, in hexadecimal digits."""
        return _read.text((_object(self.get("proof")) or {}).get("hash"))


class OutboxEntry(Item):
    """A report that waits to be delivered, or was given up.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> sandbox.fault({"status": {"status": 400}}, path="/outcome")
        >>> with TemporaryDirectory() as folder, sandbox.client(store=Path(folder, "store.db")) as client:
        ...     _ = client.route_task_tracked("store 1M vectors").report_durable(success=True)
        ...     _ = client.outbox.flush()
        ...     [entry] = client.outbox.list()
        >>> entry.is_dead, entry.attempts
        (True, 1)
    """

    __slots__ = ()
    _shown = ("id", "route_id", "is_dead", "attempts", "last_error")

    @property
    def id(self) -> str:
        """Its id in the outbox."""
        return str(self["id"])

    @property
    def route_id(self) -> str:
        """The route that it is of."""
        return str(self["route_id"])

    @property
    def is_dead(self) -> bool:
        """Whether it was given up; `last_error` then says why."""
        return bool(self["is_dead"])

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        return int(self["attempts"])

    @property
    def last_error(self) -> str | None:
        """What the last try failed with."""
        return _read.text(self.get("last_error"))

    @property
    def created_at(self) -> datetime:
        """When it was handed over, in UTC."""
        from datetime import datetime, timezone

        return datetime.fromtimestamp(self["created_ms"] / 1000, timezone.utc)


class _Tracked:
    """What is the same for both kinds of tracked routes."""

    __slots__ = ("_begun", "_core", "_ended", "_native", "route")

    route: Route
    """The route: a dict, exactly the server's JSON."""

    def __init__(self, core: _native.Core, raw: tuple[Any, _native.Tracked]) -> None:
        self._core = core
        self.route = _route(raw[0])
        self._native = raw[1]
        self._begun = 0.0
        self._ended: tuple[bool, float, str | None] | None = None

    @property
    def recommended(self) -> str:
        """The id of the provider to use."""
        return self.route.recommended

    @property
    def ticket(self) -> str:
        """A small token with which another process reports: `client.report(ticket, success=True)`.

        It holds no key, and nothing of the task. Whoever takes it takes over the report.

        Raises:
            InvalidRequestError: The server gave the route no id.
        """
        return self._native.ticket()

    def report_in_background(
        self, *, success: bool, actual_latency_ms: float | None = None, error_code: str | None = None
    ) -> bool:
        """Hands the report over in memory and returns at once; whether it is on its way, and not a second one.

        Raises:
            QueueFullError: Too many wait already: this one was not taken.
        """
        latency = _latency(actual_latency_ms)
        return _native.report_in_background(self._core, self.ticket, _success(success), latency, error_code)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.route!r})"

    def _begin(self) -> None:
        self._begun = time.monotonic()

    def _end(self, error: BaseException | None) -> tuple[bool, float, str | None] | None:
        """What to report at the end of the block; None where nobody can tell how it went."""
        latency = (time.monotonic() - self._begun) * 1000
        if error is None:
            return True, latency, None
        # Cancelled, Ctrl-C, or the end of the program: the provider has not failed.
        if not isinstance(error, Exception):
            self._native.forget()
            return None
        return False, latency, _code(error)


class TrackedRoute(_Tracked):
    """A route, and the means to report its outcome, once. From `Client.route_task_tracked`.

    As a context manager it times the block, and reports its success or its failure by itself. It unpacks to the pair of the
    documentation, the route and `report_outcome`.

    Example:
        >>> with client.route_task_tracked("store 1M vectors") as tracked:
        ...     print(tracked.recommended)
        qdrant
        >>> client.outbox.flush()
        0
        >>> client.outbox.counters()["delivered"]
        1
    """

    __slots__ = ()

    def report_outcome(
        self, *, success: bool, actual_latency_ms: float | None = None, error_code: str | None = None
    ) -> Reported:
        """Reports the outcome now, and waits for the server's answer. It may be kept, and called from any thread.

        Args:
            success: Whether the task was done.
            actual_latency_ms: How long it took at the provider, in ms.
            error_code: The kind of error, 1 to 64 of `a-z 0-9 _ . : -`; never its message.

        Raises:
            InvalidRequestError: The outcome cannot be right.
            AmplyApiError: The report was not taken; it may be made again.
        """
        return _reported(_native.report(self._core, self.ticket, _success(success), _latency(actual_latency_ms), error_code))

    def report_durable(
        self, *, success: bool, actual_latency_ms: float | None = None, error_code: str | None = None
    ) -> bool:
        """Commits the report to the store: it then survives the process, and is delivered at least once.

        Raises:
            ConfigError: The client has no store in a file.
        """
        return _native.report_durable(self._core, self.ticket, _success(success), _latency(actual_latency_ms), error_code)

    def __iter__(self) -> Iterator[Any]:
        yield self.route
        yield self.report_outcome

    def __enter__(self) -> TrackedRoute:
        self._begin()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        said = self._end(error)
        if said is not None:
            try:
                _native.report_settled(self._core, self.ticket, *said)
            except Exception as failed:
                _lost(failed)


class AsyncTrackedRoute(_Tracked):
    """The same for asyncio. From `AsyncClient.route_task_tracked`.

    Example:
        >>> async def main() -> None:
        ...     async with aclient.route_task_tracked("store 1M vectors") as tracked:
        ...         print(tracked.recommended)
        ...     route, report_outcome = await aclient.route_task_tracked("store 2M vectors")
        ...     print((await report_outcome(success=False, error_code="timeout")).credits_awarded)
        >>> run(main())
        qdrant
        1
    """

    __slots__ = ()

    async def report_outcome(
        self, *, success: bool, actual_latency_ms: float | None = None, error_code: str | None = None
    ) -> Reported:
        """Reports the outcome now, and waits for the server's answer. Arguments and errors: `TrackedRoute`."""
        pending = _native.report_async(
            self._core, self.ticket, _success(success), _latency(actual_latency_ms), error_code
        )
        return _reported(await _done(pending))

    async def report_durable(
        self, *, success: bool, actual_latency_ms: float | None = None, error_code: str | None = None
    ) -> bool:
        """Commits the report to the store: it then survives the process, and is delivered at least once."""
        pending = _native.report_durable_async(
            self._core, self.ticket, _success(success), _latency(actual_latency_ms), error_code
        )
        return bool(await _done(pending))

    def __iter__(self) -> Iterator[Any]:
        yield self.route
        yield self.report_outcome

    async def __aenter__(self) -> AsyncTrackedRoute:
        self._begin()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        said = self._end(error)
        if said is not None:
            try:
                if self._core.has_file:
                    # Whoever is cancelled meanwhile ends the waiting, and not the report.
                    await _native.report_settled_async(self._core, self.ticket, *said).future
                else:
                    _native.report_in_background(self._core, self.ticket, *said)
            except Exception as failed:
                _lost(failed)


class AsyncTracking:
    """A tracked route that is still to come: awaitable, and an async context manager. From `AsyncClient.route_task_tracked`.

    It asks once, since each time may cost money: a second `await` is a RuntimeError.

    Example:
        >>> async def main() -> str:
        ...     tracking = aclient.route_task_tracked("store 1M vectors")  # nothing is sent yet
        ...     return (await tracking).recommended
        >>> run(main())
        'qdrant'
    """

    __slots__ = ("_core", "_request", "_tracked")

    def __init__(self, core: _native.Core, request: Any) -> None:
        self._core = core
        self._request = request

    async def _ask(self) -> AsyncTrackedRoute:
        request, self._request = self._request, None
        if request is None:
            raise RuntimeError("this route was asked for already; call route_task_tracked again for another one")
        raw = await _done(_native.route_task_tracked_async(self._core, request))
        return AsyncTrackedRoute(self._core, raw)

    def __await__(self) -> Generator[Any, None, AsyncTrackedRoute]:
        return self._ask().__await__()

    async def __aenter__(self) -> AsyncTrackedRoute:
        self._tracked = await self._ask()
        return await self._tracked.__aenter__()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self._tracked.__aexit__(kind, error, trace)


class Outbox:
    """The reports that wait to be delivered, and those that were given up. From `Client.outbox`.

    Example:
        >>> tracked = client.route_task_tracked("store 1M vectors")
        >>> tracked.report_in_background(success=True, actual_latency_ms=42)
        True
        >>> client.outbox.flush()  # how many are left
        0
        >>> client.outbox.counters()["delivered"]
        1
    """

    __slots__ = ("_core",)

    def __init__(self, core: _native.Core) -> None:
        self._core = core

    def flush(self, timeout: float = 5.0) -> int:
        """Delivers all that waits, until the limit in seconds; how many are left."""
        return _native.outbox_flush(self._core, timeout)

    def list(self) -> list[OutboxEntry]:
        """The reports in the store that are not delivered, of every server and key, the oldest first."""
        return [OutboxEntry(entry) for entry in _native.outbox_list(self._core)]

    def waiting(self) -> int:
        """How many reports of this client's server and key wait in the store to be delivered."""
        return _native.outbox_waiting(self._core)

    def retry(self, id: str) -> OutboxEntry:
        """Has a report delivered that waits or was given up, from now on.

        Raises:
            InvalidRequestError: There is none of this id.
        """
        return OutboxEntry(_native.outbox_retry(self._core, id))

    def discard(self, id: str) -> OutboxEntry:
        """Removes a report that waits or was given up. It is lost then.

        Raises:
            InvalidRequestError: There is none of this id.
        """
        return OutboxEntry(_native.outbox_discard(self._core, id))

    def counters(self) -> dict[str, int]:
        """What became of the reports of this client and its copies: `queued`, `delivered`, `dead`, `dropped`, `repeated`,
        `unreported`, `credits_awarded`.
        """
        return _native.outbox_counters(self._core)


class AsyncOutbox:
    """The same for asyncio. From `AsyncClient.outbox`.

    Example:
        >>> async def main() -> int:
        ...     tracked = await aclient.route_task_tracked("store 1M vectors")
        ...     tracked.report_in_background(success=True)
        ...     return await aclient.outbox.flush()
        >>> run(main()), aclient.outbox.counters()["delivered"]
        (0, 1)
    """

    __slots__ = ("_core",)

    def __init__(self, core: _native.Core) -> None:
        self._core = core

    async def flush(self, timeout: float = 5.0) -> int:
        """Delivers all that waits, until the limit in seconds; how many are left."""
        left: int = await _done(_native.outbox_flush_async(self._core, timeout))
        return left

    async def list(self) -> list[OutboxEntry]:
        """The reports in the store that are not delivered, of every server and key, the oldest first."""
        return [OutboxEntry(entry) for entry in await _done(_native.outbox_list_async(self._core))]

    async def waiting(self) -> int:
        """How many reports of this client's server and key wait in the store to be delivered."""
        count: int = await _done(_native.outbox_waiting_async(self._core))
        return count

    async def retry(self, id: str) -> OutboxEntry:
        """Has a report delivered that waits or was given up, from now on.

        Raises:
            InvalidRequestError: There is none of this id.
        """
        return OutboxEntry(await _done(_native.outbox_retry_async(self._core, id)))

    async def discard(self, id: str) -> OutboxEntry:
        """Removes a report that waits or was given up. It is lost then.

        Raises:
            InvalidRequestError: There is none of this id.
        """
        return OutboxEntry(await _done(_native.outbox_discard_async(self._core, id)))

    def counters(self) -> dict[str, int]:
        """What became of the reports of this client and its copies: `queued`, `delivered`, `dead`, `dropped`, `repeated`,
        `unreported`, `credits_awarded`.
        """
        return _native.outbox_counters(self._core)


async def _done(pending: _native.Pending) -> Any:
    """What a call comes to. When the task is cancelled, so is the call."""
    try:
        return await pending.future
    except BaseException:
        pending.cancel()
        raise


def _reported(raw: tuple[dict[str, Any], _native.Source] | None) -> Reported:
    reported = Reported({} if raw is None else raw[0])
    reported._source = None if raw is None else raw[1]
    return reported


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _success(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"success must be True or False, not {type(value).__name__}")
    return value


def _latency(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"actual_latency_ms must be a number, not {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _code(error: BaseException) -> str:
    """An error by its class, as the API writes codes: `ConnectionResetError` is `connection_reset_error`."""
    if isinstance(error, TimeoutError) or type(error).__name__ == "TimeoutError":
        return "timeout"
    name = type(error).__name__
    words = "".join(f"_{c.lower()}" if c.isupper() and i and not name[i - 1].isupper() else c.lower() for i, c in enumerate(name))
    code = "".join(c for c in words if c.isascii() and (c.isalnum() or c == "_"))[:64]
    return code or "error"


def _lost(failed: Exception) -> None:
    """The block's own end is worth more than a report."""
    import logging

    logging.getLogger("amply_sdk").warning("how the task went is not reported: %s", failed)
