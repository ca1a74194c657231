"""Answers segments the way a warehouse would: one row an event, GROUP BY customer, HAVING the condition.

Reads {"events": [...], "profiles": [...], "conditions": {"id": sql}} from the file named first; prints {"id": [profiles]}.
"""

import json
import sys

import duckdb

work = json.load(open(sys.argv[1]))
db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'")
db.execute("CREATE TABLE profiles (profile VARCHAR)")
db.executemany("INSERT INTO profiles VALUES (?)", [[profile] for profile in work["profiles"]])
# What is of another type than a column's is NULL there, as an expression that asks for that type has it.
db.execute(
    "CREATE TABLE events (profile VARCHAR, kind VARCHAR, event VARCHAR, ts TIMESTAMP, qty BIGINT, total DOUBLE, name VARCHAR,"
    " flag BOOLEAN, country VARCHAR, has_country BOOLEAN)"
)


def of(kinds, value):
    return value if isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds) else None


rows = []
for event in work["events"]:
    properties, traits = event.get("properties", {}), event.get("traits", {})
    rows.append(
        [
            event["profile"],
            event["type"],
            event.get("event"),
            event["timestamp"],
            of((int,), properties.get("qty")),
            of((int, float), properties.get("total")),
            of((str,), properties.get("name")),
            of((bool,), properties.get("flag")),
            of((str,), traits.get("country")),
            "country" in traits,
        ]
    )
db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

answers = {}
for name, condition in work["conditions"].items():
    # Customers of whom no event is kept are customers too: aggregates are those of no events.
    query = (
        "SELECT p.profile FROM profiles p LEFT JOIN events e ON e.profile = p.profile GROUP BY p.profile"
        f" HAVING ({condition}) ORDER BY p.profile"
    )
    try:
        answers[name] = [row[0] for row in db.execute(query).fetchall()]
    except duckdb.Error as error:
        sys.exit(f"{name}: {condition}\n{error}")
print(json.dumps(answers))
