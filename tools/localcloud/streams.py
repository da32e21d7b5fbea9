"""Event source mappings on DynamoDB streams as AWS runs them.

The emulator hands every mapping's batches over from one thread, takes ``batchItemFailures`` for success (the records
are lost), and repeats a failed batch for ever. Here each mapping has its own thread (a shard, on AWS), goes on from
the first reported failure, halves a batch whose function raised if the mapping says so, and after the allowed retries
sends it to the mapping's failure destination. Semantics:
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html.
"""

from __future__ import annotations

import importlib
import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from tools.localcloud.mends import MendDoesNotFit

BACKOFF_SECONDS = 0.3
UNLIMITED = -1


@dataclass
class Shard:
    """Where a mapping stands in its stream.

    Parameters
    ----------
    tried
        Attempts at the batch that begins at ``position``, halvings not counted (as on AWS).
    position
        Where that batch begins.
    limit
        The size of the next batch, once halving has begun; otherwise the mapping's own.
    """

    tried: int = 0
    position: int = -1
    limit: int | None = None


class StreamPoller:
    """Takes the place of the emulator's ``lambda_svc._poll_dynamodb_streams``."""

    def __init__(self) -> None:
        self._lambda = importlib.import_module("ministack.services.lambda_svc")
        self._dynamodb = importlib.import_module("ministack.services.dynamodb")
        self._responses = importlib.import_module("ministack.core.responses")
        self._shards: dict[str, Shard] = {}

    def install(self) -> None:
        # The loop looks the function up by this name at each pass; a version that renames it must be noticed.
        if not callable(getattr(self._lambda, "_poll_dynamodb_streams", None)):
            message = "lambda_svc has no _poll_dynamodb_streams any more"
            raise MendDoesNotFit(message)
        self._lambda._poll_dynamodb_streams = self.poll  # type: ignore[attr-defined] # a hook

    def poll(self) -> bool:
        """Start a batch for every idle mapping that has records. Returns whether any was started."""
        started = False
        for account, region, mapping in self._lambda._iter_all_esms():
            account_token = self._responses._request_account_id.set(account)
            region_token = self._responses._request_region.set(region)
            try:
                if self._ready(mapping):
                    self._lambda._dispatch_esm_batch(mapping["UUID"], self._in_scope, account, region, mapping)
                    started = True
            finally:
                self._responses._request_account_id.reset(account_token)
                self._responses._request_region.reset(region_token)
        return started

    def _in_scope(self, account: str, region: str, mapping: dict[str, Any]) -> None:
        account_token = self._responses._request_account_id.set(account)
        region_token = self._responses._request_region.set(region)
        try:
            self._batch(mapping)
        finally:
            self._responses._request_account_id.reset(account_token)
            self._responses._request_region.reset(region_token)

    def _table_of(self, mapping: dict[str, Any]) -> str | None:
        source = mapping.get("EventSourceArn", "")
        if ":dynamodb:" not in source or "/stream/" not in source:
            return None
        name = str(source.split(":table/", 1)[1].split("/", 1)[0])
        table = self._dynamodb._tables.get(name)
        return name if table and table.get("LatestStreamArn") == source else None

    def _ready(self, mapping: dict[str, Any]) -> bool:
        if not mapping.get("Enabled", True):
            return False
        table = self._table_of(mapping)
        if table is None or mapping["UUID"] in self._lambda._esm_inflight:
            return False
        if self._lambda._esm_backoff_until.get(mapping["UUID"], 0) > time.time():
            return False
        return self._position(mapping, table) < int(self._dynamodb.stream_end_position(table))

    def _position(self, mapping: dict[str, Any], table: str) -> int:
        """Where to read from; a mapping without a position begins at the horizon or the end, as it was created to."""
        horizon = int(self._dynamodb.stream_start_position(table))
        with self._lambda._dynamodb_stream_positions_lock:
            positions = self._lambda._dynamodb_stream_positions
            if mapping["UUID"] not in positions:
                newest = mapping.get("StartingPosition", "LATEST") != "TRIM_HORIZON"
                positions[mapping["UUID"]] = self._dynamodb.stream_end_position(table) if newest else horizon
            positions[mapping["UUID"]] = max(int(positions[mapping["UUID"]]), horizon)
            return int(positions[mapping["UUID"]])

    def _advance(self, mapping: dict[str, Any], position: int) -> None:
        with self._lambda._dynamodb_stream_positions_lock:
            self._lambda._dynamodb_stream_positions[mapping["UUID"]] = position
        self._shards[mapping["UUID"]] = Shard(position=position)
        self._lambda._esm_backoff_until.pop(mapping["UUID"], None)

    def _batch(self, mapping: dict[str, Any]) -> None:
        table = self._table_of(mapping)
        function, _ = self._lambda._get_func_record_for_qualifier(mapping["FunctionName"], mapping.get("Qualifier"))
        if table is None or function is None:
            return
        position = self._position(mapping, table)
        shard = self._shards.get(mapping["UUID"])
        if shard is None or shard.position != position:
            shard = self._shards[mapping["UUID"]] = Shard(position=position)
        size = shard.limit or mapping.get("BatchSize", 100)
        read = self._dynamodb.stream_records_since(table, position, size)
        batch = self._lambda._apply_filter_criteria(read, mapping)
        if not batch:
            self._advance(mapping, position + len(read))
            return

        result = self._lambda._execute_function(function, {"Records": batch})
        failed = self._first_failure(mapping, read, batch, result)
        if failed is None:
            mapping["LastProcessingResult"] = f"OK - {len(batch)} records"
            self._advance(mapping, position + len(read))
            return
        mapping["LastProcessingResult"] = "FAILED"
        if failed > 0:
            # The records before the first failure are done; the attempt counts for the one that failed.
            self._advance(mapping, position + failed)
            self._shards[mapping["UUID"]].tried = 1
        else:
            self._repeat_or_give_up(mapping, function, shard, read, batch, result)
        self._lambda._esm_backoff_until[mapping["UUID"]] = time.time() + BACKOFF_SECONDS
        again = threading.Timer(BACKOFF_SECONDS, self._lambda._esm_wake.set)
        again.daemon = True
        again.start()

    @staticmethod
    def _first_failure(
        mapping: dict[str, Any], read: list[Any], batch: list[Any], result: dict[str, Any]
    ) -> int | None:
        """Index in ``read`` of the first record to repeat, or None when all succeeded."""
        if result.get("error") or result.get("throttle"):
            return 0
        if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
            return None
        answer = result.get("body")
        if isinstance(answer, str):
            answer = json.loads(answer or "null")
        failures = (answer or {}).get("batchItemFailures") or []
        if not failures:
            return None
        named = {failure.get("itemIdentifier") for failure in failures}
        numbers = [record["dynamodb"]["SequenceNumber"] for record in read]
        delivered = {record["dynamodb"]["SequenceNumber"] for record in batch}
        # An identifier that is empty or not of the batch fails the whole batch, as on AWS.
        if not named <= delivered:
            return 0
        return min(index for index, number in enumerate(numbers) if number in named)

    def _repeat_or_give_up(
        self,
        mapping: dict[str, Any],
        function: dict[str, Any],
        shard: Shard,
        read: list[Any],
        batch: list[Any],
        result: dict[str, Any],
    ) -> None:
        raised = bool(result.get("error"))
        if raised and mapping.get("BisectBatchOnFunctionError") and len(read) > 1:
            shard.limit = max(1, len(read) // 2)
            return
        shard.tried += 1
        allowed = mapping.get("MaximumRetryAttempts", UNLIMITED)
        allowed = UNLIMITED if allowed is None else int(allowed)
        if allowed != UNLIMITED and shard.tried > allowed:
            self._lambda._send_ddb_stream_failure_record(
                mapping, function, batch, mapping["EventSourceArn"], result, "RetryAttemptsExhausted"
            )
            self._advance(mapping, shard.position + len(read))
