"""One typed settings object for each stage; nothing else knows about stages.

Waits, windows and SLAs are seconds. The windows of ``local`` are far longer than a run of some hundred orders takes on
a small machine, those of ``test`` short enough to be waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR

ORIGIN_DIGESTS, ORIGIN_VERSION, FIREWALL_ARN = "origin-digests", "origin-version", "firewall-arn"
"""SSM parameters that a stage with an `Entry` reads and none of its stacks writes: `tools.entry` does."""


@dataclass(frozen=True)
class Windows:
    """How long the platform waits for what.

    Attributes
    ----------
    payment
        From the reservation to an authorised payment; then the order expires.
    stock
        From a shortage to a receipt; an order that is short again after one waits as long again.
    dispatch
        From payment to the last shipment's departure.
    silence
        From dispatch to the delivery; then it is noted, an alarm tells somebody, and the clock starts again.
    acceptance
        From delivery to acceptance on the buyer's behalf.
    settlement
        From acceptance to completion; then the completion, which takes five minutes at most, is started once more.
    replenishment
        From a shortage to the ship date that the buyer is told.
    pending
        Age at which the sweep takes over a reservation that is half made or half released; longer than the function
        that makes it may take.
    """

    payment: int
    stock: int
    dispatch: int
    silence: int
    acceptance: int
    settlement: int
    replenishment: int
    pending: int


@dataclass(frozen=True)
class Issuer:
    """An OpenID Connect issuer other than the platform's own user pool.

    Attributes
    ----------
    url
        As in the ``iss`` claim, https.
    audience
        Accepted ``aud`` (or ``client_id``) claims.
    """

    url: str
    audience: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    """Names of one's own for the entry; their DNS records are made where the zone is.

    Attributes
    ----------
    name, certificate
        What buyers call, and the ARN of its certificate in us-east-1, where CloudFront looks for it.
    api_name, api_certificate
        What CloudFront calls the API by, and the ARN of its certificate in the stage's own region.
    """

    name: str
    certificate: str
    api_name: str
    api_certificate: str


@dataclass(frozen=True)
class Entry:
    """CloudFront with AWS WAF before the API, which then refuses what did not come through them.

    AWS China has no WAF for CloudFront: a stage there has no entry. On the local cloud the clients stand for
    CloudFront (`infra.local`).

    Attributes
    ----------
    requests_per_address
        Requests in five minutes that the firewall lets through from one address (10 at least).
    embargoed
        Countries (ISO 3166) whose requests are refused.
    domain
        Without one, CloudFront's own name is the platform's. With one, the API's default endpoint is off.
    """

    requests_per_address: int = 3000
    embargoed: tuple[str, ...] = ("KP",)
    domain: Domain | None = None


@dataclass(frozen=True)
class Throttle:
    """Requests a second, and at once, that API Gateway lets through."""

    rate: int
    burst: int


@dataclass(frozen=True)
class Pace:
    """How many orders one buyer may place in a window of so many seconds."""

    orders: int
    seconds: int


@dataclass(frozen=True)
class Queue:
    """How a worker takes from its queue.

    Attributes
    ----------
    batch
        Messages of one invocation, at most.
    window
        Seconds a batch is gathered, at most.
    concurrency
        Invocations at once, at most (2 to 1000).
    receives
        Attempts until a message is set aside.
    patience
        Visibility timeout as a multiple of the worker's timeout: until a failed message comes again. AWS advises six
        on account of throttled pollers, and takes no less than one.
    """

    batch: int = 10
    window: int = 0
    concurrency: int = 10
    receives: int = 5
    patience: int = 6


@dataclass(frozen=True)
class Relay:
    """How an outbox relay takes from its table's stream.

    Attributes
    ----------
    batch
        Records of one invocation, at most.
    parallel
        Batches of one shard at once (1 to 10); records of one item stay in order.
    retries
        Attempts until a record is set aside.
    """

    batch: int = 100
    parallel: int = 2
    retries: int = 20


@dataclass(frozen=True)
class Size:
    """Memory of a function in MB (a CPU share comes with it) and the seconds it may take."""

    memory: int
    timeout: int


@dataclass(frozen=True)
class Sizes:
    """How big functions are.

    Attributes
    ----------
    intake
        The function that takes orders: its cold start is what a buyer waits for.
    usual
        APIs and tasks.
    worker
        Functions behind a queue or a stream, which take a batch at a time.
    batch
        Functions that go through long lists.
    bulk
        APIs that take a hundred things a call; API Gateway waits 30 s at most.
    """

    intake: Size = Size(1024, 10)
    usual: Size = Size(512, 10)
    worker: Size = Size(512, 30)
    batch: Size = Size(512, 60)
    bulk: Size = Size(1024, 29)


@dataclass(frozen=True)
class Restored:
    """The table that a context uses after a recovery (``docs/operations/recovery.md``).

    Attributes
    ----------
    generation
        Ends the table's name: ``r1`` is ``commerce-<stage>-<context>-r1``; empty is the table of old, left behind by a
        switch and used again.
    imported
        The data stack has taken it in (``cdk import``) and looks after it again; until then it only refers to it.
    """

    generation: str
    imported: bool = False


@dataclass(frozen=True)
class Stage:
    """Everything that differs between stages.

    Attributes
    ----------
    name
        Part of every resource's name.
    emulated
        Deployed to the local cloud (`infra.local`); assets are built for this machine, not for Lambda's.
    windows
        See `Windows`.
    sender
        Address that mail is sent from; an SES identity is made of it.
    purchasing_mail
        Where purchasing is told of replenishments; empty: in its inbox only.
    stateful_retained
        Tables, keys and the user pool outlive their stack, and tables refuse deletion.
    alarm_mail
        Who is woken; empty: nobody.
    ticket_mail
        Where alarms go that can wait for working hours; empty: nowhere.
    alarm_period
        Seconds that each data point of an alarm covers: 60 or a multiple of it.
    concurrency
        The account's quota of concurrent invocations in the region.
    issuer
        Who signs people in; None: a user pool of the platform's own.
    password_sign_in
        The user pool's client takes a name and a password directly, for tools and tests.
    partners
        Carrier code -> AWS account that may put events with the source ``carrier.<code>`` on the bus ``carriers``.
    cors_origins
        Origins whose pages may call the API.
    entry
        See `Entry`; None: the API's own address is the platform's, and nothing is asked of a request's way.
    throttle_rate, throttle_burst
        Requests a second, and at once, that the API lets through.
    open_throttle
        The same for each route that is open and yet costs a write or a key's use: guests' and providers'.
    pace
        See `Pace`; a guest is counted by his mail address.
    log_retention_days
        Of every log group.
    sizes
        See `Sizes`.
    reserved_concurrency
        Function name -> invocations at once, kept free for it and never exceeded; for no other function.
    sweep_minutes
        Minutes between two sweeps.
    queue, queues
        How queues are worked off, and the exceptions by queue name.
    queue_age_alarm
        Age of the oldest message at which a queue's alarm goes off.
    relay, relays
        How outbox relays work, and the exceptions by context.
    tables
        Context -> the table it uses since a recovery; the others use the tables that the data stack makes.
    backup_days
        How long the vault keeps each night's backup of every table; 0: no vault. Point-in-time recovery is on anyway.
    archive_days
        How long the archives of the buses keep events: as long as a table can be restored without a backup.
    """

    name: str
    windows: Windows
    sender: str
    emulated: bool = False
    purchasing_mail: str = ""
    stateful_retained: bool = False
    alarm_mail: str = ""
    ticket_mail: str = ""
    alarm_period: int = 5 * MINUTE
    concurrency: int = 1000
    issuer: Issuer | None = None
    password_sign_in: bool = False
    partners: Mapping[str, str] = field(default_factory=dict)
    cors_origins: tuple[str, ...] = ()
    throttle_rate: int = 500
    throttle_burst: int = 1000
    entry: Entry | None = None
    open_throttle: Throttle = Throttle(100, 200)
    pace: Pace = Pace(20, 10 * MINUTE)
    log_level: str = "INFO"
    log_retention_days: int = 30
    sizes: Sizes = field(default_factory=Sizes)
    reserved_concurrency: Mapping[str, int] = field(default_factory=dict)
    sweep_minutes: int = 1
    queue: Queue = field(default_factory=Queue)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    queue_age_alarm: int = 15 * MINUTE
    relay: Relay = field(default_factory=Relay)
    relays: Mapping[str, Relay] = field(default_factory=dict)
    tables: Mapping[str, Restored] = field(default_factory=dict)
    backup_days: int = 0
    archive_days: int = 35

    def queue_named(self, name: str) -> Queue:
        """Return how the queue ``name`` is worked off."""
        return self.queues.get(name, self.queue)

    def relay_of(self, context: str) -> Relay:
        """Return how the relay of ``context`` works."""
        return self.relays.get(context, self.relay)


RECOVERING: Mapping[str, int] = dict.fromkeys(
    (
        "orders-intake",
        "orders-api",
        "payments-api",
        "payments-callback",
        "shipping-warehouse",
        "orders-sweep",
        "inventory-sweep",
        "payments-sweep",
    ),
    0,
)
"""`Stage.reserved_concurrency` while tables are restored: no order, payment or parcel goes on and no clock acts by what
the restored tables do not know yet. Staff can book stock, and what is in queues is worked off."""

_LOCAL = Stage(
    name="local",
    windows=Windows(
        payment=600,
        stock=1800,
        dispatch=1800,
        silence=900,
        acceptance=900,
        settlement=120,
        replenishment=600,
        pending=120,
    ),
    sender="orders@commerce.example",
    purchasing_mail="purchasing@commerce.example",
    emulated=True,
    password_sign_in=True,
    cors_origins=("http://localhost:3000",),
    # The sample's buyers order for months in a minute.
    pace=Pace(100, MINUTE),
    log_retention_days=1,
    sizes=Sizes(worker=Size(512, 10), batch=Size(512, 60)),
    queue=Queue(concurrency=2, patience=1),
    queues={
        "orders-offers": Queue(batch=5, concurrency=2, patience=1),
        # A scan may overtake its parcel: it is tried again for longer.
        "shipping-scans": Queue(concurrency=2, receives=10, patience=1),
    },
    relay=Relay(parallel=1),
    relays={"catalog": Relay(batch=10, parallel=1)},
)

_CLOUD = Stage(
    name="dev",
    windows=Windows(
        payment=30 * MINUTE,
        stock=14 * DAY,
        dispatch=7 * DAY,
        silence=10 * DAY,
        acceptance=7 * DAY,
        settlement=15 * MINUTE,
        replenishment=7 * DAY,
        pending=5 * MINUTE,
    ),
    sender="orders@commerce.example",
    purchasing_mail="purchasing@commerce.example",
    queue=Queue(concurrency=20),
    queues={
        "orders-intake": Queue(concurrency=50),
        "orders-offers": Queue(batch=5, concurrency=5),
        "shipping-scans": Queue(concurrency=20, receives=10),
    },
    relays={"catalog": Relay(batch=10)},
)

STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        _LOCAL,
        replace(
            _LOCAL,
            name="test",
            windows=Windows(
                payment=20,
                stock=75,
                dispatch=120,
                silence=30,
                acceptance=10,
                settlement=10,
                replenishment=60,
                pending=10,
            ),
            # Its clients send what CloudFront would add.
            entry=Entry(),
            pace=Pace(30, 30),
            alarm_period=MINUTE,
            # What cannot be worked off is set aside soon enough to be waited for.
            queues={**_LOCAL.queues, "shipping-scans": Queue(concurrency=2, receives=4, patience=1)},
        ),
        # Of make drill: state outlives its stack as in prod, and no window closes while tables are restored.
        replace(
            _LOCAL,
            name="drill",
            stateful_retained=True,
            windows=Windows(
                payment=900,
                stock=900,
                dispatch=900,
                silence=900,
                acceptance=900,
                settlement=900,
                replenishment=600,
                pending=10,
            ),
        ),
        replace(_CLOUD, password_sign_in=True),
        replace(
            _CLOUD,
            name="prod",
            stateful_retained=True,
            alarm_mail="on-call@commerce.example",
            ticket_mail="operations@commerce.example",
            throttle_rate=2000,
            throttle_burst=4000,
            entry=Entry(),
            open_throttle=Throttle(500, 1000),
            log_retention_days=90,
            backup_days=90,
            queues={
                "orders-intake": Queue(concurrency=200),
                "orders-offers": Queue(batch=5, concurrency=5),
                "shipping-scans": Queue(concurrency=100, receives=10),
            },
            relay=Relay(parallel=10),
            relays={"catalog": Relay(batch=10, parallel=10)},
        ),
    )
}
"""Every stage by its name."""
