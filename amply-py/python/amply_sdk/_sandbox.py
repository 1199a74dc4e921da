"""A local Amply server in the process, for tests and for trying the client without an account."""

from __future__ import annotations

from . import _native
from ._client import Client
from ._payment import SpendPolicy, TopUpService, _amount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any, Literal

    from typing_extensions import Self

    from ._payment import _Amount


class Sandbox:
    """A small, faithful Amply server in memory, on a free port of 127.0.0.1 and a thread of its own.

    Args:
        seed: Ids and keys follow from this number.
        port: The port; 0 takes a free one.
        release: Which release of the server to be: `3.1.13`, the default, or `3.1.12`.
        require_api_key: Whether a route needs a key.
        require_principal: Whether a route is refused unless a principal stands behind the key.
        metering: Whether routes are metered, and so have a price; on unless set.
        rate_limit: How many routes an address may ask for in a minute.
        daily_quota: How many routes a principal gets in a UTC day.
        agent_signup: Whether agents may sign up for a key.
        agent_signup_secret: The token that a signup must bring.
        balance: What the wallet of `user_key` holds, in USD; 10 unless set.
        charge_per_route: What a route costs, in USD; 0.01 unless set.
        strict_wallet: Whether a route that the wallet does not cover is refused with 402.
        x402: Whether 402s are shaped as `amply.x402/1`.
        open_payments: Takes open x402 payments on base-sepolia, in its own books: `v1`, `v2`, `both`, or `amply` for offers
            within Amply's own object.
        outcome_endpoint: Whether there is `POST /outcome`; on unless set.
        route_outcome_endpoint: Whether there is the older `POST /route/outcome`; on unless set.
        clock_standing_at: Makes its clock stand at this time.

    Example:
        >>> from amply_sdk import Sandbox
        >>> with Sandbox() as sandbox, sandbox.client() as client:
        ...     route = client.route_task("store 1M vectors")
        ...     calls = sandbox.calls()
        >>> route.recommended, [call["path"] for call in calls]
        ('qdrant', ['/api/v1/route'])
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        port: int | None = None,
        release: Literal["3.1.12", "3.1.13"] | None = None,
        require_api_key: bool | None = None,
        require_principal: bool | None = None,
        metering: bool | None = None,
        rate_limit: int | None = None,
        daily_quota: int | None = None,
        agent_signup: bool | None = None,
        agent_signup_secret: str | None = None,
        balance: _Amount | None = None,
        charge_per_route: _Amount | None = None,
        strict_wallet: bool | None = None,
        x402: bool | None = None,
        open_payments: Literal["v1", "v2", "both", "amply"] | None = None,
        outcome_endpoint: bool | None = None,
        route_outcome_endpoint: bool | None = None,
        clock_standing_at: datetime | None = None,
    ) -> None:
        settings = dict(locals())
        del settings["self"], settings["clock_standing_at"]
        settings["balance"] = _amount("balance", balance)
        settings["charge_per_route"] = _amount("charge_per_route", charge_per_route)
        if clock_standing_at is not None:
            settings["clock_standing_at_s"] = clock_standing_at.timestamp()
        self._server = _native.Server(settings)
        self._admin = Client(
            api_key=self._server.admin_secret, base_url=self.url.replace("/api/v1", "/__sandbox"), principal="ignore"
        )

    @property
    def url(self) -> str:
        """The base URL to give a client."""
        return self._server.url

    @property
    def user_key(self) -> str:
        """A key that is bound to a user."""
        return self._server.user_key

    @property
    def server_key(self) -> str:
        """An operator's key: it is let in, but no principal stands behind it."""
        return self._server.server_key

    @property
    def principal_id(self) -> str:
        """Whom `user_key` is bound to, and whose wallet it is."""
        return self._server.principal_id

    @property
    def topup_url(self) -> str:
        """The guarded top-up service, which stands for your own."""
        return self._server.topup_url

    @property
    def admin_secret(self) -> str:
        """The secret of `POST /billing/topup`, for an `AdminTopUp`."""
        return self._server.admin_secret

    @property
    def topup_token(self) -> str:
        """The token for `topup_url`."""
        return self._server.topup_token

    @property
    def x402_key(self) -> str:
        """A private key to sign open payments with, for this sandbox alone."""
        return self._server.x402_key

    def client(self, **settings: Any) -> Client:
        """A client of this sandbox, with `user_key` unless another `api_key` is given. Settings: those of `Client`."""
        return Client(**{"api_key": self.user_key, "base_url": self.url, **settings})

    def paying_client(self, *, per_day: _Amount, **settings: Any) -> Client:
        """A client that pays by `topup_url`, at most this much a day, with books of its own in memory. Settings: those of `Client`.

        Example:
            >>> from amply_sdk import Sandbox
            >>> with Sandbox(balance="0", strict_wallet=True) as sandbox:
            ...     with sandbox.paying_client(per_day="1") as client:
            ...         client.route_task("store 1M vectors").meta.paid_usd
            Decimal('0.01')
        """
        spend = SpendPolicy(per_day=per_day, per_process_only=True)
        payer = TopUpService(self.topup_url, token=self.topup_token)
        return self.client(**{"spend": spend, "payer": payer, "store": ":memory:", **settings})

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """What no client of the API can ask of a server or do to it; `amply_sandbox` has the list.

        Example:
            >>> from amply_sdk import Sandbox
            >>> with Sandbox() as sandbox:
            ...     sandbox.control("POST", "/balance", {"set_usd": "0.05"})["balance_usd"]
            0.05
        """
        return self._admin.request(method, path, body)

    def calls(self) -> list[dict[str, Any]]:
        """The calls seen so far, in the order of their arrival."""
        return _list(self.control("GET", "/calls"))

    def clear(self) -> None:
        """Forgets the calls seen so far."""
        self.control("DELETE", "/calls")

    def fault(self, kind: str | Mapping[str, Any], *, path: str | None = None, **which: Any) -> None:
        """Makes calls go wrong from now on.

        Args:
            kind: `{"status": {"status": 503}}`, `{"delay": {"ms": 500}}`, `"reset_before_headers"`, ….
            path: For calls of this path; for any without it.
            which: `calls={"first": 2}` or `{"nth": 3}`, `effect="before"` or `"after"`.

        Example:
            >>> from amply_sdk import Sandbox
            >>> with Sandbox() as sandbox, sandbox.client() as client:
            ...     sandbox.fault({"status": {"status": 503}}, path="/status", calls={"first": 1})
            ...     client.status().meta.attempts
            2
        """
        fault = {"kind": kind, **which}
        if path is not None:
            fault["path"] = path
        self.control("POST", "/faults", fault)

    def stop(self) -> None:
        """Takes no more connections, and waits until running calls are answered, at most two seconds."""
        self._admin.close()
        self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Sandbox({self.url!r})"


def _list(found: Any) -> list[dict[str, Any]]:
    return list(found if isinstance(found, list) else next(value for value in found.values() if isinstance(value, list)))
