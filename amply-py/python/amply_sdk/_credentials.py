"""The credentials that the server keeps for executions. A secret goes there and never comes back."""

from __future__ import annotations

from . import _native, _read
from ._outcome import _done
from ._results import Answer, Item, _answer, _objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any


class Credential(Item):
    """A stored credential: everything but its secret.

    Example:
        >>> added = client.credentials.add("qdrant", "s3cret", label="staging")
        >>> added.credential.provider_id, added.credential.label
        ('qdrant', 'staging')
    """

    __slots__ = ()
    _shown = ("id", "provider_id", "label")

    @property
    def id(self) -> str | None:
        """What `Client.execute` refers to it by."""
        return _read.text(self.get("id"))

    @property
    def provider_id(self) -> str | None:
        """The provider that it is for, as routes name it."""
        return _read.text(self.get("provider_id"))

    @property
    def label(self) -> str | None:
        """The owner's own name for it."""
        return _read.text(self.get("label"))

    @property
    def created_at(self) -> datetime | None:
        """When it was stored."""
        return _read.time(self.get("created_at"))

    @property
    def last_used_at(self) -> datetime | None:
        """When an execution used it last; None when none has."""
        return _read.time(self.get("last_used_at"))


class CredentialList(Answer):
    """The credentials that the server keeps for this key's principal. From `Credentials.list`.

    Example:
        >>> client.credentials.list().credentials
        []
    """

    __slots__ = ()
    _shown = ("credentials",)

    @property
    def credentials(self) -> list[Credential]:
        """The credentials, in the server's order."""
        return [Credential(credential) for credential in _objects(self.get("credentials"))]


class AddedCredential(Answer):
    """What the server says of a credential that it has stored. From `Credentials.add`.

    Example:
        >>> added = client.credentials.add("qdrant", "s3cret")
        >>> added.id == added.credential.id, "secret" in added.credential
        (True, False)
    """

    __slots__ = ()
    _shown = ("ok", "credential")

    @property
    def credential(self) -> Credential:
        """The credential; empty where the answer has none."""
        found = self.get("credential")
        return Credential(found if isinstance(found, dict) else {})

    @property
    def id(self) -> str | None:
        """The id to refer to it by."""
        return self.credential.id


class RemovedCredential(Answer):
    """What the server says of a credential that it has removed. From `Credentials.remove`.

    Empty, and without `meta`, where the last attempt of the call found nothing and one before it may have removed it. Then there is
    no such credential; whether this call removed it, or there never was one of this id, is not known: `deleted` is None.

    Example:
        >>> added = client.credentials.add("qdrant", "s3cret")
        >>> client.credentials.remove(added.id).id == added.id
        True
    """

    __slots__ = ()
    _shown = ("id", "deleted")

    @property
    def id(self) -> str | None:
        """The credential's id."""
        return _read.text(self.get("id"))

    @property
    def deleted(self) -> bool | None:
        """Whether it was removed, in the server's words; None where that is not known."""
        return _read.flag(self.get("deleted"))


class Credentials:
    """The credentials that the server keeps for executions. From `Client.credentials`.

    Example:
        >>> id = client.credentials.add("qdrant", "s3cret").id
        >>> [credential.id == id for credential in client.credentials.list().credentials]
        [True]
        >>> client.credentials.remove(id).deleted
        True
    """

    __slots__ = ("_core",)

    def __init__(self, core: _native.Core) -> None:
        self._core = core

    def list(self) -> CredentialList:
        """All credentials of this key's principal, without their secrets (`GET /credentials`)."""
        return _answer(CredentialList, _native.credentials_list(self._core))

    def add(self, provider_id: str, secret: str, *, label: str | None = None) -> AddedCredential:
        """Has the server keep a secret, and gives the id to refer to it by (`POST /credentials`).

        It is never sent again once the server can have seen it: after such a failure, list the credentials before you add it
        once more. No error and no log shows the secret, also where the server repeats it.

        Args:
            provider_id: The provider that it is for, as routes name it.
            secret: The secret, 1 to 8192 bytes of UTF-8.
            label: A name to tell it from others by, on one line.

        Raises:
            InvalidRequestError: It can be none; nothing was sent.
            BadRequestError: The server does not know the provider.
        """
        return _answer(AddedCredential, _native.credentials_add(self._core, provider_id, secret, label))

    def remove(self, id: str) -> RemovedCredential:
        """Has the server forget a credential (`DELETE /credentials/{id}`). It may be sent again after any failure.

        Where an attempt may have done it and the next one finds nothing, it is gone, and `deleted` is None: not known.

        Raises:
            InvalidRequestError: It can be no id; nothing was sent.
            NotFoundError: There is none of this id, or it is another's.
        """
        return _removed(_native.credentials_remove(self._core, id))


class AsyncCredentials:
    """The same for asyncio. From `AsyncClient.credentials`.

    Example:
        >>> id = run(aclient.credentials.add("qdrant", "s3cret")).id
        >>> run(aclient.credentials.remove(id)).deleted
        True
        >>> run(aclient.credentials.list()).credentials
        []
    """

    __slots__ = ("_core",)

    def __init__(self, core: _native.Core) -> None:
        self._core = core

    async def list(self) -> CredentialList:
        """All credentials of this key's principal, without their secrets (`GET /credentials`)."""
        return _answer(CredentialList, await _done(_native.credentials_list_async(self._core)))

    async def add(self, provider_id: str, secret: str, *, label: str | None = None) -> AddedCredential:
        """Has the server keep a secret. Arguments and errors: `Credentials.add`."""
        pending = _native.credentials_add_async(self._core, provider_id, secret, label)
        return _answer(AddedCredential, await _done(pending))

    async def remove(self, id: str) -> RemovedCredential:
        """Has the server forget a credential. Errors: `Credentials.remove`."""
        return _removed(await _done(_native.credentials_remove_async(self._core, id)))


def _removed(raw: tuple[dict[str, Any], _native.Source] | None) -> RemovedCredential:
    removed = RemovedCredential({} if raw is None else raw[0])
    removed._source = None if raw is None else raw[1]
    return removed
