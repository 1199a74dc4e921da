"""The client for asyncio: the twin of `_client.py`, method by method."""

from __future__ import annotations

from . import _native
from ._base import Base, _body, _left, _options, _policy
from ._billing import BillingStatus, PaidAnswer, Payment
from ._outcome import AsyncOutbox, Audit, Reported, _done, _latency, _reported, _success, AsyncTracking
from ._payment import _exact
from ._results import _answer, _any
from ._route import Route
from ._server import Health, OpenApi, PlatformMetrics, Providers, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import timedelta
    from decimal import Decimal
    from os import PathLike
    from typing import Any, Literal

    from typing_extensions import Self

    from ._bootstrap import AgentManifest, NewAccount
    from ._credentials import AsyncCredentials
    from ._events import Event
    from ._execute import Execution, Target
    from ._payment import AdminTopUp, Receipt, SpendPolicy, TopUpRequest, TopUpService, X402, _Amount
    from ._plan import Plan
    from ._savings import SavingsReport


class AsyncClient(Base):
    """A client of the Amply API for asyncio: the same as `Client`, awaitable.

    It belongs to the event loop of its first call; a loop that is closed lets it go. Cancelling a task cancels its call, and
    never a payment that runs. A coroutine function as `payer` runs on the client's loop.

    Args:
        api_key: As in `Client`, and so are all others.

    Raises:
        ConfigError: A setting cannot be right; the first one is named.
        TypeError: A setting is of a type that it cannot be.

    Example:
        >>> import asyncio
        >>> from amply_sdk import AsyncClient, Sandbox
        >>> async def main() -> None:
        ...     async with Sandbox() as sandbox, AsyncClient(api_key=sandbox.user_key, base_url=sandbox.url) as client:
        ...         route = await client.route_task("store 1M vectors")
        ...         print(route.recommended)
        >>> asyncio.run(main())
        qdrant
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        principal: Literal["require", "warn", "ignore"] | None = None,
        timeout: float | timedelta | None = None,
        attempt_timeout: float | timedelta | None = None,
        connect_timeout: float | timedelta | None = None,
        max_attempts: int | None = None,
        repeat_ambiguous: bool | None = None,
        store: str | PathLike[str] | None = None,
        spend: SpendPolicy | None = None,
        payer: TopUpService | AdminTopUp | Callable[[TopUpRequest], Receipt | Awaitable[Receipt]] | None = None,
        payer_timeout: float | timedelta | None = None,
        payment_headroom: float | timedelta | None = None,
        x402: X402 | None = None,
        pays_first: Literal["wallet", "x402"] | None = None,
        report_queue: int | None = None,
        outbox_limit: int | None = None,
        reports_in_flight: int | None = None,
        deliver_in_background: bool | None = None,
        on_event: Callable[[Event], object] | None = None,
        ca_bundle: str | PathLike[str] | None = None,
        ca_certificate: str | None = None,
    ) -> None:
        settings = dict(locals())
        del settings["self"]
        self._begin(settings)

    @classmethod
    def from_env(
        cls,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        principal: Literal["require", "warn", "ignore"] | None = None,
        timeout: float | timedelta | None = None,
        attempt_timeout: float | timedelta | None = None,
        connect_timeout: float | timedelta | None = None,
        max_attempts: int | None = None,
        repeat_ambiguous: bool | None = None,
        store: str | PathLike[str] | None = None,
        spend: SpendPolicy | None = None,
        payer: TopUpService | AdminTopUp | Callable[[TopUpRequest], Receipt | Awaitable[Receipt]] | None = None,
        payer_timeout: float | timedelta | None = None,
        payment_headroom: float | timedelta | None = None,
        x402: X402 | None = None,
        pays_first: Literal["wallet", "x402"] | None = None,
        report_queue: int | None = None,
        outbox_limit: int | None = None,
        reports_in_flight: int | None = None,
        deliver_in_background: bool | None = None,
        on_event: Callable[[Event], object] | None = None,
        ca_bundle: str | PathLike[str] | None = None,
        ca_certificate: str | None = None,
    ) -> Self:
        """A client set up by `AMPLY_API_KEY`, `AMPLY_BASE_URL`, `AMPLY_TIMEOUT` and `AMPLY_CA_BUNDLE`.

        The variables are read once, here. The `__init__` of a subclass is not called.

        Args:
            api_key: In place of the variable, as in `AsyncClient`, and so are all others.

        Raises:
            ConfigError: A variable cannot be right; it is named.
            TypeError: There is no setting of this name, or it is of a type that it cannot be.
        """
        settings = dict(locals())
        del settings["cls"]
        client = cls.__new__(cls)
        client._begin({**settings, "from_env": True})
        return client

    def with_options(
        self,
        *,
        timeout: float | timedelta | None = None,
        attempt_timeout: float | timedelta | None = None,
        max_attempts: int | None = None,
        repeat_ambiguous: bool | None = None,
        principal: Literal["require", "warn", "ignore"] | None = None,
    ) -> Self:
        """A copy with other options for some calls. It shares connections and the retry budget, and is closed with this.

        What a subclass has added to this client, its copy has too; no `__init__` is called.

        Example:
            >>> run(aclient.with_options(timeout=2).status()).ok
            True
        """
        options = dict(locals())
        del options["self"]
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy._keep(self._core.with_options(_options(options)))
        return copy

    async def route_task(
        self,
        task: str,
        *,
        dimension: int | None = None,
        workload_type: Literal["insert_heavy", "query_heavy", "hybrid"] | None = None,
        filter_complexity: Literal["low", "medium", "high"] | None = None,
        budget_usd: Decimal | str | float | None = None,
        latency_target_ms: float | None = None,
        budget_usd_per_1m_ops: Decimal | str | float | None = None,
        slo_p99_ms: float | None = None,
        referral_tag: str | None = None,
        sandbox_mode: bool | None = None,
        enterprise_policy: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Route:
        """Asks which provider should run a task (`POST /route`). Arguments and errors: `Client.route_task`.

        Example:
            >>> run(aclient.route_task("store 5M embeddings", dimension=768)).recommended
            'qdrant'
        """
        pending = _native.route_task_async(
            self._core,
            (
                task, dimension, workload_type, filter_complexity, budget_usd, latency_target_ms,
                budget_usd_per_1m_ops, slo_p99_ms, referral_tag, sandbox_mode,
                _policy(enterprise_policy), idempotency_key,
            ),
        )  # fmt: skip
        # As `_done`, without a coroutine more: the busiest call of all.
        try:
            route: Route = await pending.future
        except BaseException:
            pending.cancel()
            raise
        return route

    def route_task_tracked(
        self,
        task: str,
        *,
        dimension: int | None = None,
        workload_type: Literal["insert_heavy", "query_heavy", "hybrid"] | None = None,
        filter_complexity: Literal["low", "medium", "high"] | None = None,
        budget_usd: Decimal | str | float | None = None,
        latency_target_ms: float | None = None,
        budget_usd_per_1m_ops: Decimal | str | float | None = None,
        slo_p99_ms: float | None = None,
        referral_tag: str | None = None,
        sandbox_mode: bool | None = None,
        enterprise_policy: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> AsyncTracking:
        """As `route_task`, together with the means to report how it went: awaitable, and an async context manager.

        Example:
            >>> run(aclient.route_task_tracked("store 1M vectors")._ask()).recommended
            'qdrant'
        """
        return AsyncTracking(
            self._core,
            (
                task, dimension, workload_type, filter_complexity, budget_usd, latency_target_ms,
                budget_usd_per_1m_ops, slo_p99_ms, referral_tag, sandbox_mode,
                _policy(enterprise_policy), idempotency_key,
            ),
        )  # fmt: skip

    async def plan(
        self,
        task: str,
        *,
        dimension: int | None = None,
        workload_type: Literal["insert_heavy", "query_heavy", "hybrid"] | None = None,
        filter_complexity: Literal["low", "medium", "high"] | None = None,
        budget_usd: Decimal | str | float | None = None,
        latency_target_ms: float | None = None,
        budget_usd_per_1m_ops: Decimal | str | float | None = None,
        slo_p99_ms: float | None = None,
        referral_tag: str | None = None,
        sandbox_mode: bool | None = None,
        enterprise_policy: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Plan:
        """What `route_task` with these arguments would send and who would pay for it. Nothing is sent.

        Example:
            >>> run(aclient.plan("store 1M vectors")).url == f"{sandbox.url}/route"
            True
        """
        from ._plan import Plan

        return Plan(
            await _done(
                _native.plan_async(
                    self._core,
                    (
                        task, dimension, workload_type, filter_complexity, budget_usd, latency_target_ms,
                        budget_usd_per_1m_ops, slo_p99_ms, referral_tag, sandbox_mode,
                        _policy(enterprise_policy), idempotency_key,
                    ),
                )
            )
        )  # fmt: skip

    async def report(
        self,
        ticket: str,
        *,
        success: bool,
        actual_latency_ms: float | None = None,
        error_code: str | None = None,
    ) -> Reported:
        """Reports how a route went that another process asked for, now, and waits for the server's answer.

        Args:
            ticket: From `TrackedRoute.ticket`, or `Client.ticket`.
            success: Whether the task was done.
            actual_latency_ms: How long it took at the provider, in ms.
            error_code: The kind of error, 1 to 64 of `a-z 0-9 _ . : -`; never its message.

        Raises:
            InvalidRequestError: The ticket is of another server or another key, or the outcome cannot be right.

        Example:
            >>> ticket = client.route_task_tracked("store 1M vectors").ticket
            >>> run(aclient.report(ticket, success=True, actual_latency_ms=42)).credits_awarded
            1
        """
        pending = _native.report_async(self._core, ticket, _success(success), _latency(actual_latency_ms), error_code)
        return _reported(await _done(pending))

    def report_in_background(
        self,
        ticket: str,
        *,
        success: bool,
        actual_latency_ms: float | None = None,
        error_code: str | None = None,
    ) -> bool:
        """As `report`, handed over in memory: it never waits. Whether it is on its way, and not a second one.

        Example:
            >>> aclient.report_in_background(client.route_task_tracked("store 1M vectors").ticket, success=True)
            True
        """
        latency = _latency(actual_latency_ms)
        return _native.report_in_background(self._core, ticket, _success(success), latency, error_code)

    async def report_durable(
        self,
        ticket: str,
        *,
        success: bool,
        actual_latency_ms: float | None = None,
        error_code: str | None = None,
    ) -> bool:
        """As `report`, committed to the store: it then survives the process, and is delivered at least once.

        Raises:
            ConfigError: The client has no store in a file.

        Example:
            >>> run(aclient.report_durable(client.route_task_tracked("store 1M vectors").ticket, success=True))
            Traceback (most recent call last):
            amply_sdk.ConfigError: ...
        """
        latency = _latency(actual_latency_ms)
        pending = _native.report_durable_async(self._core, ticket, _success(success), latency, error_code)
        return bool(await _done(pending))

    def ticket(self, route_id: str, *, provider_id: str | None = None) -> str:
        """A ticket for a route whose id is known and nothing else. An older server wants to know the provider too.

        Example:
            >>> route = client.route_task("store 1M vectors")
            >>> run(aclient.report(aclient.ticket(route.route_id), success=True)).credits_awarded
            1
        """
        return _native.ticket(self._core, route_id, provider_id)

    async def audit(self, route_id: str) -> Audit:
        """What the server knows of a route of this key's principal, with a proof (`GET /route/audit`).

        Raises:
            NotFoundError: There is no such route, or it is another's.

        Example:
            >>> run(aclient.audit(client.route_task("store 1M vectors").route_id)).outcome is None
            True
        """
        return _answer(Audit, await _done(_native.audit_async(self._core, route_id)))

    @property
    def outbox(self) -> AsyncOutbox:
        """The reports that wait to be delivered, and what became of the others.

        Example:
            >>> run(aclient.outbox.waiting())
            0
        """
        return AsyncOutbox(self._core)

    async def agent(self) -> AgentManifest:
        """How an agent gets from nothing to a route and its outcome. Errors: `Client.agent`.

        Example:
            >>> run(aclient.agent()).steps[0].id
            'discover'
        """
        from ._bootstrap import AgentManifest

        return _answer(AgentManifest, await _done(_native.agent_async(self._core)))

    async def signup(self, accept_tos_version: str, *, token: str | None = None) -> NewAccount:
        """Signs up for a key of one's own. Arguments and errors: `Client.signup`.

        Example:
            >>> async def sign_up() -> str:
            ...     async with Sandbox(agent_signup=True) as open_to_all:
            ...         async with AsyncClient(base_url=open_to_all.url) as nobody:
            ...             return (await nobody.signup("2026-11-01")).api_key
            >>> run(sign_up())[:9]
            'amply_sk_'
        """
        from ._bootstrap import _account, _token

        return _account(await _done(_native.signup_async(self._core, accept_tos_version, _token(token))))

    async def status(self) -> Status:
        """How the server is set up and how it is (`GET /status`).

        Example:
            >>> run(aclient.status()).ok
            True
        """
        return _answer(Status, await _done(_native.status_async(self._core)))

    async def providers(self) -> Providers:
        """The providers that the server ranks (`GET /providers`).

        Example:
            >>> len(run(aclient.providers()).providers)
            5
        """
        return _answer(Providers, await _done(_native.providers_async(self._core)))

    async def health(self) -> Health:
        """How the providers are, by the server's probes (`GET /health`). It needs a key.

        Example:
            >>> run(aclient.health()).providers[0].state
            'healthy'
        """
        return _answer(Health, await _done(_native.health_async(self._core)))

    async def openapi(self) -> OpenApi:
        """The server's own description of what it serves (`GET /openapi`).

        Example:
            >>> "/api/v1/route" in run(aclient.openapi())["paths"]
            True
        """
        return _answer(OpenApi, await _done(_native.openapi_async(self._core)))

    async def platform_metrics(self) -> PlatformMetrics:
        """Public totals of the whole platform (`GET /platform-metrics`).

        Example:
            >>> run(aclient.platform_metrics()).decisions_last_7d
            0
        """
        return _answer(PlatformMetrics, await _done(_native.platform_metrics_async(self._core)))

    async def billing_status(self) -> BillingStatus:
        """What the wallet of this key's principal holds. It needs a key that is bound to a user.

        Example:
            >>> run(aclient.billing_status()).balance_usd
            Decimal('10')
        """
        return _answer(BillingStatus, await _done(_native.billing_status_async(self._core)))

    async def execute(
        self,
        task: str,
        *,
        credential_ref: str | None = None,
        target: str | Target | None = None,
        input: Any = None,
        dimension: int | None = None,
        workload_type: Literal["insert_heavy", "query_heavy", "hybrid"] | None = None,
        filter_complexity: Literal["low", "medium", "high"] | None = None,
        budget_usd: Decimal | str | float | None = None,
        latency_target_ms: float | None = None,
        budget_usd_per_1m_ops: Decimal | str | float | None = None,
        slo_p99_ms: float | None = None,
        referral_tag: str | None = None,
        sandbox_mode: bool | None = None,
        enterprise_policy: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Execution:
        """Routes a task and has it executed, in one call. Arguments and errors: `Client.execute`.

        Example:
            >>> run(aclient.execute("store 1M vectors", target="https://worker.example/run", input=[1, 2])).output
            [1, 2]
        """
        from ._execute import Execution, _place

        return _answer(
            Execution,
            await _done(
                _native.execute_async(
                    self._core,
                    (
                        task, dimension, workload_type, filter_complexity, budget_usd, latency_target_ms,
                        budget_usd_per_1m_ops, slo_p99_ms, referral_tag, sandbox_mode,
                        _policy(enterprise_policy), idempotency_key,
                    ),
                    _place(credential_ref, target),
                    _body(input),
                )
            ),
        )  # fmt: skip

    async def savings_report(self, period: Literal["30d", "90d"] = "30d") -> SavingsReport:
        """What routes cost and saved in a period. Errors: `Client.savings_report`.

        Example:
            >>> run(aclient.savings_report()).totals.routes
            0
        """
        from ._savings import SavingsReport

        return _answer(SavingsReport, await _done(_native.savings_report_async(self._core, period)))

    @property
    def credentials(self) -> AsyncCredentials:
        """The credentials that the server keeps for executions. They need a key that is bound to a user.

        Example:
            >>> run(aclient.credentials.list()).credentials
            []
        """
        from ._credentials import AsyncCredentials

        return AsyncCredentials(self._core)

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """Any other call, authenticated. Arguments and result: `Client.request`.

        Example:
            >>> run(aclient.request("POST", "/route", {"task": "store 1M vectors"}))["recommended"]
            'qdrant'
        """
        return _any(await _done(_native.request_async(self._core, method, path, _body(body))))

    async def top_up(
        self,
        amount_usd: _Amount,
        *,
        principal_id: str | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Payment:
        """Has the wallet topped up now, without a 402. Arguments and errors: `Client.top_up`.

        Example:
            >>> async def top_up() -> Payment:
            ...     payer = AdminTopUp(secret=sandbox.admin_secret)
            ...     spend = SpendPolicy(per_topup="20", per_day="50", per_process_only=True)
            ...     async with AsyncClient(
            ...         api_key=sandbox.user_key, base_url=sandbox.url, payer=payer, spend=spend, store=":memory:"
            ...     ) as operator:
            ...         return await operator.top_up("5", reason="monthly budget")
            >>> run(top_up()).state
            'settled'
        """
        amount = _exact("amount_usd", amount_usd)
        pending = _native.top_up_async(self._core, amount, principal_id, reason, idempotency_key)
        return Payment(await _done(pending))

    @property
    def payments(self) -> AsyncPayments:
        """The payments in this client's store.

        Example:
            >>> run(aclient.payments.list())
            []
        """
        return AsyncPayments(self._core)

    async def close(self, timeout: float = 5.0) -> None:
        """Takes no more calls, delivers the reports that wait until the limit in seconds, and waits for a payment that runs."""
        closing = self._core.close_async(timeout)
        if closing is not None:
            await _done(closing)
            self._core.let_go()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            await self.close()
        except Exception as failed:
            if error is None:
                raise
            _left(failed)


class AsyncPayments:
    """The payments in a client's store: what was paid, and what may have been. From `AsyncClient.payments`.

    Example:
        >>> async def main() -> list[Payment]:
        ...     return await aclient.payments.list()
        >>> run(main())
        []
    """

    __slots__ = ("_core",)

    def __init__(self, core: _native.Core) -> None:
        self._core = core

    async def list(self) -> list[Payment]:
        """All payments, the oldest first. None is ever deleted."""
        return [Payment(payment) for payment in await _done(_native.payments_list_async(self._core))]

    async def show(self, id: str) -> Payment:
        """One payment, by its id.

        Raises:
            InvalidRequestError: There is none of this id.
        """
        return Payment(await _done(_native.payments_show_async(self._core, id)))

    async def answer(self, id: str) -> PaidAnswer | None:
        """The answer to the request that carried an x402 payment; it is kept for a day."""
        found = await _done(_native.payments_answer_async(self._core, id))
        return None if found is None else PaidAnswer(*found)

    async def resolve(self, id: str, verdict: Literal["settled", "rejected"]) -> Payment:
        """Says what became of a payment that is unknown, or settled and not applied. Only for a person who has looked."""
        return Payment(await _done(_native.payments_resolve_async(self._core, id, verdict)))

    async def blocked(self) -> str | None:
        """Why nothing is paid from this store until `unblock`; None where nothing keeps payments from being made."""
        found: str | None = await _done(_native.payments_blocked_async(self._core))
        return found

    async def unblock(self) -> bool:
        """Lets payments go on after a store that could not be read was set aside; whether there was such a block."""
        return bool(await _done(_native.payments_unblock_async(self._core)))
