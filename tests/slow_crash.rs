//! Twenty times `kill -9` under load, some of them during start-up, on both logs. Nothing that was answered 200 is lost,
//! nothing is counted twice, and each qualification is sent once: to Kafka exactly, to the webhook under one id.

use crate::support::crash::CrashingShop;
use crate::support::kafka::Broker;
use crate::support::server::Site;
use rand::RngExt;
use std::time::Duration;

const ROUNDS: usize = 20;

#[test]
fn the_embedded_log_survives_twenty_kills() {
    let broker = Broker::shared();
    crash(broker, |site| site.with("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap_servers));
}

#[test]
fn the_kafka_log_survives_twenty_kills() {
    let broker = Broker::shared();
    let topic = broker.topic("crash-events", 4);
    crash(broker, |site| site.on_kafka(&broker.bootstrap_servers, &topic));
}

fn crash(broker: &Broker, place: impl FnOnce(Site) -> Site) {
    let place = |site: Site| place(site.with("TRIBUTARY_WORKERS", "2"));
    let mut shop = CrashingShop::new(broker, place, 400, (ROUNDS * 400, 60));
    for round in 0..ROUNDS {
        let CrashingShop { site, rng, load, .. } = &mut shop;
        match round % 4 {
            // During start-up: before it listens, at any moment of it.
            1 => {
                let process = site.spawn();
                // The moment of the fault is what is random here; nothing waits for something to be done by then.
                std::thread::sleep(Duration::from_millis(rng.random_range(0..400)));
                process.kill();
            }
            // While the dataflow is being re-fed and events come in already.
            3 => {
                let server = site.start_listening();
                let client = server.client.clone();
                load.run_until(&client, rng.random_range(0..3), || server.kill());
            }
            _ => {
                let server = site.start();
                let client = server.client.clone();
                load.run_until(&client, rng.random_range(5..25), || server.kill());
            }
        }
    }
    shop.judge();
}
