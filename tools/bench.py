"""How long the order intake takes to start: ``python -m tools.bench``.

A cold start is import plus first call. Three fresh processes are timed in turns, for several rounds:

``zip``
    The function as Lambda lays it out: assets staged by `tools.build`, zipped as the CDK does (every file's time is
    1980), unpacked, layers on the path, no bytecode written.
``source``
    The same from the source tree with its ordinary ``__pycache__``.
``bare``
    ``import boto3; boto3.client("dynamodb")`` alone.

The first call places an order and must be accepted. DynamoDB and KMS are answered by `Stub` on 127.0.0.1, so that all
variants talk to the same, and equally fast, other side. Time is taken inside the process: the interpreter's own start
is not in it.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from rich.console import Console
from rich.table import Table

from tools.build import ROOT, BuildError, stage_all

ROUNDS = 11
MOST = {"zip/source": 1.1, "zip/bare": 1.7}
LAYERS = ("commerce", "dependencies")
LAMBDAS = ROOT / ".venv-cloud" / "bin" / "python"
"""The interpreter that stands for Lambda's: it brings boto3 along and nothing else."""
ZIP_TIME = (1980, 1, 1, 0, 0, 0)

CUSTOMER = "019360d5-a1b2-7c3e-8f01-23456789abcd"
SKUS = tuple(f"8512{n}A" for n in range(10))
PRICE = 255

BODY = {
    "currency": "GBP",
    "locale": "en-GB",
    "time_zone": "Europe/London",
    "price_list": "2011-03-07-retail",
    "contact": {"name": "Ada Lovelace", "phone": "+44 7700 900123"},
    "address": {"country": "GB", "lines": ["12 St James's Square"], "city": "London", "postal_code": "SW1Y 4JH"},
    "lines": [{"sku": sku, "quantity": 6, "unit_price": PRICE} for sku in SKUS],
    "shipping": {"method": "standard"},
}
"""An order as a front end sends it: ten lines, an ordinary customer, a contact card on file."""

EVENT: dict[str, Any] = {
    "version": "2.0",
    "routeKey": "POST /orders",
    "rawPath": "/orders",
    "rawQueryString": "",
    "headers": {"content-type": "application/json", "idempotency-key": "bench-1"},
    "requestContext": {
        "accountId": "000000000000",
        "apiId": "bench",
        "http": {"method": "POST", "path": "/orders", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
        "requestId": "bench",
        "routeKey": "POST /orders",
        "stage": "$default",
        "authorizer": {"jwt": {"claims": {"sub": CUSTOMER, "cognito:groups": "[customer]"}, "scopes": None}},
    },
    "body": json.dumps(BODY),
    "isBase64Encoded": False,
}

INTAKE = """\
import sys, time
sys.path[:0] = PATH
event = EVENT
class Context:
    aws_request_id = "bench"
    function_name = "orders-intake"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:000000000000:function:orders-intake"
    memory_limit_in_mb = 1024
began = time.perf_counter()
from orders.api import intake
answer = intake(event, Context())
took = time.perf_counter() - began
if answer["statusCode"] != 202:
    sys.exit(f"the order was not accepted: {answer}")
print(took)
"""

BARE = """\
import sys, time
began = time.perf_counter()
import boto3
boto3.client("dynamodb")
print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Variant:
    """One way to start.

    Attributes
    ----------
    python
        The interpreter; the local cloud's stands for Lambda's, which brings boto3 along.
    code
        Prints the seconds it took.
    writes_bytecode
        As any ordinary Python does, or not, as Lambda's folders are read-only.
    """

    name: str
    python: Path
    code: str
    writes_bytecode: bool


class Stub:
    """The other side of the intake's calls: an account with one customer, ten offers and no orders."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        nonce = secrets.token_bytes(12)
        card = json.dumps({"name": "Ada Lovelace", "email": "ada@example.com", "locale": "en-GB"}).encode()
        self._contact = nonce + AESGCM(self._key).encrypt(nonce, card, CUSTOMER.encode())

    def answer(self, target: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one call of AWS's JSON protocol.

        Raises
        ------
        KeyError
            The intake does not make such calls.
        """
        answers: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "DynamoDB_20120810.GetItem": self._get_item,
            "DynamoDB_20120810.BatchGetItem": self._offers,
            "DynamoDB_20120810.TransactWriteItems": lambda _: {},
            "TrentService.Decrypt": lambda _: {"KeyId": "data", "Plaintext": _b64(self._key)},
            "TrentService.GenerateMac": lambda _: {"KeyId": "mac", "Mac": _b64(bytes(32))},
        }
        return answers[target](asked)

    def _get_item(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        if asked["TableName"] != "vault":
            return {}
        item = {"pk": {"S": CUSTOMER}, "sk": {"S": "KEY"}, "v": {"N": "1"}}
        sealed = {"wrapped": {"B": _b64(b"wrapped")}, "contact": {"B": _b64(self._contact)}}
        return {"Item": item | sealed}

    def _offers(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        keys = asked["RequestItems"]["orders"]["Keys"]
        return {"Responses": {"orders": [_offer(key["pk"]["S"].removeprefix("OFFER#")) for key in keys]}}

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve on a free port of 127.0.0.1; yields the endpoint's URL."""
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Otherwise an answer's head and body go out as two packets, and the second waits for an acknowledgement.
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(stub.answer(self.headers["X-Amz-Target"], asked)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _offer(sku: str) -> dict[str, Any]:
    price = {
        "price_list": {"S": BODY["price_list"]},
        "valid_from": {"S": "2011-03-07T00:00:00.000Z"},
        "valid_until": {"S": "9999-12-31T00:00:00.000Z"},
        "min_quantity": {"N": "1"},
        "unit_price": {"N": str(PRICE)},
    }
    return {
        "pk": {"S": f"OFFER#{sku}"},
        "sk": {"S": "GBP"},
        "v": {"N": "1"},
        "sku": {"S": sku},
        "currency": {"S": "GBP"},
        "merchant_id": {"S": "mer_hearts"},
        "listed": {"BOOL": True},
        "tax_rate_bp": {"N": "2000"},
        "tax_inclusive": {"BOOL": True},
        "version": {"N": "1"},
        "prices": {"L": [{"M": price}]},
    }


def as_deployed(asset: Path, into: Path) -> None:
    """Zip ``asset`` as the CDK does and unpack it as Lambda does: times of 1980, whatever the files' own."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as held:
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(path for path in asset.rglob("*") if path.is_file()):
                archive.writestr(zipfile.ZipInfo(str(file.relative_to(asset)), ZIP_TIME), file.read_bytes())
        with zipfile.ZipFile(held) as archive:
            archive.extractall(into)
    then = datetime(*ZIP_TIME, tzinfo=UTC).timestamp()
    for path in into.rglob("*"):
        os.utime(path, (then, then))


def lay_out_layers(staged: Mapping[str, Path], home: Path) -> None:
    """Lay the layers out below ``home`` where Lambda has them: in ``opt``, all over one another."""
    for name in LAYERS:
        as_deployed(staged[name], home / "opt")


def variants(home: Path) -> list[Variant]:
    """Lay out what is timed below ``home``.

    Raises
    ------
    tools.build.BuildError
        An asset cannot be staged.
    """
    staged = stage_all("local")
    lay_out_layers(staged, home)
    as_deployed(staged["orders"], home / "task")
    ours = ROOT / ".venv" / "bin" / "python"
    return [
        Variant("zip", LAMBDAS, _intake(home / "task", home / "opt" / "python"), writes_bytecode=False),
        Variant(
            "source", ours, _intake(ROOT / "functions", ROOT / "layers" / "commerce" / "python"), writes_bytecode=True
        ),
        Variant("bare", LAMBDAS, BARE, writes_bytecode=False),
    ]


def _intake(*path: Path) -> str:
    # Literals: to load the event from a file would import modules before the clock starts.
    return INTAKE.replace("PATH", repr([str(folder) for folder in path])).replace("EVENT", repr(EVENT))


def surroundings() -> dict[str, str]:
    """Return the environment of a process that stands for a function: AWS's own variables, and nobody's settings."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def environment(endpoint: str) -> dict[str, str]:
    """Return the environment of a function, as deployed, with ``endpoint`` in place of AWS."""
    return {
        **surroundings(),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_LAMBDA_FUNCTION_NAME": "orders-intake",
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
        "POWERTOOLS_SERVICE_NAME": "orders",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "ORDERS_TABLE": "orders",
        "VAULT_TABLE": "vault",
        "DATA_KEY_ARN": "data",
        "MAC_KEY_ARN": "mac",
        "OPEN_SECONDS": "3600",
        "PACE_ORDERS": "20",
        "PACE_SECONDS": "600",
    }


def run(variant: Variant, around: Mapping[str, str], where: Path, *options: str) -> tuple[float, str]:
    """Run a variant in a fresh process; return its seconds and what it wrote to standard error.

    Raises
    ------
    RuntimeError
        It failed.
    """
    more = {} if variant.writes_bytecode else {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [str(variant.python), *options, "-c", variant.code],
        env={**around, **more},
        cwd=where,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{variant.name} failed:\n{done.stderr or done.stdout}")
    return float(done.stdout.split()[-1]), done.stderr


def slowest_imports(report: str, most: int) -> list[tuple[str, float]]:
    """Return the modules that take the longest by themselves, of what ``-X importtime`` wrote.

    Returns
    -------
    list
        Top-level package and milliseconds, of all its modules together, the longest first.
    """
    own: dict[str, float] = {}
    for micros, name in re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", report, re.MULTILINE):
        package = name.split(".")[0]
        own[package] = own.get(package, 0.0) + int(micros) / 1000
    return sorted(own.items(), key=lambda one: -one[1])[:most]


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """Time all variants ``rounds`` times in turns; the round before the first warms the disk's cache up."""
    with tempfile.TemporaryDirectory() as folder, Stub().served() as endpoint:
        home = Path(folder)
        around = environment(endpoint)
        timed = variants(home)
        seconds: dict[str, list[float]] = {variant.name: [] for variant in timed}
        for at in range(rounds + 1):
            for variant in timed if at % 2 else reversed(timed):
                took, _ = run(variant, around, home)
                if at:
                    seconds[variant.name].append(took)
        _, imports = run(timed[0], around, home, "-X", "importtime")
    median = {name: statistics.median(took) for name, took in seconds.items()}
    ratios = {pair: round(median[pair.split("/")[0]] / median[pair.split("/")[1]], 3) for pair in MOST}
    return {
        "rounds": rounds,
        "ms": {name: round(took * 1000, 1) for name, took in median.items()},
        "ms_range": {name: [round(min(t) * 1000, 1), round(max(t) * 1000, 1)] for name, t in seconds.items()},
        "ratios": ratios,
        "most": MOST,
        "reached": all(ratios[pair] <= most for pair, most in MOST.items()),
        "slowest_imports_ms": {name: round(ms, 1) for name, ms in slowest_imports(imports, 12)},
    }


def show(figures: Mapping[str, Any], console: Console) -> None:
    """Print the figures as a table."""
    table = Table(title="Order intake: import and first call", title_justify="left")
    for heading in ("variant", "median", "range"):
        table.add_column(heading, justify="left" if heading == "variant" else "right")
    for name, ms in figures["ms"].items():
        least, most = figures["ms_range"][name]
        table.add_row(name, f"{ms} ms", f"{least} to {most} ms")
    console.print(table)
    for pair, ratio in figures["ratios"].items():
        verdict = "ok" if ratio <= figures["most"][pair] else "MISSED"
        console.print(f"{pair}: {ratio} (at most {figures['most'][pair]}) {verdict}")


def main() -> int:
    """Measure, write ``build/bench.json``, print; returns the exit status."""
    try:
        figures = measure()
    except (BuildError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    written = ROOT / "build" / "bench.json"
    written.parent.mkdir(exist_ok=True)
    written.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    show(figures, Console())
    print(f"written to {written.relative_to(ROOT)}")
    return 0 if figures["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
