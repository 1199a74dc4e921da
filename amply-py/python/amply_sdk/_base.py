"""What both clients share: how settings and requests are put together for the native module."""

from __future__ import annotations

import atexit
import os
import sys

from . import _native
from ._payment import AdminTopUp, SpendPolicy, TopUpService, X402, _is_async, _text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_AT_EXIT_S = 2.0
"""How long the end of the interpreter may take for what is not sent yet. A payment that runs has its own limit."""

_begun_in = 0
"""The process that `_begin_here` was called in."""


class Base:
    """What is the same for `Client` and `AsyncClient`."""

    _core: _native.Core

    def _begin(self, settings: dict[str, Any]) -> None:
        self._keep(_native.Core(_settings(settings)))

    def _keep(self, core: _native.Core) -> None:
        self._core = core
        _begin_here()

    @property
    def base_url(self) -> str:
        """The base URL in use, without a trailing slash."""
        return self._core.base_url

    @property
    def key_kind(self) -> str | None:
        """What the form of the key says: `user`, `server`, or None without a key."""
        return self._core.key_kind

    @property
    def is_paying(self) -> bool:
        """Whether a payment is being made right now, for any call of this client or its copies."""
        return self._core.is_paying

    @property
    def is_closed(self) -> bool:
        """Whether the client was closed."""
        return self._core.is_closed

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r}, key_kind={self.key_kind!r})"

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled: it holds a key and connections; make one in each process"
        )


def _at_exit() -> None:
    try:
        _native.end(_AT_EXIT_S)
    except Exception as error:
        import logging

        logging.getLogger("amply_sdk").warning("the clients could not be closed at the end: %s", error)


def _begin_here() -> None:
    """Sees to the end of this process. Where `multiprocessing` has forked a child, `atexit` is not run in it."""
    global _begun_in
    process = os.getpid()
    if _begun_in == process:
        return
    if not _begun_in:
        atexit.register(_at_exit)
    _begun_in = process
    children = sys.modules.get("multiprocessing.process")
    if children is not None and children.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=10)


def _left(failed: Exception) -> None:
    """A failed end is worth less than what was raised in the block."""
    import logging

    logging.getLogger("amply_sdk").warning("the client could not be closed: %s", failed)


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """Checks the types, so that what is wrong is said in words of Python."""
    for name in ("api_key", "base_url", "principal", "ca_certificate", "pays_first"):
        _text(name, given.get(name))
    spend, payer, x402, on_event = (given.get(name) for name in ("spend", "payer", "x402", "on_event"))
    if spend is not None and not isinstance(spend, SpendPolicy):
        raise TypeError(f"spend must be a SpendPolicy, not {type(spend).__name__}")
    if x402 is not None and not isinstance(x402, X402):
        raise TypeError(f"x402 must be an X402, not {type(x402).__name__}")
    if payer is not None and not isinstance(payer, (AdminTopUp, TopUpService)) and not callable(payer):
        raise TypeError(f"payer must be a TopUpService, an AdminTopUp or a callable, not {type(payer).__name__}")
    if on_event is not None and not callable(on_event):
        raise TypeError(f"on_event must be a callable, not {type(on_event).__name__}")
    if _is_async(on_event):
        raise TypeError("on_event is a coroutine function, which nobody would await; it must be a plain callable")
    if given.get("pays_first") not in (None, "wallet", "x402"):
        raise ValueError(f"pays_first is {given['pays_first']!r}; it must be 'wallet' or 'x402'")
    settings = dict(given, **_options(given))
    for name in ("report_queue", "outbox_limit", "reports_in_flight"):
        _count(name, given.get(name))
    settings["spend"] = None if spend is None else spend._fields
    settings["x402"] = None if x402 is None else x402._fields
    if isinstance(payer, TopUpService):
        settings["payer"] = {"url": payer.url, "token": payer._token}
    elif isinstance(payer, AdminTopUp):
        settings["payer"] = {"admin_secret": payer._secret}
    if on_event is not None:
        from ._events import _Teller

        settings["on_event"] = _Teller(on_event)
    for name in ("connect_timeout", "payer_timeout", "payment_headroom"):
        settings[name] = _seconds(name, given.get(name))
    return settings


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Checks the options that may differ from call to call."""
    _text("principal", given.get("principal"))
    attempts = given.get("max_attempts")
    _count("max_attempts", attempts)
    return {
        "timeout": _seconds("timeout", given.get("timeout")),
        "attempt_timeout": _seconds("attempt_timeout", given.get("attempt_timeout")),
        "max_attempts": attempts,
        "repeat_ambiguous": given.get("repeat_ambiguous"),
        "principal": given.get("principal"),
    }


def _count(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not 1 <= value < 2**31:
        raise ValueError(f"{name} is {value}; it must be 1 or more")


def _seconds(name: str, value: Any) -> float | None:
    """Seconds, from a number or a timedelta."""
    if value is None:
        return None
    if hasattr(value, "total_seconds"):
        return float(value.total_seconds())
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds or a timedelta, not {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _policy(policy: Mapping[str, Any] | None) -> str | None:
    """An enterprise policy as JSON text."""
    if policy is None:
        return None
    import json

    return json.dumps(dict(policy), allow_nan=False)


def _body(body: Any) -> str | None:
    """A body as JSON text; None is no body."""
    if body is None:
        return None
    import json

    return json.dumps(body, allow_nan=False)
