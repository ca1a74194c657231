//! Who comes without a token: customers by the links in messages, and vendors with news of them. Nobody of them can
//! take much, or take it from others.

use super::error::ApiError;
use super::limits::{Place, Room};
use super::rate::Rate;
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use reqwest::Url;
use std::time::{Duration, Instant};

/// Requests with a body under way at once.
const REQUESTS: usize = 256;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often one link may be followed in a second, and how often at once.
const PER_SECOND: u32 = 1;
const AT_ONCE: u32 = 10;
/// Links share so many rates: one whose holder never rests takes from a thousandth of the others.
const RATES: usize = 1_024;

/// Bounds of what visitors may do.
#[derive(Debug)]
pub struct Visitors {
    room: Room,
    rates: Vec<Rate>,
}

impl Default for Visitors {
    fn default() -> Self {
        let rates = std::iter::repeat_with(|| Rate::new(PER_SECOND, AT_ONCE)).take(RATES);
        Self { room: Room::new(REQUESTS), rates: rates.collect() }
    }
}

impl Visitors {
    /// Lets a visit by a link pass.
    ///
    /// # Errors
    /// 429 with when to come again.
    pub fn admit(&self, token: &str) -> Result<(), ApiError> {
        let hash = blake3::hash(token.as_bytes());
        let place = hash.as_bytes().first_chunk().map_or(0, |start| usize::from(u16::from_be_bytes(*start)));
        let rate = self.rates.get(place % RATES);
        rate.map_or(Ok(()), |rate| rate.admit(1, Instant::now())).map_err(|wait| {
            ApiError::too_many("rate_limited", "this link is followed too often; try again later").after(wait)
        })
    }

    /// Reads a body, and takes the place in which it is answered.
    ///
    /// # Errors
    /// Those of [`Room::read`] and [`Room::enter`].
    pub async fn read(&self, headers: &HeaderMap, body: Body, limit: usize) -> Result<(Bytes, Place), ApiError> {
        let (body, held) = self.room.read(headers, body, limit, PATIENCE).await?;
        Ok((body, self.room.enter(held)?))
    }
}

/// The fields of a form, or of what stands after a question mark, decoded, in their order.
pub(super) fn fields(encoded: &str) -> Vec<(String, String)> {
    let Ok(mut url) = Url::parse("http://localhost/") else { return Vec::new() };
    url.set_query(Some(encoded));
    url.query_pairs().into_owned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_link_is_followed_so_often_and_others_do_not_feel_it() {
        let visitors = Visitors::default();
        let passed = (0..2 * AT_ONCE).filter(|_| visitors.admit("one").is_ok()).count();
        // A second may pass meanwhile.
        assert!((10..15).contains(&passed), "{passed}");
        assert!(visitors.admit("another").is_ok());
    }

    #[test]
    fn forms_are_decoded() {
        let fields = |text| {
            let pairs = fields(text).into_iter();
            pairs.map(|(name, value)| format!("{name}|{value}")).collect::<Vec<_>>()
        };
        assert_eq!(fields("List-Unsubscribe=One-Click"), ["List-Unsubscribe|One-Click"]);
        assert_eq!(fields("To=%2B1650&Body=A+b%26%3D%23c&Empty="), ["To|+1650", "Body|A b&=#c", "Empty|"]);
        assert_eq!(fields("purpose%3AService+Updates=yes&ü=%C3%BC%0A'"), ["purpose:Service Updates|yes", "ü|ü\n'"]);
        assert!(fields("").is_empty());
    }
}
