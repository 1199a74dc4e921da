"""What a route says: who is recommended and why, and for whom it counted."""

from __future__ import annotations

from . import _native, _read
from ._results import Answer, Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from typing import Any, TypeVar

    from ._plan import Explanation

    _T = TypeVar("_T")


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

    @property
    def why_text(self) -> str | None:
        """Why this provider was recommended, in the server's words."""
        return self._read()[1]

    def explain(self) -> Explanation:
        """How the scores were made, and what each provider that lost would need to win. Computed anew each time."""
        from ._plan import Explanation

        return Explanation(self._with_text(_native.explain_route))

    def _read(self) -> tuple[list[dict[str, Any]], str | None, list[dict[str, Any]]]:
        return self._with_text(_native.read_route)

    def _with_text(self, read: Callable[[str], _T]) -> _T:
        import json

        try:
            return read(json.dumps(self, allow_nan=False))
        except (TypeError, ValueError):
            # What cannot be written as JSON is nothing to the ranking.
            return read(json.dumps(_writable(self)))


class Ranking(Item):
    """One provider's place in the ranking of a route.

    Example:
        >>> place = client.route_task("store 1M 1536-dim vectors").rankings[0]
        >>> place.rank, place.provider_id, place["provider_id"]
        (1, 'qdrant', 'qdrant')
    """

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
    """A provider that a hard limit of the request ruled out.

    Example:
        >>> route = client.route_task("store 1M vectors", latency_target_ms=20)
        >>> [(provider.provider_id, provider.reasons) for provider in route.ruled_out]
        []
    """

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


def _writable(value: Any) -> Any:
    """The same, as far as JSON can say it: an infinite number or an object of another kind is null."""
    if isinstance(value, dict):
        return {_writable(name): _writable(item) for name, item in value.items() if isinstance(name, str)}
    if isinstance(value, (list, tuple)):
        return [_writable(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    return value if value is None or isinstance(value, (bool, int)) else None


def _route(raw: tuple[dict[str, Any], _native.Source]) -> Route:
    route = Route(raw[0])
    route._source = raw[1]
    return route
