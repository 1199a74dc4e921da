"""What routes cost and saved."""

from __future__ import annotations

from . import _read
from ._results import Answer, Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal


class SavingsReport(Answer):
    """What routes saved in a period, up to now. From `Client.savings_report`.

    Example:
        >>> report = client.savings_report()
        >>> report.period, report.totals.routes, report.totals.saved_usd
        ('30d', 0, Decimal('0'))
    """

    __slots__ = ()
    _shown = ("period", "summary")

    @property
    def ok(self) -> bool | None:
        """Whether the service answers."""
        return _read.flag(self.get("ok"))

    @property
    def period(self) -> str | None:
        """The period that was asked for: `30d` or `90d`."""
        return _read.text(self.get("period"))

    @property
    def began_at(self) -> datetime | None:
        """When the period began (`from` of the answer)."""
        return _read.time(self.get("from"))

    @property
    def ended_at(self) -> datetime | None:
        """When the period ended (`to` of the answer)."""
        return _read.time(self.get("to"))

    @property
    def totals(self) -> SavingsTotals:
        """The sums; empty where the answer has none."""
        found = self.get("totals")
        return SavingsTotals(found if isinstance(found, dict) else {})

    @property
    def summary(self) -> str | None:
        """A sentence to share."""
        return _read.text(self.get("summary"))


class SavingsTotals(Item):
    """The sums of a `SavingsReport`. Amounts are in USD.

    Example:
        >>> client.savings_report("90d").totals.charged_usd
        Decimal('0')
    """

    __slots__ = ()
    _shown = ("routes", "charged_usd", "saved_usd")

    @property
    def routes(self) -> int | None:
        """Routes answered."""
        return _read.whole(self.get("routes"))

    @property
    def outcomes_reported(self) -> int | None:
        """Those of them whose outcome was reported."""
        return _read.whole(self.get("outcomes_reported"))

    @property
    def success_rate(self) -> float | None:
        """The share of the reported ones that went well, 0 to 1; None when none was reported."""
        return _read.number(self.get("success_rate"))

    @property
    def charged_usd(self) -> Decimal | None:
        """What the routes were charged."""
        return _read.usd(self.get("charged_usd"))

    @property
    def estimated_cost_usd(self) -> Decimal | None:
        """What the tasks were estimated to cost at the providers that were recommended."""
        return _read.usd(self.get("estimated_cost_usd"))

    @property
    def baseline_cost_usd(self) -> Decimal | None:
        """What they would have cost without routing, as the server reckons it."""
        return _read.usd(self.get("baseline_cost_usd"))

    @property
    def saved_usd(self) -> Decimal | None:
        """What was saved against that."""
        return _read.usd(self.get("saved_usd"))

    @property
    def credits_awarded(self) -> int | None:
        """Credits for reports of outcomes."""
        return _read.whole(self.get("credits_awarded"))
