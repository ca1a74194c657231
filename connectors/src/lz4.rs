//! Blocks of events, compressed once before they are written: what the disk and RocksDB's memory hold is a fraction.

/// No LZ4 block grows to more than so many times its size.
const LARGEST_RATIO: usize = 255;
/// Bytes of the length that stands before a block.
const LENGTH: usize = 4;

/// Appends `bytes` to `to`: their length as four bytes, big-endian, and one LZ4 block.
///
/// ```
/// # use tributary_connectors::lz4;
/// let mut block = Vec::new();
/// lz4::compress(&[7; 1_000], &mut block);
/// assert!(block.len() < 40);
/// assert_eq!(lz4::decompress(&block), Some(vec![7; 1_000]));
/// ```
pub fn compress(bytes: &[u8], to: &mut Vec<u8>) {
    let start = to.len() + LENGTH;
    // What is compressed is bounded far below the four gigabytes that fit.
    to.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.resize(start + lz4_flex::block::get_maximum_output_size(bytes.len()), 0);
    let written = to.get_mut(start..).and_then(|room| lz4_flex::block::compress_into(bytes, room).ok());
    // There is room for any bytes; without it the block would not read back.
    to.truncate(start + written.unwrap_or(0));
}

/// What [`compress`] was given; `None` if it was not these bytes that it wrote.
pub fn decompress(block: &[u8]) -> Option<Vec<u8>> {
    let (length, block) = block.split_first_chunk::<LENGTH>()?;
    let length = u32::from_be_bytes(*length) as usize;
    // A damaged length does not take all memory.
    if length > block.len().saturating_mul(LARGEST_RATIO) {
        return None;
    }
    lz4_flex::block::decompress(block, length).ok().filter(|bytes| bytes.len() == length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(bytes: &[u8]) -> Vec<u8> {
        let mut block = Vec::new();
        compress(bytes, &mut block);
        block
    }

    #[test]
    fn nothing_little_and_much_read_back() {
        let noise: Vec<u8> = (0..100_000u32).flat_map(|number| blake(number).to_le_bytes()).collect();
        for bytes in [&b""[..], b"a", b"abcabcabcabcabcabcabcabcabcabcabcabc", &noise] {
            assert_eq!(decompress(&round(bytes)).as_deref(), Some(bytes));
        }
    }

    /// Numbers that do not compress.
    fn blake(number: u32) -> u32 {
        number.wrapping_mul(0x9E37_79B9).rotate_left(number % 31) ^ number.wrapping_mul(0x85EB_CA6B)
    }

    #[test]
    fn a_block_cut_anywhere_is_not_read() {
        let block = round(br#"{"type":"track","event":"Signed Up"},{"type":"track","event":"Signed Out"}"#);
        for end in 0..block.len() {
            assert_eq!(decompress(block.get(..end).unwrap_or_default()), None, "cut at {end}");
        }
    }

    #[test]
    fn a_damaged_length_takes_no_memory() {
        assert_eq!(decompress(&[0xff, 0xff, 0xff, 0xff, 0, 1, 2]), None);
    }
}
