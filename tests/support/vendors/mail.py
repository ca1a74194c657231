"""A mail server that takes mail over STARTTLS and from one user only.

    python mail.py CERTIFICATE KEY USER PASSWORD

Prints its port in the first line and each mail, as a program that reads mail sees it, in a line of JSON. Ends with its
standard input.
"""

import asyncio
import email.policy
import json
import logging
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

certificate, key, user, password = sys.argv[1:]
# It warns of what it does itself.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = [part for part in mail.walk() if not part.is_multipart()]
        told = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "user": session.auth_data,
            "is_encrypted": session.ssl is not None,
            "headers": {name: str(value).strip() for name, value in mail.items()},
            "type": mail.get_content_type(),
            "parts": [[part.get_content_type(), part.get_content()] for part in parts],
            "defects": [repr(defect) for part in mail.walk() for defect in part.defects],
        }
        print(json.dumps(told), flush=True)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    if (data.login, data.password) != (user.encode(), password.encode()):
        return AuthResult(success=False, handled=False)
    return AuthResult(success=True, auth_data=data.login.decode())


async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()

    def smtp():
        return SMTP(
            Mailbox(),
            hostname="localhost",
            tls_context=tls,
            require_starttls=True,
            auth_required=True,
            authenticator=authenticate,
            loop=loop,
        )

    server = await loop.create_server(smtp, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
