//! How bytes come in and go out: logs, processing, destinations. Nothing here knows a dataflow.

pub mod lz4;
pub mod crash;
pub mod log;
pub mod process;
pub mod destination;
