"""backupctl's own view of a local AWS."""

from botocore.session import Session

from backupctl.aws import Aws
from sandbox.ministack import Credentials, MiniStack


def aws(ministack: MiniStack, credentials: Credentials | None = None) -> Aws:
    """As the account's root, or with the given credentials; the developer's AWS stays out."""
    variables = ministack.environment()
    chosen = credentials or Credentials(
        variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]
    )
    session = Session()
    session.set_credentials(
        chosen.access_key_id, chosen.secret_access_key, chosen.session_token or None
    )
    session.set_config_variable("region", ministack.region)
    session.set_config_variable("ca_bundle", variables["AWS_CA_BUNDLE"])
    return Aws(session, ministack.endpoint)
