"""A small client of the deployed platform: what its users, providers, carriers and operators do.

Everything goes through the public API or a bus, as it would from outside; only `Operator` uses AWS's own APIs, for
what operators do there (users of the pool, the sandbox's key). The player of real orders (`tools.run`) and the
end-to-end tests share it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import boto3
import httpx
from botocore.config import Config

from commerce import origin
from tools import entry, sandbox_provider
from tools.localcloud.deploy import outputs
from tools.localcloud.server import LocalCloud

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

T = TypeVar("T")

TRIES = 5
"""Calls made at the most for an answer other than 503 or 429."""

BUS_BATCH = 10
"""Entries of one PutEvents call (EventBridge quota)."""


class Refused(Exception):
    """The platform said no.

    Attributes
    ----------
    status
        HTTP status.
    problem
        The problem details of RFC 9457; empty if the gateway answered by itself.
    """

    def __init__(self, what: str, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{what}: {status} {json.dumps(problem, ensure_ascii=False)}")
        self.status = status
        self.problem = problem

    @property
    def slug(self) -> str:
        """Return the last part of the problem's type."""
        return str(self.problem.get("type", "")).rpartition("/")[2]

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the names of the fields at fault."""
        return tuple(one["field"] for one in self.problem.get("errors", ()))


class TooLate(Exception):
    """What was waited for did not come before the deadline."""


@dataclass(frozen=True)
class Answer:
    """What a call answered; ``body`` is parsed JSON, or None where there is none."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def etag(self) -> str:
        return self.headers.get("etag", "")


@dataclass(frozen=True)
class Deployment:
    """Where the platform is, and how to reach the AWS it is on.

    Attributes
    ----------
    api
        Base URL of the HTTP API.
    outputs
        Of its stacks, by name.
    aws
        Arguments of `boto3.client`.
    """

    api: str
    outputs: Mapping[str, str]
    aws: Mapping[str, str]

    @classmethod
    def on(cls, cloud: LocalCloud) -> Deployment:
        """Return what is deployed to a local cloud.

        Raises
        ------
        tools.localcloud.server.LocalCloudError
            It is not running.
        """
        found, endpoint = outputs(cloud), cloud.endpoint
        access = {
            "endpoint_url": endpoint,
            "region_name": cloud.region,
            "aws_access_key_id": cloud.access_key_id,
            "aws_secret_access_key": "local",
        }
        # The API's own host name needs a resolver that knows *.localhost; this address needs none.
        return cls(f"{endpoint}/_aws/execute-api/{found['ApiId']}", found, access)

    @classmethod
    def at(cls, home: Path) -> Deployment:
        """Return what is deployed to the local cloud whose folder is ``home``."""
        return cls.on(LocalCloud(home))

    @property
    def stage(self) -> str:
        """The deployed stage, which is part of every resource's name (``commerce-<stage>-orders``)."""
        return self.outputs["OrdersTableName"].split("-")[1]

    @property
    def tables(self) -> Mapping[str, str]:
        """Context -> name of the table that it uses."""
        end = "TableName"
        return {name.removesuffix(end).lower(): value for name, value in self.outputs.items() if name.endswith(end)}

    def of_the_entry(self) -> dict[str, str]:
        """Return the header that CloudFront would add to a request, where the stage has an entry."""
        if "OriginSecretName" not in self.outputs:
            return {}
        return {origin.HEADER: entry.value(self.client("secretsmanager"), self.stage)}

    def client(self, service: str) -> Any:
        """Return an AWS client of the deployment's account."""
        make: Any = boto3.client
        config = Config(retries={"mode": "standard", "total_max_attempts": 5}, max_pool_connections=32)
        return make(service, config=config, **self.aws)


@dataclass(frozen=True)
class Api:
    """The HTTP API as one caller sees it; may be used by several threads.

    Attributes
    ----------
    http
        Connections, shared by all callers.
    token
        Of the signed-in caller; empty for an open route.
    order_token
        Of a guest's order, sent as ``Order-Token``.
    """

    http: httpx.Client
    token: str = field(default="", repr=False)
    order_token: str = field(default="", repr=False)

    @classmethod
    def of(cls, deployment: Deployment) -> Api:
        """Return the API as somebody who is not signed in sees it."""
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        return cls(
            httpx.Client(
                base_url=deployment.api, timeout=60, limits=limits, trust_env=False, headers=deployment.of_the_entry()
            )
        )

    def signed_in(self, token: str) -> Api:
        """Return the API as the holder of ``token`` sees it."""
        return Api(self.http, token)

    def guest(self, order_token: str) -> Api:
        """Return the API as the guest whose order ``order_token`` is of sees it."""
        return Api(self.http, order_token=order_token)

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one call and return its answer, whatever it is.

        Parameters
        ----------
        body
            Sent as JSON; bytes are sent as they are.
        key
            Header Idempotency-Key.
        """
        sent = dict(headers or {})
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        if self.order_token:
            sent["Order-Token"] = self.order_token
        if key is not None:
            sent["Idempotency-Key"] = key
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        answer = self.http.request(method, path, content=content, params=dict(query or {}), headers=sent)
        return Answer(answer.status_code, _parsed(answer), answer.headers)

    def steadily(self, method: str, path: str, body: object = None, **options: Any) -> Answer:
        """Make one call, again while the server is at fault or busy, and return its answer; options as in `send`.

        A 503 and a 429 say when to try again. Every write here may be repeated, because it has its Idempotency-Key.
        """
        answer = self.send(method, path, body, **options)
        for _ in range(TRIES - 1):
            if answer.status < httpx.codes.INTERNAL_SERVER_ERROR and answer.status != httpx.codes.TOO_MANY_REQUESTS:
                break
            time.sleep(float(answer.headers.get("retry-after", "1")))
            answer = self.send(method, path, body, **options)
        return answer

    def ask(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        """Make one call and return the body of its answer; options as in `send`.

        Raises
        ------
        Refused
            The status is 400 or more.
        """
        answer = self.steadily(method, path, body, **options)
        if answer.status >= 400:
            problem = answer.body if isinstance(answer.body, dict) else {}
            raise Refused(f"{method} {path}", answer.status, problem)
        return answer.body


def _parsed(answer: httpx.Response) -> Any:
    if not answer.content:
        return None
    return answer.json() if "json" in answer.headers.get("content-type", "") else answer.text


@dataclass
class PlacedOrder:
    """An accepted order in its buyer's hands.

    Attributes
    ----------
    number
        As shown, ``06PM-4NXB-DTKC``.
    token
        The order token.
    api
        The buyer's view of the API.
    path
        ``/orders/<number>``, for a guest under ``/guest``.
    total
        Minor units of ``currency``.
    """

    number: str
    token: str = field(repr=False)
    api: Api
    path: str
    total: int
    currency: str
    _seen: dict[str, Answer] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        """The number as the platform itself has it, ``06PM4NXBDTKC``."""
        return self.number.replace("-", "")

    def pay(self, key: str | None = None, provider: str = "sandbox") -> dict[str, Any]:
        """Start a payment; the same key again is the same payment."""
        body = {"provider": provider, "order_token": self.token}
        started: dict[str, Any] = self.api.ask("POST", f"{self.path}/payments", body, key=key or new_key())
        return started

    def cancel(self) -> dict[str, Any]:
        """Ask for it to be cancelled."""
        answered: dict[str, Any] = self.api.ask("POST", f"{self.path}/cancel", key=new_key())
        return answered

    def accept(self) -> dict[str, Any]:
        """Accept the delivery."""
        answered: dict[str, Any] = self.api.ask("POST", f"{self.path}/accept", key=new_key())
        return answered

    def show(self) -> dict[str, Any]:
        """Return the order; asked with the ETag of the last answer, which is returned again when nothing changed."""
        return self._polled(self.path)

    def timeline(self) -> list[dict[str, Any]]:
        """Return its facts, oldest first."""
        facts: list[dict[str, Any]] = self._polled(f"{self.path}/timeline")["timeline"]
        return facts

    def shipments(self) -> list[dict[str, Any]]:
        """Return its parcels."""
        found: list[dict[str, Any]] = self._polled(f"{self.path}/shipments")["shipments"]
        return found

    def payments(self) -> dict[str, Any]:
        """Return what is due for it and what was paid."""
        return self._polled(f"{self.path}/payments")

    @property
    def status(self) -> str:
        """Where it is now."""
        return str(self.show()["status"])

    def wait(self, *statuses: str, within: float = 60, every: float = 0.25) -> str:
        """Wait until it has one of ``statuses`` and return it.

        Raises
        ------
        TooLate
            It has none of them after ``within`` seconds.
        """
        what = f"{self.number} to be {' or '.join(statuses)}"
        return until(lambda: self.status, lambda now: now in statuses, what, within=within, every=every)

    def _polled(self, path: str) -> dict[str, Any]:
        seen = self._seen.get(path)
        answer = self.api.steadily("GET", path, headers={"If-None-Match": seen.etag} if seen else None)
        if answer.status == 304 and seen is not None:
            answer = seen
        if answer.status >= 400:
            raise Refused(f"GET {path}", answer.status, answer.body if isinstance(answer.body, dict) else {})
        self._seen[path] = answer
        body: dict[str, Any] = answer.body
        return body


def place(api: Api, body: Mapping[str, Any], key: str | None = None) -> PlacedOrder:
    """Place an order as the caller of ``api``: a customer if he is signed in, else a guest.

    Raises
    ------
    Refused
        The platform does not accept it; its fields are named.
    """
    of = "/orders" if api.token else "/guest/orders"
    made = api.ask("POST", of, body, key=key or new_key())
    token = made["order_token"]
    buyer = api if api.token else api.guest(token)
    return PlacedOrder(made["number"], token, buyer, f"{of}/{made['number']}", made["total"], made["currency"])


class Provider:
    """The sandbox payment provider: it calls back, signed."""

    def __init__(self, api: Api, secret: str) -> None:
        self._api = Api(api.http)
        self._secret = secret

    def call_back(
        self,
        payment: Mapping[str, Any],
        verdict: Literal["authorised", "declined"] = "authorised",
        at: datetime | None = None,
    ) -> Answer:
        """Tell the platform what became of a payment (as `PlacedOrder.pay` returned it)."""
        signed = sandbox_provider.callback(
            self._secret,
            verdict,
            payment["payment_id"],
            payment["amount"],
            payment["currency"],
            at or datetime.now(UTC),
        )
        return self._api.steadily("POST", "/payments/callbacks/sandbox", signed.body, headers=signed.headers)

    def authorise(self, payment: Mapping[str, Any]) -> None:
        """Say that the money is held.

        Raises
        ------
        Refused
            The platform did not take the callback.
        """
        answer = self.call_back(payment)
        if answer.status >= 400:
            raise Refused("callback", answer.status, answer.body if isinstance(answer.body, dict) else {})


@dataclass(frozen=True)
class CarrierScan:
    """One scan of a parcel, at the carrier's time."""

    waybill: str
    status: str
    at: datetime
    place: str = ""

    def to_dict(self) -> dict[str, str]:
        return {"status": self.status, "at": self.at.isoformat(timespec="milliseconds"), "place": self.place}


class Carrier:
    """A carrier, as it puts its scans on the bus ``carriers``."""

    def __init__(self, deployment: Deployment, code: str = "generic") -> None:
        self._deployment = deployment
        self._code = code

    @cached_property
    def _events(self) -> EventBridgeClient:
        client: EventBridgeClient = self._deployment.client("events")
        return client

    def report(self, *reports: Sequence[CarrierScan]) -> None:
        """Put one event for each of ``reports``, which are scans of one parcel each.

        Raises
        ------
        RuntimeError
            The bus did not take all of them.
        """
        entries = [
            {
                "EventBusName": self._deployment.outputs["CarriersBusName"],
                "Source": f"carrier.{self._code}",
                "DetailType": "ScanReported",
                "Detail": json.dumps({"waybill": scans[0].waybill, "scans": [scan.to_dict() for scan in scans]}),
            }
            for scans in reports
        ]
        put: Any = self._events.put_events
        for at in range(0, len(entries), BUS_BATCH):
            answer = put(Entries=entries[at : at + BUS_BATCH])
            if answer["FailedEntryCount"]:
                raise RuntimeError(f"the bus refused scans: {answer['Entries']}")


class Operator:
    """What the platform's operators do with AWS's own APIs: users, the sandbox's key, a look at queues."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._pool = deployment.outputs["UserPoolId"]

    @cached_property
    def _users(self) -> CognitoIdentityProviderClient:
        client: CognitoIdentityProviderClient = self._deployment.client("cognito-idp")
        return client

    def add_user(self, email: str, password: str, groups: Iterable[str]) -> None:
        """Make a user of the pool who is in ``groups``; one that is there keeps his groups and gets the password."""
        with suppress(self._users.exceptions.UsernameExistsException):
            self._users.admin_create_user(
                UserPoolId=self._pool,
                Username=email,
                MessageAction="SUPPRESS",
                UserAttributes=[{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}],
            )
        self._users.admin_set_user_password(UserPoolId=self._pool, Username=email, Password=password, Permanent=True)
        for group in groups:
            self._users.admin_add_user_to_group(UserPoolId=self._pool, Username=email, GroupName=group)

    def sign_in(self, email: str, password: str) -> str:
        """Return the id token of a user; it holds for an hour."""
        answer = self._users.initiate_auth(
            AuthFlow="USER_PASSWORD_AUTH",
            ClientId=self._deployment.outputs["UserPoolClientId"],
            AuthParameters={"USERNAME": email, "PASSWORD": password},
        )
        return answer["AuthenticationResult"]["IdToken"]

    def sandbox_secret(self) -> str:
        """Return the key that the sandbox provider signs with."""
        client: SecretsManagerClient = self._deployment.client("secretsmanager")
        return client.get_secret_value(SecretId=self._deployment.outputs["SandboxSecretArn"])["SecretString"]

    def waiting(self, output: str) -> int:
        """Return how many messages are in a queue or being worked at; ``output`` names its stack output."""
        client: SQSClient = self._deployment.client("sqs")
        url = client.get_queue_url(QueueName=self._deployment.outputs[output])["QueueUrl"]
        answer = client.get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        )
        return sum(int(number) for number in answer["Attributes"].values())

    def function_memory(self) -> dict[str, int]:
        """Return function name -> memory in MB."""
        client: LambdaClient = self._deployment.client("lambda")
        pages = client.get_paginator("list_functions").paginate()
        return {one["FunctionName"]: one["MemorySize"] for page in pages for one in page["Functions"]}


def new_key() -> str:
    """Return an Idempotency-Key that nobody can guess."""
    return str(uuid.uuid4())


def until(
    ask: Callable[[], T],
    holds: Callable[[T], object],
    what: str,
    *,
    within: float = 60,
    every: float = 0.25,
    most: float = 4,
) -> T:
    """Ask until the answer is as wanted, and return it.

    Parameters
    ----------
    what
        For the message, after "waited for".
    within
        Seconds.
    every, most
        Pause after the first answer, which grows by half each time up to ``most``.

    Raises
    ------
    TooLate
        It never was; the message has the last answer.
    """
    end = time.monotonic() + within
    pause = every
    while True:
        answer = ask()
        if holds(answer):
            return answer
        left = end - time.monotonic()
        if left <= 0:
            raise TooLate(f"waited {within:.0f} s for {what}; last was {answer}")
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, most)
