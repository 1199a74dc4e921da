"""What can go wrong, as exceptions. Each can be pickled, and says in one line what to do next."""

from __future__ import annotations

from . import _billing, _route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from decimal import Decimal
    from typing import Any


class AmplyError(Exception):
    """Anything that this package raises on purpose, but for wrong types (`TypeError`).

    Example:
        >>> try:
        ...     client.route_task("")
        ... except AmplyError as error:
        ...     print(error)
        the task is empty; say in plain words what is to be done
    """


class AmplyApiError(AmplyError):
    """A call gave no answer, or a client cannot be used. Every class below is one of this.

    Example:
        >>> try:
        ...     client.with_options(timeout=5).request("GET", "/nothing-here")
        ... except AmplyApiError as error:
        ...     print(error.code, error.status)
        unsupported 404
    """

    code: str = "error"
    """The stable name of this kind of error, the same in Rust, Python and the command's JSON."""
    status: int = 0
    """The HTTP status; 0 when no answer came."""
    body: Any = None
    """The body of the answer: JSON as Python has it, else text; None when none came."""
    request_id: str | None = None
    """The server's id of the request, for its support."""
    hint: str | None = None
    """What to do next; it is part of the message too."""
    server_code: str | None = None
    """The server's own machine-readable code, where it sent one."""
    attempts: int = 0
    """How many HTTP requests the call took."""
    is_retryable: bool = False
    """Whether the same call may help when it is made again, and cannot be charged twice."""
    may_have_been_charged: bool = False
    """Whether money may have moved though no usable answer came."""
    retry_after: float | None = None
    """How many seconds the server asks to wait, if it said so."""
    challenge: _billing.Challenge | None = None
    """What the server's 402 asked for."""
    answer: _route.Route | None = None
    """The whole answer, where there was one."""

    def __init__(self, message: str = "", **fields: Any) -> None:
        super().__init__(message)
        for name in fields:
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no field `{name}`")
        self.__dict__.update(fields)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, dict(self.__dict__))

    def __eq__(self, other: object) -> bool:
        return (
            type(self) is type(other)
            and isinstance(other, AmplyApiError)
            and self.args == other.args
            and self.__dict__ == other.__dict__
        )

    def __hash__(self) -> int:
        return hash((type(self), self.args))


class ConfigError(AmplyApiError):
    """The client is not set up in a way that can work, or is closed. Nothing was sent."""

    code = "config"


class InvalidRequestError(AmplyApiError, ValueError):
    """The request cannot be right, so it was not sent."""

    code = "invalid_request"
    field: str | None = None
    """The field that is wrong, as the API names it."""


class BadRequestError(AmplyApiError):
    """The server refused the request as invalid: 400, 413, 422 and any 4xx without a class of its own."""

    code = "rejected"


class AuthenticationError(AmplyApiError):
    """The key is missing, or the server does not know it: 401."""

    code = "unauthorized"


class PaymentError(AmplyApiError):
    """A call had to be paid for. The classes below say what became of that."""

    payment_id: str | None = None
    """The payment's id in the ledger; None where none was begun."""
    amount_usd: Decimal | None = None
    """What the payment takes, in USD; None where none was begun."""


class PaymentRequiredError(PaymentError):
    """The wallet does not cover the call, and nobody may pay: 402. The call was not charged."""

    code = "payment_required"


class SpendLimitError(PaymentError):
    """A cap forbids the payment that the call needs. Nothing was paid."""

    code = "spend_limit"
    cap: str | None = None
    """Which one: `per_topup`, `per_request` or `per_day`."""


class PaymentRefusedError(PaymentError):
    """What the server asks for is not acceptable, whatever the policy allows. Nothing was paid."""

    code = "payment_refused"
    reasons: list[str] = []
    """Everything that is wrong with it, by stable names."""


class PaymentFailedError(PaymentError):
    """The payer said no. No money moved."""

    code = "payment_failed"


class PaymentUnknownError(PaymentError):
    """Money may have moved. Nobody pays for this wallet until that is known."""

    code = "payment_unknown"


class PaymentNotAppliedError(PaymentError):
    """Money moved, and the server still asks for it."""

    code = "payment_not_applied"


class PrincipalNotBoundError(AmplyApiError):
    """A route is not bound to a principal, or not known to be, and `principal="require"`. `answer` has it whole."""

    code = "principal_not_bound"
    binding: str | None = None
    """What is known: `not_bound` or `unknown`."""


class PermissionDeniedError(AmplyApiError):
    """The key is known and may not do this: 403."""

    code = "forbidden"


class RateLimitError(AmplyApiError):
    """Too many requests (`rate_limited`), or the day's quota is used up (`quota_exceeded`): 429."""

    code = "rate_limited"


class NotFoundError(AmplyApiError):
    """There is no such thing on this server: 404 with a JSON body."""

    code = "not_found"


class UnsupportedError(AmplyApiError):
    """This server lacks the endpoint: 404 without a JSON body, 405."""

    code = "unsupported"


class APIConnectionError(AmplyApiError):
    """No whole answer came."""

    code = "transport"


class APITimeoutError(APIConnectionError, TimeoutError):
    """No whole answer came in time."""

    code = "timeout"


class InternalServerError(AmplyApiError):
    """The server failed: 5xx."""

    code = "server"


class ProtocolError(AmplyApiError):
    """What came is not an answer of the Amply API, or a redirect that is not followed."""

    code = "protocol"
    sealed_body: Sealed | None = None
    """The answer to a signup whose key cannot be found, out of sight: the key may be in it, which no server shows twice."""


class Sealed:
    """An answer that may hold a key: `expose` shows it, and nothing else does. A pickle and a copy are without it.

    Example:
        >>> sealed = Sealed('{"key": "…"}')
        >>> sealed, sealed.expose()
        (Sealed(12 characters), '{"key": "…"}')
    """

    __slots__ = ("_text",)

    def __init__(self, text: str | None = None) -> None:
        self._text = text

    def expose(self) -> str:
        """The answer as it came.

        Raises:
            ValueError: This was pickled, which leaves the answer behind.
        """
        if self._text is None:
            raise ValueError("the answer was left behind when this was pickled; it is in the process of the signup alone")
        return self._text

    def __repr__(self) -> str:
        return "Sealed(left behind)" if self._text is None else f"Sealed({len(self._text)} characters)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Sealed, ()


class StoreError(AmplyApiError):
    """The ledger of payments cannot be read or written. Nothing was paid."""

    code = "store"


class QueueFullError(AmplyApiError):
    """Too much waits to be sent."""

    code = "queue_full"


_BY_CODE: dict[str, type[AmplyApiError]] = {
    kind.code: kind
    for kind in (
        ConfigError, InvalidRequestError, BadRequestError, AuthenticationError, PaymentRequiredError, SpendLimitError,
        PaymentRefusedError, PaymentFailedError, PaymentUnknownError, PaymentNotAppliedError, PrincipalNotBoundError,
        PermissionDeniedError, RateLimitError, NotFoundError, UnsupportedError, APIConnectionError, APITimeoutError,
        InternalServerError, ProtocolError, StoreError, QueueFullError,
    )
}  # fmt: skip
_BY_CODE["quota_exceeded"] = RateLimitError


def _made(code: str, message: str, fields: dict[str, Any]) -> AmplyApiError:
    """The exception for an error of the native module, with the fields that its class has."""
    kind = _BY_CODE.get(code, AmplyApiError)
    if "challenge" in fields:
        fields["challenge"] = _billing.Challenge(fields["challenge"])
    if "sealed_body" in fields:
        fields["sealed_body"] = Sealed(fields["sealed_body"])
    if "answer" in fields:
        fields["answer"] = _route._route(fields["answer"])
    if fields.get("amount_usd") is not None:
        from decimal import Decimal

        fields["amount_usd"] = Decimal(fields["amount_usd"])
    if code != kind.code:
        fields["code"] = code
    return kind(message, **{name: value for name, value in fields.items() if hasattr(kind, name)})


def _restored(kind: type[AmplyApiError], args: tuple[Any, ...], fields: dict[str, Any]) -> AmplyApiError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error
