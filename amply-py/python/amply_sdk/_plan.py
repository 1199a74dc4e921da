"""What is known before money moves: what a call would send, and how the scores of a route were made."""

from __future__ import annotations

from . import _read
from ._results import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from decimal import Decimal
    from typing import Any


class Plan(Item):
    """What a route would send and who would pay for it. No secret is in it.

    Example:
        >>> plan = client.plan("store 1M vectors")
        >>> plan.method, plan.headers["authorization"]
        ('POST', 'Bearer [not shown]')
    """

    __slots__ = ()
    _shown = ("would_be_sent", "method", "url", "key_kind")

    @property
    def would_be_sent(self) -> bool:
        """Whether the call would be sent at all."""
        return bool(self["would_be_sent"])

    @property
    def refusal(self) -> str | None:
        """Why it would be refused before it is sent; None where it would be sent."""
        return _read.text(self.get("refusal"))

    @property
    def method(self) -> str:
        """The HTTP method."""
        return str(self["method"])

    @property
    def url(self) -> str:
        """Where it would go."""
        return str(self["url"])

    @property
    def headers(self) -> dict[str, str]:
        """Its headers, without the secret. `idempotency-key` is there where it is your own; else each call has a new one."""
        return dict(self["headers"])

    @property
    def body(self) -> dict[str, Any]:
        """The body."""
        return dict(self["body"])

    @property
    def key_kind(self) -> str | None:
        """What the form of the key says: `user`, `server`, or None without a key."""
        return _read.text(self.get("key_kind"))

    @property
    def principal(self) -> dict[str, str]:
        """The `policy` on principals, and its `consequence` with this key, in words."""
        return dict(self["principal"])

    @property
    def payment(self) -> PlannedPayment:
        """Who would pay, and what the caps leave."""
        return PlannedPayment(self["payment"])

    @property
    def timeout_s(self) -> float:
        """The limit for the call, retries and waits included, in seconds."""
        return float(self["timeout_s"])

    @property
    def attempt_timeout_s(self) -> float:
        """The limit for one HTTP request of it, in seconds."""
        return float(self["attempt_timeout_s"])

    @property
    def retry(self) -> dict[str, Any]:
        """`max_attempts`, and whether it is sent again too when the server may have seen it (`repeat_ambiguous`)."""
        return dict(self["retry"])


class PlannedPayment(Item):
    """Who would pay for a call that the wallet does not cover.

    Example:
        >>> payer = TopUpService(sandbox.topup_url, token=sandbox.topup_token)
        >>> spend = SpendPolicy(per_topup="1", per_day="5", per_process_only=True)
        >>> with sandbox.client(payer=payer, spend=spend) as paying:
        ...     payment = paying.plan("store 1M vectors").payment
        >>> payment.would_pay, [rail.rail for rail in payment.rails]
        (True, ['wallet'])
    """

    __slots__ = ()
    _shown = ("would_pay", "blocked", "open_payment_id")

    @property
    def would_pay(self) -> bool:
        """Whether anybody would: there is a payer or a signer that can, and nothing keeps it from paying now."""
        return bool(self["would_pay"])

    @property
    def rails(self) -> list[PlannedRail]:
        """Who can, the one that goes first before the other."""
        return [PlannedRail(rail) for rail in self["rails"]]

    @property
    def caps(self) -> list[PlannedCap]:
        """What the caps leave; empty where nobody can pay."""
        return [PlannedCap(cap) for cap in self["caps"]]

    @property
    def blocked(self) -> str | None:
        """Why nothing at all is paid now; None where nothing keeps payments from being made."""
        return _read.text(self.get("blocked"))

    @property
    def open_payment_id(self) -> str | None:
        """The payment that this wallet waits for."""
        return _read.text(self.get("open_payment_id"))


class PlannedRail(Item):
    """One way to pay.

    Example:
        >>> payer = TopUpService(sandbox.topup_url, token=sandbox.topup_token)
        >>> spend = SpendPolicy(per_topup="1", per_day="5", per_process_only=True)
        >>> with sandbox.client(payer=payer, spend=spend) as paying:
        ...     payment = paying.plan("store 1M vectors").payment
        >>> payment.rails[0].rail, payment.rails[0].obstacle
        ('wallet', None)
    """

    __slots__ = ()
    _shown = ("rail", "payer", "obstacle")

    @property
    def rail(self) -> str:
        """`wallet` or `x402`."""
        return str(self["rail"])

    @property
    def payer(self) -> str:
        """Who pays: the payer's name, or the address that signs."""
        return str(self["payer"])

    @property
    def networks(self) -> list[str]:
        """The networks that are paid on, the preferred one first; empty for top-ups."""
        return list(self["networks"])

    @property
    def obstacle(self) -> str | None:
        """Why it cannot pay for this call; None where it can."""
        return _read.text(self.get("obstacle"))


class PlannedCap(Item):
    """A cap, and what is left of it.

    Example:
        >>> payer = TopUpService(sandbox.topup_url, token=sandbox.topup_token)
        >>> spend = SpendPolicy(per_topup="1", per_day="5", per_process_only=True)
        >>> with sandbox.client(payer=payer, spend=spend) as paying:
        ...     payment = paying.plan("store 1M vectors").payment
        >>> [(cap.cap, str(cap.left_usd)) for cap in payment.caps]
        [('per_topup', '1'), ('per_day', '5')]
    """

    __slots__ = ()
    _shown = ("cap", "limit_usd", "left_usd")

    @property
    def cap(self) -> str:
        """`per_topup`, `per_request` or `per_day`."""
        return str(self["cap"])

    @property
    def limit_usd(self) -> Decimal | None:
        """The cap, in USD."""
        return _read.usd(self.get("limit_usd"))

    @property
    def used_usd(self) -> Decimal | None:
        """What of it is used up, in USD; None where that cannot be known now."""
        return _read.usd(self.get("used_usd"))

    @property
    def left_usd(self) -> Decimal | None:
        """What is left, in USD; None where that cannot be known now."""
        return _read.usd(self.get("left_usd"))


class Explanation(Item):
    """How the scores of a route were made, and what each provider that lost would need to win.

    Example:
        >>> explanation = client.route_task("store 1M vectors").explain()
        >>> explanation.is_exact, [provider.provider_id for provider in explanation.providers][:2]
        (True, ['qdrant', 'weaviate'])
        >>> chroma = explanation.providers[2]
        >>> [(change.metric, change.metric_needed) for change in chroma.to_win.changes if change.is_reachable]
        [('p99_latency_ms', 8.03)]
    """

    __slots__ = ()
    _shown = ("recommended", "is_exact")

    @property
    def recommended(self) -> str:
        """The id of the provider that was recommended."""
        return str(self["recommended"])

    @property
    def why(self) -> str | None:
        """Why, in the server's words."""
        return _read.text(self.get("why"))

    @property
    def weights(self) -> dict[str, float]:
        """How much each component counts; they sum to 1."""
        return dict(self["weights"])

    @property
    def is_exact(self) -> bool:
        """Whether the figures give the scores that were sent. Then what is needed is said in the figures' own units."""
        return bool(self["is_exact"])

    @property
    def providers(self) -> list[Explained]:
        """The providers, best first; those that a hard limit ruled out come last."""
        return [Explained(provider) for provider in self["providers"]]

    @property
    def missing(self) -> list[str]:
        """What is not told, because the answer does not say it, in words."""
        return list(self["missing"])


class Explained(Item):
    """One provider's part of an `Explanation`.

    Example:
        >>> best = client.route_task("store 1M vectors").explain().providers[0]
        >>> best.rank, best.provider_id, round(best.composite, 4), best.to_win
        (1, 'qdrant', 0.8901, None)
    """

    __slots__ = ()
    _shown = ("rank", "provider_id", "composite")

    @property
    def provider_id(self) -> str:
        """The provider's id."""
        return str(self["provider_id"])

    @property
    def rank(self) -> int | None:
        """Its place, 1 is best; None for one that was ruled out."""
        return _read.whole(self.get("rank"))

    @property
    def composite(self) -> float | None:
        """Its composite score, 0 to 1: the sum of the contributions."""
        return _read.number(self.get("composite"))

    @property
    def components(self) -> list[Contribution]:
        """What the score is made of."""
        return [Contribution(part) for part in self["components"]]

    @property
    def ruled_out(self) -> list[str] | None:
        """Why a hard limit of the request ruled it out; None for one that was ranked."""
        found = self.get("ruled_out")
        return None if found is None else list(found)

    @property
    def to_win(self) -> ToWin | None:
        """What it would need to win; None for the one that is recommended."""
        found = self.get("to_win")
        return None if found is None else ToWin(found)


class Contribution(Item):
    """What one component adds to a score.

    Example:
        >>> best = client.route_task("store 1M vectors").explain().providers[0]
        >>> [(part.component, round(part.contribution, 4)) for part in best.components][0]
        ('success', 0.3928)
    """

    __slots__ = ()
    _shown = ("component", "contribution")

    @property
    def component(self) -> str:
        """Its name: `success`, `latency`, `cost`, `reliability`, or another that the server has."""
        return str(self["component"])

    @property
    def weight(self) -> float | None:
        """How much it counts."""
        return _read.number(self.get("weight"))

    @property
    def value(self) -> float | None:
        """The component itself, 0 to 1, more is better."""
        return _read.number(self.get("value"))

    @property
    def contribution(self) -> float | None:
        """Weight times value."""
        return _read.number(self.get("contribution"))


class ToWin(Item):
    """What a provider would need to win.

    Example:
        >>> chroma = client.route_task("store 1M vectors").explain().providers[2]
        >>> round(chroma.to_win.gap, 4)
        0.2395
    """

    __slots__ = ()
    _shown = ("gap",)

    @property
    def gap(self) -> float | None:
        """How much its score lacks."""
        return _read.number(self.get("gap"))

    @property
    def changes(self) -> list[Change]:
        """For each component, what it would take if nothing else changed."""
        return [Change(change) for change in self["changes"]]


class Change(Item):
    """One change that would let a provider win, if it were the only one.

    Example:
        >>> chroma = client.route_task("store 1M vectors").explain().providers[2]
        >>> [(change.component, change.metric_needed) for change in chroma.to_win.changes if change.is_reachable]
        [('latency', 8.03)]
    """

    __slots__ = ()
    _shown = ("component", "metric", "metric_needed")

    @property
    def component(self) -> str:
        """The component's name."""
        return str(self["component"])

    @property
    def is_reachable(self) -> bool:
        """Whether it can win by this alone."""
        return bool(self["is_reachable"])

    @property
    def needed(self) -> float | None:
        """What the component would be then; None where it cannot win by this alone."""
        return _read.number(self.get("needed"))

    @property
    def change(self) -> float | None:
        """How much more than now that is."""
        return _read.number(self.get("change"))

    @property
    def metric(self) -> str | None:
        """The figure behind the component, as the API names it; None where that is not known."""
        return _read.text(self.get("metric"))

    @property
    def metric_now(self) -> float | None:
        """The figure as it is: ms, USD, or a share from 0 to 1."""
        return _read.number(self.get("metric_now"))

    @property
    def metric_needed(self) -> float | None:
        """The figure with which it would win, or anything better; None where that is not known exactly."""
        return _read.number(self.get("metric_needed"))
