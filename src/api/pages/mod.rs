//! Pages for people who come by a link in a message: plain HTML, which runs no script and loads nothing.

use super::error::ApiError;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value, context};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("style.css");

/// Where somebody unsubscribes with one click.
#[derive(Debug, Serialize)]
pub struct Unsubscribe<'a> {
    /// What they would get no more, in words.
    pub messages: &'a str,
    /// The link's token.
    pub token: &'a str,
    /// Whether it is done.
    pub done: bool,
}

/// Where somebody says what they want.
#[derive(Debug, Serialize)]
pub struct Preferences {
    /// Whether it is saved.
    pub done: bool,
    /// What is asked.
    pub groups: Vec<Group>,
}

/// Questions under one title.
#[derive(Debug, Serialize)]
pub struct Group {
    /// The title.
    pub title: &'static str,
    /// The questions.
    pub questions: Vec<Question>,
}

/// A question that is answered by yes or no.
#[derive(Debug, Serialize)]
pub struct Question {
    /// The form's field.
    pub name: String,
    /// What is asked.
    pub text: String,
    /// `yes`, `no`, or nothing yet.
    pub answer: &'static str,
}

impl Unsubscribe<'_> {
    /// The page.
    pub fn page(&self) -> Response {
        let title = if self.done { "You are unsubscribed" } else { "Unsubscribe" };
        page(StatusCode::OK, "unsubscribe.html", title, self)
    }
}

impl Preferences {
    /// The page.
    pub fn page(&self) -> Response {
        page(StatusCode::OK, "preferences.html", "What we may send to you", self)
    }
}

/// The page that says that something is not done.
pub fn failed(error: ApiError) -> Response {
    #[derive(Serialize)]
    struct Failed {
        message: &'static str,
    }
    let status = error.status();
    let (title, message) = if status == StatusCode::NOT_FOUND {
        ("This link leads nowhere", "It may have been cut off. Please try the link in the latest message that you got.")
    } else {
        ("This did not work", "Please try again later. Nothing has been changed.")
    };
    let shown = page(status, "error.html", title, &Failed { message });
    // When to come again stands in the error's headers.
    let mut headers = error.into_response().into_parts().0.headers;
    headers.remove(CONTENT_LENGTH);
    headers.remove(CONTENT_TYPE);
    (headers, shown).into_response()
}

fn page(status: StatusCode, template: &str, title: &str, content: &impl Serialize) -> Response {
    match render(template, title, content) {
        Ok(html) => (status, headers(), Body::from(html)).into_response(),
        Err(error) => ApiError::internal(format!("{template} cannot be rendered: {error}")).into_response(),
    }
}

fn render(template: &str, title: &str, content: &impl Serialize) -> Result<String, Error> {
    let values = context! { title, style => STYLE, ..Value::from(Serde(content)) };
    PAGES.get_template(template)?.render(values)
}

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages.set_auto_escape_callback(|_| AutoEscape::Html);
    pages.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, text) in [
        ("layout.html", include_str!("layout.html")),
        ("unsubscribe.html", include_str!("unsubscribe.html")),
        ("preferences.html", include_str!("preferences.html")),
        ("error.html", include_str!("error.html")),
    ] {
        if let Err(error) = pages.add_template(name, text) {
            tracing::error!(page = name, %error, "a page cannot be shown");
        }
    }
    pages
});

/// Nothing may be loaded or run but the one style that stands in the page; no other page may show this one in a frame.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

fn headers() -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        // The address is a secret between the customer and us, and what it shows too.
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use std::time::Duration;

    async fn shown(response: Response) -> (u16, HeaderMap, String) {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    fn question(name: &str, text: &str, answer: &'static str) -> Question {
        Question { name: name.to_owned(), text: text.to_owned(), answer }
    }

    #[tokio::test]
    async fn every_page_is_shown_and_runs_nothing() {
        let questions = vec![question("purpose:marketing", "Offers & \"news\" <script>", "no")];
        let preferences = Preferences { done: true, groups: vec![Group { title: "About", questions }] };
        for response in [
            Unsubscribe { messages: "e-mails", token: "abc", done: false }.page(),
            Unsubscribe { messages: "e-mails", token: "abc", done: true }.page(),
            preferences.page(),
            failed(ApiError::not_found("a", "b")),
        ] {
            let (_, headers, html) = shown(response).await;
            assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{html}");
            assert!(
                !html.contains("<script") && html.contains("<h1>") && html.trim_end().ends_with("</html>"),
                "{html}"
            );
            assert_eq!(headers["content-type"], "text/html; charset=utf-8");
            let policy = headers["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
            // The hash is that of what stands in the page, byte for byte.
            let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
            assert!(policy.contains(&BASE64_STANDARD.encode(Sha256::digest(style))), "{policy}");
        }
    }

    #[tokio::test]
    async fn names_are_shown_as_they_are_and_answers_as_they_were_given() {
        let questions =
            vec![question("purpose:a", "Offers & \"news\" <b>", "no"), question("purpose:b", "Research", "")];
        let preferences = Preferences { done: false, groups: vec![Group { title: "About", questions }] };
        let (_, _, html) = shown(preferences.page()).await;
        assert!(html.contains("Offers &amp; &quot;news&quot; &lt;b&gt;"), "{html}");
        assert!(html.contains(r#"name="purpose:a" value="no" checked>"#), "{html}");
        assert_eq!(html.matches("checked").count(), 1, "nobody answers for them: {html}");
    }

    #[tokio::test]
    async fn what_is_not_done_is_told_with_when_to_come_again() {
        let (status, headers, html) = shown(failed(ApiError::too_many("a", "b").after(Duration::from_secs(7)))).await;
        assert_eq!((status, &headers["retry-after"]), (429, &HeaderValue::from_static("7")));
        assert_eq!(headers.get_all("content-type").iter().count(), 1);
        assert!(html.contains("Please try again later"), "{html}");
        assert_eq!(shown(failed(ApiError::not_found("a", "b"))).await.0, 404);
    }
}
