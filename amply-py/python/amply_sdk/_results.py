"""What all answers are: dicts with exactly what the server sent, and typed attributes on top.

The dict is complete when it is returned; an attribute is read from it when it is asked for. The answers themselves are in
files by what they are about: `_route.py`, `_server.py`, `_billing.py`, `_outcome.py`.
"""

from __future__ import annotations

from . import _native, _read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta
    from decimal import Decimal
    from typing import Any, TypeVar

    _A = TypeVar("_A", bound="Answer")
    _I = TypeVar("_I", bound="Item")


class Meta:
    """What is known about one call besides the answer's content.

    Example:
        >>> meta = client.status().meta
        >>> meta.status, meta.attempts
        (200, 1)
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    @property
    def status(self) -> int:
        """The HTTP status; 0 when no answer came."""
        return int(self._fields["status"])

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer, by their names in lower case."""
        return dict(self._fields["headers"])

    @property
    def attempts(self) -> int:
        """How many HTTP requests the call took, retries included."""
        return int(self._fields["attempts"])

    @property
    def elapsed(self) -> timedelta:
        """The time from the start of the call to its end, waits between attempts included."""
        from datetime import timedelta

        return timedelta(seconds=self._fields["elapsed_s"])

    @property
    def request_id(self) -> str | None:
        """The server's id of this request: the header, else `request_id` of the body."""
        return _read.text(self._fields["request_id"])

    @property
    def compute_ms(self) -> int | None:
        """Milliseconds of work on the server."""
        return _read.whole(self._fields["compute_ms"])

    @property
    def key_kind(self) -> str | None:
        """What the form of the key says: `user`, `server`, or None without a key."""
        return _read.text(self._fields["key_kind"])

    @property
    def paid_usd(self) -> Decimal | None:
        """What the payment took that this call led, in USD; None when it led none."""
        return _read.usd(self._fields["paid_usd"])

    @property
    def payment_id(self) -> str | None:
        """The id of the payment that this call led, in the ledger."""
        return _read.text(self._fields["payment_id"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Meta) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Meta(status={self.status}, attempts={self.attempts}, request_id={self.request_id!r})"


class Item(dict[str, "Any"]):
    """A part of an answer: a dict, with typed attributes.

    Example:
        >>> provider = client.providers().providers[0]
        >>> provider["id"], provider.id, isinstance(provider, dict)
        ('qdrant', 'qdrant', True)
    """

    __slots__ = ()
    _shown: tuple[str, ...] = ()

    def copy(self: _I) -> _I:
        """A copy of the same class; its values are shared."""
        return type(self)(self)

    def __repr__(self) -> str:
        return _shown(self, self._shown)


class Answer(dict[str, "Any"]):
    """An answer of the API: exactly the server's JSON object, as a dict.

    `json.dumps`, `copy`, `pickle` and `==` treat it as the dict it is; `meta` comes along with a pickle and a copy.

    Example:
        >>> answer = client.request("GET", "/status")
        >>> answer["ok"], answer.meta.status
        (True, 200)
    """

    __slots__ = ("_source",)
    _source: _native.Source | tuple[dict[str, Any] | None, dict[str, Any] | None] | None
    _shown: tuple[str, ...] = ()

    @property
    def meta(self) -> Meta:
        """Status, headers, attempts, time, and what was paid.

        Raises:
            AttributeError: this answer came from no call.
        """
        meta, _ = self._known()
        if meta is None:
            raise AttributeError("this answer came from no call, so that nothing is known of one")
        return Meta(meta)

    def copy(self: _A) -> _A:
        """A copy of the same class, with the same `meta`; its values are shared."""
        made = type(self)(self)
        made._source = getattr(self, "_source", None)
        return made

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _restored, (type(self), dict(self), self._known())

    def __repr__(self) -> str:
        return _shown(self, self._shown)

    def _known(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        source = getattr(self, "_source", None)
        if source is None:
            return None, None
        if isinstance(source, tuple):
            return source
        return source.meta(), source.principal()


def _answer(kind: type[_A], raw: tuple[Any, _native.Source]) -> _A:
    answer = kind(raw[0])
    answer._source = raw[1]
    return answer


def _any(raw: tuple[Any, _native.Source]) -> Any:
    return _answer(Answer, raw) if isinstance(raw[0], dict) else raw[0]


def _restored(
    kind: type[_A], content: dict[str, Any], known: tuple[dict[str, Any] | None, dict[str, Any] | None]
) -> _A:
    answer = kind(content)
    answer._source = known
    return answer


def _objects(value: Any) -> Iterable[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _shown(found: dict[str, Any], names: tuple[str, ...]) -> str:
    """The fields that a person looks for first, and how many more there are."""
    names = names or tuple(found)[:4]
    parts = [f"{name}={_short(found[name])}" for name in names if name in found]
    more = len(found) - len(parts)
    if more > 0:
        parts.append(f"and {more} more")
    return f"{type(found).__name__}({', '.join(parts)})"


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 80 else f"{said[:77]}..."
