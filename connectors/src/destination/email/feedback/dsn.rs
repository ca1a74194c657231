//! The mail that a mail server sends back when it cannot deliver one: a delivery status notification (RFC 3464).

use super::address_of;
use crate::destination::email::is_dead_address;
use crate::destination::feedback::{Feedback, FeedbackError, FeedbackKind};
use std::collections::HashMap;

/// What a mail that came back tells: of each address whether it got the mail. That an address still waits for it is no
/// news. The message is known by the header `X-Tributary-Message` of the mail that is sent along.
///
/// # Errors
/// If the mail is no delivery status notification.
pub fn dsn(raw: &[u8]) -> Result<Vec<Feedback>, FeedbackError> {
    let text = String::from_utf8_lossy(raw);
    let lines: Vec<&str> = text.lines().collect();
    let form = |what: &str| FeedbackError::Form(what.to_owned());
    let head = fields(lines.split(|line| is_blank(line)).next().unwrap_or_default());
    let status = status_part(&lines).ok_or_else(|| form("no delivery status notification"))?;
    let message = lines.iter().find_map(|line| value(line, "x-tributary-message")).map(str::to_owned);
    let id = head.get("message-id").map(|id| address_of(id)).or(message.as_deref());
    let id = id.ok_or_else(|| form("neither a Message-ID nor the message that it is about"))?;
    let at = head.get("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let at = at.map(|date| date.timestamp().as_millisecond());
    let mut told = Vec::new();
    // The first group is about the mail, each other one about an address.
    for group in status.split(|line| is_blank(line)).map(fields) {
        let (Some(address), Some(kind)) = (recipient(&group), kind(&group)) else { continue };
        let reason = group.get("diagnostic-code").or_else(|| group.get("status")).cloned();
        // One notification may be about several addresses.
        told.push(Feedback { id: format!("{id}/{address}"), address, message: message.clone(), kind, reason, at });
    }
    Ok(told)
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

/// The lines of the part `message/delivery-status`, or `message/global-delivery-status` (RFC 6533).
fn status_part<'a>(lines: &'a [&'a str]) -> Option<&'a [&'a str]> {
    let is_status = |line: &&str| {
        value(line, "content-type").is_some_and(|kind| {
            let kind = kind.to_ascii_lowercase();
            kind.starts_with("message/delivery-status") || kind.starts_with("message/global-delivery-status")
        })
    };
    let from_type = lines.get(lines.iter().position(is_status)?..)?;
    let content = from_type.get(from_type.iter().position(|line| is_blank(line))?..)?;
    let end = content.iter().position(|line| line.starts_with("--")).unwrap_or(content.len());
    content.get(..end)
}

/// The value of a line that begins a field of this name, which is in small letters.
fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = line.split_once(':')?;
    found.trim_end().eq_ignore_ascii_case(name).then(|| value.trim())
}

/// Fields by their names in small letters. A line that begins with a space goes on with the one before.
fn fields(lines: &[&str]) -> HashMap<String, String> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim_end().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    fields.into_iter().collect()
}

/// The address that the mail was sent to, rather than where it was forwarded.
fn recipient(group: &HashMap<String, String>) -> Option<String> {
    let field = group.get("original-recipient").or_else(|| group.get("final-recipient"))?;
    // `rfc822; ann@example.com`
    let address = address_of(field.split_once(';')?.1);
    Some(address.to_owned()).filter(|address| !address.is_empty())
}

/// What has become of the mail, if that is settled. Words in brackets may follow a value.
fn kind(group: &HashMap<String, String>) -> Option<FeedbackKind> {
    let word = |name: &str| group.get(name).and_then(|value| value.split_whitespace().next()).unwrap_or_default();
    match word("action").to_ascii_lowercase().as_str() {
        "failed" if is_dead_address(word("status")) => Some(FeedbackKind::Bounced),
        "failed" => Some(FeedbackKind::NotDelivered),
        "delivered" => Some(FeedbackKind::Delivered),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const POSTFIX: &str = "\
Return-Path: <>
Received: by mail.example.com (Postfix)
\tid 4Yx2Kd0Zr1z9s; Tue,  4 Mar 2025 10:15:30 +0100 (CET)
Date: Tue,  4 Mar 2025 10:15:30 +0100 (CET)
From: MAILER-DAEMON@mail.example.com (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: shop@example.com
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary=\"4Yx2Kc5v8Jz9r.1741079730/mail.example.com\"
Message-Id: <4Yx2Kd0Zr1z9s@mail.example.com>

This is a MIME-encapsulated message.

--4Yx2Kc5v8Jz9r.1741079730/mail.example.com
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mail.example.com.

<ann@example.net>: host mx.example.net[192.0.2.7] said: 550 5.1.1
    <ann@example.net>: Recipient address rejected: User unknown in
    virtual mailbox table (in reply to RCPT TO command)

--4Yx2Kc5v8Jz9r.1741079730/mail.example.com
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.com
X-Postfix-Queue-ID: 4Yx2Kc5v8Jz9r
X-Postfix-Sender: rfc822; shop@example.com
Arrival-Date: Tue,  4 Mar 2025 10:15:28 +0100 (CET)

Final-Recipient: rfc822; ann@example.net
Original-Recipient: rfc822;ann@example.net
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.net
Diagnostic-Code: smtp; 550 5.1.1 <ann@example.net>: Recipient address rejected:
    User unknown in virtual mailbox table

--4Yx2Kc5v8Jz9r.1741079730/mail.example.com
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

Return-Path: <shop@example.com>
From: Shop <shop@example.com>
To: ann@example.net
Subject: Hello
Message-ID: <msg_0123456789abcdef0123456789abcdef@example.com>
X-Tributary-Message: msg_0123456789abcdef0123456789abcdef

--4Yx2Kc5v8Jz9r.1741079730/mail.example.com--
";

    const EXCHANGE: &str = "\
From: <postmaster@contoso.example>
To: <shop@example.com>
Date: Tue, 4 Mar 2025 09:15:31 +0000
Content-Type: multipart/report; report-type=delivery-status;
\tboundary=\"8c3f7d5e-1b2a-4a6e-9c55-0d1f2e3a4b5c\"
Content-Language: en-GB
Message-ID:
\t<5b0c1d2e-7f3a-4e11-b0aa-1c2d3e4f5a6b@AM0PR01MB0001.eurprd01.prod.contoso.example>
In-Reply-To: <msg_00000000000000000000000000000001@example.com>
Subject: Undeliverable: Hello
Auto-Submitted: auto-replied
MIME-Version: 1.0

--8c3f7d5e-1b2a-4a6e-9c55-0d1f2e3a4b5c
Content-Type: multipart/alternative; differences=Content-Type;
\tboundary=\"2d4e6f80-aaaa-bbbb-cccc-0123456789ab\"

--2d4e6f80-aaaa-bbbb-cccc-0123456789ab
Content-Type: text/plain; charset=\"us-ascii\"
Content-Transfer-Encoding: quoted-printable

Your message to bob@contoso.example couldn't be delivered.

--2d4e6f80-aaaa-bbbb-cccc-0123456789ab--

--8c3f7d5e-1b2a-4a6e-9c55-0d1f2e3a4b5c
Content-Type: message/delivery-status

Reporting-MTA: dns;AM0PR01MB0001.eurprd01.prod.contoso.example
Received-From-MTA: dns;mail.example.com
Arrival-Date: Tue, 4 Mar 2025 09:15:30 +0000

Original-Recipient: rfc822;bob@contoso.example
Final-Recipient: rfc822;Robert.Smith@contoso.example
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup
X-Display-Name: bob@contoso.example

Final-Recipient: rfc822;carol@contoso.example
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp;554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException

Final-Recipient: rfc822;dave@contoso.example
Action: delayed
Status: 4.4.7

Final-Recipient: rfc822;erin@contoso.example
Action: delivered (to mailbox)
Status: 2.1.5

--8c3f7d5e-1b2a-4a6e-9c55-0d1f2e3a4b5c
Content-Type: message/rfc822

From: Shop <shop@example.com>
To: bob@contoso.example
Subject: Hello
x-tributary-message: msg_00000000000000000000000000000001
Content-Type: text/plain; charset=utf-8

Hi.

--8c3f7d5e-1b2a-4a6e-9c55-0d1f2e3a4b5c--
";

    /// 2025-03-04T09:15:30Z
    const AT: i64 = 1_741_079_730_000;

    #[test]
    fn a_mail_from_postfix() {
        let expected = Feedback {
            id: "4Yx2Kd0Zr1z9s@mail.example.com/ann@example.net".to_owned(),
            address: "ann@example.net".to_owned(),
            message: Some("msg_0123456789abcdef0123456789abcdef".to_owned()),
            kind: FeedbackKind::Bounced,
            reason: Some(
                "smtp; 550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown in virtual mailbox table"
                    .to_owned(),
            ),
            at: Some(AT),
        };
        assert_eq!(dsn(POSTFIX.as_bytes()), Ok(vec![expected.clone()]));
        // As it is on the wire.
        assert_eq!(dsn(POSTFIX.replace('\n', "\r\n").as_bytes()), Ok(vec![expected]));
    }

    #[test]
    fn a_mail_from_exchange_about_several_addresses() {
        let told = dsn(EXCHANGE.as_bytes()).unwrap();
        let found: Vec<_> = told.iter().map(|told| (told.address.as_str(), told.kind)).collect();
        assert_eq!(
            found,
            [
                ("bob@contoso.example", FeedbackKind::Bounced),
                ("carol@contoso.example", FeedbackKind::NotDelivered),
                ("erin@contoso.example", FeedbackKind::Delivered),
            ]
        );
        let prefix = "5b0c1d2e-7f3a-4e11-b0aa-1c2d3e4f5a6b@AM0PR01MB0001.eurprd01.prod.contoso.example/";
        for told in &told {
            assert_eq!(told.id, format!("{prefix}{}", told.address));
            assert_eq!(told.message.as_deref(), Some("msg_00000000000000000000000000000001"));
            assert_eq!(told.at, Some(AT + 1_000));
        }
        let reasons: Vec<_> = told.iter().filter_map(|told| told.reason.as_deref()).collect();
        assert!(reasons.iter().any(|reason| reason.contains("RESOLVER.ADR.RecipientNotFound")), "{reasons:?}");
        assert_eq!(reasons.last(), Some(&"2.1.5"));
    }

    #[test]
    fn a_notification_without_a_message_id_has_the_id_of_what_it_is_about() {
        let anonymous = POSTFIX.replace("Message-Id: <4Yx2Kd0Zr1z9s@mail.example.com>\n", "");
        let told = dsn(anonymous.as_bytes()).unwrap();
        let ids: Vec<_> = told.iter().map(|told| told.id.as_str()).collect();
        assert_eq!(ids, ["msg_0123456789abcdef0123456789abcdef/ann@example.net"]);
    }

    #[test]
    fn any_other_mail_is_none() {
        let vacation = "From: ann@example.net\nSubject: Re: Hello\nMessage-ID: <1@example.net>\n\nI am away.\n";
        for raw in [vacation.as_bytes(), b"", b"\xff\xfe:\n:\n\n--", b"Content-Type: message/delivery-status"] {
            assert!(matches!(dsn(raw), Err(FeedbackError::Form(_))));
        }
    }
}
