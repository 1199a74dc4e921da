"""The client without asyncio."""

from __future__ import annotations

from . import _native
from ._base import Base, _body, _left, _options, _policy
from ._billing import BillingStatus, PaidAnswer, Payment
from ._outcome import Audit, Outbox, Reported, TrackedRoute, _latency, _reported, _success
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
    from ._credentials import Credentials
    from ._events import Event
    from ._execute import Execution, Target
    from ._payment import AdminTopUp, Receipt, SpendPolicy, TopUpRequest, TopUpService, X402, _Amount
    from ._plan import Plan
    from ._savings import SavingsReport


class Client(Base):
    """A client of the Amply API. One may be shared by all threads, and used on both sides of a fork.

    The environment is not read unless asked for: see `from_env`.

    Args:
        api_key: The API key. Without one, calls are sent without.
        base_url: The base URL; one without a path gets `/api/v1`. https, or http on this machine.
        principal: What to do when a route is bound to no principal: `warn` (the default), `require`, or `ignore`.
        timeout: The limit for one call in seconds, retries and waits included; 30 unless set, 60 with a payer.
        attempt_timeout: The limit for one HTTP request of a call, in seconds; 20 unless set.
        connect_timeout: The limit for making a connection, in seconds; 5 unless set.
        max_attempts: At most this many HTTP requests for one call; 3 unless set.
        repeat_ambiguous: Also repeat a route that the server may have seen. It may then be charged more than once.
        store: The file that keeps what was paid and the reports that wait, or `:memory:` for books of this client's own
            that end with it. A cap over time needs a file.
        spend: What may be spent. Without it nothing is.
        payer: Who tops up the wallet: a `TopUpService`, an `AdminTopUp`, or a callable or coroutine function that gets a `TopUpRequest`
            and returns a `Receipt` or raises.
        payer_timeout: How long the payer may take for one top-up, in seconds; 30 unless set.
        payment_headroom: What must be left of a call's time for it to begin a payment, in seconds; 5 unless set.
        x402: Pays by the open x402 protocol.
        pays_first: Where a 402 offers both ways to pay: `wallet` (the default) or `x402`.
        report_queue: How many reports may wait in memory; 1024 unless set.
        outbox_limit: How many reports the outbox holds at most; 1,000,000 in a file and 10,000 in memory unless set.
        reports_in_flight: How many reports are under way at once; 4 unless set.
        deliver_in_background: False leaves the delivery to `outbox.flush()`, for a process that hands over and ends.
        on_event: Told of each step of a payment, and what becomes of reports, on a thread of its own. It must not block, nor
            call a client, nor be a coroutine function.
        ca_bundle: A PEM file with certificates to trust besides those of the system.
        ca_certificate: The same, as the text of such a file.

    Raises:
        ConfigError: A setting cannot be right; the first one is named.
        TypeError: A setting is of a type that it cannot be.

    Example:
        >>> from amply_sdk import Client, Sandbox
        >>> with Sandbox() as sandbox, Client(api_key=sandbox.user_key, base_url=sandbox.url) as client:
        ...     client.route_task("store 1M vectors").recommended
        'qdrant'
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
            api_key: In place of the variable, as in `Client`, and so are all others.

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
            >>> client.with_options(timeout=2).status().ok
            True
        """
        options = dict(locals())
        del options["self"]
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy._keep(self._core.with_options(_options(options)))
        return copy

    def route_task(
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
        """Asks which provider should run a task (`POST /route`).

        One call may debit the wallet once. It is sent again only after a failure that cannot have had an effect. With a
        payer, a 402 is paid within the policy, once, and the same request is sent again.

        Args:
            task: The task in plain words, 1 to 8000 UTF-16 units.
            dimension: Dimensions of one vector, 1 to 65536.
            workload_type: What the workload mostly does.
            filter_complexity: How involved the metadata filters are.
            budget_usd: A hint in USD: a provider that costs much more ranks lower.
            latency_target_ms: A hint in ms: a provider whose p99 is much slower ranks lower.
            budget_usd_per_1m_ops: A hard limit in USD per million operations.
            slo_p99_ms: A hard limit in ms.
            referral_tag: Where the call came from.
            sandbox_mode: Asks the server to treat the call as a trial.
            enterprise_policy: Passed through as it is.
            idempotency_key: Your own key for this call, 1 to 255 visible ASCII characters. A key that led a payment never
                leads another.

        Raises:
            InvalidRequestError: The request cannot be right; nothing was sent.
            PaymentRequiredError: The wallet does not cover the call, and nobody may pay.
            PaymentError: The call was to be paid for and was not answered.
            PrincipalNotBoundError: With `principal="require"`; the answer is in it.
            AmplyApiError: Anything else, by its class.

        Example:
            >>> route = client.route_task("store 5M embeddings", dimension=768)
            >>> route.recommended, route.estimated_cost_usd
            ('qdrant', Decimal('0.00475'))
        """
        return _native.route_task(
            self._core,
            (
                task, dimension, workload_type, filter_complexity, budget_usd, latency_target_ms,
                budget_usd_per_1m_ops, slo_p99_ms, referral_tag, sandbox_mode,
                _policy(enterprise_policy), idempotency_key,
            ),
        )  # fmt: skip

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
    ) -> TrackedRoute:
        """As `route_task`, together with the means to report how it went.

        Example:
            >>> with client.route_task_tracked("store 1M vectors") as tracked:
            ...     print(f"asking {tracked.recommended}")
            asking qdrant
        """
        return TrackedRoute(
            self._core,
            _native.route_task_tracked(
                self._core,
                (
                    task, dimension, workload_type, filter_complexity, budget_usd, latency_target_ms,
                    budget_usd_per_1m_ops, slo_p99_ms, referral_tag, sandbox_mode,
                    _policy(enterprise_policy), idempotency_key,
                ),
            ),
        )  # fmt: skip

    def plan(
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

        What the caps leave comes from the client's store.

        Raises:
            InvalidRequestError: The request cannot be right.

        Example:
            >>> plan = client.plan("store 1M vectors", dimension=1536)
            >>> plan.body, plan.key_kind, plan.would_be_sent, plan.payment.would_pay
            ({'task': 'store 1M vectors', 'dimension': 1536}, 'user', True, False)
        """
        from ._plan import Plan

        return Plan(
            _native.plan(
                self._core,
                (
                    task, dimension, workload_type, filter_complexity, budget_usd, latency_target_ms,
                    budget_usd_per_1m_ops, slo_p99_ms, referral_tag, sandbox_mode,
                    _policy(enterprise_policy), idempotency_key,
                ),
            )
        )  # fmt: skip

    def report(
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
            >>> client.report(ticket, success=True, actual_latency_ms=42).credits_awarded
            1
        """
        return _reported(_native.report(self._core, ticket, _success(success), _latency(actual_latency_ms), error_code))

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
            >>> client.report_in_background(client.route_task_tracked("store 1M vectors").ticket, success=True)
            True
        """
        latency = _latency(actual_latency_ms)
        return _native.report_in_background(self._core, ticket, _success(success), latency, error_code)

    def report_durable(
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
            >>> client.report_durable(client.route_task_tracked("store 1M vectors").ticket, success=True)
            Traceback (most recent call last):
            amply_sdk.ConfigError: ...
        """
        return _native.report_durable(self._core, ticket, _success(success), _latency(actual_latency_ms), error_code)

    def ticket(self, route_id: str, *, provider_id: str | None = None) -> str:
        """A ticket for a route whose id is known and nothing else. An older server wants to know the provider too.

        Example:
            >>> route = client.route_task("store 1M vectors")
            >>> client.report(client.ticket(route.route_id), success=True).credits_awarded
            1
        """
        return _native.ticket(self._core, route_id, provider_id)

    def audit(self, route_id: str) -> Audit:
        """What the server knows of a route of this key's principal, with a proof (`GET /route/audit`).

        Raises:
            NotFoundError: There is no such route, or it is another's.

        Example:
            >>> client.audit(client.route_task("store 1M vectors").route_id).outcome is None
            True
        """
        return _answer(Audit, _native.audit(self._core, route_id))

    @property
    def outbox(self) -> Outbox:
        """The reports that wait to be delivered, and what became of the others.

        Example:
            >>> client.outbox.waiting()
            0
        """
        return Outbox(self._core)

    def agent(self) -> AgentManifest:
        """How an agent gets from nothing to a route and its outcome (`GET /agent`): steps in order, rules, and switches.

        Raises:
            ProtocolError: The manifest has no steps or a circle, or leads to another server; it says which step.
            UnsupportedError: The server is older than release 3.1.13.

        Example:
            >>> manifest = client.agent()
            >>> manifest.next_step(["discover", "health", "schema"]).id
            'credential'
        """
        from ._bootstrap import AgentManifest

        return _answer(AgentManifest, _native.agent(self._core))

    def signup(self, accept_tos_version: str, *, token: str | None = None) -> NewAccount:
        """Signs up for a key of one's own (`POST /signup/agent`). Read the terms first: this accepts them.

        The version is first compared with what `status()` shows, or `agent()` where that has none; where neither shows one, the
        server alone judges it. The client's own key, if it has one, is not sent. The call is
        never made again when the server may have heard it.

        Args:
            accept_tos_version: The version of the terms, as `status().agent_signup.tos_version` has it.
            token: The token that some servers ask for (`AMPLY_SIGNUP_TOKEN` of the command).

        Raises:
            InvalidRequestError: The terms have another version, which it says, or a token is needed; nothing was accepted.
            PermissionDeniedError: Agents cannot sign up on this server; it says what to do instead.
            ProtocolError: The key cannot be found in the answer, which is in `sealed_body`.

        Example:
            >>> with Sandbox(agent_signup=True) as open_to_all, Client(base_url=open_to_all.url) as nobody:
            ...     terms = nobody.status().agent_signup
            ...     account = nobody.signup(terms.tos_version)
            >>> account
            NewAccount(principal_id='prn_sandbox_...', tos_version='2026-11-01', and 4 more, api_key hidden)
            >>> account.api_key[:9]
            'amply_sk_'
        """
        from ._bootstrap import _account, _token

        return _account(_native.signup(self._core, accept_tos_version, _token(token)))

    def status(self) -> Status:
        """How the server is set up and how it is (`GET /status`).

        Example:
            >>> client.status().ok
            True
        """
        return _answer(Status, _native.status(self._core))

    def providers(self) -> Providers:
        """The providers that the server ranks (`GET /providers`).

        Example:
            >>> len(client.providers().providers)
            5
        """
        return _answer(Providers, _native.providers(self._core))

    def health(self) -> Health:
        """How the providers are, by the server's probes (`GET /health`). It needs a key.

        Raises:
            UnsupportedError: The server is older than release 3.1.13.

        Example:
            >>> client.health().providers[0].state
            'healthy'
        """
        return _answer(Health, _native.health(self._core))

    def openapi(self) -> OpenApi:
        """The server's own description of what it serves (`GET /openapi`).

        Example:
            >>> "/api/v1/route" in client.openapi()["paths"]
            True
        """
        return _answer(OpenApi, _native.openapi(self._core))

    def platform_metrics(self) -> PlatformMetrics:
        """Public totals of the whole platform (`GET /platform-metrics`).

        Example:
            >>> client.platform_metrics().decisions_last_7d
            0
        """
        return _answer(PlatformMetrics, _native.platform_metrics(self._core))

    def billing_status(self) -> BillingStatus:
        """What the wallet of this key's principal holds. It needs a key that is bound to a user.

        Billing is not a guaranteed v1 contract of the API.

        Example:
            >>> client.billing_status().balance_usd
            Decimal('10')
        """
        return _answer(BillingStatus, _native.billing_status(self._core))

    def execute(
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
        """Routes a task and has it executed, in one call (`POST /route/execute`).

        A 402 is paid as that of `route_task` is. An execution that failed is an answer: see `Execution.succeeded`. Once the server
        can have seen the call it is never sent again, not even with `repeat_ambiguous`: a provider may have begun. It may take
        longer than one attempt has, 20 s unless `attempt_timeout` says otherwise.

        Args:
            task: The task in plain words. The hints and limits that have no line here are those of `route_task`.
            credential_ref: The id of a stored credential to execute with; see `credentials`.
            target: Instead of one: a URL of your own to execute at, or a `Target` with headers for it.
            input: What is handed to whoever executes the task: anything that `json.dumps` takes.

        Raises:
            TypeError: Neither a credential nor a target was given, or both.
            InvalidRequestError: The request cannot be right; nothing was sent.
            NotFoundError: There is no such credential, or it is another's.
            AmplyApiError: As `route_task`.

        Example:
            >>> execution = client.execute("store 1M vectors", target="https://worker.example/run", input={"rows": 3})
            >>> execution.recommended, execution.output
            ('qdrant', {'rows': 3})
        """
        from ._execute import Execution, _place

        return _answer(
            Execution,
            _native.execute(
                self._core,
                (
                    task, dimension, workload_type, filter_complexity, budget_usd, latency_target_ms,
                    budget_usd_per_1m_ops, slo_p99_ms, referral_tag, sandbox_mode,
                    _policy(enterprise_policy), idempotency_key,
                ),
                _place(credential_ref, target),
                _body(input),
            ),
        )  # fmt: skip

    def savings_report(self, period: Literal["30d", "90d"] = "30d") -> SavingsReport:
        """What the routes of this key's principal cost and saved in a period, with a sentence to share (`POST /report`).

        It needs a key that is bound to a user. Not to be confused with `report`, which reports how a route went.

        Raises:
            InvalidRequestError: Another period; nothing was sent.
            PermissionDeniedError: The key is bound to no principal.

        Example:
            >>> client.savings_report("90d").summary
            'Amply saved your agent fleet $0.00 in the last 90 days.'
        """
        from ._savings import SavingsReport

        return _answer(SavingsReport, _native.savings_report(self._core, period))

    @property
    def credentials(self) -> Credentials:
        """The credentials that the server keeps for executions. They need a key that is bound to a user.

        Example:
            >>> client.credentials.list().credentials
            []
        """
        from ._credentials import Credentials

        return Credentials(self._core)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Any other call, authenticated: a path below the base URL, an optional JSON body, and the JSON that comes.

        A method other than GET, HEAD and OPTIONS is never sent again once the server can have seen it.

        Args:
            method: The HTTP method.
            path: The path below the base URL.
            body: Anything that `json.dumps` takes; None is no body.

        Returns:
            An `Answer` for a JSON object, else what the JSON is; None for an empty answer.

        Example:
            >>> client.request("POST", "/route", {"task": "store 1M vectors"})["recommended"]
            'qdrant'
        """
        return _any(_native.request(self._core, method, path, _body(body)))

    def top_up(
        self,
        amount_usd: _Amount,
        *,
        principal_id: str | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Payment:
        """Has the wallet topped up now, without a 402 (`POST /billing/topup`), by the client's payer and within its policy.

        For operators, with an `AdminTopUp`. It is a payment like any other: in the ledger before the payer is asked, counted by
        the caps, and never asked for again when its result is not known. The payment that is returned was made; its state is
        `settled_not_applied` where the wallet did not show it within a few seconds.

        Args:
            amount_usd: By how much, in USD, above 0 and in whole cents; exact, so never a float.
            principal_id: Whose wallet; that of the client's own key unless given.
            reason: What it is for, in words, for the API's own records and the ledger.
            idempotency_key: Your own key for this top-up, 1 to 255 visible ASCII characters. A top-up that was made under it is
                not made again: its payment is the answer. The client's store sees to that.

        Raises:
            TypeError: The amount is a float or no amount at all.
            ValueError: The amount cannot be read.
            InvalidRequestError: The top-up cannot be meant, or nobody says whose wallet it is; nothing was sent.
            ConfigError: The client has no payer.
            SpendLimitError: A cap forbids it.
            PaymentFailedError: The payer said no.
            PaymentUnknownError: Money may have moved, or another payment of this wallet is open.
            PaymentNotAppliedError: The key led another payment, which was made.
            PaymentRefusedError: The billing status, which says whose wallet it is, cannot be had.
            StoreError: The ledger cannot be read or written.

        Example:
            >>> payer = AdminTopUp(secret=sandbox.admin_secret)
            >>> spend = SpendPolicy(per_topup="20", per_day="50", per_process_only=True)
            >>> with sandbox.client(payer=payer, spend=spend, store=":memory:") as operator:
            ...     payment = operator.top_up("5", reason="monthly budget", idempotency_key="2026-11")
            >>> payment.state, payment.amount_usd, client.billing_status().balance_usd
            ('settled', Decimal('5'), Decimal('15'))
        """
        amount = _exact("amount_usd", amount_usd)
        return Payment(_native.top_up(self._core, amount, principal_id, reason, idempotency_key))

    @property
    def payments(self) -> Payments:
        """The payments in this client's store.

        Example:
            >>> client.payments.list()
            []
        """
        return Payments(self._core)

    def close(self, timeout: float = 5.0) -> None:
        """Takes no more calls, delivers the reports that wait until the limit in seconds, and waits for a payment that runs."""
        self._core.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self.close()
        except Exception as failed:
            if error is None:
                raise
            _left(failed)


class Payments:
    """The payments in a client's store: what was paid, and what may have been. From `Client.payments`.

    Example:
        >>> with Sandbox(balance="0", strict_wallet=True) as broke, broke.paying_client(per_day="1") as client:
        ...     route = client.route_task("store 1M vectors")
        ...     payment = client.payments.show(route.meta.payment_id)
        >>> payment.state, payment.amount_usd
        ('settled', Decimal('0.01'))
    """

    __slots__ = ("_core",)

    def __init__(self, core: _native.Core) -> None:
        self._core = core

    def list(self) -> list[Payment]:
        """All payments, the oldest first. None is ever deleted."""
        return [Payment(payment) for payment in _native.payments_list(self._core)]

    def show(self, id: str) -> Payment:
        """One payment, by its id.

        Raises:
            InvalidRequestError: There is none of this id.
        """
        return Payment(_native.payments_show(self._core, id))

    def answer(self, id: str) -> PaidAnswer | None:
        """The answer to the request that carried an x402 payment; it is kept for a day."""
        found = _native.payments_answer(self._core, id)
        return None if found is None else PaidAnswer(*found)

    def resolve(self, id: str, verdict: Literal["settled", "rejected"]) -> Payment:
        """Says what became of a payment that is unknown, or settled and not applied. Only for a person who has looked."""
        return Payment(_native.payments_resolve(self._core, id, verdict))

    def blocked(self) -> str | None:
        """Why nothing is paid from this store until `unblock`; None where nothing keeps payments from being made."""
        return _native.payments_blocked(self._core)

    def unblock(self) -> bool:
        """Lets payments go on after a store that could not be read was set aside; whether there was such a block."""
        return _native.payments_unblock(self._core)
