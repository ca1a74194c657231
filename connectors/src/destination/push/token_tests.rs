//! Signatures against published ones, and a token that many want at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::*;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm};
use std::sync::atomic::AtomicU32;

/// The key of RFC 7515, appendix A.2, which is everybody's: as PKCS#8.
pub(crate) const RSA_KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXO\n\
jS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxL\n\
aYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNn\n\
juygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5\n\
ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkf\n\
toaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHg\n\
VFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyW\n\
PEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/G\n\
O+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzj\n\
kn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6\n\
XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB\n\
4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0K\n\
pLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr\n\
0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqE\n\
lMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6\n\
kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAP\n\
rq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNw\n\
kgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp\n\
5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds2\n\
9+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/\n\
evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcG\n\
yoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZj\n\
OYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2\n\
tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3\n\
ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A56\n\
03k2+ZQwVK0JKSHuLFkuQ3U=\n\
-----END PRIVATE KEY-----\n";
/// Its public key as an RSAPublicKey.
const RSA_PUBLIC: &str = "\
MIIBCgKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEzP1Pt\
0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdb\
BYUsLA9e+KXBdQOS+UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxXFvUK+DWNmoud\
F8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQIDAQAB";
/// The key of RFC 7515, appendix A.3, in the form of Apple's `.p8` files.
pub(crate) const EC_KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIGTAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBHkwdwIBAQQgjpsQnnGQmL+YBIff\n\
H1136cspYG6+0iY7X1fCE9+E9LKgCgYIKoZIzj0DAQehRANCAAR/zc4ncPbEXUGD\n\
y+5v20t7WAczNXvp7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpG\n\
IyiFiOWt\n\
-----END PRIVATE KEY-----\n";
/// The same as its 32 bytes, and its point; in base64url.
pub(crate) const EC_BYTES: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
pub(crate) const EC_POINT: &str =
    "BH_Nzidw9sRdQYPL7m_bS3tYBzM1e-nvE7rPbjx70VRFx_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

pub(crate) fn decoded(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Header and claims of a token that this key has signed.
fn verified(token: &str, algorithm: &'static dyn VerificationAlgorithm, public: &[u8]) -> (Value, Value) {
    let (text, signature) = token.rsplit_once('.').unwrap();
    UnparsedPublicKey::new(algorithm, public).verify(text.as_bytes(), &decoded(signature)).unwrap();
    let (header, claims) = text.split_once('.').unwrap();
    (serde_json::from_slice(&decoded(header)).unwrap(), serde_json::from_slice(&decoded(claims)).unwrap())
}

/// Of a token that the key of RFC 7515, appendix A.2, has signed.
pub(crate) fn by_rsa(token: &str) -> (Value, Value) {
    verified(token, &RSA_PKCS1_2048_8192_SHA256, &BASE64_STANDARD.decode(RSA_PUBLIC).unwrap())
}

/// Of a token that the key of this point has signed.
pub(crate) fn by_ec(token: &str, point: &str) -> (Value, Value) {
    verified(token, &ECDSA_P256_SHA256_FIXED, &decoded(point))
}

#[test]
fn the_example_of_rfc_7515_with_rs256() {
    let text = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19\
                yb290Ijp0cnVlfQ";
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujG\
                     bds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K\
                     0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6\
                     LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let key = Key::rs256(&Secret::new(RSA_KEY)).ok().unwrap();
    assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()).unwrap()), signature);
    assert_eq!(key.public(), BASE64_STANDARD.decode(RSA_PUBLIC).unwrap());
}

#[test]
fn the_example_of_rfc_8292_with_es256_and_our_own() {
    // ES256 has another signature each time, so that the example can only be checked as ours are.
    let example = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1\
                   MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfn\
                   K9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA";
    let point = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";
    let header = json!({ "typ": "JWT", "alg": "ES256" });
    let claims = json!({ "aud": "https://push.example.net", "exp": 1_453_523_768, "sub": "mailto:push@example.com" });
    assert_eq!(by_ec(example, point), (header.clone(), claims.clone()));

    let key = Key::es256_of_bytes(&Secret::new(decoded(EC_BYTES))).ok().unwrap();
    assert_eq!(key.public(), decoded(EC_POINT));
    assert_eq!(by_ec(&key.token(None, &claims).unwrap(), EC_POINT), (header, claims.clone()));

    let same = Key::es256(&Secret::new(EC_KEY)).ok().unwrap();
    assert_eq!(same.public(), decoded(EC_POINT));
    let (header, _) = by_ec(&same.token(Some("ABC123DEFG"), &claims).unwrap(), EC_POINT);
    assert_eq!(header, json!({ "typ": "JWT", "alg": "ES256", "kid": "ABC123DEFG" }));
}

#[test]
fn a_key_of_another_kind_is_refused_and_not_told() {
    let sec1 = EC_KEY.replace("PRIVATE KEY", "EC PRIVATE KEY");
    let refused = [
        (Key::rs256(&Secret::new(EC_KEY)), "an RSA key of 2048 to 4096 bits"),
        (Key::es256(&Secret::new(RSA_KEY)), "a P-256 key together with its public key"),
        (Key::es256(&Secret::new(sec1)), "PKCS#8 in PEM"),
        (Key::es256(&Secret::new("MIGTAgEAMBMGByqGSM49AgEG")), "PKCS#8 in PEM"),
        (Key::es256_of_bytes(&Secret::new([0_u8; 32])), "32 bytes"),
        (Key::es256_of_bytes(&Secret::new([1_u8; 31])), "32 bytes"),
    ];
    for (key, why) in refused {
        let error = key.err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("MIGT") && !error.contains("MIIE"), "{error}");
    }
}

/// Gives `token 1`, `token 2`, and so on for 100 seconds each.
async fn numbered(asked: &AtomicU32) -> Result<(String, u64), Outcome> {
    let number = asked.fetch_add(1, Ordering::Relaxed) + 1;
    // Others come while this one waits for its answer.
    tokio::task::yield_now().await;
    Ok((format!("token {number}"), 100))
}

/// Gives none, after the same time.
async fn refused(asked: &AtomicU32, outcome: &Outcome) -> Result<(String, u64), Outcome> {
    numbered(asked).await?;
    Err(outcome.clone())
}

#[tokio::test]
async fn many_who_want_a_token_at_once_ask_for_it_once_and_again_before_it_runs_out() {
    let (cached, asked) = (Cached::new(), AtomicU32::new(0));
    let get = |now| cached.get(now, numbered(&asked));
    let (first, second, third) = tokio::join!(get(1_000), get(1_000), get(1_001));
    for token in [first, second, third] {
        assert_eq!(&*token.unwrap(), "token 1");
    }
    assert_eq!(&*get(1_099).await.unwrap(), "token 1");
    assert_eq!(&*get(1_100).await.unwrap(), "token 2");
    assert_eq!(asked.into_inner(), 2);
}

#[tokio::test]
async fn that_there_is_none_is_told_all_who_waited_and_the_next_asks_again() {
    let (cached, asked) = (Cached::new(), AtomicU32::new(0));
    let none = Outcome::Retry { reason: "no token".to_owned(), after: None, blame: Blame::Destination };
    let get = || cached.get(1_000, refused(&asked, &none));
    let (first, second) = tokio::join!(get(), get());
    assert_eq!((first.unwrap_err(), second.unwrap_err()), (none.clone(), none.clone()));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(&*cached.get(1_000, numbered(&asked)).await.unwrap(), "token 2");
}

#[tokio::test]
async fn a_token_that_is_refused_is_dropped_if_it_is_old_enough() {
    let (cached, asked) = (Cached::new(), AtomicU32::new(0));
    let get = |now| cached.get(now, numbered(&asked));
    let first = get(1_000).await.unwrap();
    // A new one would fare the same.
    assert_eq!(cached.refused(&first, 1_019, 20).await, Blame::Destination);
    assert_eq!(&*get(1_019).await.unwrap(), "token 1");

    assert_eq!(cached.refused(&first, 1_020, 20).await, Blame::Message);
    assert_eq!(&*get(1_020).await.unwrap(), "token 2");
    // Who still had the first is late to tell.
    assert_eq!(cached.refused(&first, 1_050, 20).await, Blame::Message);
    assert_eq!(&*get(1_050).await.unwrap(), "token 2");
}
