"""Sends each kind of call with Segment's own library for Python: python deliver.py HOST WRITE_KEY (gzip|plain)"""

import sys

import segment.analytics as analytics

host, write_key, compression = sys.argv[1:]
failures = []

analytics.write_key = write_key
analytics.host = host
analytics.gzip = compression == "gzip"
analytics.max_retries = 3
analytics.on_error = lambda error, items: failures.append(error)

who = f"python-{compression}"
analytics.identify(who, {"email": f"{who}@Example.com", "plan": "gold"}, anonymous_id=f"{who}-device")
analytics.track(who, "Order Completed", {"total": 19.99}, {"page": {"path": "/pricing"}})
analytics.track(anonymous_id=f"{who}-device", event="Order Completed", properties={"total": 5})
analytics.page(who, "Shop", "Pricing", {"path": "/pricing"})
analytics.screen(who, "Shop", "Cart")
analytics.group(who, "g1", {"name": "Analysts"})
analytics.alias(f"{who}-old", who)
for number in range(100):
    analytics.track(who, "Counted")
analytics.shutdown()

if failures:
    sys.exit(f"not delivered: {failures}")
print("delivered")
