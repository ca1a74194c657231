//! `tributary identity evaluate`: precision and recall of suggestions on records of which it is known who is who.

// What this command finds is what it is run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use super::EvaluateArgs;
use crate::config::Configuration;
use anyhow::{Context, bail};
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Instant;
use tributary_dataflows::identity::matching::{Level, Matcher, Quality, Record, normal};
use tributary_model::{Likeness, Matching};

/// The probabilities at which suggestions are judged, in percent, beside that of the definitions.
const PERCENT: [u8; 5] = [50, 80, 90, 95, 99];

/// Reads the records, compares them and tells how good the suggestions are.
pub(super) fn run(args: &EvaluateArgs, configuration: Configuration) -> anyhow::Result<ExitCode> {
    let Some(matching) = configuration.loaded.definitions.identity.suggestions else {
        bail!("the definitions compare nothing; write what under identity.suggestions.compare");
    };
    let (records, truth) = read(args, &matching).with_context(|| args.records.display().to_string())?;
    print!("{}", told(&matching, &records, &truth));
    Ok(ExitCode::SUCCESS)
}

/// The records and whose they are. Records without a truth are everybody's own.
fn read(args: &EvaluateArgs, matching: &Matching) -> anyhow::Result<(Vec<Record>, Vec<String>)> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(&args.records)?;
    let header = reader.headers()?.clone();
    let column = |name: &str| header.iter().position(|column| column == name);
    let there_are = || format!("there are {}", header.iter().collect::<Vec<_>>().join(", "));
    let truth_at = column(&args.truth).with_context(|| format!("no column `{}`; {}", args.truth, there_are()))?;
    let mut columns = Vec::with_capacity(matching.compare.len());
    for (field, comparison) in &matching.compare {
        let places: Vec<usize> = comparison.from.iter().filter_map(|path| column(path)).collect();
        if places.is_empty() {
            bail!("no column `{}` for `{field}`; {}", comparison.from.join("` or `"), there_are());
        }
        columns.push((places, comparison.likeness));
    }
    let (mut records, mut truth) = (Vec::new(), Vec::new());
    for (number, row) in reader.records().enumerate() {
        let row = row?;
        let value = |place: &usize| row.get(*place).filter(|text| !text.is_empty());
        let compared = columns
            .iter()
            .map(|(places, likeness)| places.iter().filter_map(value).find_map(|text| normal(*likeness, text)));
        records.push(compared.collect());
        truth.push(value(&truth_at).map_or_else(|| format!("record {number}"), str::to_owned));
    }
    Ok((records, truth))
}

fn told(matching: &Matching, records: &[Record], truth: &[String]) -> String {
    let started = Instant::now();
    let fields: Vec<Likeness> = matching.compare.values().map(|comparison| comparison.likeness).collect();
    let matcher = Matcher::new(records, &fields, &|| false);
    let suggestions = matcher.suggestions(0.0);
    let took = started.elapsed();
    let compared = Quality::of(matcher.candidates().iter().copied(), truth);
    let mut text = format!(
        "{} records, {} true pairs, {} pairs compared in {:.2} s; recall of what is compared {:.4}\n",
        records.len(),
        compared.true_pairs,
        compared.suggested,
        took.as_secs_f64(),
        compared.recall()
    );
    // Writing to a text cannot fail.
    writeln!(text, "\n{:>11}  {:>9}  {:>9}  {:>9}  {:>9}", "min_percent", "suggested", "precision", "recall", "f1")
        .ok();
    let mut all = PERCENT.to_vec();
    if !all.contains(&matching.min_percent) {
        all.push(matching.min_percent);
        all.sort_unstable();
    }
    for percent in all {
        let enough = suggestions.iter().filter(|found| found.score >= f64::from(percent) / 100.0);
        let quality = Quality::of(enough.map(|found| found.pair), truth);
        let here = if percent == matching.min_percent { "  as defined" } else { "" };
        let (suggested, precision, recall, f1) =
            (quality.suggested, quality.precision(), quality.recall(), quality.f1());
        writeln!(text, "{percent:>11}  {suggested:>9}  {precision:>9.4}  {recall:>9.4}  {f1:>9.4}{here}").ok();
    }
    writeln!(text, "\nwhat was learnt of each field, in bits for one person (against, where negative):").ok();
    write!(text, "{:>24}", "").ok();
    for level in Level::ALL {
        write!(text, "  {:>9}", level.name()).ok();
    }
    for (field, weights) in matching.compare.keys().zip(matcher.weights()) {
        write!(text, "\n{field:>24}").ok();
        for (one_person, strangers) in weights.one_person.iter().zip(weights.strangers) {
            write!(text, "  {:>9.2}", (one_person / strangers).log2()).ok();
        }
    }
    text + "\n"
}
