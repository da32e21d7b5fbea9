"""Mail by SES (API v2 SendEmail), at most once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from notifications.model import MailFailed
from notifications.service import Letter

if TYPE_CHECKING:
    from mypy_boto3_sesv2 import SESV2Client

ATTEMPTS = 4

# SES says these before it takes a mail, so trying again cannot send it twice.
_THROTTLED = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling"})


def client() -> SESV2Client:
    """Return a client that calls once: botocore's own retries repeat a call whose answer was lost,
    and SendEmail has no idempotency token, so the mail could go twice."""
    import boto3

    return boto3.client("sesv2", config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}))


class SesPost:
    """Sends letters by SES.

    Parameters
    ----------
    ses
        Client that calls once (`client`).
    sender
        Address of a verified identity.
    sleep
        How to wait between attempts; takes seconds.
    """

    def __init__(self, ses: SESV2Client, sender: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._ses = ses
        self._sender = sender
        self._sleep = sleep

    def send(self, to: str, letter: Letter, kind: str) -> None:
        """Hand ``letter`` to SES; a throttled call is tried again for some seconds.

        Raises
        ------
        MailFailed
            SES refused it, did not answer, or was still too busy.
        """
        attempts = Retrying(
            retry=retry_if_exception(_throttled),
            wait=wait_random_exponential(multiplier=0.2, max=2),
            stop=stop_after_attempt(ATTEMPTS),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            attempts(self._send, to, letter, kind)
        except ClientError as error:
            raise MailFailed(error.response["Error"]["Code"]) from error
        except BotoCoreError as error:
            raise MailFailed(type(error).__name__) from error

    def _send(self, to: str, letter: Letter, kind: str) -> None:
        self._ses.send_email(
            FromEmailAddress=self._sender,
            Destination={"ToAddresses": [to]},
            Content={
                "Simple": {
                    "Subject": {"Data": letter.subject, "Charset": "UTF-8"},
                    "Body": {
                        "Text": {"Data": letter.text, "Charset": "UTF-8"},
                        "Html": {"Data": letter.html, "Charset": "UTF-8"},
                    },
                }
            },
            EmailTags=[{"Name": "kind", "Value": kind}],
        )


def _throttled(error: BaseException) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in _THROTTLED
