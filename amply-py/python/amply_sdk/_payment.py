"""Who pays, and how much at most: policies, payers, signers."""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable, Iterable
    from decimal import Decimal
    from typing import Any, NoReturn, TypeAlias

    from . import _native

    _Amount: TypeAlias = Decimal | str | int
    """An exact amount in USD. A float is none."""


class TopUpRejected(Exception):
    """Raised by a payer to say no: no money has moved, and none will.

    Anything else that a payer raises leaves the payment unknown, since money may have moved.

    Example:
        >>> def ask(request: TopUpRequest) -> Receipt:
        ...     if input_of_a_person != "yes":
        ...         raise TopUpRejected("a person said no")
        ...     return Receipt(request.amount_usd)
        >>> input_of_a_person = "no"
        >>> with Sandbox(balance="0", strict_wallet=True) as broke, broke.paying_client(per_day="1", payer=ask) as client:
        ...     try:
        ...         client.route_task("store 1M vectors")
        ...     except PaymentFailedError:
        ...         print([payment.state for payment in client.payments.list()])
        ['rejected']
    """


class SpendPolicy:
    """What a client may spend without asking anybody. Without one, nothing is ever paid.

    A cap for a UTC day is required, and a store that outlives the process with it: else a program that starts again could
    spend it again. All payments of a store count, whatever key and server they were for.

    Args:
        per_topup: What one top-up may take, in USD.
        per_request: What one request may cost, in USD.
        per_day: What all payments of a UTC day may take, in USD.
        minimum_topup: Rounds a top-up up to this much. It never breaks a cap.
        per_process_only: Lets the caps hold for this process alone, so that no store is needed.
        pay_to: For x402: whom to pay, as `(network, address)`. Without it the first payee on a network is kept.
        any_pay_to: For x402: pays whatever address a server names.
        allow_upfront: For x402: takes offers too that settle before the request is handled.
        assets: For x402: tokens to take at par besides the known ones.

    Raises:
        TypeError: An amount is a float, which cannot hold most amounts exactly.
        ValueError: An amount is none.

    Example:
        >>> from amply_sdk import SpendPolicy
        >>> SpendPolicy(per_topup="10", per_day="20")
        SpendPolicy(per_topup='10', per_day='20')
        >>> SpendPolicy(per_day=0.1)
        Traceback (most recent call last):
        TypeError: per_day is the float 0.1, which cannot hold most amounts exactly; write '0.1' or Decimal('0.1')
    """

    __slots__ = ("_fields",)

    def __init__(
        self,
        *,
        per_topup: _Amount | None = None,
        per_request: _Amount | None = None,
        per_day: _Amount | None = None,
        minimum_topup: _Amount | None = None,
        per_process_only: bool = False,
        pay_to: Iterable[tuple[str, str]] = (),
        any_pay_to: bool = False,
        allow_upfront: bool = False,
        assets: Iterable[Asset] = (),
    ) -> None:
        self._fields: dict[str, Any] = {
            "per_topup": _amount("per_topup", per_topup),
            "per_request": _amount("per_request", per_request),
            "per_day": _amount("per_day", per_day),
            "minimum_topup": _amount("minimum_topup", minimum_topup),
            "per_process_only": bool(per_process_only),
            "pay_to": [(str(network), str(address)) for network, address in pay_to],
            "any_pay_to": bool(any_pay_to),
            "allow_upfront": bool(allow_upfront),
            "assets": [asset._fields for asset in assets],
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SpendPolicy) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self._fields.items() if value)
        return f"SpendPolicy({said})"


class Asset:
    """A token that is taken at par: 10**decimals of its units count as one US dollar.

    USDC on Base, Base Sepolia, Avalanche and Polygon is known. Whoever takes another one at par trusts whoever issues it.

    Args:
        network: `base`, `base-sepolia`, `avalanche`, `polygon`, or `eip155:` and the chain id of one of them.
        address: The token's contract.
        name: The `name` of the contract's EIP-712 domain.
        version: The `version` of that domain.
        decimals: How many decimal places a dollar has in its units.

    Example:
        >>> from amply_sdk import Asset, SpendPolicy
        >>> coin = Asset(network="base", address="0x" + "ab" * 20, name="Coin", version="1", decimals=6)
        >>> policy = SpendPolicy(per_request="0.05", per_day="1", assets=[coin])
    """

    __slots__ = ("_fields",)

    def __init__(self, *, network: str, address: str, name: str, version: str, decimals: int) -> None:
        self._fields = (network, address, name, version, decimals)

    def __repr__(self) -> str:
        network, address, *_ = self._fields
        return f"Asset({network}, {address})"


class TopUpRequest:
    """What a payer is asked for. Nothing in it is a secret.

    Example:
        >>> asked: list[TopUpRequest] = []
        >>> def ask(request: TopUpRequest) -> Receipt:
        ...     asked.append(request)
        ...     credit(request.amount_usd)
        ...     return Receipt(request.amount_usd)
        >>> with Sandbox(balance="0", strict_wallet=True) as broke, broke.paying_client(per_day="1", payer=ask) as client:
        ...     def credit(amount: Decimal) -> None:
        ...         broke.control("POST", "/balance", {"set_usd": str(amount)})
        ...     client.route_task("store 1M vectors").meta.paid_usd
        Decimal('0.01')
        >>> asked[0].amount_usd, asked[0].principal_id == broke.principal_id
        (Decimal('0.01'), True)
    """

    __slots__ = ("amount_usd", "base_url", "idempotency_key", "principal_id", "reason", "suggested_usd")

    amount_usd: Decimal
    """How much to credit, in USD, in whole cents; within every cap."""
    principal_id: str | None
    """Whose wallet it is, by the server's billing status; None where the server does not say."""
    idempotency_key: str
    """The same for every time that this payment is asked for."""
    reason: str
    """What it is for, in words."""
    base_url: str
    """The base URL of the server whose wallet it is."""
    suggested_usd: Decimal | None
    """What the server suggested to top up, in USD; it did not raise the amount."""

    def __init__(
        self,
        *,
        amount_usd: _Amount,
        principal_id: str | None,
        idempotency_key: str,
        reason: str,
        base_url: str,
        suggested_usd: _Amount | None = None,
    ) -> None:
        from decimal import Decimal

        self.amount_usd = Decimal(amount_usd)
        self.principal_id = principal_id
        self.idempotency_key = idempotency_key
        self.reason = reason
        self.base_url = base_url
        self.suggested_usd = None if suggested_usd is None else Decimal(suggested_usd)

    def __repr__(self) -> str:
        return f"TopUpRequest({self.amount_usd} USD for {self.principal_id}, {self.reason!r})"


class Receipt:
    """What a payer says of a top-up that it made.

    Args:
        credited_usd: What was credited to the wallet, in USD.
        balance_usd: What the wallet holds after it, in USD.
        topup_id: The id of the top-up at its service.

    Example:
        >>> from amply_sdk import Receipt
        >>> Receipt("0.05", topup_id="t1")
        Receipt(0.05 USD)
    """

    __slots__ = ("_fields",)

    def __init__(
        self, credited_usd: _Amount, *, balance_usd: _Amount | None = None, topup_id: str | None = None
    ) -> None:
        credited = _amount("credited_usd", credited_usd)
        if credited is None:
            raise TypeError("credited_usd is None; say what was credited, or raise TopUpRejected")
        if topup_id is not None and not isinstance(topup_id, str):
            raise TypeError(f"topup_id must be a str, not {type(topup_id).__name__}")
        self._fields = {
            "credited_usd": credited,
            "balance_usd": _amount("balance_usd", balance_usd),
            "topup_id": topup_id,
        }

    def __repr__(self) -> str:
        return f"Receipt({self._fields['credited_usd']} USD)"


class TopUpService:
    """A payer that asks a guarded top-up service: your own, which holds the secret that moves money.

    It is sent `{"amount_usd": "0.05", "principal_id": …, "idempotency_key": …, "reason": …}` and answers `{"ok": true,
    "credited_usd": 0.05}`. It must pay once for one idempotency key, for 12 hours at least.

    Args:
        url: The service's URL: https, or http on this machine.
        token: The token that the service asks for, sent as `Authorization: Bearer`. It is never shown.

    Example:
        >>> from amply_sdk import TopUpService
        >>> TopUpService("https://billing.example.com/topup", token="secret")
        TopUpService('https://billing.example.com/topup')
    """

    __slots__ = ("_token", "url")

    def __init__(self, url: str, *, token: str | None = None) -> None:
        _text("url", url)
        _text("token", token)
        self.url = url
        self._token = token

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TopUpService cannot be pickled: its token would be written down; make one in each process")

    def __repr__(self) -> str:
        return f"TopUpService({self.url!r})"


class AdminTopUp:
    """A payer that tops up by the API itself, with the admin secret (`POST /billing/topup`). For operators.

    Whoever holds this secret can credit any wallet: give it to no agent, but to a service of yours that agents ask
    (`TopUpService`). It goes to the client's base URL and nowhere else. A top-up whose result is not known is never asked for
    again.

    Args:
        secret: The admin secret. It is never shown.

    Example:
        >>> from amply_sdk import AdminTopUp
        >>> AdminTopUp(secret="secret")
        AdminTopUp()
    """

    __slots__ = ("_secret",)

    def __init__(self, *, secret: str) -> None:
        if secret is None:
            raise TypeError("secret must be a str, not NoneType")
        _text("secret", secret)
        self._secret = secret

    def __repr__(self) -> str:
        return "AdminTopUp()"

    def __reduce__(self) -> Any:
        raise TypeError("an AdminTopUp cannot be pickled: it holds a secret")


class X402:
    """Pays by the open x402 protocol, in USDC on an EVM network. The policy needs `per_request`.

    Args:
        key: A private key, 64 hexadecimal digits. It is never shown.
        signer: Instead of a key: a callable, or a coroutine function, that gets a digest of 32 bytes and returns the
            signature of 65 (r, s in the lower half, v 27 or 28).
        address: The address that the signer signs for.
        networks: The networks to pay on, the preferred one first.

    Raises:
        TypeError: Neither a key nor a signer with its address was given, or both.

    Example:
        >>> from amply_sdk import X402
        >>> X402(key="59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d", networks=["base-sepolia"])
        X402(networks=['base-sepolia'])
    """

    __slots__ = ("_fields",)

    def __init__(
        self,
        *,
        key: str | None = None,
        signer: Callable[[bytes], bytes | Awaitable[bytes]] | None = None,
        address: str | None = None,
        networks: Iterable[str],
    ) -> None:
        _text("key", key)
        if (key is None) == (signer is None):
            raise TypeError("give X402 either a key, or a signer and its address")
        if signer is not None and (not callable(signer) or not isinstance(address, str)):
            raise TypeError("a signer is a callable, and its address a str")
        if isinstance(networks, str):
            raise TypeError("networks is a str; write a list, such as ['base']")
        self._fields = {"key": key, "signer": signer, "address": address, "networks": list(networks)}

    def __reduce__(self) -> NoReturn:
        raise TypeError("an X402 cannot be pickled: its key would be written down; make one in each process")

    def __repr__(self) -> str:
        return f"X402(networks={self._fields['networks']})"


def _text(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")


def _amount(name: str, value: Any) -> str | None:
    return None if value is None else _exact(name, value)


def _exact(name: str, value: Any) -> str:
    """An amount as text, exactly."""
    if isinstance(value, float):
        said = f"write '{value!r}' or Decimal('{value!r}')" if value - value == 0.0 else "write an amount"
        raise TypeError(f"{name} is the float {value!r}, which cannot hold most amounts exactly; {said}")
    from decimal import Decimal, InvalidOperation

    if isinstance(value, bool) or not isinstance(value, (Decimal, int, str)):
        raise TypeError(f"{name} must be an amount in USD (Decimal, str or int), not {type(value).__name__}")
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal("NaN")
    # Far beyond all money, and what would be written out with as many zeros.
    is_amount = amount.is_finite() and abs(amount.adjusted()) <= 40
    if not is_amount or isinstance(value, str) and "_" in value:
        raise ValueError(f"{name} is {str(value)[:40]!r}, which is no amount in USD; write one such as '0.05'")
    return format(amount, "f")


_is_asked: ContextVar[bool] = ContextVar("amply_sdk._is_asked", default=False)
"""Whether this is a payer's doing; a coroutine on another thread has it too."""


def _aside(thread: str, by: str, arguments: tuple[Any, ...], answered: _native.Answered) -> None:
    """Asks on a thread of its own: a daemon, since one that never comes to an end must not keep the process."""
    from threading import Thread

    Thread(target=_answer, args=(globals()[by], arguments, answered), name=thread, daemon=True).start()


def _answer(ask: Callable[..., Any], arguments: tuple[Any, ...], answered: _native.Answered) -> None:
    try:
        said = ask(*arguments)
    except BaseException as error:
        answered(None, error)
    else:
        answered(said, None)


def _ask_payer(
    payer: Callable[[TopUpRequest], Any], fields: dict[str, Any], event_loop: AbstractEventLoop | None
) -> dict[str, Any]:
    """Asks a payer, on a thread of its own. What is not clearly a yes or a no is unknown."""
    token = _is_asked.set(True)
    try:
        said = _done(payer, TopUpRequest(**fields), event_loop)
    except TopUpRejected as no:
        return {"rejected": str(no) or "the payer said no"}
    except _NeverBegun as never:
        return {"rejected": str(never)}
    except BaseException as error:
        # Its message may hold a secret, and what is said here is written down.
        why = str(error) if isinstance(error, _LoopIsGone) else f"the payer raised {type(error).__name__}"
        _logger().warning("%s; the payment is unknown", why)
        _logger().debug("what the payer raised", exc_info=True)
        return {"unknown": why}
    finally:
        _is_asked.reset(token)
    if isinstance(said, Receipt):
        return said._fields
    return {"unknown": f"the payer returned {type(said).__name__}, which is no Receipt"}


def _ask_signer(
    signer: Callable[[bytes], Any], digest: bytes, event_loop: AbstractEventLoop | None
) -> bytes:
    try:
        said = _done(signer, digest, event_loop)
    except BaseException:
        _logger().debug("what the signer raised", exc_info=True)
        raise
    if not isinstance(said, (bytes, bytearray)):
        raise TypeError("the signer's signature must be bytes")
    return bytes(said)


class _LoopIsGone(Exception):
    """Nobody will know what the payer came to."""


class _NeverBegun(_LoopIsGone):
    """Not one line of the payer was run, and none will be."""


def _is_async(given: object) -> bool:
    """Whether calling it does nothing but make a coroutine. `inspect` would also say so of what is only marked as such."""
    from functools import partial

    while isinstance(given, partial):
        given = given.func
    for function in (given, getattr(type(given), "__call__", None)):
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        if getattr(code, "co_flags", 0) & 0x80:  # CO_COROUTINE
            return True
    return False


def _done(ask: Callable[[Any], Any], asked: Any, event_loop: AbstractEventLoop | None) -> Any:
    """What a callable returns, or what the coroutine comes to that it returns."""
    does_nothing_yet = _is_async(ask)
    if does_nothing_yet and event_loop is not None and event_loop.is_closed():
        raise _NeverBegun("the event loop is closed, so that the payer was not asked")
    said = ask(asked)
    if not hasattr(type(said), "__await__"):
        return said
    import asyncio

    is_begun = False

    async def wait() -> Any:
        nonlocal is_begun
        is_begun = True
        return await said

    def gone() -> _LoopIsGone:
        if not is_begun:
            waiting.close()
        if does_nothing_yet and not is_begun:
            said.close()
            return _NeverBegun("the event loop is closed, so that the payer was not asked")
        return _LoopIsGone("the event loop ended before the payer did")

    waiting = wait()
    if event_loop is None:
        return asyncio.run(waiting)
    from concurrent.futures import wait as wait_for

    try:
        running = asyncio.run_coroutine_threadsafe(waiting, event_loop)
    except RuntimeError:
        raise gone() from None
    # A loop that is closed calls nobody back.
    while not wait_for([running], timeout=0.5).done:
        if event_loop.is_closed() and not running.done():
            raise gone()
    return running.result()


def _logger() -> Any:
    import logging

    return logging.getLogger("amply_sdk")
