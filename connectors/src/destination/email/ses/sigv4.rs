//! How AWS knows who asks: the
//! [signature, version 4](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html),
//! of a POST without a query.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tributary_model::Secret;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What signs, and for whom.
pub(super) struct Key<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a Secret,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// The value of `Authorization`. `at` is the value of `x-amz-date`, as `20150830T123600Z`; `headers` are those to be
/// signed, in order of their names in small letters, `host` and `x-amz-date` among them.
pub(super) fn authorization(key: &Key<'_>, at: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
    let day = at.get(..8).unwrap_or_default();
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    // The empty line between path and headers is the query.
    let request = format!("POST\n{path}\n\n{lines}\n{names}\n{}", hex(&Sha256::digest(body)));
    let scope = format!("{day}/{}/{}/aws4_request", key.region, key.service);
    let signed = format!("{ALGORITHM}\n{at}\n{scope}\n{}", hex(&Sha256::digest(request)));
    let secret = [b"AWS4".as_slice(), key.secret.expose()].concat();
    let key_of_day = [day, key.region, key.service, "aws4_request"].iter().fold(secret, |key, part| mac(&key, part));
    let signature = hex(&mac(&key_of_day, &signed));
    format!("{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", key.id)
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const AT: &str = "20150830T123600Z";
    const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfI\
        eoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HF\
        vlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIl\
        TJabIQwj2ICCR/oLxBA==";

    /// Signs as AWS's test suite for Signature Version 4 does.
    fn sign(headers: &[(&str, &str)], body: &str) -> String {
        let secret = Secret::new(*b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let key = Key { id: "AKIDEXAMPLE", secret: &secret, region: "us-east-1", service: "service" };
        authorization(&key, AT, "/", headers, body.as_bytes())
    }

    #[test]
    fn post_vanilla() {
        assert_eq!(
            sign(&[("host", "example.amazonaws.com"), ("x-amz-date", AT)], ""),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }

    #[test]
    fn post_x_www_form_urlencoded() {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        assert_eq!(
            sign(&[kind, ("host", "example.amazonaws.com"), ("x-amz-date", AT)], "Param1=value1"),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
    }

    #[test]
    fn post_sts_header_before() {
        let token = ("x-amz-security-token", TOKEN);
        assert_eq!(
            sign(&[("host", "example.amazonaws.com"), ("x-amz-date", AT), token], ""),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-security-token, \
             Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
        );
    }
}
