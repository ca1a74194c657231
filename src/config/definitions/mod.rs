//! The definitions: all `*.yaml` files of a folder as one, checked down to the last SQL expression.

mod identity;
mod matching;
mod expressions;
mod destinations;
mod contact;
mod locales;
pub(crate) mod template;
mod triggers;

use super::decode::{Entry, Field, Table};
use super::mistake::{Mistake, Mistakes};
use super::node::Node;
use super::secret::Variables;
use super::source::{Location, Source};
use super::yaml;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tributary_dataflows::segments::Program;
use tributary_model::{ComputedTrait, Definitions, Segment};

/// A definitions file is at most this long; a longer one was put there by mistake.
const FILE_BYTES: u64 = 4 << 20;

/// Definitions without a mistake.
#[derive(Debug)]
pub struct Loaded {
    /// As written.
    pub definitions: Definitions,
    /// Their expressions, compiled.
    pub program: Program,
}

/// What definitions may rely on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    /// Where secrets are.
    pub(crate) variables: &'a Variables,
    /// Whether the server's settings name a Kafka cluster.
    pub(crate) has_cluster: bool,
    /// Whether they name the server's address as customers see it.
    pub(crate) has_public_url: bool,
}

/// The texts of all `*.yaml` and `*.yml` files of a folder by name, without tests (`*.test.yaml`).
pub(crate) fn sources(folder: &Path, mistakes: &Mistakes) -> Vec<Arc<Source>> {
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        mistakes.push(Mistake::of_file(path.display().to_string(), format!("this cannot be read: {error}")));
    };
    let listed: Result<Vec<_>, _> = std::fs::read_dir(folder).and_then(Iterator::collect);
    let mut paths: Vec<_> = match listed {
        Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
        Err(error) => {
            unreadable(folder, &format!("{error}; name the folder with --definitions"));
            return Vec::new();
        }
    };
    paths.sort();
    let is_definition = |path: &&std::path::PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
        // Editors leave hidden files behind.
        matches!(extension, "yaml" | "yml") && !stem.ends_with(".test") && !stem.starts_with('.') && !stem.is_empty()
    };
    let mut sources = Vec::new();
    for path in paths.iter().filter(is_definition) {
        match read_file(path) {
            Ok(text) => sources.push(Source::file(path.display().to_string(), text)),
            Err(error) => unreadable(path, &error),
        }
    }
    sources
}

fn read_file(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_BYTES {
        return Err(std::io::Error::other(format!("it is longer than {} MiB; split it", FILE_BYTES >> 20)));
    }
    std::fs::read_to_string(path)
}

/// The definitions in these texts; `None` where anything is wrong.
pub(crate) fn read(files: &[Arc<Source>], around: Surroundings<'_>, mistakes: &Mistakes) -> Option<Loaded> {
    let before = mistakes.count();
    let nodes: Vec<Node> = files.iter().filter_map(|source| yaml::parse(source, mistakes)).collect();
    let tables: Vec<Table<'_>> = nodes.iter().filter_map(|node| Field::root(node, mistakes).table()).collect();
    let sections = |name| tables.iter().filter_map(|table| table.get(name)).collect::<Vec<_>>();

    let identity = identity::decode(&sections("identity"));
    let traits = named(&sections("traits"), "trait", &TRAIT_NAME);
    let segments = named(&sections("segments"), "segment", &ID);
    let destinations = named(&sections("destinations"), "destination", &ID);
    let triggers = named(&sections("triggers"), "trigger", &ID);

    let contact = contact::decode(&sections("contact"));
    let mut known = triggers::Known::new(&traits, &segments, around.has_public_url);
    let (locales, texts) = locales::decode(&sections("locales"), &known.traits, known.has_links);
    known.texts = texts;
    let mut definitions = Definitions { identity, contact, locales, ..Definitions::default() };
    let mut sites = expressions::Sites::default();
    decode_customers(&traits, &segments, &mut definitions, &mut sites);
    for entry in &destinations {
        let around_it = destinations::Known { templates: known.templates(), segments: &known.segments };
        let destination = destinations::decode(&entry.field, around, around_it);
        known.add_destination(entry.name, destination.as_ref());
        definitions.destinations.extend(destination.map(|destination| (entry.name.to_owned(), destination)));
    }
    for entry in &triggers {
        let Some((trigger, condition)) = triggers::decode(entry, &known, &definitions.contact.purposes) else {
            continue;
        };
        definitions.triggers.insert(entry.name.to_owned(), trigger);
        sites.triggers.extend(condition.map(|field| (entry.name, field)));
    }
    tables.into_iter().for_each(Table::finish);
    let program = expressions::compile(&definitions, &sites);
    (mistakes.count() == before).then_some(Loaded { definitions, program: program? })
}

/// The computed traits and segments in these texts alone; `None` where anything is wrong with one.
pub(crate) fn read_customers(files: &[Arc<Source>], mistakes: &Mistakes) -> Option<Definitions> {
    let before = mistakes.count();
    let nodes: Vec<Node> = files.iter().filter_map(|source| yaml::parse(source, mistakes)).collect();
    let roots = nodes.iter().map(|node| Field::root(node, mistakes));
    let tables: Vec<Table<'_>> = roots.filter_map(|field| field.table()).collect();
    let sections = |name| tables.iter().filter_map(|table| table.get(name)).collect::<Vec<_>>();
    let traits = named(&sections("traits"), "trait", &TRAIT_NAME);
    let segments = named(&sections("segments"), "segment", &ID);
    let (mut definitions, mut sites) = (Definitions::default(), expressions::Sites::default());
    decode_customers(&traits, &segments, &mut definitions, &mut sites);
    expressions::compile(&definitions, &sites)?;
    (mistakes.count() == before).then_some(definitions)
}

fn decode_customers<'a>(
    traits: &[Entry<'a>],
    segments: &[Entry<'a>],
    definitions: &mut Definitions,
    sites: &mut expressions::Sites<'a>,
) {
    for entry in traits {
        // A mistaken one stays as NULL, so that what refers to it is not called mistaken too.
        let text = entry.field.text();
        sites.traits.extend(text.map(|_| (entry.name, entry.field.clone())));
        let expression = text.unwrap_or("NULL").to_owned();
        definitions.traits.insert(entry.name.to_owned(), ComputedTrait { expression });
    }
    for entry in segments {
        let Some(table) = entry.field.table() else { continue };
        let name = table.get("name").and_then(|field| field.text()).unwrap_or(entry.name).to_owned();
        let condition = table.require("where", "where: ltv > 500");
        table.finish();
        let condition = condition.and_then(|field| Some((field.text()?, field)));
        let text = condition.as_ref().map_or("FALSE", |(text, _)| text).to_owned();
        definitions.segments.insert(entry.name.to_owned(), Segment { name, condition: text });
        sites.segments.extend(condition.map(|(_, field)| (entry.name, field)));
    }
}

/// How names of one kind may look.
struct NameRule {
    allowed: fn(&str) -> bool,
    mend: &'static str,
}

impl NameRule {
    /// What is wrong with a name.
    fn mistake(&self, what: &str, name: &str) -> Option<String> {
        if what == "segment" && RESERVED.contains(&name) {
            return Some(format!(
                "`{name}` is no id for a segment: it is part of an address of the API; choose another"
            ));
        }
        let is_wrong = name.is_empty() || name.len() > 100 || !(self.allowed)(name);
        is_wrong.then(|| format!("`{name}` is no name for a {what}; {}, at most 100 of them", self.mend))
    }
}

/// What is wrong with the name of a segment or of a computed trait.
pub(crate) fn mistaken_name(is_segment: bool, name: &str) -> Option<String> {
    if is_segment { ID.mistake("segment", name) } else { TRAIT_NAME.mistake("trait", name) }
}

/// What stands in addresses where ids of segments do.
const RESERVED: [&str; 3] = ["stream", "preview", "overlap"];

/// Ids stand in addresses, metrics and messages.
const ID: NameRule = NameRule {
    allowed: |id| id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-')),
    mend: "an id is made of a-z, 0-9, `_` and `-`",
};
/// Names of traits and namespaces stand in SQL and templates, where a dash is a minus.
const TRAIT_NAME: NameRule = NameRule {
    allowed: |name| {
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    },
    mend: "a name is made of a-z, 0-9 and `_`, and begins with no digit",
};

/// All entries of a section over all files; an ill-formed name and one that stands twice is a mistake.
fn named<'a>(sections: &[Field<'a>], what: &str, rule: &NameRule) -> Vec<Entry<'a>> {
    let mut places: BTreeMap<&str, &Location> = BTreeMap::new();
    let mut all = Vec::new();
    for entry in sections.iter().flat_map(Field::entries) {
        if let Some(message) = rule.mistake(what, entry.name) {
            entry.field.wrong_at(entry.name_at, message);
        }
        if let Some(first) = places.get(entry.name) {
            let message = format!("the {what} `{}` stands already at {first}; rename or remove one", entry.name);
            entry.field.wrong_at(entry.name_at, message);
        }
        // It is read all the same, for the mistakes inside it.
        places.entry(entry.name).or_insert(entry.name_at);
        all.push(entry);
    }
    all
}

#[cfg(test)]
mod tests;
