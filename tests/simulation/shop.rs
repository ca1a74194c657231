//! The definitions of every simulated world.

use crate::support::receiver::secret;
use crate::support::traffic::{SHOP, triggers};
use std::fs;
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;
use tributary::activation::Messages;
use tributary::config::{Loaded, Paths, Variables, load};
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::Rules;
use tributary_dataflows::segments::Program;
use tributary_model::Definitions;

/// What all worlds share, since it takes long to read and nobody changes it.
pub(super) struct Shop {
    pub(super) definitions: Definitions,
    pub(super) processor: Arc<Processor>,
    pub(super) rules: Arc<Rules>,
    pub(super) messages: Arc<Messages>,
    pub(super) program: Program,
}

pub(super) fn shop() -> &'static Shop {
    static SHOP_READ: OnceLock<Shop> = OnceLock::new();
    SHOP_READ.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let path = |inside: &str| folder.path().join(inside);
        fs::create_dir(path("definitions")).unwrap();
        let out = "type: kafka, topic: out, bootstrap_servers: \"127.0.0.1:1\"".to_owned();
        let hook =
            "type: webhook, url: \"http://127.0.0.1:1/\", secret: \"env:SECRET\", allow_private: true".to_owned();
        let yaml = SHOP.to_owned() + &triggers(&[("out", out), ("hook", hook)]);
        fs::write(path("definitions/shop.yaml"), yaml).unwrap();
        fs::write(path("tributary.toml"), "").unwrap();
        let paths = Paths { config: Some(path("tributary.toml")), definitions: Some(path("definitions")) };
        let loaded = load(&paths, &Variables::from([("SECRET", secret().as_str())]));
        let Loaded { definitions, program } = loaded.unwrap_or_else(|mistakes| panic!("{mistakes:?}")).loaded;
        Shop {
            processor: Arc::new(Processor::new(&definitions.identity).unwrap()),
            rules: Arc::new(Rules::new(&definitions.identity)),
            messages: Arc::new(Messages::new(&definitions).unwrap()),
            definitions,
            program,
        }
    })
}
