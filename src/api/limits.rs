//! Room for what comes in: how many requests, how many bytes, how long.

use super::error::ApiError;
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::StreamExt;
use tributary_model::limits;

/// Bytes of bodies held at once. More than a hundred full batches: what comes in faster is not kept up with anyway.
const BYTES_IN_FLIGHT: usize = 64 << 20;
/// A body that is too large is read on so far, since most clients look for the answer only when they have sent all.
const READ_ON_BYTES: usize = 16 << 20;

const _: () = assert!(BYTES_IN_FLIGHT >= limits::BATCH_BYTES, "one batch must always fit");

/// Room for requests under way.
#[derive(Clone, Debug)]
pub struct Room {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// A place in the room, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _request: OwnedSemaphorePermit,
    _bytes: Held,
}

impl Room {
    /// Room for so many requests at once.
    pub fn new(requests: usize) -> Self {
        Self::with_bytes(requests, BYTES_IN_FLIGHT)
    }

    fn with_bytes(requests: usize, bytes: usize) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self { requests: semaphore(requests), bytes: semaphore(bytes) }
    }

    /// Takes a place for a request whose body is there.
    ///
    /// # Errors
    /// 429 if there is none.
    pub fn enter(&self, bytes: Held) -> Result<Place, ApiError> {
        let request = self.requests.clone().try_acquire_owned().map_err(|_| full("requests"))?;
        Ok(Place { _request: request, _bytes: bytes })
    }

    /// Reads a body as [`read_body`] does, and holds room for its bytes as they come: whoever sends nothing holds none.
    ///
    /// # Errors
    /// Those of [`read_body`]; 429 if there is no room.
    pub async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
        within: Duration,
    ) -> Result<(Bytes, Held), ApiError> {
        let mut held: Option<OwnedSemaphorePermit> = None;
        let mut hold = |bytes: usize| {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            let more = self.bytes.clone().try_acquire_many_owned(bytes).map_err(|_| full("bytes").and_close())?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
            Ok(())
        };
        let body = read_holding(headers, body, limit, within, &mut hold).await?;
        Ok((body, Held { _bytes: held }))
    }
}

/// Room for bytes, until it is dropped.
#[derive(Debug)]
pub struct Held {
    _bytes: Option<OwnedSemaphorePermit>,
}

fn full(what: &str) -> ApiError {
    ApiError::too_many("too_many_requests", format!("too many {what} are under way; send again later"))
}

fn encoding(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap_or("?")).trim()
}

/// Reads a body of at most `limit` bytes, packed or not, and unpacks it.
///
/// # Errors
/// 413 if it is longer, packed or unpacked; 408 if it does not come within the time; 415 if it is packed by anything but
/// gzip; 400 if it is no gzip or ends early.
pub async fn read_body(headers: &HeaderMap, body: Body, limit: usize, within: Duration) -> Result<Bytes, ApiError> {
    read_holding(headers, body, limit, within, &mut |_| Ok(())).await
}

/// Reads a body; `hold` is told of bytes before they are kept, and may refuse them.
async fn read_holding(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    within: Duration,
    hold: &mut (impl FnMut(usize) -> Result<(), ApiError> + Send),
) -> Result<Bytes, ApiError> {
    let is_gzip = match encoding(headers).to_ascii_lowercase().as_str() {
        "" | "identity" => false,
        "gzip" | "x-gzip" => true,
        _ => return Err(ApiError::unsupported("unknown_encoding", "send the body as it is, or gzipped").and_close()),
    };
    let read = tokio::time::timeout(within, collect(body.into_data_stream(), limit, hold)).await;
    let read = read.unwrap_or_else(|_| Err(ApiError::too_slow("too_slow", "the body did not arrive in time")))?;
    if !is_gzip {
        return Ok(read);
    }
    // It may become as long as it may be.
    hold(limit)?;
    unpack(&read, limit)
}

fn too_large(limit: usize) -> ApiError {
    ApiError::too_large("too_large", format!("the body is longer than the {limit} bytes that are taken"))
}

async fn collect(
    mut body: BodyDataStream,
    limit: usize,
    hold: &mut impl FnMut(usize) -> Result<(), ApiError>,
) -> Result<Bytes, ApiError> {
    let cut_off = |_| ApiError::bad_request("cut_off", "the body ended early").and_close();
    // Nearly every body comes in one piece, which is kept as it is.
    let first = body.next().await.transpose().map_err(cut_off)?.unwrap_or_default();
    let mut length = first.len();
    hold(length.min(limit))?;
    let mut whole = BytesMut::new();
    let mut only = Some(first);
    while let Some(piece) = body.next().await.transpose().map_err(cut_off)? {
        length = length.saturating_add(piece.len());
        if length > READ_ON_BYTES {
            return Err(too_large(limit).and_close());
        }
        if length > limit {
            (whole, only) = (BytesMut::new(), None);
            continue;
        }
        hold(piece.len())?;
        if let Some(first) = only.take() {
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&piece);
    }
    if length > limit {
        return Err(too_large(limit));
    }
    Ok(only.unwrap_or_else(|| whole.freeze()))
}

fn unpack(packed: &[u8], limit: usize) -> Result<Bytes, ApiError> {
    let mut unpacked = Vec::with_capacity(packed.len().saturating_mul(4).min(limit));
    // One byte more than is allowed tells that there are more; a bomb is never unpacked any further.
    let mut decoder = MultiGzDecoder::new(packed).take(limit as u64 + 1);
    decoder.read_to_end(&mut unpacked).map_err(|error| {
        ApiError::bad_request("invalid_gzip", format!("the body is called gzip, but cannot be unpacked: {error}"))
    })?;
    if unpacked.len() > limit { Err(too_large(limit)) } else { Ok(unpacked.into()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const LIMIT: usize = 1_000;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    /// A body that comes in these pieces.
    fn pieces(pieces: Vec<Vec<u8>>) -> Body {
        Body::from_stream(tokio_stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
    }

    async fn read(encoding: &str, body: Body) -> Result<Bytes, u16> {
        read_within(Duration::from_secs(5), encoding, body).await
    }

    async fn read_within(within: Duration, encoding: &str, body: Body) -> Result<Bytes, u16> {
        let headers = headers(header::CONTENT_ENCODING, encoding);
        let read = read_body(&headers, body, LIMIT, within).await;
        read.map_err(|error| error.status().as_u16())
    }

    #[tokio::test]
    async fn a_body_comes_whole_or_in_pieces_packed_or_not() {
        let body = vec![b'x'; LIMIT];
        assert_eq!(read("", body.clone().into()).await.unwrap(), body);
        assert_eq!(read("identity", pieces(body.chunks(7).map(<[u8]>::to_vec).collect())).await.unwrap(), body);
        assert_eq!(read("gzip", gzip(&body).into()).await.unwrap(), body);
        let members = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(read("X-GZIP", members.into()).await.unwrap(), "one two");
        assert_eq!(read("", Body::empty()).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_body_has_a_length_whatever_it_is_packed_in() {
        let body = vec![b'x'; LIMIT + 1];
        assert_eq!(read("", body.clone().into()).await, Err(413));
        assert_eq!(read("", pieces(body.chunks(7).map(<[u8]>::to_vec).collect())).await, Err(413));
        assert_eq!(read("gzip", gzip(&body).into()).await, Err(413));
        assert_eq!(read("", pieces(vec![vec![b'x'; 1 << 20]; 100])).await, Err(413));
        let bomb = gzip(&vec![0; 700 * LIMIT]);
        assert!(bomb.len() < LIMIT);
        assert_eq!(read("gzip", bomb.into()).await, Err(413));
    }

    #[tokio::test]
    async fn what_cannot_be_unpacked_is_told() {
        assert_eq!(read("gzip", "plain".into()).await, Err(400));
        let mut half = gzip(b"some text");
        half.truncate(half.len() - 4);
        assert_eq!(read("gzip", half.into()).await, Err(400));
        assert_eq!(read("br", "x".into()).await, Err(415));
        let broken = Body::from_stream(tokio_stream::iter([Ok("{\"a\":"), Err(std::io::Error::other("reset"))]));
        assert_eq!(read("", broken).await, Err(400));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let body = Body::from_stream(tokio_stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read_within(Duration::ZERO, "", body).await, Err(408));
    }

    #[tokio::test]
    async fn a_full_room_takes_nobody_until_somebody_leaves() {
        async fn enter(room: &Room, bytes: usize) -> Result<Place, u16> {
            let within = Duration::from_secs(5);
            let read = room.read(&HeaderMap::new(), vec![b'x'; bytes].into(), LIMIT, within).await;
            let entered = read.and_then(|(body, held)| {
                assert_eq!(body.len(), bytes);
                room.enter(held)
            });
            entered.map_err(|error| error.status().as_u16())
        }
        let room = Room::new(1);
        let place = enter(&room, 7).await.unwrap();
        assert_eq!(enter(&room, 7).await.unwrap_err(), 429);
        drop(place);
        enter(&room, 7).await.unwrap();

        let room = Room::with_bytes(100, 2 * LIMIT + 10);
        let _places = [enter(&room, LIMIT).await.unwrap(), enter(&room, LIMIT).await.unwrap()];
        assert_eq!(enter(&room, 11).await.unwrap_err(), 429);
        enter(&room, 10).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_sends_nothing_takes_no_room() {
        let room = Room::with_bytes(1, LIMIT);
        let silent = || Body::from_stream(tokio_stream::pending::<Result<Bytes, std::io::Error>>());
        let headers = HeaderMap::new();
        let mut waiting: Vec<_> =
            (0..100).map(|_| Box::pin(room.read(&headers, silent(), LIMIT, Duration::from_secs(60)))).collect();
        for one in &mut waiting {
            assert!(tokio::time::timeout(Duration::ZERO, one).await.is_err(), "it is waited for");
        }
        let (_, held) = room.read(&headers, vec![b'x'; LIMIT].into(), LIMIT, Duration::from_secs(5)).await.unwrap();
        room.enter(held).unwrap();
    }
}
