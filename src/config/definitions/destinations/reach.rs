//! Where APIs and endpoints are, and whether they may be called.

use crate::config::decode::{Field, Table};
use std::net::IpAddr;
use tributary_model::Reach;

/// `allow_private` and `ca`.
pub(super) fn decode(table: &Table<'_>) -> Option<Reach> {
    let allow_private = table.get("allow_private").map_or(Some(false), |field| field.bool());
    let ca = table.get("ca").map_or(Some(None), |field| read_certificates(&field).map(Some));
    Some(Reach { allow_private: allow_private?, ca: ca? })
}

pub(super) fn read_certificates(field: &Field<'_>) -> Option<Vec<u8>> {
    let path = field.text()?;
    let read = std::fs::read(path).map_err(|error| format!("the file {path} cannot be read: {error}"));
    let checked = read.and_then(|pem| match pem.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") {
        true => Ok(pem),
        false => Err(format!("the file {path} holds no certificate in PEM")),
    });
    checked.map_err(|message| field.wrong(message)).ok()
}

/// The API's address: the vendor's unless the field names another.
pub(super) fn endpoint(table: &Table<'_>, usual: &str, reach: Option<&Reach>) -> Option<String> {
    match table.get("endpoint") {
        Some(field) => {
            let allow_private = reach.is_none_or(|reach| reach.allow_private);
            let text = url(&field, allow_private)?;
            if !allow_private && !text.to_ascii_lowercase().starts_with("https:") {
                field.wrong("what is secret would go over the network in the clear; write https://…");
                return None;
            }
            Some(text.trim_end_matches('/').to_owned())
        }
        None => Some(usual.to_owned()),
    }
}

/// An address, written as one that may be called.
pub(super) fn url(field: &Field<'_>, allow_private: bool) -> Option<String> {
    let text = field.text()?;
    let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url.filter(reqwest::Url::has_host) else {
        field.wrong(format!("`{text}` is no address; write one that begins with https:// or http://"));
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        field.wrong(
            "an address with a user or password in it would be shown in logs; put what is secret into its own field",
        );
        return None;
    }
    let host = url.host_str().unwrap_or_default();
    if !allow_private && is_private(host) {
        field.wrong(format!(
            "{host} is in this machine's or a private network; if that is meant, add `allow_private: true`"
        ));
        return None;
    }
    Some(text.to_owned())
}

/// Whether a host is *written* as a private address. What a name resolves to is checked at each delivery.
pub(super) fn is_private(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}
