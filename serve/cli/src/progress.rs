//! Progress of long work, on standard error: on a terminal a bar that is rewritten, with a line for
//! each finished step above it; elsewhere, and with `--json`, one JSON object a line.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use ingest::Event;
use serde_json::{Value, json};

use crate::output::clean;

/// Characters of the bar.
const BAR: usize = 16;

/// Shows progress of syncs and refreshes.
#[derive(Debug)]
pub(crate) struct Terminal {
    as_json: bool,
    line: Mutex<Line>,
}

/// The line at the bottom of a terminal.
#[derive(Debug, Default)]
struct Line {
    width: usize,
    /// Steps of the work, where they are known.
    steps: usize,
    done: usize,
}

impl Terminal {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            as_json: json || !std::io::stderr().is_terminal(),
            line: Mutex::default(),
        }
    }

    fn line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows where the work stands; the next line replaces it.
    fn now(&self, text: &str) {
        let mut line = self.line();
        let text = match line.steps {
            0 => text.to_string(),
            steps => format!("{} {text}", bar(line.done, steps)),
        };
        eprint!("\r{text:<w$}", w = line.width);
        let _ = std::io::stderr().flush();
        line.width = text.chars().count();
    }

    /// Shows that a step has ended.
    fn done(&self, text: &str) {
        let mut line = self.line();
        if line.width > 0 {
            eprint!("\r{:<w$}\r", "", w = line.width);
        }
        line.width = 0;
        eprintln!("{text}");
    }

    fn show(&self, event: &Event) {
        match event {
            Event::Connected { url, site } => {
                self.done(&format!("reading {} ({})", clean(url), clean(site)));
            }
            Event::Planned { steps } => {
                let mut line = self.line();
                (line.steps, line.done) = (*steps, 0);
            }
            Event::Started { stream } => self.now(&format!("{stream} …")),
            Event::Committed { stream, records } => self.now(&format!("{stream}: {records} …")),
            Event::Finished {
                stream,
                records,
                changed,
            } => self.done(&format!(
                "{stream:<14} {records:>8} read {changed:>8} changed"
            )),
            Event::Passed => self.line().done += 1,
            Event::Waiting { pause, reason } => {
                self.done(&format!("waiting {} s: {}", pause.as_secs(), clean(reason)));
            }
        }
    }
}

/// A bar with so many of the steps done, such as `[====>     ] 5/12`.
fn bar(done: usize, steps: usize) -> String {
    let done = done.min(steps);
    let filled = BAR * done / steps.max(1);
    let head = if filled < BAR { ">" } else { "" };
    let rest = BAR - filled - head.len();
    format!(
        "[{}{head}{}] {done}/{steps}",
        "=".repeat(filled),
        " ".repeat(rest)
    )
}

/// An event as the one object of its line; nothing for what only moves the bar.
fn object(event: &Event) -> Option<Value> {
    Some(match event {
        Event::Connected { url, site } => json!({"event": "connected", "url": url, "site": site}),
        Event::Planned { steps } => json!({"event": "planned", "steps": steps}),
        Event::Started { stream } => json!({"event": "started", "stream": stream}),
        Event::Committed { stream, records } => {
            json!({"event": "committed", "stream": stream, "records": records})
        }
        Event::Finished {
            stream,
            records,
            changed,
        } => {
            json!({"event": "finished", "stream": stream, "records": records, "changed": changed})
        }
        Event::Passed => return None,
        Event::Waiting { pause, reason } => {
            json!({"event": "waiting", "seconds": pause.as_secs_f64(), "reason": reason})
        }
    })
}

/// One line, in one write, so that lines of several threads don't mix.
fn print(object: &Value) {
    let mut error = std::io::stderr().lock();
    let _ = error.write_all(format!("{object}\n").as_bytes());
}

impl ingest::Progress for Terminal {
    fn event(&self, event: &Event) {
        if !self.as_json {
            self.show(event);
        } else if let Some(object) = object(event) {
            print(&object);
        }
    }
}

impl transform::Progress for Terminal {
    fn building(&self, model: &str, number: usize, of: usize) {
        if self.as_json {
            print(&json!({"event": "building", "model": model, "number": number, "of": of}));
            return;
        }
        {
            let mut line = self.line();
            (line.steps, line.done) = (of, number.saturating_sub(1));
        }
        self.now(&format!("model {model} …"));
    }

    fn testing(&self) {
        if self.as_json {
            print(&json!({"event": "testing"}));
        } else {
            self.now("data tests …");
        }
    }

    fn finished(&self, built: usize, skipped: usize, tests: usize) {
        if self.as_json {
            print(
                &json!({"event": "refreshed", "built": built, "skipped": skipped, "tests": tests}),
            );
        } else {
            self.done(&format!(
                "{built} models built, {skipped} up to date, {tests} data tests passed"
            ));
        }
    }
}

impl warehouse::maintenance::Progress for Terminal {
    fn at(&self, part: &str, number: usize, of: usize) {
        if self.as_json {
            print(&json!({"event": "at", "part": part, "number": number, "of": of}));
            return;
        }
        {
            let mut line = self.line();
            (line.steps, line.done) = (of, number.saturating_sub(1));
        }
        self.now(&format!("{} …", clean(part)));
    }

    fn done(&self, text: &str) {
        if self.as_json {
            print(&json!({"event": "done", "text": text}));
        } else {
            self.done(&clean(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_bar_fills() {
        assert_eq!(bar(0, 4), "[>               ] 0/4");
        assert_eq!(bar(2, 4), "[========>       ] 2/4");
        assert_eq!(bar(4, 4), "[================] 4/4");
        assert_eq!(bar(9, 4), bar(4, 4));
        assert_eq!(bar(0, 0), "[>               ] 0/0");
    }

    #[test]
    fn an_event_is_one_object_whatever_it_says() {
        let hostile = "a\nb\u{1b}[31m\"";
        let event = Event::Waiting {
            pause: Duration::from_millis(1500),
            reason: hostile.to_string(),
        };
        let line = object(&event).unwrap().to_string();
        assert!(!line.contains('\n') && !line.contains('\u{1b}'), "{line}");
        let back: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            back,
            json!({"event": "waiting", "seconds": 1.5, "reason": hostile})
        );
        assert_eq!(object(&Event::Passed), None);
    }
}
