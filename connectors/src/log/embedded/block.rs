//! A block: the records that were written with one sync, as one value.
//!
//! ```text
//! version, 1 | written at, 8 | bytes before, 8 | records, 4
//! and compressed, for each record: source, 2 + n | received at, 8 | has sent at, 1 | sent at, 8 | body, 4 + n
//! ```
//! Numbers are big-endian. RocksDB checks the sums of what it stores.

use crate::log::{LogError, Record};
use crate::lz4;
use bytes::{Buf, BufMut, Bytes};
use tributary_model::Millis;

/// Another layout has another number.
const VERSION: u8 = 2;
/// Bytes before the first record.
const HEADER: usize = 1 + 8 + 8 + 4;
/// Bytes of a record besides its source and body.
const AROUND: usize = 2 + 8 + 1 + 8 + 4;

/// What a block says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The offset of its first record.
    pub(super) first: i64,
    /// How many records it holds; never none.
    pub(super) records: i64,
    /// When it was written; never before the block that stands before it.
    pub(super) written_at: Millis,
    /// The length of all blocks that were ever written before it: differences tell how large the log is.
    pub(super) bytes_before: u64,
}

impl Head {
    /// The offset after its last record.
    pub(super) fn next(&self) -> i64 {
        self.first.saturating_add(self.records)
    }
}

/// The records as one value.
pub(super) fn encode(records: &[&Record], written_at: Millis, bytes_before: u64) -> Vec<u8> {
    let bytes: usize = records.iter().map(|record| record.body.len() + record.source.len() + AROUND).sum();
    let mut plain = Vec::with_capacity(bytes);
    for record in records {
        // A source is a name in the configuration; what no name could be is cut.
        let source = record.source.as_bytes();
        let source = source.get(..usize::from(u16::MAX)).unwrap_or(source);
        plain.put_u16(u16::try_from(source.len()).unwrap_or(u16::MAX));
        plain.put_slice(source);
        plain.put_i64(record.received_at);
        plain.put_u8(u8::from(record.sent_at.is_some()));
        plain.put_i64(record.sent_at.unwrap_or(0));
        plain.put_u32(length(record.body.len()));
        plain.put_slice(&record.body);
    }
    let mut block = Vec::with_capacity(HEADER + bytes / 2);
    block.put_u8(VERSION);
    block.put_i64(written_at);
    block.put_u64(bytes_before);
    block.put_u32(length(records.len()));
    lz4::compress(&plain, &mut block);
    block
}

/// Appends are bounded far below the four gigabytes that fit.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// What a block says of itself, without reading its records.
pub(super) fn head(first: i64, block: &[u8]) -> Result<Head, LogError> {
    let mut bytes = block;
    let damaged = |reason: &str| LogError::Block { offset: first, reason: reason.to_owned() };
    match bytes.try_get_u8() {
        Ok(VERSION) => {}
        Ok(version) => return Err(damaged(&format!("it has version {version}, this program reads version {VERSION}"))),
        Err(_) => return Err(damaged("it is empty")),
    }
    let early = |_| damaged("it ends early");
    let written_at = bytes.try_get_i64().map_err(early)?;
    let bytes_before = bytes.try_get_u64().map_err(early)?;
    let records = i64::from(bytes.try_get_u32().map_err(early)?);
    if records == 0 {
        return Err(damaged("it holds no records"));
    }
    Ok(Head { first, records, written_at, bytes_before })
}

/// The records of a block; their bodies share one piece of memory.
pub(super) fn decode(first: i64, block: &[u8]) -> Result<Vec<Record>, LogError> {
    let head = head(first, block)?;
    let damaged = |reason: &str| LogError::Block { offset: first, reason: reason.to_owned() };
    let plain = block.get(HEADER..).and_then(lz4::decompress);
    let mut rest = Bytes::from(plain.ok_or_else(|| damaged("it cannot be decompressed"))?);
    let records: Option<Vec<Record>> = (0..head.records).map(|_| record(&mut rest)).collect();
    let records = records.ok_or_else(|| damaged("it ends early"))?;
    if rest.is_empty() { Ok(records) } else { Err(damaged("something stands after its last record")) }
}

fn record(rest: &mut Bytes) -> Option<Record> {
    let length = usize::from(rest.try_get_u16().ok()?);
    let source = take(rest, length)?;
    let received_at = rest.try_get_i64().ok()?;
    let has_sent_at = rest.try_get_u8().ok()? == 1;
    let sent_at = rest.try_get_i64().ok()?;
    let length = rest.try_get_u32().ok()? as usize;
    let body = take(rest, length)?;
    let source = String::from_utf8_lossy(&source).into_owned();
    Some(Record { source, received_at, sent_at: has_sent_at.then_some(sent_at), body, key: None })
}

fn take(from: &mut Bytes, length: usize) -> Option<Bytes> {
    (from.len() >= length).then(|| from.split_to(length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn record(body: &'static str) -> Record {
        let body = Bytes::from_static(body.as_bytes());
        Record { source: "web".to_owned(), received_at: 7, sent_at: Some(5), body, key: None }
    }

    #[test]
    fn a_block_reads_back() {
        let records = [record("{}"), Record { sent_at: None, ..record("[1]") }, record("")];
        let block = encode(&records.iter().collect::<Vec<_>>(), 99, 1_000);
        assert_eq!(head(40, &block).unwrap(), Head { first: 40, records: 3, written_at: 99, bytes_before: 1_000 });
        assert_eq!(decode(40, &block).unwrap(), records);
    }

    #[test]
    fn a_block_of_many_alike_is_small() {
        let event = record(r#"{"type":"track","event":"Product Viewed","userId":"u1","properties":{"sku":"A-1"}}"#);
        let block = encode(&[&event; 100], 0, 0);
        assert!(block.len() < 100 * event.body.len() / 10, "{}", block.len());
    }

    #[test]
    fn a_damaged_block_is_an_error_wherever_it_ends() {
        let block = encode(&[&record("{}"), &record("{}")], 1, 0);
        for end in 0..block.len() {
            assert!(decode(3, &block[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_block_of_another_version_says_so() {
        let mut other = encode(&[&record("{}")], 1, 0);
        other[0] = 9;
        let error = decode(3, &other).unwrap_err().to_string();
        assert_eq!(
            error,
            "embedded log: block at offset 3 cannot be read: it has version 9, this program reads version 2"
        );
    }
}
