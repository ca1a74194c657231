//! Tokens by which services know us: JSON Web Tokens (RFC 7515, RFC 7519) that we sign ourselves, and what a service
//! gives for one. Making one takes time or a call, so that many messages share it.

use crate::destination::http::SetupError;
use crate::destination::{Blame, Outcome};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::error::Unspecified;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;
use tributary_model::Secret;
use web_push_native::p256::SecretKey;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint;

/// A key that signs JSON Web Tokens.
pub(super) enum Key {
    /// ECDSA with the curve P-256.
    Es256(EcdsaKeyPair),
    /// RSA with PKCS #1 v1.5.
    Rs256(RsaKeyPair),
}

impl Key {
    /// A key for ES256 as PKCS#8 in PEM, with its public key, as Apple's `.p8` files hold it.
    pub(super) fn es256(pem: &Secret) -> Result<Self, SetupError> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der(pem)?, &SystemRandom::new())
            .map(Self::Es256)
            .map_err(|_| unusable("it has to be a P-256 key together with its public key"))
    }

    /// A key for ES256 of its 32 bytes.
    pub(super) fn es256_of_bytes(secret: &Secret) -> Result<Self, SetupError> {
        let wrong = || unusable("it has to be the 32 bytes of a P-256 private key");
        let public = SecretKey::from_slice(secret.expose()).map_err(|_| wrong())?.public_key().to_encoded_point(false);
        EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            secret.expose(),
            public.as_bytes(),
            &SystemRandom::new(),
        )
        .map(Self::Es256)
        .map_err(|_| wrong())
    }

    /// A key for RS256 as PKCS#8 in PEM, as the files of Google's service accounts hold it.
    pub(super) fn rs256(pem: &Secret) -> Result<Self, SetupError> {
        RsaKeyPair::from_pkcs8(&der(pem)?)
            .map(Self::Rs256)
            .map_err(|_| unusable("it has to be an RSA key of 2048 to 4096 bits"))
    }

    /// The key by which others check signatures: a point, uncompressed; or an RSAPublicKey.
    pub(super) fn public(&self) -> &[u8] {
        match self {
            Self::Es256(key) => key.public_key().as_ref(),
            Self::Rs256(key) => key.public_key().as_ref(),
        }
    }

    /// A token that makes these claims, and names this key where its reader knows many.
    ///
    /// # Errors
    /// If this machine has no random numbers now.
    pub(super) fn token(&self, key_id: Option<&str>, claims: &Value) -> Result<String, Outcome> {
        let algorithm = match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
        };
        let header = match key_id {
            Some(id) => json!({ "alg": algorithm, "kid": id, "typ": "JWT" }),
            None => json!({ "alg": algorithm, "typ": "JWT" }),
        };
        let text = [&header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        match self.sign(text.as_bytes()) {
            Ok(signature) => Ok(format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))),
            Err(Unspecified) => Err(Outcome::Retry {
                reason: "no token can be signed: there are no random numbers".to_owned(),
                after: None,
                blame: Blame::Destination,
            }),
        }
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(key) => Ok(key.sign(&random, text)?.as_ref().to_vec()),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

/// What stands between the lines of a PEM file.
fn der(pem: &Secret) -> Result<Vec<u8>, SetupError> {
    let body = || {
        let (_, rest) = pem.expose_text().split_once("-----BEGIN PRIVATE KEY-----")?;
        let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
        BASE64_STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
    };
    body().ok_or_else(|| unusable("it has to be PKCS#8 in PEM, from -----BEGIN PRIVATE KEY----- to its end"))
}

fn unusable(why: &str) -> SetupError {
    SetupError::Secret(format!("the private key cannot be used: {why}"))
}

/// A token that all messages share: one that is asked for once, however many want it, and again before it runs out.
pub(super) struct Cached {
    /// What came of asking the last time.
    last: Mutex<Result<Option<Token>, Outcome>>,
    /// How often it was asked for.
    asked: AtomicU64,
}

struct Token {
    text: Arc<str>,
    /// In seconds, as all times here.
    made_at: u64,
    /// From then on it is not used any more.
    renew_at: u64,
}

impl Cached {
    /// None as yet.
    pub(super) fn new() -> Self {
        Self { last: Mutex::new(Ok(None)), asked: AtomicU64::new(0) }
    }

    /// The token; `make` gives a new one and for how many seconds it is used.
    ///
    /// # Errors
    /// What came of asking for a new one, for all who waited for it.
    pub(super) async fn get(
        &self,
        now: u64,
        make: impl Future<Output = Result<(String, u64), Outcome>>,
    ) -> Result<Arc<str>, Outcome> {
        let asked = self.asked.load(Ordering::Relaxed);
        let mut last = self.last.lock().await;
        match &*last {
            Ok(Some(token)) if now < token.renew_at => return Ok(token.text.clone()),
            // It was refused while this one waited. Each of many asking in turn would only take longer.
            Err(outcome) if asked != self.asked.load(Ordering::Relaxed) => return Err(outcome.clone()),
            _ => {}
        }
        let made = make.await;
        self.asked.fetch_add(1, Ordering::Relaxed);
        match made {
            Ok((text, seconds)) => {
                let text: Arc<str> = text.into();
                *last = Ok(Some(Token { text: text.clone(), made_at: now, renew_at: now.saturating_add(seconds) }));
                Ok(text)
            }
            Err(outcome) => {
                *last = Err(outcome.clone());
                Err(outcome)
            }
        }
    }

    /// The service takes a token no more, which is dropped. One younger than some seconds stays: the service does not
    /// want them changed more often, and would refuse the next as well. Gives what has to change before a message is
    /// sent again.
    pub(super) async fn refused(&self, text: &str, now: u64, least_age: u64) -> Blame {
        let mut last = self.last.lock().await;
        match &*last {
            Ok(Some(token)) if *token.text == *text => {
                if now < token.made_at.saturating_add(least_age) {
                    return Blame::Destination;
                }
                *last = Ok(None);
                Blame::Message
            }
            // Another has dropped it.
            _ => Blame::Message,
        }
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
pub(super) mod tests;
