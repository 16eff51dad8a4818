"""Credentials, renewed in time."""

import asyncio
from contextlib import suppress
from typing import Any

from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, NoCredentialsError

from backupctl.errors import BackupctlError
from backupctl.explanations import explain

from .signing import Credentials

# botocore renews from 15 minutes before the end on.
LOOK_EVERY_SECONDS = 10.0


class Identity:
    """The credentials that requests are signed with.

    Where they expire they are renewed beside the requests, by botocore in a thread: it may have to
    ask over the network or run a program for them.

    :param source: botocore's credentials, of any kind; None if there are none.
    """

    def __init__(self, source: Any) -> None:  # noqa: ANN401 - botocore has no static types
        self._source = source
        self._frozen: Credentials | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._problem: BackupctlError | None = None

    async def begin(self) -> None:
        """Get the credentials.

        :raises botocore.exceptions.BotoCoreError: if there are none.
        """
        if self._source is None:
            raise NoCredentialsError
        self._frozen = await asyncio.to_thread(self._source.get_frozen_credentials)
        if isinstance(self._source, RefreshableCredentials):
            self._renewal = asyncio.create_task(self._renew())

    async def end(self) -> None:
        """Renew no more."""
        if self._renewal is not None:
            self._renewal.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewal

    @property
    def credentials(self) -> Credentials:
        """What to sign with now.

        :raises botocore.exceptions.NoCredentialsError: before `begin`.
        :raises BackupctlError: if they have expired and cannot be renewed.
        """
        if self._problem is not None:
            raise self._problem
        if self._frozen is None:
            raise NoCredentialsError
        return self._frozen

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            try:
                self._frozen = await asyncio.to_thread(self._source.get_frozen_credentials)
                self._problem = None
            except BotoCoreError as error:
                explained = explain(error)
                self._problem = BackupctlError(
                    f"the credentials could not be renewed: {explained}; log in again, and run the "
                    "command again to go on",
                    explained.exit_code,
                )
