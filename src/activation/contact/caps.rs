//! How often: cool-downs of a trigger, and caps on how many messages a customer gets within any span of time.

use super::{Sent, Wish};
use tributary_model::{Cap, Channel, ContactPolicy, Millis, TriggerPolicy};

/// Whether a cap on all triggers counts messages by a channel.
pub(super) fn concerns(cap: &Cap, channel: Channel) -> bool {
    cap.channel.map_or(channel.reaches_people(), |capped| capped == channel)
}

/// Whether something that was sent is within the last so many milliseconds. What lies ahead, because the clock was set back,
/// is too.
fn is_within(sent: &Sent, span_ms: Millis, now: Millis) -> bool {
    sent.at > now.saturating_sub(span_ms)
}

pub(super) fn is_cooling(policy: &TriggerPolicy, trigger: &str, sent: &[Sent], now: Millis) -> bool {
    let Some(span) = policy.cooldown_ms else { return false };
    sent.iter().any(|sent| sent.trigger == trigger && is_within(sent, span, now))
}

pub(super) fn is_capped(contact: &ContactPolicy, wish: &Wish<'_>, sent: &[Sent], now: Millis) -> bool {
    let is_full = |cap: &Cap, counts: &dyn Fn(&Sent) -> bool| {
        let counted = sent.iter().filter(|sent| is_within(sent, cap.within_ms, now) && counts(sent)).count();
        counted >= cap.most as usize
    };
    let of_all = contact.caps.iter().filter(|cap| concerns(cap, wish.channel));
    let mut of_all = of_all.map(|cap| is_full(cap, &|sent| sent.is_counted && concerns(cap, sent.channel)));
    let mut of_trigger = wish.policy.caps.iter().map(|cap| is_full(cap, &|sent| sent.trigger == wish.trigger));
    of_all.any(|is_full| is_full) || of_trigger.any(|is_full| is_full)
}
