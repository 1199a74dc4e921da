"""How single values of an answer are read.

As in Rust: a value of another type than expected is None, never an error for its neighbours.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal
    from typing import Any


def text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    # A number's own text.
    return str(value) if _is_number(value) else None


def number(value: Any) -> float | None:
    if not (_is_number(value) or isinstance(value, str)):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if read - read == 0.0 else None


def whole(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    read = number(value)
    return int(read) if read is not None and read >= 0 and read.is_integer() else None


def flag(value: Any) -> bool | None:
    if value is True or value == "true" or (value == 1 and isinstance(value, int)):
        return True
    if value is False or value == "false" or (value == 0 and isinstance(value, int)):
        return False
    return None


def usd(value: Any) -> Decimal | None:
    """An amount by its shortest text, so that 0.1 is a tenth."""
    from decimal import Decimal, InvalidOperation

    if not (_is_number(value) or isinstance(value, str)):
        return None
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount.adjusted()) < 29 else None


def time(value: Any) -> datetime | None:
    """A time in UTC."""
    from datetime import datetime, timezone

    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(_plain(value))
        return read.astimezone(timezone.utc) if read.tzinfo else read.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        return None


def _plain(stamp: str) -> str:
    """RFC 3339 as Python 3.10 reads it: no Z, and six digits of a second or none."""
    stamp = stamp.strip()
    if stamp[-1:] in ("Z", "z"):
        stamp = stamp[:-1] + "+00:00"
    head, dot, tail = stamp.partition(".")
    if not dot:
        return stamp
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    return f"{head}.{digits[:6]:0<6}{tail[len(digits):]}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
