//! What the demo shows: on a terminal a picture that is drawn anew in place, elsewhere lines.

use super::receiver::Fired;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Triggers in the picture.
const LATEST: usize = 8;
/// Between two lines about the state, where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(1);
/// Over how long events a second are measured.
const RATE_OVER: Duration = Duration::from_millis(900);

/// What is shown of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    /// Events accepted.
    pub(super) events: usize,
    /// Customers there are.
    pub(super) profiles: i64,
    /// Members of each segment.
    pub(super) counts: BTreeMap<String, i64>,
    /// Triggers that came since the last moment.
    pub(super) fired: Vec<Fired>,
}

/// The screen.
#[derive(Debug)]
pub(super) struct Screen {
    is_terminal: bool,
    title: String,
    total: usize,
    names: BTreeMap<String, String>,
    footer: Vec<String>,
    /// When so many events had been accepted, and how many a second since the time before.
    measured: (Instant, usize),
    rate: f64,
    fired: usize,
    latest: VecDeque<String>,
    drawn: usize,
    last_line: (Instant, String),
}

impl Screen {
    /// A screen about a server at `base`, for `total` events and segments of these names.
    pub(super) fn new(base: &str, total: usize, names: BTreeMap<String, String>) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let title = format!("Tributary, a sample shop's traffic, at {base}");
        let now = Instant::now();
        let mut screen = Self {
            is_terminal,
            title,
            total,
            names,
            footer: Vec::new(),
            measured: (now, 0),
            rate: 0.0,
            fired: 0,
            latest: VecDeque::new(),
            drawn: 0,
            last_line: (now, String::new()),
        };
        if !is_terminal {
            screen.write(&format!("{}\n", screen.title));
        }
        screen
    }

    /// Shows a moment.
    pub(super) fn show(&mut self, moment: &Moment) {
        let (since, before) = self.measured;
        if since.elapsed() >= RATE_OVER {
            self.rate = moment.events.saturating_sub(before) as f64 / since.elapsed().as_secs_f64();
            self.measured = (Instant::now(), moment.events);
        }
        self.fired += moment.fired.len();
        let told: Vec<String> = moment.fired.iter().map(tell).collect();
        if self.is_terminal {
            self.latest.extend(told);
            while self.latest.len() > LATEST {
                self.latest.pop_front();
            }
            let picture = self.picture(moment);
            self.redraw(&picture);
        } else {
            for line in told {
                self.write(&format!("fired  {line}\n"));
            }
            self.line(moment);
        }
    }

    /// Adds lines below the picture, to stay.
    pub(super) fn say(&mut self, lines: &[String]) {
        if self.is_terminal {
            self.footer.extend_from_slice(lines);
        } else {
            self.write(&format!("{}\n", lines.join("\n")));
        }
    }

    fn picture(&self, moment: &Moment) -> Vec<String> {
        let mut lines = vec![
            format!("\x1b[1m{}\x1b[0m", self.title),
            String::new(),
            format!("events    {:>9} of {}  {:>8.0}/s", moment.events, self.total, self.rate),
            format!("profiles  {:>9}", moment.profiles),
            "segments".to_owned(),
        ];
        for (id, count) in &moment.counts {
            let name = self.names.get(id).map_or("", String::as_str);
            lines.push(format!("  \x1b[36m{id:<18}\x1b[0m{count:>7}  {name}"));
        }
        lines.push(format!("triggers  {:>9} delivered, the latest:", self.fired));
        lines.extend((0..LATEST).map(|row| format!("  {}", self.latest.get(row).map_or("", String::as_str))));
        lines.extend(self.footer.iter().cloned());
        lines
    }

    /// Goes back to where the last picture began, and draws over it.
    fn redraw(&mut self, picture: &[String]) {
        let mut text = match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A"),
        };
        for line in picture {
            // Lines do not wrap: one line of the picture is one line of the terminal.
            text += &format!("\x1b[2K\x1b[?7l{line}\x1b[?7h\r\n");
        }
        text += "\x1b[J";
        self.drawn = picture.len();
        self.write(&text);
    }

    fn line(&mut self, moment: &Moment) {
        let counts: Vec<String> = moment.counts.iter().map(|(id, count)| format!("{id} {count}")).collect();
        let state = format!("events {}  profiles {}  {}", moment.events, moment.profiles, counts.join("  "));
        if self.last_line.0.elapsed() >= BETWEEN_LINES && self.last_line.1 != state {
            self.write(&format!("{state}  ({:.0} events/s)\n", self.rate));
            self.last_line = (Instant::now(), state);
        }
    }

    fn write(&mut self, text: &str) {
        // Whoever closed the output does not want to see it; the exit code still says how it went.
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
    }
}

/// A trigger in one line.
fn tell(fired: &Fired) -> String {
    let text = |name: &str| fired.body.get(name).and_then(Value::as_str);
    let about = text("name").or(text("email")).or(text("order")).unwrap_or("a visitor without a name");
    let amount = fired.body.get("ltv").or(fired.body.get("total")).and_then(Value::as_f64);
    let amount = amount.map_or(String::new(), |amount| format!("  {amount:.2} EUR"));
    format!("{:<14} {about}{amount}", fired.trigger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_trigger_is_told_by_what_its_body_says() {
        let fired = |body: Value| Fired { trigger: "vip_welcome".to_owned(), profile: String::new(), body };
        let told = tell(&fired(json!({ "name": "Mira Novak", "ltv": 512.5 })));
        assert_eq!(told, "vip_welcome    Mira Novak  512.50 EUR");
        assert_eq!(tell(&fired(json!({ "email": null }))), "vip_welcome    a visitor without a name");
    }

    #[test]
    fn the_picture_has_every_count_and_as_many_lines_at_any_time() {
        let mut screen = Screen::new("http://127.0.0.1:1", 100, BTreeMap::new());
        screen.is_terminal = true;
        let mut moment = Moment { events: 42, profiles: 7, ..Moment::default() };
        moment.counts.insert("vip".to_owned(), 3);
        let before = screen.picture(&moment);
        let text = before.join("\n");
        assert!(text.contains("42 of 100") && text.contains("vip") && text.contains("3"), "{text}");
        screen.latest.push_back("vip_welcome".to_owned());
        assert_eq!(screen.picture(&moment).len(), before.len());
    }
}
