"""Credentials, and their renewal beside the work."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError, NoCredentialsError

from backupctl.errors import BackupctlError
from backupctl.s3 import identity
from backupctl.s3.identity import Identity


class Issuer:
    """Issues credentials for a while, each time others; or fails."""

    def __init__(self, valid: timedelta) -> None:
        self.valid = valid
        self.issued = 0
        self.broken = False

    def issue(self) -> dict[str, str]:
        if self.broken:
            raise CredentialRetrievalError(provider="test", error_msg="the session is over")
        self.issued += 1
        return {
            "access_key": f"AKID{self.issued}",
            "secret_key": "secret",
            "token": "token",
            "expiry_time": (datetime.now(UTC) + self.valid).isoformat(),
        }

    def credentials(self) -> RefreshableCredentials:
        return RefreshableCredentials.create_from_metadata(self.issue(), self.issue, "test")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "LOOK_EVERY_SECONDS", 0.01)


async def until_it_is(subject: Identity, access_key: str) -> None:
    async with asyncio.timeout(20):
        while subject.credentials.access_key != access_key:
            await asyncio.sleep(0.01)


def test_credentials_that_stay_are_taken_once() -> None:
    async def main() -> None:
        subject = Identity(Credentials("AKID", "secret"))
        await subject.begin()
        assert (subject.credentials.access_key, subject.credentials.token) == ("AKID", None)
        await subject.end()

    asyncio.run(main())


def test_credentials_that_expire_are_renewed_while_work_goes_on() -> None:
    async def main() -> None:
        # botocore renews what is valid for less than 10 minutes.
        issuer = Issuer(timedelta(minutes=5))
        subject = Identity(issuer.credentials())
        await subject.begin()
        await until_it_is(subject, "AKID4")
        await subject.end()
        issued = issuer.issued
        await asyncio.sleep(0.05)
        assert issuer.issued == issued

    asyncio.run(main())


def test_what_cannot_be_renewed_is_told_with_a_cure_and_used_again_when_it_can() -> None:
    async def main() -> None:
        issuer = Issuer(timedelta(minutes=5))
        subject = Identity(issuer.credentials())
        await subject.begin()
        issuer.broken = True
        with pytest.raises(BackupctlError, match=r"could not be renewed: .*is over.*log in"):
            await until_it_is(subject, "never")
        issuer.broken = False
        async with asyncio.timeout(20):
            while subject._problem is not None:
                await asyncio.sleep(0.01)
        assert subject.credentials.access_key.startswith("AKID")
        await subject.end()

    asyncio.run(main())


def test_without_credentials_there_is_nothing_to_begin_with() -> None:
    with pytest.raises(NoCredentialsError):
        asyncio.run(Identity(None).begin())
    with pytest.raises(NoCredentialsError):
        _ = Identity(Credentials("AKID", "secret")).credentials
