//! Every bound on what one event, identifier or customer may hold, and why it is what it is.

/// One event's bytes: the Segment spec's 32 KB.
pub const EVENT_BYTES: usize = 32 * 1024;
/// One `/v1/batch` body's bytes: the Segment spec's 500 KB.
pub const BATCH_BYTES: usize = 500 * 1024;
/// A batch's events: the Segment spec's 2,500.
pub const BATCH_EVENTS: usize = 2_500;
/// A `messageId`'s characters: Segment's limit.
pub const MESSAGE_ID_CHARS: usize = 100;
/// An event name's characters; a longer one is a value that slipped into a name.
pub const EVENT_NAME_CHARS: usize = 200;
/// An identifier's characters; a longer one is no identifier but a payload.
pub const IDENTIFIER_CHARS: usize = 500;
/// Nesting of objects and arrays in an event; deeper ones are attacks on parsers, not events.
pub const JSON_DEPTH: usize = 32;
/// Traits that one identifier keeps: Segment Unify's 300.
pub const TRAITS_PER_IDENTIFIER: usize = 300;
/// A purpose's name in bytes: as that of everything that is defined.
pub const PURPOSE_NAME_BYTES: usize = 100;
/// An address's bytes on a list of those that get nothing; a browser's for notifications is the longest there is.
pub const ADDRESS_BYTES: usize = 4_096;
/// Purposes, and addresses, that one event speaks of; of more the first are heard.
pub const CONSENT_ENTRIES: usize = 50;
/// Traits of consent that one identifier keeps besides the others: a no is heard however much else is known.
pub const CONSENT_TRAITS: usize = 100;
/// Computed traits and segments together: each is looked at for customers who change, and answered in lists.
pub const DEFINITIONS: usize = 10_000;
/// Values that one definition may keep of one identifier, if the identifier had them all: some 12 MB. A count of different values
/// over 90 days has its place, one over ten years day by day has not.
pub const DEFINITION_VALUES: usize = 1_500_000;
/// Different values that one identifier's `count(DISTINCT …)` keeps: exact up to so many, then an estimate of 4 % error.
pub const DISTINCT_VALUES: usize = 512;
/// Values that one identifier's `mode(…)` counts; of more the least frequent are forgotten.
pub const FREQUENT_VALUES: usize = 256;
/// Instants that one identifier keeps of each kind of events in `followed_by` and its kin: the latest.
pub const TIMELINE_INSTANTS: usize = 100;
/// Groups that one identifier keeps: who is in more is no member of them but their robot.
pub const GROUPS_PER_IDENTIFIER: usize = 100;
/// An event may be dated at most this far after its arrival: a clock that is a day off is a broken clock.
pub const FUTURE_MS: i64 = 24 * 60 * 60 * 1000;
/// The earliest timestamp taken: 1970-01-02. A zero or negative one is a client without a clock.
pub const EARLIEST_MS: i64 = 24 * 60 * 60 * 1000;
/// Links that hold one customer together, where the definitions say nothing else: no person has so many, and what is
/// connected this far by mistake would tell everybody about everybody.
pub const LINKS_PER_PROFILE: u32 = 10_000;

/// The most bytes of a message that a trigger sends.
pub const MESSAGE_BYTES: usize = 256 * 1024;

/// The most bytes of a message's template.
pub const TEMPLATE_BYTES: usize = 32 * 1024;

/// The most bytes of one expression or statement of a template: each may go one level deeper.
pub const TAG_BYTES: usize = 1_024;

/// The most expressions and statements of a template.
pub const TEMPLATE_TAGS: usize = 500;
