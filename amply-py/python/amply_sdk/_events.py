"""What a client tells its owner while it works: every step of a payment, and what becomes of reports."""

from __future__ import annotations

from . import _native, _read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from queue import SimpleQueue
    from typing import Any


class Event(dict[str, "Any"]):
    """Something that happened, for `on_event` of a client. No secret is in any.

    They come one after the other, on a thread of their own. What is called must not block: what the client does waits for it
    for up to a second. It must not call a client.

    | kind | when |
    | --- | --- |
    | `payment_intended` | it is in the ledger, and nobody was asked for money yet |
    | `payment_settled` | it was made |
    | `payment_rejected` | the payer said no, and no money moved |
    | `payment_refused` | what a 402 asked for was not acceptable; nothing was paid |
    | `payment_unknown` | it may have been made, and nothing tells |
    | `payment_not_applied` | it was made, and the wallet does not show it |
    | `cap_reached` | a cap forbids a payment |
    | `store_created` | a daily cap is kept in a store that did not exist before |
    | `outcome_unreported` | a tracked route was dropped, and nobody reported how it went |
    | `outcome_dead` | a report was given up; it is in the outbox, with the reason |
    | `outcomes_lost` | reports were lost from memory |
    | `outbox_failed` | the store takes no reports, so that they wait in memory |
    | `principal_missing` | a route is bound to no principal, and the policy is to warn |

    Example:
        >>> from amply_sdk import Client, Event, Sandbox
        >>> seen: list[Event] = []
        >>> with Sandbox(balance="0", strict_wallet=True) as sandbox:
        ...     with sandbox.paying_client(per_day="1", on_event=seen.append) as client:
        ...         _ = client.route_task("store 1M vectors")
        >>> [(event.kind, event.amount_usd) for event in seen]
        [('payment_intended', Decimal('0.01')), ('payment_settled', Decimal('0.01'))]
    """

    __slots__ = ("kind",)
    kind: str

    @property
    def payment_id(self) -> str | None:
        """The payment's id in the ledger."""
        return _read.text(self.get("payment_id"))

    @property
    def rail(self) -> str | None:
        """How it is paid: `wallet` or `x402`."""
        return _read.text(self.get("rail"))

    @property
    def route_id(self) -> str | None:
        """The route that it is about."""
        return _read.text(self.get("route_id"))

    @property
    def count(self) -> int | None:
        """How many reports."""
        return _read.whole(self.get("count"))

    @property
    def amount_usd(self) -> Decimal | None:
        """What the payment takes, in USD."""
        return _read.usd(self.get("amount_usd"))

    @property
    def credited_usd(self) -> Decimal | None:
        """What was credited, in USD, as far as the payer says."""
        return _read.usd(self.get("credited_usd"))

    @property
    def reason(self) -> str | None:
        """Why it was rejected or is unknown."""
        return _read.text(self.get("reason"))

    @property
    def reasons(self) -> list[str]:
        """Everything that is wrong with a 402, by stable names."""
        return list(self.get("reasons", []))

    @property
    def cap(self) -> str | None:
        """Which cap: `per_topup`, `per_request` or `per_day`."""
        return _read.text(self.get("cap"))

    @property
    def limit_usd(self) -> Decimal | None:
        """The cap's value, in USD."""
        return _read.usd(self.get("limit_usd"))

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self.kind, dict(self))

    def __repr__(self) -> str:
        fields = "".join(f", {name}={value!r}" for name, value in self.items())
        return f"Event({self.kind!r}{fields})"


def _made(kind: str, fields: dict[str, Any]) -> Event:
    event = Event(fields)
    event.kind = kind
    return event


class _Teller:
    """Tells an observer, on a thread of Python's: a daemon, since one that never comes to an end must not keep the process."""

    __slots__ = ("_observer", "_queues")

    def __init__(self, observer: Callable[[Event], object]) -> None:
        self._observer = observer
        # By process: a forked child has none of its parent's threads.
        self._queues: dict[int, SimpleQueue[tuple[Event, _native.Observed] | None]] = {}

    def __call__(self, event: Event, observed: _native.Observed) -> None:
        import os

        process = os.getpid()
        events = self._queues.get(process) or self._begin(process)
        events.put((event, observed))

    def _begin(self, process: int) -> SimpleQueue[tuple[Event, _native.Observed] | None]:
        from queue import SimpleQueue
        from threading import Thread

        made: SimpleQueue[tuple[Event, _native.Observed] | None] = SimpleQueue()
        events = self._queues.setdefault(process, made)
        if events is made:
            Thread(target=_observe, args=(self._observer, events), name="amply-events", daemon=True).start()
        return events

    def __del__(self) -> None:
        for events in self._queues.values():
            events.put(None)


def _observe(
    observer: Callable[[Event], object], events: SimpleQueue[tuple[Event, _native.Observed] | None]
) -> None:
    _native.observing()
    while True:
        told = events.get()
        if told is None:
            return
        event, observed = told
        try:
            observer(event)
        except BaseException as error:
            observed(observer, error)
        else:
            observed(observer, None)
        del told, event, observed
