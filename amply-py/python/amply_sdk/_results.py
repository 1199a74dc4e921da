"""What calls give back: dicts with exactly what the server sent, and typed attributes on top.

The dict is complete when it is returned; an attribute is read from it when it is asked for.
"""

from __future__ import annotations

from . import _native, _read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta
    from decimal import Decimal
    from typing import Any, TypeVar

    _A = TypeVar("_A", bound="Answer")
    _I = TypeVar("_I", bound="Item")


class Meta:
    """What is known about one call besides the answer's content.

    Example:
        >>> meta = client.status().meta
        >>> meta.status, meta.attempts
        (200, 1)
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    @property
    def status(self) -> int:
        """The HTTP status; 0 when no answer came."""
        return int(self._fields["status"])

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer, by their names in lower case."""
        return dict(self._fields["headers"])

    @property
    def attempts(self) -> int:
        """How many HTTP requests the call took, retries included."""
        return int(self._fields["attempts"])

    @property
    def elapsed(self) -> timedelta:
        """The time from the start of the call to its end, waits between attempts included."""
        from datetime import timedelta

        return timedelta(seconds=self._fields["elapsed_s"])

    @property
    def request_id(self) -> str | None:
        """The server's id of this request: the header, else `request_id` of the body."""
        return _read.text(self._fields["request_id"])

    @property
    def compute_ms(self) -> int | None:
        """Milliseconds of work on the server."""
        return _read.whole(self._fields["compute_ms"])

    @property
    def key_kind(self) -> str | None:
        """What the form of the key says: `user`, `server`, or None without a key."""
        return _read.text(self._fields["key_kind"])

    @property
    def paid_usd(self) -> Decimal | None:
        """What the payment took that this call led, in USD; None when it led none."""
        return _read.usd(self._fields["paid_usd"])

    @property
    def payment_id(self) -> str | None:
        """The id of the payment that this call led, in the ledger."""
        return _read.text(self._fields["payment_id"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Meta) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Meta(status={self.status}, attempts={self.attempts}, request_id={self.request_id!r})"


class Principal:
    """Whether a route counted for a principal, its wallet and its history, and what says so.

    Example:
        >>> client.route_task("store 1M vectors").principal.binding
        'bound'
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    @property
    def binding(self) -> str:
        """The conclusion, by the strictest sign: `bound`, `not_bound` or `unknown`."""
        return str(self._fields["binding"])

    @property
    def is_bound(self) -> bool:
        """Whether something says so and nothing denies it."""
        return self.binding == "bound"

    @property
    def header(self) -> bool | None:
        """`X-Amply-Principal-Bound`."""
        return _read.flag(self._fields["header"])

    @property
    def body(self) -> bool | None:
        """`integration.principal_attached` of the body."""
        return _read.flag(self._fields["body"])

    @property
    def economics(self) -> str | None:
        """`settlement_eligible`, or another word of the server."""
        return _read.text(self._fields["economics"])

    @property
    def auth_source(self) -> str | None:
        """`user_key`, `server_key`, or another word of the server."""
        return _read.text(self._fields["auth_source"])

    @property
    def key_kind(self) -> str | None:
        """What the form of the key says: `user`, `server`, or None without a key."""
        return _read.text(self._fields["key_kind"])

    @property
    def is_contradictory(self) -> bool:
        """Whether one sign says bound and another denies it."""
        return bool(self._fields["is_contradictory"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Principal) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Principal({self.binding})"


class Item(dict[str, "Any"]):
    """A part of an answer: a dict, with typed attributes."""

    __slots__ = ()
    _shown: tuple[str, ...] = ()

    def copy(self: _I) -> _I:
        """A copy of the same class; its values are shared."""
        return type(self)(self)

    def __repr__(self) -> str:
        return _shown(self, self._shown)


class Answer(dict[str, "Any"]):
    """An answer of the API: exactly the server's JSON object, as a dict.

    `json.dumps`, `copy`, `pickle` and `==` treat it as the dict it is; `meta` comes along with a pickle and a copy.

    Example:
        >>> answer = client.request("GET", "/status")
        >>> answer["ok"], answer.meta.status
        (True, 200)
    """

    __slots__ = ("_source",)
    _source: _native.Source | tuple[dict[str, Any] | None, dict[str, Any] | None] | None
    _shown: tuple[str, ...] = ()

    @property
    def meta(self) -> Meta:
        """Status, headers, attempts, time, and what was paid.

        Raises:
            AttributeError: this answer came from no call.
        """
        meta, _ = self._known()
        if meta is None:
            raise AttributeError("this answer came from no call, so that nothing is known of one")
        return Meta(meta)

    def copy(self: _A) -> _A:
        """A copy of the same class, with the same `meta`; its values are shared."""
        made = type(self)(self)
        made._source = getattr(self, "_source", None)
        return made

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _restored, (type(self), dict(self), self._known())

    def __repr__(self) -> str:
        return _shown(self, self._shown)

    def _known(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        source = getattr(self, "_source", None)
        if source is None:
            return None, None
        if isinstance(source, tuple):
            return source
        return source.meta(), source.principal()


class Route(Answer):
    """The answer to "which provider should run this task?".

    Only `recommended` is always there. Success rates and scores are shares from 0 to 1.

    Example:
        >>> route = client.route_task("store 1M 1536-dim vectors with metadata filters")
        >>> route.recommended, route["recommended"]
        ('qdrant', 'qdrant')
        >>> route.estimated_cost_usd
        Decimal('0.00475')
        >>> [place.provider_id for place in route.rankings][:2]
        ['qdrant', 'weaviate']
    """

    __slots__ = ()
    _shown = ("recommended", "score", "estimated_cost_usd", "expected_p99_latency_ms", "request_id")

    @property
    def recommended(self) -> str:
        """The id of the provider to use, for example `qdrant`."""
        return str(self["recommended"])

    @property
    def score(self) -> float | None:
        """The composite score of the recommended provider, 0 to 1."""
        return _read.number(self.get("score"))

    @property
    def estimated_cost_usd(self) -> Decimal | None:
        """What the task is estimated to cost there, in USD."""
        return _read.usd(self.get("estimated_cost_usd"))

    @property
    def expected_p99_latency_ms(self) -> float | None:
        """The expected 99th percentile of latency there, in ms."""
        return _read.number(self.get("expected_p99_latency_ms"))

    @property
    def success_rate_last_24h(self) -> float | None:
        """The share of calls that succeeded there in the last 24 hours."""
        return _read.number(self.get("success_rate_last_24h"))

    @property
    def success_rate_last_7d(self) -> float | None:
        """The share of calls that succeeded there in the last 7 days."""
        return _read.number(self.get("success_rate_last_7d"))

    @property
    def route_id(self) -> str | None:
        """The id to report the outcome under (`request_id` of the answer)."""
        return _read.text(self.get("request_id"))

    @property
    def compute_ms(self) -> int | None:
        """Milliseconds of work on the server."""
        return _read.whole(self.get("compute_ms"))

    @property
    def estimated_charge_usd(self) -> Decimal | None:
        """What this call cost, in USD, on a server that says so."""
        return _read.usd(self.get("estimated_charge_usd"))

    @property
    def rankings(self) -> list[Ranking]:
        """The providers, best first, on every release of the server. Read anew each time: keep the result."""
        return [Ranking(place) for place in self._read()[0]]

    @property
    def ruled_out(self) -> list[RuledOut]:
        """The providers that the hard limits of the request ruled out, each with the reasons."""
        return [RuledOut(provider) for provider in self._read()[2]]

    @property
    def principal(self) -> Principal | None:
        """Whether this route counted for a principal; None for an answer that came from no call."""
        _, principal = self._known()
        return None if principal is None else Principal(principal)

    def explain(self) -> str | None:
        """Why this provider was recommended, in words."""
        return self._read()[1]

    def _read(self) -> tuple[list[dict[str, Any]], str | None, list[dict[str, Any]]]:
        import json

        return _native.read_route(json.dumps(self))


class Ranking(Item):
    """One provider's place in the ranking of a route."""

    __slots__ = ()
    _shown = ("rank", "provider_id", "score")

    @property
    def provider_id(self) -> str:
        """The provider's id."""
        return str(self["provider_id"])

    @property
    def rank(self) -> int | None:
        """Its place, 1 is best."""
        return _read.whole(self.get("rank"))

    @property
    def score(self) -> float | None:
        """Its composite score, 0 to 1."""
        return _read.number(self.get("score"))

    @property
    def components(self) -> dict[str, Any] | None:
        """The score's components."""
        found = self.get("components")
        return found if isinstance(found, dict) else None

    @property
    def p99_latency_ms(self) -> float | None:
        """Its 99th percentile of latency, in ms."""
        return _read.number(self.get("p99_latency_ms"))

    @property
    def cost_per_1m_dims_usd(self) -> Decimal | None:
        """Its price in USD for a million dimensions."""
        return _read.usd(self.get("cost_per_1m_dims_usd"))

    @property
    def success_rate_last_24h(self) -> float | None:
        """The share of calls that succeeded in the last 24 hours."""
        return _read.number(self.get("success_rate_last_24h"))

    @property
    def success_rate_last_7d(self) -> float | None:
        """The share of calls that succeeded in the last 7 days."""
        return _read.number(self.get("success_rate_last_7d"))

    @property
    def win_rate(self) -> float | None:
        """The share of comparisons that it won."""
        return _read.number(self.get("win_rate"))


class RuledOut(Item):
    """A provider that a hard limit of the request ruled out."""

    __slots__ = ()
    _shown = ("provider_id", "reasons")

    @property
    def provider_id(self) -> str:
        """The provider's id."""
        return str(self["provider_id"])

    @property
    def reasons(self) -> list[str]:
        """Why, in the server's words."""
        return list(self["reasons"])


class Status(Answer):
    """How a server is set up and how it is.

    Example:
        >>> client.status().version
        '3.1.13'
    """

    __slots__ = ()
    _shown = ("ok", "version", "auth_mode", "data_mode")

    @property
    def ok(self) -> bool | None:
        """Whether the service answers. It alone does not say that the catalog is live: see `data_mode`."""
        return _read.flag(self.get("ok"))

    @property
    def version(self) -> str | None:
        """The server's release."""
        return _read.text(self.get("version"))

    @property
    def auth_mode(self) -> str | None:
        """`none` when no key is needed, `api_key`, or another word."""
        return _read.text(self.get("auth_mode"))

    @property
    def data_mode(self) -> str | None:
        """`catalog` when the live catalog is ranked, `seeded` for the built-in one, or another word."""
        return _read.text(self.get("data_mode"))

    @property
    def last_benchmark_at(self) -> datetime | None:
        """When providers were last measured, in UTC."""
        return _read.time(self.get("last_benchmark_at"))


class Providers(Answer):
    """The providers that a server ranks.

    Example:
        >>> [provider.id for provider in client.providers().providers][:2]
        ['qdrant', 'pinecone']
    """

    __slots__ = ()
    _shown = ("providers",)

    @property
    def providers(self) -> list[Provider]:
        """The providers, in the catalog's order."""
        return [Provider(item) for item in _objects(self.get("providers"))]

    def __repr__(self) -> str:
        return f"Providers({', '.join(str(provider.id) for provider in self.providers)})"


class Provider(Item):
    """One provider of the catalog."""

    __slots__ = ()
    _shown = ("id", "live_composite_score", "cost_per_1m_dims_usd", "p99_latency_ms")

    @property
    def id(self) -> str | None:
        """The provider's id, as routes name it."""
        return _read.text(self.get("id"))

    @property
    def display_name(self) -> str | None:
        """Its name for people."""
        return _read.text(self.get("display_name"))

    @property
    def p99_latency_ms(self) -> float | None:
        """Its 99th percentile of latency, in ms."""
        return _read.number(self.get("p99_latency_ms"))

    @property
    def cost_per_1m_dims_usd(self) -> Decimal | None:
        """Its price in USD for a million dimensions."""
        return _read.usd(self.get("cost_per_1m_dims_usd"))

    @property
    def success_rate_last_24h(self) -> float | None:
        """The share of calls that succeeded in the last 24 hours."""
        return _read.number(self.get("success_rate_last_24h"))

    @property
    def live_composite_score(self) -> float | None:
        """Its score for a task without hints."""
        return _read.number(self.get("live_composite_score"))


class Health(Answer):
    """How the providers are, by the server's probes."""

    __slots__ = ()
    _shown = ("ok", "as_of")

    @property
    def ok(self) -> bool | None:
        """Whether the service answers."""
        return _read.flag(self.get("ok"))

    @property
    def as_of(self) -> datetime | None:
        """When this was put together, in UTC."""
        return _read.time(self.get("as_of"))

    @property
    def providers(self) -> list[ProviderHealth]:
        """The providers, in the catalog's order."""
        return [ProviderHealth(item) for item in _objects(self.get("providers"))]


class ProviderHealth(Item):
    """How one provider is."""

    __slots__ = ()
    _shown = ("id", "state")

    @property
    def id(self) -> str | None:
        """The provider's id."""
        return _read.text(self.get("id")) or _read.text(self.get("provider_id"))

    @property
    def state(self) -> str | None:
        """`healthy`, `degraded`, `down`, or another word."""
        return _read.text(self.get("state")) or _read.text(self.get("status"))

    @property
    def last_probe_at(self) -> datetime | None:
        """When it was last probed, in UTC."""
        return _read.time(self.get("last_probe_at"))


class BillingStatus(Answer):
    """What the wallet of a principal holds. Billing is not a guaranteed v1 contract of the API.

    Example:
        >>> client.billing_status().balance_usd
        Decimal('10')
    """

    __slots__ = ()
    _shown = ("balance_usd", "principal_id", "can_call")

    @property
    def balance_usd(self) -> Decimal | None:
        """What the wallet holds, in USD; it may be below zero."""
        return _read.usd(self.get("balance_usd"))

    @property
    def currency(self) -> str | None:
        """The currency of the amounts."""
        return _read.text(self.get("currency"))

    @property
    def principal_id(self) -> str | None:
        """Whose wallet it is."""
        return _read.text(self.get("principal_id"))

    @property
    def can_call(self) -> bool | None:
        """Whether the balance allows a call."""
        return _read.flag(self.get("can_call"))

    @property
    def charge_per_route_usd(self) -> Decimal | None:
        """What one route costs, in USD, on a server that says so."""
        return _read.usd(self.get("charge_per_route_usd"))


class PlatformMetrics(Answer):
    """Public totals of the whole platform."""

    __slots__ = ()
    _shown = ("decisions_last_7d", "decisions_last_30d", "as_of")

    @property
    def decisions_last_7d(self) -> int | None:
        """Routes answered in the last 7 days."""
        return _read.whole(self.get("decisions_last_7d"))

    @property
    def decisions_last_30d(self) -> int | None:
        """Routes answered in the last 30 days."""
        return _read.whole(self.get("decisions_last_30d"))

    @property
    def as_of(self) -> datetime | None:
        """When this was counted, in UTC."""
        return _read.time(self.get("as_of"))


class OpenApi(Answer):
    """A server's own description of what it serves, an OpenAPI 3 document."""

    __slots__ = ()
    _shown = ("openapi",)

    @property
    def version(self) -> str | None:
        """The version of the API that the document describes."""
        info = self.get("info")
        return _read.text(info.get("version")) if isinstance(info, dict) else None


class Payment(Item):
    """A payment in the ledger that was made, or begun.

    Example:
        >>> [payment.state for payment in client.payments.list()]
        []
    """

    __slots__ = ()
    _shown = ("id", "state", "amount_usd", "rail", "reason")

    @property
    def id(self) -> str:
        """Its id in the ledger."""
        return str(self["id"])

    @property
    def rail(self) -> str:
        """How it was paid: `wallet` or `x402`."""
        return str(self["rail"])

    @property
    def state(self) -> str:
        """How far it came: `intent`, `sent`, `rejected`, `unknown`, `settled_not_applied` or `settled`."""
        return str(self["state"])

    @property
    def verdict(self) -> str | None:
        """What a person said of it afterwards: `settled` or `rejected`."""
        return _read.text(self.get("verdict"))

    @property
    def amount_usd(self) -> Decimal:
        """What it takes, in USD."""
        from decimal import Decimal

        return _read.usd(self["amount_usd"]) or Decimal(0)

    @property
    def principal_id(self) -> str | None:
        """Whose wallet it is for, where the server says so."""
        return _read.text(self.get("principal_id"))

    @property
    def reason(self) -> str | None:
        """Why it was rejected or is unknown."""
        return _read.text(self.get("reason"))

    @property
    def created_at(self) -> datetime | None:
        """When it was begun, in UTC."""
        return _read.time(self.get("created_at"))

    @property
    def ended_at(self) -> datetime | None:
        """When its state last changed for good, in UTC; None while it runs."""
        return _read.time(self.get("ended_at"))


class PaidAnswer:
    """The answer to a request that carried a payment, as it is kept for a day."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"PaidAnswer(status={self.status}, {len(self.body)} bytes)"


class Challenge(Item):
    """What a 402 asked for. Amounts are exact."""

    __slots__ = ()
    _shown = ("shortfall_usd", "balance_usd", "amount_usd")

    @property
    def shortfall_usd(self) -> Decimal | None:
        """How much is missing for this call, in USD."""
        return _read.usd(self.get("shortfall_usd"))

    @property
    def balance_usd(self) -> Decimal | None:
        """What the wallet holds, in USD."""
        return _read.usd(self.get("balance_usd"))

    @property
    def amount_usd(self) -> Decimal | None:
        """What the server suggests to top up, in USD. It never raises what is paid."""
        return _read.usd(self.get("amount_usd"))

    @property
    def top_up_url(self) -> str | None:
        """Where a person can top up the wallet. It is the server's word: show it, send nothing to it."""
        return _read.text(self.get("top_up_url"))

    @property
    def refusals(self) -> list[str]:
        """Why the client would not pay it, whatever the policy allows; empty where it would."""
        return list(self["refusals"])


def _route(raw: tuple[dict[str, Any], _native.Source]) -> Route:
    route = Route(raw[0])
    route._source = raw[1]
    return route


def _answer(kind: type[_A], raw: tuple[Any, _native.Source]) -> _A:
    answer = kind(raw[0])
    answer._source = raw[1]
    return answer


def _any(raw: tuple[Any, _native.Source]) -> Any:
    return _answer(Answer, raw) if isinstance(raw[0], dict) else raw[0]


def _restored(
    kind: type[_A], content: dict[str, Any], known: tuple[dict[str, Any] | None, dict[str, Any] | None]
) -> _A:
    answer = kind(content)
    answer._source = known
    return answer


def _objects(value: Any) -> Iterable[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _shown(found: dict[str, Any], names: tuple[str, ...]) -> str:
    """The fields that a person looks for first, and how many more there are."""
    names = names or tuple(found)[:4]
    parts = [f"{name}={_short(found[name])}" for name in names if name in found]
    more = len(found) - len(parts)
    if more > 0:
        parts.append(f"and {more} more")
    return f"{type(found).__name__}({', '.join(parts)})"


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 80 else f"{said[:77]}..."
