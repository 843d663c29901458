"""Settings out of AWS Secrets Manager: one secret, a JSON object whose keys are names of settings.

Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import Field

from ossature.kernel.config import Source, SourceAway
from ossature.kernel.errors import Misconfigured
from ossature.kernel.secrets.trust import forget, trusted


class AwsSettings(Source, room="aws"):
    """Where secrets are kept, if with AWS. Credentials are found as all tools of AWS find them."""

    secret: str = Field(default="", description="Name of the secret (a JSON object of settings). Empty: there is none.")
    region: str = Field(default="", description="Region; empty: that of the surroundings.")
    endpoint_url: str = Field(
        default="", description="Another address of the Secrets Manager, such as one inside a VPC."
    )
    ttl_s: float = Field(default=300.0, ge=0, description="How long a process trusts what it read.")
    time_limit_s: float = Field(default=5.0, gt=0, le=60, description="How long an answer may take.")

    def fetch(self) -> Mapping[str, str]:
        """The variables that the secret holds. Raises: SourceAway when it was never reached."""
        if not self.secret:
            return {}
        return trusted((self.endpoint_url, self.region, self.secret), self.read, ttl_s=self.ttl_s)

    def read(self) -> dict[str, str]:
        """What the secret holds now; nothing when there is none yet. Raises: SourceAway."""
        with self._asked() as client:
            try:
                text = client.get_secret_value(SecretId=self.secret)["SecretString"]
            except client.exceptions.ResourceNotFoundException:
                return {}
        try:
            return {name: str(value) for name, value in json.loads(text).items()}
        except (ValueError, AttributeError):
            raise SourceAway(f"The secret {self.secret} of AWS is no JSON object.") from None

    def write(self, values: Mapping[str, str]) -> None:
        """Keep these values beside the others that are there. Raises: SourceAway."""
        text = json.dumps({**self.read(), **values})
        with self._asked() as client:
            try:
                client.put_secret_value(SecretId=self.secret, SecretString=text)
            except client.exceptions.ResourceNotFoundException:
                client.create_secret(Name=self.secret, SecretString=text)
        forget((self.endpoint_url, self.region, self.secret))

    @contextmanager
    def _asked(self) -> Iterator[Any]:
        """A client, as long as the block lasts. Raises: SourceAway, Misconfigured."""
        try:
            import boto3  # noqa: PLC0415 - of the extra [aws]
            from botocore.config import Config as Options  # noqa: PLC0415 - of the extra [aws]
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - of the extra [aws]
        except ImportError as missing:
            raise Misconfigured("Secrets with AWS need the extra: pip install 'ossature[aws]'.") from missing
        limits = Options(connect_timeout=self.time_limit_s, read_timeout=self.time_limit_s, retries={"max_attempts": 1})
        try:
            client: Any = boto3.client(
                "secretsmanager",
                region_name=self.region or None,
                endpoint_url=self.endpoint_url or None,
                config=limits,
            )
            yield client
        except (BotoCoreError, ClientError) as error:
            raise SourceAway(f"AWS gave no answer that can be used: {type(error).__name__}.") from error
