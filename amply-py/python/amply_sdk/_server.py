"""What a server tells of itself and of its providers."""

from __future__ import annotations

from . import _read
from ._results import Answer, Item, _objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from ._bootstrap import AgentSignup


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

    @property
    def agent_signup(self) -> AgentSignup | None:
        """Whether and how an agent may sign up (`diagnostics.agent_signup`); None on a server that does not say."""
        from ._bootstrap import AgentSignup

        diagnostics = self.get("diagnostics")
        found = diagnostics.get("agent_signup") if isinstance(diagnostics, dict) else None
        return AgentSignup(found) if isinstance(found, dict) else None


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
    """One provider of the catalog.

    Example:
        >>> provider = client.providers().providers[0]
        >>> provider.id, provider.cost_per_1m_dims_usd
        ('qdrant', Decimal('0.19'))
    """

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
    """How the providers are, by the server's probes.

    Example:
        >>> health = client.health()
        >>> health.ok, [provider.id for provider in health.providers][:2]
        (True, ['qdrant', 'pinecone'])
    """

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
    """How one provider is.

    Example:
        >>> provider = client.health().providers[0]
        >>> provider.id, provider.state
        ('qdrant', 'healthy')
    """

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


class PlatformMetrics(Answer):
    """Public totals of the whole platform.

    Example:
        >>> _ = client.route_task("store 1M vectors")
        >>> client.platform_metrics().decisions_last_7d
        1
    """

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
    """A server's own description of what it serves, an OpenAPI 3 document.

    Example:
        >>> document = client.openapi()
        >>> document.version, "/api/v1/route" in document["paths"]
        ('3.1.13', True)
    """

    __slots__ = ()
    _shown = ("openapi",)

    @property
    def version(self) -> str | None:
        """The version of the API that the document describes."""
        info = self.get("info")
        return _read.text(info.get("version")) if isinstance(info, dict) else None
