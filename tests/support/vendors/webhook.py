"""Verifies a delivery with Standard Webhooks' own library.

    python webhook.py '{"secrets": [...], "headers": {...}, "body": "..."}'

Prints, for each secret, what was said as JSON; null if the delivery is not signed by it.
"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

delivery = json.loads(sys.argv[1])


def said(secret):
    try:
        return Webhook(secret).verify(delivery["body"], delivery["headers"])
    except WebhookVerificationError:
        return None


print(json.dumps([said(secret) for secret in delivery["secrets"]]))
