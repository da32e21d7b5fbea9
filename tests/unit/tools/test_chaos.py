"""The chaos proxy: every fault in its service's own form, and what a run under it reports."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from tools.chaos.proxy import SHARES, Fault, Plan, Proxy, kill_owner
from tools.chaos.run import Report

LOST = (ConnectionClosedError, EndpointConnectionError, ReadTimeoutError)


class Upstream:
    """Answers every call with an empty JSON object, and counts."""

    def __init__(self) -> None:
        self.calls = 0
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                upstream.calls += 1
                content = json.dumps({"Item": {"pk": {"S": "a"}}}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def killed() -> list[int]:
    return []


@pytest.fixture
def proxy(upstream: Upstream, killed: list[int]) -> Iterator[Proxy]:
    with Proxy(lambda port: not killed.append(port)).running() as made:
        made.lead_to(upstream.url)
        yield made


def client(service: str, proxy: Proxy, attempts: int = 1) -> Any:
    make: Any = boto3.client
    config = Config(retries={"mode": "standard", "total_max_attempts": attempts}, user_agent_appid="commerce-local-f")
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return make(service, endpoint_url=proxy.url, region_name="eu-west-1", config=config, **keys)


def get(proxy: Proxy, attempts: int = 1) -> Any:
    return client("dynamodb", proxy, attempts).get_item(TableName="t", Key={"pk": {"S": "a"}})


def always(proxy: Proxy, fault: Fault) -> None:
    proxy.misbehave(Plan(shares={fault: 1.0}))


def test_a_call_is_handed_on_and_its_caller_counted(proxy: Proxy, upstream: Upstream) -> None:
    assert get(proxy)["Item"] == {"pk": {"S": "a"}}
    assert proxy.calls == {"commerce-local-f": 1}
    assert upstream.calls == 1
    assert proxy.struck == []


@pytest.mark.parametrize(
    ("service", "call", "arguments", "code"),
    [
        ("dynamodb", "list_tables", {}, "ProvisionedThroughputExceededException"),
        ("events", "list_rules", {}, "ThrottlingException"),
        ("stepfunctions", "list_state_machines", {}, "ThrottlingException"),
        ("kms", "list_keys", {}, "ThrottlingException"),
        ("sesv2", "list_contact_lists", {}, "TooManyRequestsException"),
    ],
)
def test_a_throttled_call_has_its_services_own_error(
    proxy: Proxy, upstream: Upstream, service: str, call: str, arguments: dict[str, Any], code: str
) -> None:
    always(proxy, Fault.THROTTLE)
    with pytest.raises(ClientError) as raised:
        getattr(client(service, proxy), call)(**arguments)
    assert raised.value.response["Error"]["Code"] == code
    assert upstream.calls == 0


def test_an_error_is_not_made_and_the_sdk_tries_again(proxy: Proxy, upstream: Upstream) -> None:
    always(proxy, Fault.ERROR)
    with pytest.raises(ClientError) as raised:
        get(proxy, attempts=2)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert upstream.calls == 0
    assert proxy.calls["commerce-local-f"] == 2


def test_a_dropped_answer_is_of_a_call_that_was_made(proxy: Proxy, upstream: Upstream) -> None:
    always(proxy, Fault.DROP)
    with pytest.raises(LOST):
        get(proxy)
    assert upstream.calls == 1


@pytest.mark.parametrize(("fault", "made"), [(Fault.KILL_BEFORE, 0), (Fault.KILL_AFTER, 1)])
def test_a_process_is_killed_before_its_call_or_after(
    proxy: Proxy, upstream: Upstream, killed: list[int], fault: Fault, made: int
) -> None:
    always(proxy, fault)
    with pytest.raises(LOST):
        get(proxy)
    assert len(killed) == 1
    assert upstream.calls == made


def test_a_service_that_is_down_answers_nothing_else(proxy: Proxy) -> None:
    proxy.misbehave(Plan(down=frozenset({"sesv2"})))
    with pytest.raises(ClientError) as raised:
        client("sesv2", proxy).list_contact_lists()
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert get(proxy)["Item"]


def test_the_faults_befall_ten_calls_in_a_hundred() -> None:
    assert sum(SHARES.values()) == pytest.approx(0.1)
    assert SHARES.keys() == set(Fault)


@pytest.mark.skipif(sys.platform != "linux", reason="whose a connection is, is read from /proc")
def test_the_process_that_holds_a_connection_is_the_one_that_is_killed(upstream: Upstream) -> None:
    program = (
        "import socket, time; s = socket.create_connection(('127.0.0.1', "
        f"{upstream.server.server_address[1]})); print(s.getsockname()[1], flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        assert process.stdout is not None
        assert kill_owner(int(process.stdout.readline()))
        assert process.wait(timeout=10) == -9


def test_a_report_tells_what_is_not_as_it_must_be() -> None:
    good = Report(accepted=3, calm_calls=100, calls=120)
    assert good.troubles == []
    assert Report(accepted=0).troubles
    assert Report(accepted=3, calm_calls=100, calls=151).troubles == ["calls were amplified 1.51 times, at most 1.5"]
    bad = Report(accepted=3, calm_calls=1, calls=1, lost=["a"], unexplained=["b"], left=["c: 1"], findings=["d"])
    assert bad.troubles == ["a", "not explained: b", "d", "still a dead letter: c: 1"]
