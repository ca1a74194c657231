//! A shop whose server is ended again and again under load: how it begins, and what must be so in the end.

use super::compare;
use super::kafka::Broker;
use super::load::Load;
use super::oracle::{self, Fired};
use super::receiver::{Receiver, secret};
use super::server::Site;
use super::tool;
use super::traffic::{SHOP, Traffic, seed, triggers};
use super::wait::eventually;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);

/// A shop with a trigger to Kafka and one to a webhook.
pub(crate) struct CrashingShop<'a> {
    pub(crate) site: Site,
    pub(crate) definitions: String,
    /// What is random of it.
    pub(crate) rng: StdRng,
    /// All that is to be sent while it is ended.
    pub(crate) load: Load,
    broker: &'a Broker,
    out: String,
    receiver: Receiver,
    now: i64,
    events: Vec<Value>,
}

impl<'a> CrashingShop<'a> {
    /// A shop of so many people, with so many events to come, in batches of at most `most`. What makes kiosks known as shared
    /// is in, and nothing runs.
    pub(crate) fn new(
        broker: &'a Broker,
        place: impl FnOnce(Site) -> Site,
        people: usize,
        (events, most): (usize, usize),
    ) -> Self {
        let now = jiff::Timestamp::now().as_millisecond();
        let seed = seed();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut traffic = Traffic::new(seed, people, now);
        let receiver = Receiver::start();
        let out = broker.topic("crash-triggers", 4);
        let hook = format!("type: webhook, url: \"{}\", secret: \"env:CRM_SECRET\", allow_private: true", receiver.url);
        let destinations = [("out", format!("type: kafka, topic: {out}")), ("hook", hook)];
        let definitions = SHOP.to_owned() + &triggers(&destinations);
        let site = place(Site::new(&definitions).with("CRM_SECRET", &secret()));

        let prelude = traffic.prelude();
        let server = site.start();
        server.client.batches(&prelude);
        eventually("the prelude is in", LONG, || compare::state(&server.client, &oracle::profiles(&prelude, now)));
        server.kill();
        let sent = traffic.take(events);
        let load = Load::new(&sent, most, &mut rng);
        let events = [prelude, sent].concat();
        Self { site, definitions, rng, load, broker, out, receiver, now, events }
    }

    /// Sends what is left, and checks that nothing is lost, nothing is counted twice, and each qualification is sent once.
    pub(crate) fn judge(self) {
        let server = self.site.start();
        self.load.run_until(&server.client, usize::MAX / 2, || {});
        assert!(self.load.is_through(), "all is sent in the end");
        let expected = oracle::profiles(&self.events, self.now);
        eventually("the state is the oracle's", LONG, || compare::state(&server.client, &expected));

        let fired = oracle::fired(&self.events, self.now);
        assert!(fired.loyal.len() > 20 && fired.refunds.len() > 20, "the traffic has much to fire");
        eventually("the Kafka topic has each qualification", LONG, || {
            let records = self.broker.read_committed(&self.out);
            let bodies: Vec<Value> =
                records.iter().map(|record| serde_json::from_slice(&record.payload).unwrap()).collect();
            compare::messages(&bodies, &fired)
        });
        eventually("the webhook has each qualification", LONG, || webhooks(&self.receiver, &fired));
        self.receiver.assert_faultless();
        let told = tool::run(self.site.command("verify").args(["--server", server.client.base()]));
        assert!(told.contains("give the same"), "{told}");
        server.stop();
    }
}

/// Deliveries may repeat, but only with the same id and the same content.
fn webhooks(receiver: &Receiver, fired: &Fired) -> Result<(), String> {
    let mut bodies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for delivery in receiver.accepted() {
        bodies.entry(delivery.id).or_default().insert(delivery.body.to_string());
    }
    if let Some((id, bodies)) = bodies.iter().find(|(_, bodies)| bodies.len() > 1) {
        return Err(format!("{id} had different bodies: {bodies:?}"));
    }
    let bodies: Vec<Value> = bodies.values().flatten().map(|body| serde_json::from_str(body).unwrap()).collect();
    compare::messages(&bodies, fired)
}
