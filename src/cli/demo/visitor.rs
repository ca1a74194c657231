//! One visitor of the sample shop: sessions, and in them what a shop's pages report in the Segment spec's words.

use super::catalogue::{COUNTRIES, FIRST_NAMES, LAST_NAMES, PRODUCTS, Product, REFERRERS, USER_AGENTS};
use super::random::Random;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// When a session takes place.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    /// So many days ago, hours away from the edge of any window of whole days.
    DaysAgo(i64),
    /// Its last event is of the last minutes.
    Now,
}

/// An event, and when it reaches the server.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// When it reaches the server.
    pub(super) sent: i64,
    /// When it happened.
    pub(super) at: i64,
    /// The rest of it.
    pub(super) body: Value,
}

impl Draft {
    /// The event as clients send it.
    pub(super) fn finish(&self) -> Value {
        let mut body = self.body.clone();
        if let Value::Object(fields) = &mut body {
            fields.insert("timestamp".to_owned(), json!(tributary_model::format_millis(self.at)));
        }
        body
    }
}

/// Somebody with a browser.
#[derive(Debug)]
pub(super) struct Visitor {
    index: usize,
    now: i64,
    pub(super) random: Random,
    /// The browser's id.
    pub(super) device: String,
    /// Whether the visitor has logged in: events carry the account from then on.
    pub(super) known: bool,
    /// Sent in place of an account by a page that is broken; it identifies nobody.
    pub(super) broken_user_id: Option<&'static str>,
    name: String,
    country: (&'static str, &'static str),
    agent: &'static str,
    /// Milliseconds since the session began.
    clock: i64,
    messages: usize,
    orders: usize,
    cart: Vec<(Product, i64)>,
    pub(super) drafts: Vec<Draft>,
}

impl Visitor {
    /// A visitor; everything about them follows from the seed and the index.
    pub(super) fn new(seed: u64, index: usize, now: i64) -> Self {
        let mut random = Random::new(seed, index as u64);
        let name = format!("{} {}", random.pick(&FIRST_NAMES), random.pick(&LAST_NAMES));
        let country = random.pick(&COUNTRIES);
        let agent = random.pick(&USER_AGENTS);
        let device = format!("{:08x}-{index:04x}", random.between(1, i64::from(u32::MAX)));
        Self {
            index,
            now,
            random,
            device,
            known: false,
            broken_user_id: None,
            name,
            country,
            agent,
            clock: 0,
            messages: 0,
            orders: 0,
            cart: Vec::new(),
            drafts: Vec::new(),
        }
    }

    /// The account.
    pub(super) fn user(&self) -> String {
        format!("c{:05}", self.index)
    }

    /// As people type it: not always in small letters.
    fn email(&mut self) -> String {
        let email = format!("{}.{}@example.com", self.name.replace(' ', "."), self.index);
        if self.random.percent(20) { email } else { email.to_lowercase() }
    }

    /// Different days of the last weeks, earliest first.
    pub(super) fn days(&mut self, count: i64, from: i64, to: i64) -> Vec<When> {
        let mut days = BTreeSet::new();
        while (days.len() as i64) < count.min(to - from + 1) {
            days.insert(self.random.between(from, to));
        }
        days.into_iter().rev().map(When::DaysAgo).collect()
    }

    /// A visit: what happens in it is told in order, and put where it belongs.
    pub(super) fn session(&mut self, when: When, happens: impl FnOnce(&mut Self)) {
        let first = self.drafts.len();
        self.clock = 0;
        happens(self);
        let start = match when {
            When::DaysAgo(days) => self.now - days * DAY - self.random.between(4 * HOUR, 20 * HOUR),
            When::Now => self.now - self.clock - self.random.between(SECOND, 240 * SECOND),
        };
        for draft in self.drafts.iter_mut().skip(first) {
            draft.at += start;
            draft.sent = (draft.sent + start).min(self.now);
        }
    }

    fn tick(&mut self) -> i64 {
        self.clock += self.random.between(5 * SECOND, 60 * SECOND);
        self.clock
    }

    /// Looks at the home page and at some products.
    pub(super) fn browse(&mut self, products: i64) {
        self.page("Home", "/");
        for _ in 0..products {
            self.view();
        }
    }

    /// A page call.
    pub(super) fn page(&mut self, name: &str, path: &str) {
        let referrer = self.random.pick(&REFERRERS);
        let properties = json!({
            "title": format!("{name} - The Outfitters"), "url": format!("https://shop.example{path}"), "path": path,
            "referrer": referrer,
        });
        let at = self.tick();
        self.draft(at, at, json!({ "type": "page", "name": name, "properties": properties }));
    }

    /// Looks at a product.
    pub(super) fn view(&mut self) {
        let product = self.random.pick(&PRODUCTS);
        let at = self.tick();
        // A phone that was offline tells some things a day later.
        let late = if self.random.percent(4) { self.random.between(HOUR, DAY) } else { 0 };
        self.track(at, at + late, "Product Viewed", line(product, 1));
    }

    /// Puts something into the cart.
    pub(super) fn add(&mut self) {
        let (product, quantity) = (self.random.pick(&PRODUCTS), self.random.between(1, 2));
        self.cart.push((product, quantity));
        let at = self.tick();
        self.track(at, at, "Product Added", line(product, quantity));
    }

    /// Goes to the checkout, and is not seen to order.
    pub(super) fn leave_cart(&mut self) {
        let at = self.tick();
        let checkout = self.checkout();
        self.track(at, at, "Checkout Started", checkout);
        self.cart.clear();
    }

    /// Goes to the checkout and orders. The shop's server reports the order at once; what the browser has to tell
    /// of the checkout comes after it, as it does where browsers send in the background.
    pub(super) fn order(&mut self) {
        let started = self.tick();
        let completed = self.tick();
        let checkout = self.checkout();
        self.orders += 1;
        let order = json!({
            "order_id": format!("o{:05}-{}", self.index, self.orders), "total": euros(self.total()), "currency": "EUR",
            "shipping": 0, "products": self.cart.iter().map(|(product, quantity)| line(*product, *quantity)).collect::<Vec<_>>(),
        });
        self.track(completed, completed, "Order Completed", order);
        self.track(started, completed + SECOND, "Checkout Started", checkout);
        self.cart.clear();
    }

    /// Logs in, or makes an account.
    pub(super) fn identify(&mut self) {
        self.known = true;
        let traits = json!({
            "email": self.email(), "name": self.name, "country": self.country.0,
            "newsletter": self.random.percent(40),
        });
        let at = self.tick();
        self.draft(at, at, json!({ "type": "identify", "traits": traits }));
    }

    /// Leaves an e-mail address without having an account.
    pub(super) fn subscribe(&mut self) {
        let properties = json!({ "email": self.email(), "list": "newsletter", "form": "footer" });
        let at = self.tick();
        self.track(at, at, "Newsletter Subscribed", properties);
    }

    fn total(&self) -> i64 {
        self.cart.iter().map(|(product, quantity)| product.cents * quantity).sum()
    }

    fn checkout(&self) -> Value {
        let items: i64 = self.cart.iter().map(|(_, quantity)| quantity).sum();
        json!({ "value": euros(self.total()), "currency": "EUR", "items": items, "step": "address", "coupon": null })
    }

    fn track(&mut self, at: i64, sent: i64, event: &str, properties: Value) {
        self.draft(at, sent, json!({ "type": "track", "event": event, "properties": properties }));
    }

    fn draft(&mut self, at: i64, sent: i64, mut body: Value) {
        self.messages += 1;
        let context = json!({
            "library": { "name": "analytics.js", "version": "2.11.1" },
            "userAgent": self.agent, "locale": self.country.1, "timezone": "Europe/Berlin",
            "ip": format!("203.0.113.{}", self.index % 254 + 1),
            "page": { "path": "/shop", "url": "https://shop.example/shop" },
        });
        if let Value::Object(fields) = &mut body {
            fields.insert("messageId".to_owned(), json!(format!("{}-{:03}", self.user(), self.messages)));
            fields.insert("anonymousId".to_owned(), json!(self.device));
            fields.insert("context".to_owned(), context);
            if self.known {
                fields.insert("userId".to_owned(), json!(self.user()));
            } else if let Some(broken) = self.broken_user_id {
                fields.insert("userId".to_owned(), json!(broken));
            }
        }
        self.drafts.push(Draft { sent, at, body });
    }
}

fn line(product: Product, quantity: i64) -> Value {
    json!({
        "product_id": product.sku, "name": product.name, "category": product.category,
        "price": euros(product.cents), "quantity": quantity,
    })
}

/// Exact: a float of two decimals prints as these two decimals.
fn euros(cents: i64) -> f64 {
    cents as f64 / 100.0
}
