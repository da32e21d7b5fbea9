"""SQS workers of shipping: orders' requests, and carriers' scans."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from commerce import aws, telemetry
from commerce.clock import Clock, SystemClock
from commerce.dynamo import Table
from commerce.events import FulfilmentRequested, ScanReported
from commerce.figures import Figure
from commerce.settings import env
from commerce.worker import UnexpectedEventError, each_message, handle_batch
from shipping import service
from shipping.carriers import carrier_table
from shipping.service import Store
from shipping.store import ShippingStore
from shipping.tracking import ParcelChanged


def inbox(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Release the slips of paid orders (queue ``shipping-inbox``)."""
    store, carriers, clock = _store(), carrier_table(), SystemClock()
    return handle_batch(event, {FulfilmentRequested: lambda request: service.release(request, store, carriers, clock)})


def scans(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Record carriers' scans (queue ``shipping-scans``, fed by the bus ``carriers``).

    A scan of a waybill that is not known fails: it comes again, and the parcel may be there by then.
    """
    store, clock = _store(), SystemClock()
    return each_message(event, lambda envelope: take_scans(envelope, store, clock))


def take_scans(envelope: Mapping[str, Any], store: Store, clock: Clock) -> None:
    """Record the scans of one event of the bus ``carriers``.

    The parcel is looked up under the carrier whose source the event has, so nobody can report scans
    of another carrier's parcel.

    Raises
    ------
    UnexpectedEventError
        It is no ScanReported of a carrier.
    pydantic.ValidationError, shipping.tracking.UnknownWaybill, shipping.tracking.ParcelChanged
        See `shipping.service.record`; ParcelChanged only after five tries.
    """
    source = re.fullmatch(r"carrier\.([a-z0-9_-]{1,40})", envelope["source"])
    if source is None or envelope["detail-type"] != ScanReported.__name__:
        raise UnexpectedEventError(f"{envelope['source']} {envelope['detail-type']}")
    reported = ScanReported.model_validate(envelope["detail"])
    again = Retrying(
        retry=retry_if_exception_type(ParcelChanged), stop=stop_after_attempt(5), wait=wait_random(0, 0.1), reraise=True
    )
    unknown = again(service.record, reported, source[1], store, clock)
    if unknown:
        telemetry.logger().warning("unknown scan status", extra={"statuses": sorted({one.status for one in unknown})})
        telemetry.count(Figure.UNKNOWN_SCAN_STATUS, len(unknown))


def _store() -> ShippingStore:
    return ShippingStore(Table(aws.dynamodb(), env("SHIPPING_TABLE")))
