"""What a browser and its push service do, with the Web Push working group's decryption and PyJWT.

    python browser.py '{}'
    python browser.py '{"private_key": ..., "auth": ..., "authorization": ..., "audience": ..., "body": ...}'

The first makes keys: a browser's, and a sender's (VAPID). The second opens what was delivered, and prints it with what
its sender claims, and the sender's key. Bytes are in base64url.
"""

import base64
import json
import os
import sys

import http_ece
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVE = ec.SECP256R1()


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def make():
    def pair():
        key = ec.generate_private_key(CURVE)
        public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return encode(key.private_numbers().private_value.to_bytes(32, "big")), encode(public)

    private, public = pair()
    vapid_private, vapid_public = pair()
    return {
        "private_key": private,
        "keys": {"p256dh": public, "auth": encode(os.urandom(16))},
        "vapid": {"private_key": vapid_private, "public_key": vapid_public},
    }


def open_(delivery):
    key = ec.derive_private_key(int.from_bytes(decode(delivery["private_key"]), "big"), CURVE)
    opened = http_ece.decrypt(
        decode(delivery["body"]), private_key=key, auth_secret=decode(delivery["auth"]), version="aes128gcm"
    )
    scheme, parameters = delivery["authorization"].split(" ", 1)
    assert scheme == "vapid", scheme
    parameters = dict(parameter.strip().split("=", 1) for parameter in parameters.split(","))
    sender = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, decode(parameters["k"]))
    claims = jwt.decode(parameters["t"], key=sender, algorithms=["ES256"], audience=delivery["audience"])
    return {"opened": json.loads(opened), "claims": claims, "public_key": parameters["k"]}


given = json.loads(sys.argv[1])
print(json.dumps(open_(given) if given else make()))
