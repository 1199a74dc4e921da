"""What is asked for, held and paid: the wallet, a 402, and the payments of the ledger."""

from __future__ import annotations

from . import _read
from ._results import Answer, Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal


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


class Challenge(Item):
    """What a 402 asked for. Amounts are exact.

    Example:
        >>> with Sandbox(balance="0", strict_wallet=True) as broke, broke.client() as poor:
        ...     try:
        ...         poor.route_task("store 1M vectors")
        ...     except PaymentRequiredError as error:
        ...         challenge = error.challenge
        >>> challenge.shortfall_usd, challenge.balance_usd, challenge.refusals
        (Decimal('0.01'), Decimal('0'), [])
    """

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
    """The answer to a request that carried a payment, as it is kept for a day.

    Example:
        >>> with Sandbox(balance="0", strict_wallet=True, open_payments="both") as shop:
        ...     policy = SpendPolicy(per_request="0.05", per_day="1", per_process_only=True)
        ...     x402 = X402(key=shop.x402_key, networks=["base-sepolia"])
        ...     with shop.client(x402=x402, spend=policy, store=":memory:") as client:
        ...         route = client.route_task("store 1M vectors")
        ...         kept = client.payments.answer(route.meta.payment_id)
        >>> kept.status, b"qdrant" in kept.body
        (200, True)
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"PaidAnswer(status={self.status}, {len(self.body)} bytes)"
