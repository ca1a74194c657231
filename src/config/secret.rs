//! Secrets: named in files by where they are kept, never written there.

use super::decode::Field;
use std::collections::BTreeMap;
use tributary_model::Secret;

/// The environment variables, read once, so that tests can make their own.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The process's environment; variables that are no UTF-8 are left out.
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// The value of a variable; one that is empty counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// For tests and embedders: `[("TRIBUTARY_LOG", "kafka")]`.
impl<const N: usize> From<[(&str, &str); N]> for Variables {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What `env:NAME` or `file:PATH` stands for, as text. A text that names neither is the value itself where
/// `literal_allowed`, and where it came from the environment; otherwise a mistake. Messages never hold the value.
pub(crate) fn resolve(field: &Field<'_>, variables: &Variables, literal_allowed: bool) -> Option<String> {
    let text = field.text()?;
    if field.node.location.is_environment() {
        return Some(text.to_owned());
    }
    if let Some(name) = text.strip_prefix("env:") {
        let value = variables.get(name);
        if value.is_none() {
            field.wrong(format!("the environment variable {name} is not set; set it, or name another place"));
        }
        return value.map(str::to_owned);
    }
    if let Some(path) = text.strip_prefix("file:") {
        return match std::fs::read_to_string(path) {
            Ok(value) if value.trim().is_empty() => {
                field.wrong(format!("the file {path} is empty; put the secret into it"));
                None
            }
            Ok(value) => Some(value.trim().to_owned()),
            Err(error) => {
                field.wrong(format!("the file {path} cannot be read: {error}"));
                None
            }
        };
    }
    if !literal_allowed {
        field.wrong("a secret does not stand in a file; write where it is kept: env:NAME or file:PATH");
    }
    literal_allowed.then(|| text.to_owned())
}

/// What `env:NAME` or `file:PATH` stands for.
pub(crate) fn resolve_secret(field: &Field<'_>, variables: &Variables) -> Option<Secret> {
    resolve(field, variables, false).map(Secret::new)
}

/// Signing secrets as Standard Webhooks has them, `whsec_` and base64: one, or a list of two while the key is changed.
pub(crate) fn resolve_webhook_secrets(field: &Field<'_>, variables: &Variables) -> Option<Vec<Secret>> {
    if !field.is_list() {
        return Some(vec![resolve_webhook_secret(field, variables)?]);
    }
    let fields = field.list();
    if !(1..=2).contains(&fields.len()) {
        field.wrong("write one secret; or two while the key is changed, the new one first");
        return None;
    }
    // All are looked at, so that each mistake is told.
    let secrets: Vec<_> = fields.iter().map(|field| resolve_webhook_secret(field, variables)).collect();
    secrets.into_iter().collect()
}

fn resolve_webhook_secret(field: &Field<'_>, variables: &Variables) -> Option<Secret> {
    use base64::Engine;
    let text = resolve(field, variables, false)?;
    let encoded = text.strip_prefix("whsec_");
    let bytes = encoded.and_then(|encoded| base64::engine::general_purpose::STANDARD.decode(encoded).ok());
    let secret = bytes.filter(|bytes| !bytes.is_empty()).map(Secret::new);
    if secret.is_none() {
        field.wrong("what is kept there is no Standard Webhooks secret; it begins with whsec_, and base64 follows");
    }
    secret
}
