"""The official client of the Amply API, which answers one question for agents: *which provider should run this task?*

    >>> import amply_sdk
    >>> with amply_sdk.Sandbox() as sandbox:  # a local server; leave it out for the real one
    ...     client = amply_sdk.Client(api_key=sandbox.user_key, base_url=sandbox.url)
    ...     route = client.route_task("store 1M 1536-dim vectors with metadata filters")
    >>> route.recommended, route.estimated_cost_usd
    ('qdrant', Decimal('0.00475'))

`Client` is for threads, `AsyncClient` for asyncio. An answer is a dict with exactly what the server sent, and typed
attributes on top. A call that may cost money is never quietly made twice.
"""

from __future__ import annotations

from ._native import __version__
from ._billing import BillingStatus, Challenge, PaidAnswer, Payment
from ._client import Client, Payments
from ._compat import route_task, route_task_tracked
from ._errors import (
    AmplyApiError, AmplyError, APIConnectionError, APITimeoutError, AuthenticationError, BadRequestError, ConfigError,
    InternalServerError, InvalidRequestError, NotFoundError, PaymentError, PaymentFailedError, PaymentNotAppliedError,
    PaymentRefusedError, PaymentRequiredError, PaymentUnknownError, PermissionDeniedError, PrincipalNotBoundError,
    ProtocolError, QueueFullError, RateLimitError, Sealed, SpendLimitError, StoreError, UnsupportedError,
)  # fmt: skip
from ._outcome import AsyncOutbox, AsyncTrackedRoute, AsyncTracking, Audit, Outbox, OutboxEntry, Reported, TrackedRoute
from ._payment import AdminTopUp, Asset, Receipt, SpendPolicy, TopUpRejected, TopUpRequest, TopUpService, X402
from ._results import Answer, Item, Meta
from ._route import Principal, Ranking, Route, RuledOut
from ._server import Health, OpenApi, PlatformMetrics, Provider, ProviderHealth, Providers, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._aio import AsyncClient, AsyncPayments
    from ._bootstrap import AgentManifest, AgentSignup, AgentStep, AgentX402, MachineStep, NewAccount, PrincipalPolicy
    from ._credentials import (
        AddedCredential, AsyncCredentials, Credential, CredentialList, Credentials, RemovedCredential,
    )  # fmt: skip
    from ._events import Event
    from ._execute import Execution, Target
    from ._plan import (
        Change, Contribution, Explained, Explanation, Plan, PlannedCap, PlannedPayment, PlannedRail, ToWin,
    )  # fmt: skip
    from ._sandbox import Sandbox
    from ._savings import SavingsReport, SavingsTotals

__all__ = [
    "APIConnectionError", "APITimeoutError", "AddedCredential", "AdminTopUp", "AgentManifest", "AgentSignup",
    "AgentStep", "AgentX402", "AmplyApiError", "AmplyError", "Answer", "Asset", "AsyncClient", "AsyncCredentials",
    "AsyncOutbox", "AsyncPayments", "AsyncTrackedRoute", "AsyncTracking", "Audit", "AuthenticationError", "BadRequestError",
    "BillingStatus", "Challenge", "Change", "Client", "ConfigError", "Contribution", "Credential",
    "CredentialList", "Credentials", "Event", "Execution", "Explained", "Explanation", "Health",
    "InternalServerError", "InvalidRequestError", "Item", "MachineStep", "Meta", "NewAccount", "NotFoundError",
    "OpenApi", "Outbox", "OutboxEntry", "PaidAnswer", "Payment", "PaymentError", "PaymentFailedError",
    "PaymentNotAppliedError", "PaymentRefusedError", "PaymentRequiredError", "PaymentUnknownError", "Payments",
    "PermissionDeniedError", "Plan", "PlannedCap", "PlannedPayment", "PlannedRail", "PlatformMetrics", "Principal",
    "PrincipalNotBoundError", "PrincipalPolicy", "ProtocolError", "Provider", "ProviderHealth", "Providers",
    "QueueFullError", "Ranking", "RateLimitError", "Receipt", "RemovedCredential", "Reported", "Route", "RuledOut",
    "Sandbox", "SavingsReport", "SavingsTotals", "Sealed", "SpendLimitError", "SpendPolicy", "Status",
    "StoreError", "Target", "ToWin", "TopUpRejected", "TopUpRequest", "TopUpService", "TrackedRoute",
    "UnsupportedError", "X402", "__version__", "route_task", "route_task_tracked",
]  # fmt: skip

# What not every program needs is loaded at first use.
_LATER = {
    "AddedCredential": "_credentials",
    "AgentManifest": "_bootstrap",
    "AgentSignup": "_bootstrap",
    "AgentStep": "_bootstrap",
    "AgentX402": "_bootstrap",
    "AsyncClient": "_aio",
    "AsyncCredentials": "_credentials",
    "AsyncPayments": "_aio",
    "Change": "_plan",
    "Contribution": "_plan",
    "Credential": "_credentials",
    "CredentialList": "_credentials",
    "Credentials": "_credentials",
    "Event": "_events",
    "Execution": "_execute",
    "Explained": "_plan",
    "Explanation": "_plan",
    "MachineStep": "_bootstrap",
    "NewAccount": "_bootstrap",
    "Plan": "_plan",
    "PlannedCap": "_plan",
    "PlannedPayment": "_plan",
    "PlannedRail": "_plan",
    "PrincipalPolicy": "_bootstrap",
    "RemovedCredential": "_credentials",
    "Sandbox": "_sandbox",
    "SavingsReport": "_savings",
    "SavingsTotals": "_savings",
    "Target": "_execute",
    "ToWin": "_plan",
}


def __getattr__(name: str) -> object:
    room = _LATER.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f".{room}", __name__), name)
    globals()[name] = found
    _belongs_here(found)
    return found


def _belongs_here(found: object) -> None:
    """What pickles, tracebacks and `help` name is where a user imports it from, not the file that it is written in."""
    if hasattr(found, "__module__"):
        found.__module__ = __name__


for _name in __all__:
    if _name not in _LATER:
        _belongs_here(globals()[_name])


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
