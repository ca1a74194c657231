//! What customers say of themselves, by the links in messages: `/unsubscribe/{token}` and `/preferences/{token}`.
//!
//! A `GET` changes nothing: programs that look for dangerous links in mails follow all of them. Mail programs
//! unsubscribe by `POST`, as RFC 8058 says, and so does the page.

use super::consent::{consent_of, people, say};
use super::error::ApiError;
use super::extract::Path;
use super::pages::{Group, Preferences, Question, Unsubscribe, failed};
use super::state::ApiState;
use super::visitors::fields;
use crate::activation::contact::Consent;
use crate::activation::links::Link;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tributary_model::{Channel, Definitions, Purpose, Subscription};

/// The most bytes of a form: a few for each purpose that there may be.
const FORM_BYTES: usize = 64 << 10;

type Shared = State<Arc<ApiState>>;
/// What stands in the address; a page tells if it can be none.
type Token = Result<Path<String>, ApiError>;

/// Asks whether somebody wants no more by a channel.
pub async fn unsubscribe_page(State(state): Shared, token: Token) -> Response {
    let invited = invited(&state, token).and_then(|(token, link)| Ok((token, messages(link.channel)?)));
    invited.map_or_else(failed, |(token, messages)| Unsubscribe { messages, token: &token, done: false }.page())
}

/// They want no more.
pub async fn unsubscribe(State(state): Shared, token: Token, headers: HeaderMap, body: Body) -> Response {
    leave(&state, token, &headers, body).await.unwrap_or_else(failed)
}

/// Asks what somebody wants.
pub async fn preferences_page(State(state): Shared, token: Token) -> Response {
    ask(&state, token).await.unwrap_or_else(failed)
}

/// This is what they want.
pub async fn set_preferences(State(state): Shared, token: Token, headers: HeaderMap, body: Body) -> Response {
    choose(&state, token, &headers, body).await.unwrap_or_else(failed)
}

async fn leave(state: &Arc<ApiState>, token: Token, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
    let (token, Link { channel, identifier }) = invited(state, token)?;
    let messages = messages(channel)?;
    // Mail programs say that it is one click, the page says nothing: that they come is enough.
    let (_, _place) = state.visitors.read(headers, body, FORM_BYTES).await?;
    let subscriptions = BTreeMap::from([(channel, Subscription::Unsubscribed)]);
    let wanted = Consent { subscriptions, ..Consent::default() };
    drop(say(state, identifier, wanted, why("unsubscribe link", channel)).await?);
    Ok(Unsubscribe { messages, token: &token, done: true }.page())
}

async fn ask(state: &Arc<ApiState>, token: Token) -> Result<Response, ApiError> {
    let (_, link) = invited(state, token)?;
    let said = said(state, &link).await?;
    Ok(Preferences { done: false, groups: groups(&state.definitions(), link.channel, &said) }.page())
}

async fn choose(state: &Arc<ApiState>, token: Token, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
    let (_, link) = invited(state, token)?;
    let (body, _place) = state.visitors.read(headers, body, FORM_BYTES).await?;
    let form = std::str::from_utf8(&body).map_err(|_| ApiError::bad_request("invalid_form", "the form is no UTF-8"))?;
    let definitions = state.definitions();
    let chosen = chosen(form, &definitions, link.channel);
    let mut said = said(state, &link).await?;
    said.purposes.extend(chosen.purposes.clone());
    said.subscriptions.extend(chosen.subscriptions.clone());
    let channel = link.channel;
    if chosen != Consent::default() {
        drop(say(state, link.identifier, chosen, why("preferences link", channel)).await?);
    }
    Ok(Preferences { done: true, groups: groups(&definitions, channel, &said) }.page())
}

/// Whom a link is for.
fn invited(state: &ApiState, token: Token) -> Result<(String, Link), ApiError> {
    let Path(token) = token?;
    let link = state.links.as_ref().and_then(|links| links.read(&token));
    // By other rules than those of its time it may be nobody's: what is said by it would be lost.
    let link = link.filter(|link| state.processor.identifier(&link.identifier.to_string()).is_ok());
    let link = link.ok_or_else(|| ApiError::not_found("no_such_link", "this link leads nowhere"))?;
    state.visitors.admit(&token)?;
    Ok((token, link))
}

/// What they have said so far.
async fn said(state: &Arc<ApiState>, link: &Link) -> Result<Consent, ApiError> {
    let id = link.identifier.id();
    let said = state.read(move |_, view| match view.owner(id)? {
        Some(owner) => consent_of(view, owner),
        None => Ok(Consent::default()),
    });
    said.await
}

/// By whom and how it was said.
fn why(by: &str, channel: Channel) -> Map<String, Value> {
    Map::from_iter([("by".to_owned(), json!(by)), ("channel".to_owned(), json!(channel.name()))])
}

/// What comes by a channel, in words; others do not reach people.
fn messages(channel: Channel) -> Result<&'static str, ApiError> {
    match channel {
        Channel::Email => Ok("e-mails"),
        Channel::Sms => Ok("text messages"),
        Channel::Push => Ok("notifications"),
        Channel::Webhook | Channel::Kafka | Channel::Slack | Channel::Sql => {
            Err(ApiError::not_found("no_such_link", "this link leads nowhere"))
        }
    }
}

/// Channels that somebody may be asked about: by which messages are sent at all, and the one that they have come by.
fn channels(definitions: &Definitions, come_by: Channel) -> BTreeSet<Channel> {
    let used = definitions.destinations.values().map(|destination| destination.kind.channel());
    let used: BTreeSet<Channel> = used.chain([come_by]).collect();
    people().filter(|channel| used.contains(channel)).collect()
}

/// The fields of a form.
fn of_purpose(name: &str) -> String {
    format!("purpose:{name}")
}

fn of_channel(channel: Channel) -> String {
    format!("channel:{}", channel.name())
}

/// What is asked, with what they have said so far. Nothing is answered for them.
fn groups(definitions: &Definitions, come_by: Channel, said: &Consent) -> Vec<Group> {
    let word = |said: Option<bool>| match said {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    };
    let purpose = |(name, purpose): (&String, &Purpose)| Question {
        name: of_purpose(name),
        text: purpose.name.clone(),
        answer: word(said.purposes.get(name).copied()),
    };
    let channel = |channel: Channel| {
        let wanted = said.subscriptions.get(&channel).filter(|wanted| **wanted != Subscription::DidNotSubscribe);
        let text = match channel {
            Channel::Sms => "By text message",
            Channel::Push => "By notification on your device",
            _ => "By e-mail",
        };
        let answer = word(wanted.map(|wanted| *wanted == Subscription::Subscribed));
        Question { name: of_channel(channel), text: text.to_owned(), answer }
    };
    let purposes = definitions.contact.purposes.iter().map(purpose).collect();
    let channels = channels(definitions, come_by).into_iter().map(channel).collect();
    let groups = [
        Group { title: "What we may send to you", questions: purposes },
        Group { title: "How we may reach you", questions: channels },
    ];
    groups.into_iter().filter(|group| !group.questions.is_empty()).collect()
}

/// What they have chosen, of what can be. A question that is not answered stays open; and an answer that the page has
/// shown already is none: something else may have been said since.
fn chosen(form: &str, definitions: &Definitions, come_by: Channel) -> Consent {
    let answers: BTreeMap<String, String> = fields(form).into_iter().collect();
    let answer = |field: &str| match answers.get(field) {
        told if told == answers.get(&format!("was:{field}")) => None,
        Some(told) if told == "yes" => Some(true),
        Some(told) if told == "no" => Some(false),
        _ => None,
    };
    let purposes = definitions.contact.purposes.keys();
    let purposes = purposes.filter_map(|name| Some((name.clone(), answer(&of_purpose(name))?)));
    let wanted = |wants| if wants { Subscription::Subscribed } else { Subscription::Unsubscribed };
    let subscriptions = channels(definitions, come_by).into_iter();
    let subscriptions = subscriptions.filter_map(|channel| Some((channel, wanted(answer(&of_channel(channel))?))));
    Consent { purposes: purposes.collect(), subscriptions: subscriptions.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definitions() -> Definitions {
        let mut definitions = Definitions::default();
        for (name, is_granted_by_default) in [("Service Updates", true), ("marketing", false)] {
            let purpose = Purpose { name: format!("{name} for people"), is_granted_by_default };
            definitions.contact.purposes.insert(name.to_owned(), purpose);
        }
        definitions
    }

    #[test]
    fn who_comes_by_mail_is_asked_about_every_purpose_and_about_mail() {
        let said = Consent {
            purposes: BTreeMap::from([("marketing".to_owned(), false)]),
            subscriptions: BTreeMap::from([(Channel::Email, Subscription::Subscribed)]),
        };
        let asked = |said: &Consent| {
            let groups = groups(&definitions(), Channel::Email, said);
            let questions = groups.into_iter().flat_map(|group| group.questions);
            questions.map(|it| format!("{} | {} | {}", it.name, it.text, it.answer)).collect::<Vec<_>>()
        };
        assert_eq!(
            asked(&said),
            [
                "purpose:Service Updates | Service Updates for people | ",
                "purpose:marketing | marketing for people | no",
                "channel:email | By e-mail | yes",
            ]
        );
        assert!(
            asked(&Consent::default()).iter().all(|question| question.ends_with("| ")),
            "nothing is answered for them"
        );
    }

    #[test]
    fn a_form_says_what_can_be_said_and_leaves_open_what_is_not_answered() {
        let form =
            "purpose%3AService+Updates=no&purpose:marketing=maybe&purpose:other=yes&channel:email=yes&channel:sms=no";
        let chosen = chosen(form, &definitions(), Channel::Email);
        assert_eq!(chosen.purposes, BTreeMap::from([("Service Updates".to_owned(), false)]));
        assert_eq!(chosen.subscriptions, BTreeMap::from([(Channel::Email, Subscription::Subscribed)]));
    }

    #[test]
    fn what_a_page_has_shown_is_not_said_again() {
        let form = "was:purpose:marketing=yes&purpose:marketing=yes&was:purpose:Service+Updates=&\
                    purpose:Service+Updates=yes&was:channel:email=yes&channel:email=no";
        let chosen = chosen(form, &definitions(), Channel::Email);
        assert_eq!(chosen.purposes, BTreeMap::from([("Service Updates".to_owned(), true)]));
        assert_eq!(chosen.subscriptions, BTreeMap::from([(Channel::Email, Subscription::Unsubscribed)]));
    }
}
