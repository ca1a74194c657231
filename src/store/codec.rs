//! How stored values are written: one version byte, then bincode. The only place that names bincode.

use serde::{Serialize, de::DeserializeOwned};

/// The version that every stored value begins with.
pub const VERSION: u8 = 7;
/// How bytes stand for fields.
const FORMAT: bincode::config::Configuration = bincode::config::standard();
/// Room from the beginning: most facts, the largest of what is written often, take no more.
const USUAL_BYTES: usize = 256;
/// The most bytes that a value may take, so that damaged lengths are errors instead of allocations.
const LARGEST: usize = 1 << 30;

/// A value that could not be written or read back.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The value cannot be encoded.
    #[error("cannot encode a stored value: {0}")]
    Encode(#[from] bincode::error::EncodeError),
    /// The bytes are damaged or of another type.
    #[error("cannot decode a stored value: {0}")]
    Decode(#[from] bincode::error::DecodeError),
    /// The bytes are of a version that this program does not know.
    #[error("a stored value has version {0}, this program reads version {VERSION}; use the program that wrote it")]
    Version(u8),
    /// There are no bytes.
    #[error("a stored value is empty")]
    Empty,
}

/// The stored form of a value.
///
/// # Errors
/// If a serializer of the value fails.
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    bytes.push(VERSION);
    bincode::serde::encode_into_std_write(value, &mut bytes, FORMAT)?;
    Ok(bytes)
}

/// The value of a stored form.
///
/// # Errors
/// If the version is unknown or the bytes are not such a value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => Ok(bincode::serde::decode_from_slice(rest, FORMAT.with_limit::<LARGEST>())?.0),
        Some((&version, _)) => Err(CodecError::Version(version)),
        None => Err(CodecError::Empty),
    }
}
