//! Progress of long work, on standard error: one line that is rewritten on a terminal, a line a
//! step elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use crate::output::clean;

/// Shows progress of syncs and refreshes.
#[derive(Debug)]
pub(crate) struct Terminal {
    quiet: bool,
    rewrites: bool,
    width: Mutex<usize>,
}

impl Terminal {
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            rewrites: std::io::stderr().is_terminal(),
            width: Mutex::new(0),
        }
    }

    /// Shows where the work stands; on a terminal the next line replaces it.
    fn now(&self, text: &str) {
        if self.quiet || !self.rewrites {
            return;
        }
        let mut width = self.width.lock().unwrap_or_else(PoisonError::into_inner);
        eprint!("\r{text:<w$}", w = *width);
        let _ = std::io::stderr().flush();
        *width = text.chars().count();
    }

    /// Shows that a step has ended.
    fn done(&self, text: &str) {
        if self.quiet {
            return;
        }
        let mut width = self.width.lock().unwrap_or_else(PoisonError::into_inner);
        if self.rewrites && *width > 0 {
            eprint!("\r{:<w$}\r", "", w = *width);
        }
        *width = 0;
        eprintln!("{text}");
    }
}

impl ingest::Progress for Terminal {
    fn event(&self, event: &ingest::Event) {
        use ingest::Event;
        match event {
            Event::Connected { url, site } => {
                self.done(&format!("reading {} ({})", clean(url), clean(site)))
            }
            Event::Started { stream } => self.now(&format!("{stream} …")),
            Event::Committed { stream, records } => self.now(&format!("{stream}: {records} …")),
            Event::Finished {
                stream,
                records,
                changed,
            } => {
                self.done(&format!(
                    "{stream:<14} {records:>8} read {changed:>8} changed"
                ));
            }
            Event::Waiting { pause, reason } => {
                self.done(&format!("waiting {} s: {}", pause.as_secs(), clean(reason)));
            }
        }
    }
}

impl transform::Progress for Terminal {
    fn building(&self, model: &str, number: usize, of: usize) {
        self.now(&format!("model {number}/{of} {model} …"));
    }

    fn testing(&self) {
        self.now("data tests …");
    }

    fn finished(&self, built: usize, skipped: usize, tests: usize) {
        self.done(&format!(
            "{built} models built, {skipped} up to date, {tests} data tests passed"
        ));
    }
}
