"""SES: what it refuses is not repeated, what it had no time for is."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from notifications import mail
from notifications.mail import ATTEMPTS, SesPost
from notifications.model import MailFailed
from notifications.service import Letter

pytestmark = pytest.mark.unit

LETTER = Letter("Betreff: ä 订单", "text", "<p>html</p>")


class Ses:
    """Answers each call with the next of ``outcomes``, the last one again and again."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.calls: list[dict[str, Any]] = []

    def send_email(self, **request: Any) -> dict[str, str]:
        self.calls.append(request)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if outcome:
            raise outcome
        return {"MessageId": "1"}


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "SendEmail")


def post(ses: Any, slept: list[float] | None = None) -> SesPost:
    return SesPost(ses, "shop@example.com", sleep=(slept if slept is not None else []).append)


def test_a_mail_has_both_parts_and_one_reader() -> None:
    ses = Ses(None)
    post(ses).send("ada@example.com", LETTER, "order-paid")
    (request,) = ses.calls
    assert request["FromEmailAddress"] == "shop@example.com"
    assert request["Destination"] == {"ToAddresses": ["ada@example.com"]}
    content = request["Content"]["Simple"]
    assert content["Subject"] == {"Data": LETTER.subject, "Charset": "UTF-8"}
    assert {part: content["Body"][part]["Data"] for part in ("Text", "Html")} == {"Text": "text", "Html": "<p>html</p>"}
    assert request["EmailTags"] == [{"Name": "kind", "Value": "order-paid"}]


@pytest.mark.parametrize("code", ["MessageRejected", "BadRequestException", "AccountSuspendedException"])
def test_a_refusal_is_final(code: str) -> None:
    ses = Ses(refused(code))
    with pytest.raises(MailFailed) as failed:
        post(ses).send("ada@example.com", LETTER, "order-paid")
    assert failed.value.reason == code
    assert len(ses.calls) == 1


def test_a_lost_answer_is_not_asked_for_again_because_the_mail_may_have_gone() -> None:
    for error in (ReadTimeoutError(endpoint_url="x"), EndpointConnectionError(endpoint_url="x")):
        ses = Ses(error)
        with pytest.raises(MailFailed) as failed:
            post(ses).send("ada@example.com", LETTER, "order-paid")
        assert failed.value.reason == type(error).__name__
        assert len(ses.calls) == 1


def test_throttling_is_waited_out() -> None:
    ses, slept = Ses(refused("TooManyRequestsException"), refused("ThrottlingException"), None), list[float]()
    post(ses, slept).send("ada@example.com", LETTER, "order-paid")
    assert len(ses.calls) == 3
    assert len(slept) == 2
    assert all(0 <= one <= 2 for one in slept)


def test_throttling_without_end_is_a_failure() -> None:
    ses = Ses(refused("TooManyRequestsException"))
    with pytest.raises(MailFailed) as failed:
        post(ses).send("ada@example.com", LETTER, "order-paid")
    assert failed.value.reason == "TooManyRequestsException"
    assert len(ses.calls) == ATTEMPTS


def test_the_client_itself_calls_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    config: Any = mail.client().meta.config
    assert config.retries["total_max_attempts"] == 1
