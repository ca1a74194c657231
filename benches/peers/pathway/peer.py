"""Tributary's peer on Pathway, for `make bench-peers`: the same job as the peers in `java`, as one Pathway graph.

    python peer.py --bootstrap-servers HOST:PORT --input TOPIC --output TOPIC --group GROUP --state FOLDER

Prints `started` when it runs. On the line `members PATH` of its standard input it writes each customer's segments to PATH
(a user, a tab, one bit for each segment as a decimal number) and prints `members written`. It ends with its input.
"""

import argparse
import os
import sys
import time
import uuid

import pathway as pw

from segments import mask

# How long events are collected into a batch, which a trigger waits for; a shorter one costs more per event.
BATCH_MS = 100
# Between snapshots of the input. More of them cost more, since each writes the last hundred thousand events or so anew.
SNAPSHOT_MS = 1000
# How late an event may leave its window.
TICK_SECONDS = 1
DAY_MS = 24 * 60 * 60 * 1000
# A change of a customer's aggregates that changes none.
NOTHING = {
    "orders": 0,
    "ltv": 0.0,
    "largest": 0.0,
    "last_order_at": 0,
    "last_checkout_at": 0,
    "views": 0,
    "views_1d": 0,
    "views_7d": 0,
    "orders_30d": 0,
    "spent_7d": 0.0,
}
VIEW, ORDER, CHECKOUT, PROBE = "Product Viewed", "Order Completed", "Checkout Started", "Probe"


class Event(pw.Schema):
    """What the job needs of an event; the connector passes over all else in the JSON."""

    event: str | None = pw.column_definition(default_value=None)
    userId: str | None = pw.column_definition(default_value=None)
    anonymousId: str
    timestamp: str
    total: float = pw.column_definition(default_value=0.0)
    probe: int = pw.column_definition(default_value=0)


class Question(pw.Schema):
    """Asks for all members."""

    path: str


class Questions(pw.io.python.ConnectorSubject):
    """The commands that come through the standard input."""

    def run(self) -> None:
        print("started", flush=True)
        for line in sys.stdin:
            word, _, path = line.rstrip("\n").partition(" ")
            if word != "members":
                raise ValueError(f"no command: {line}")
            self.next(path=path)
            self.commit()
        # Whoever started this is gone. What is left is as after a crash, which the state is made for.
        os._exit(0)


class Tick(pw.Schema):
    """Tells the time, in milliseconds since 1970."""

    at: int


class Clock(pw.io.python.ConnectorSubject):
    """The wall clock. Not `utc_now`: that one lets 1.5 seconds pass between its batches, and all other inputs' with them."""

    def run(self) -> None:
        while True:
            self.next(at=time.time_ns() // 1_000_000)
            self.commit()
            time.sleep(TICK_SECONDS)


class Answers:
    """Writes the members when the batch that answers a question is complete."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}

    def take(self, key: pw.Pointer, row: dict, time: int, is_addition: bool) -> None:
        self.lines.setdefault(row["path"], []).append(f"{row['customer']}\t{row['segments']}\n")

    def batch_ends(self, time: int) -> None:
        for path, lines in self.lines.items():
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(lines)
            print("members written", flush=True)
        self.lines.clear()


def read(arguments: argparse.Namespace) -> pw.Table:
    settings = {
        "bootstrap.servers": arguments.bootstrap_servers,
        # Positions are in the snapshots. A group of its own for each start need not wait until the broker has given up
        # the consumer that was killed, which takes 45 seconds.
        "group.id": f"{arguments.group}-{uuid.uuid4()}",
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": "10",
    }
    return pw.io.kafka.read(
        settings,
        topic=arguments.input,
        format="json",
        schema=Event,
        json_field_paths={"total": "/properties/total", "probe": "/properties/probe"},
        autocommit_duration_ms=BATCH_MS,
        # Two would share the partitions out by themselves when they start, and after a crash either may read again what
        # the other has read meanwhile: events then count twice.
        parallel_readers=1,
        name="events",
    )


def identify(events: pw.Table) -> pw.Table:
    """Events with their customers: whom the event names, else whom the device's first event with a user named."""
    named = events.filter(pw.this.userId.is_not_none())
    devices = named.groupby(pw.this.anonymousId).reduce(
        pw.this.anonymousId, customer=pw.reducers.earliest(pw.unwrap(pw.this.userId))
    )
    # The graph needs no other events from here on.
    events = events.filter(
        (pw.this.event == VIEW) | (pw.this.event == ORDER) | (pw.this.event == CHECKOUT) | (pw.this.event == PROBE)
    )
    # Most events name their customer, and need no join.
    direct = events.filter(pw.this.userId.is_not_none()).select(
        pw.this.event, pw.this.timestamp, pw.this.total, pw.this.probe, customer=pw.unwrap(pw.this.userId)
    )
    anonymous = events.filter(pw.this.userId.is_none())
    found = anonymous.asof_now_join_left(devices, pw.left.anonymousId == pw.right.anonymousId, id=pw.left.id).select(
        pw.left.event,
        pw.left.timestamp,
        pw.left.total,
        pw.left.probe,
        customer=pw.coalesce(pw.right.customer, pw.left.anonymousId),
    )
    # Both keep the events' ids, so that none have to be made up and hashed anew.
    pw.universes.promise_are_pairwise_disjoint(direct, found)
    return pw.Table.concat(direct, found)


def milliseconds(time: pw.ColumnExpression) -> pw.ColumnExpression:
    """Since 1970. They are exact as floats, which is what the engine makes of them at first."""
    return pw.cast(int, time.dt.timestamp(unit="ms"))


def changes(events: pw.Table) -> pw.Table:
    """What each event adds to its customer's aggregates, windowed ones included, and when it happened."""
    events = events.filter(pw.this.event != PROBE).with_columns(
        at=milliseconds(pw.this.timestamp.dt.strptime("%Y-%m-%dT%H:%M:%S%.fZ")),
        is_view=pw.cast(int, pw.this.event == VIEW),
        is_order=pw.cast(int, pw.this.event == ORDER),
        is_checkout=pw.cast(int, pw.this.event == CHECKOUT),
        amount=pw.if_else(pw.this.event == ORDER, pw.this.total, 0.0),
    )
    return events.select(
        pw.this.customer,
        pw.this.at,
        orders=pw.this.is_order,
        ltv=pw.this.amount,
        largest=pw.this.amount,
        last_order_at=pw.this.is_order * pw.this.at,
        last_checkout_at=pw.this.is_checkout * pw.this.at,
        views=pw.this.is_view,
        views_1d=pw.this.is_view,
        views_7d=pw.this.is_view,
        orders_30d=pw.this.is_order,
        spent_7d=pw.this.amount,
    )


def leaving(changes: pw.Table, clock: pw.Table, days: int, *windowed: str) -> pw.Table:
    """Takes from these aggregates again what happened so many days ago, as soon as it did.

    `buffer` keeps rows until the latest time it has seen is so much later than theirs. Ticks of the clock go through it as
    well, so that the latest time is that of the wall clock. What is older when it comes passes in the same batch.
    """
    held = changes.select(pw.this.customer, pw.this.at, **{name: changes[name] for name in windowed})
    ticks = clock.select(customer="", at=pw.this.at, **{name: NOTHING[name] for name in windowed})
    passed = pw.Table.concat_reindex(held, ticks).buffer(pw.this.at, days * DAY_MS).filter(pw.this.customer != "")
    return passed.select(pw.this.customer, pw.this.at, **(NOTHING | {name: -passed[name] for name in windowed}))


def aggregate(changes: pw.Table) -> pw.Table:
    """The ten aggregates of each customer.

    What leaves a window is added as a negative amount, so that rows are only ever added. Pathway does not see that through
    `buffer`, and is told: maxima then keep one value, not all.
    """
    clock = pw.io.python.read(Clock(), schema=Tick, autocommit_duration_ms=BATCH_MS, name="clock")
    views = changes.filter(pw.this.views > 0)
    orders = changes.filter(pw.this.orders > 0)
    views_or_orders = changes.filter((pw.this.views > 0) | (pw.this.orders > 0))
    all_changes = pw.Table.concat_reindex(
        changes,
        leaving(views, clock, 1, "views_1d"),
        leaving(views_or_orders, clock, 7, "views_7d", "spent_7d"),
        leaving(orders, clock, 30, "orders_30d"),
    ).assert_append_only()
    return all_changes.groupby(pw.this.customer).reduce(
        pw.this.customer,
        orders=pw.reducers.sum(pw.this.orders),
        ltv=pw.reducers.sum(pw.this.ltv),
        largest=pw.reducers.max(pw.this.largest),
        last_order_at=pw.reducers.max(pw.this.last_order_at),
        last_checkout_at=pw.reducers.max(pw.this.last_checkout_at),
        views=pw.reducers.sum(pw.this.views),
        views_1d=pw.reducers.sum(pw.this.views_1d),
        views_7d=pw.reducers.sum(pw.this.views_7d),
        orders_30d=pw.reducers.sum(pw.this.orders_30d),
        spent_7d=pw.reducers.sum(pw.this.spent_7d),
    )


def answer(customers: pw.Table) -> None:
    members = customers.select(pw.this.customer, segments=mask(customers), everybody=0)
    questions = pw.io.python.read(Questions(), schema=Question, autocommit_duration_ms=BATCH_MS, name="questions")
    questions = questions.with_columns(everybody=0)
    found = questions.asof_now_join(members, pw.left.everybody == pw.right.everybody).select(
        pw.left.path, pw.right.customer, pw.right.segments
    )
    answers = Answers()
    pw.io.subscribe(found, on_change=answers.take, on_time_end=answers.batch_ends, name="answers")


def trigger(events: pw.Table, customers: pw.Table, arguments: argparse.Namespace) -> None:
    probes = events.filter(pw.this.event == PROBE)
    # All events of a batch happen at once, so orders that come behind a probe but in the same batch are told as well.
    triggers = probes.asof_now_join_left(customers, pw.left.customer == pw.right.customer).select(
        pw.left.customer, pw.left.probe, orders=pw.coalesce(pw.right.orders, 0)
    )
    triggers = triggers.select(
        pw.this.customer,
        body='{"probe":' + pw.cast(str, pw.this.probe) + ',"orders":' + pw.cast(str, pw.this.orders) + "}",
    )
    settings = {
        "bootstrap.servers": arguments.bootstrap_servers,
        "enable.idempotence": "true",
        "linger.ms": "1",
        "compression.type": "lz4",
    }
    pw.io.kafka.write(
        triggers,
        settings,
        arguments.output,
        format="plaintext",
        key=triggers.customer,
        value=triggers.body,
        name="triggers",
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("bootstrap-servers", "input", "output", "group", "state"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    events = identify(read(arguments))
    customers = aggregate(changes(events))
    trigger(events, customers, arguments)
    answer(customers)
    # The engine looks at it when a graph is run. As many workers as the other peers have threads.
    os.environ.setdefault("PATHWAY_THREADS", "2")
    # Without a licence key Pathway persists its input only: it starts again by computing all of it anew, and what was
    # written since the last snapshot is written again, so that a trigger comes at least once and not exactly once.
    state = pw.persistence.Backend.filesystem(arguments.state)
    pw.run(
        monitoring_level=pw.MonitoringLevel.NONE,
        persistence_config=pw.persistence.Config(state, snapshot_interval_ms=SNAPSHOT_MS),
    )


main()
