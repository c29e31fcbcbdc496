//! How many requests run at once: one more while answers come well, half when the site is strained.

use std::time::{Duration, Instant};

/// How much slower than usual an answer may be to count as a good one.
const SLOW: f64 = 3.0;

/// How fast the usual time of an answer follows times that are longer.
const FORGETTING: f64 = 0.05;

/// The requests that run at once, and how many may.
#[derive(Debug)]
pub(super) struct Window {
    /// How many may run; infinite until the site was strained for the first time.
    level: f64,
    running: usize,
    /// When it was made smaller last.
    cut_at: Option<Instant>,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            level: f64::INFINITY,
            running: 0,
            cut_at: None,
        }
    }
}

impl Window {
    /// How many requests may run under a ceiling.
    pub(super) fn width(&self, ceiling: usize) -> usize {
        (self.level.min(ceiling as f64) as usize).max(1)
    }

    pub(super) fn is_full(&self, ceiling: usize) -> bool {
        self.running >= self.width(ceiling)
    }

    pub(super) fn enter(&mut self) {
        self.running += 1;
    }

    pub(super) fn leave(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// After an answer that came well: one request more for every full round of them.
    pub(super) fn grow(&mut self, ceiling: usize) {
        if self.level < ceiling as f64 && self.is_full(ceiling) {
            self.level = (self.level + 1.0 / self.level).min(ceiling as f64);
        }
    }

    /// After a sign of strain: half. Requests that were sent before the last cut tell nothing new.
    pub(super) fn cut(&mut self, ceiling: usize, sent_at: Instant, now: Instant) {
        if self.cut_at.is_some_and(|at| sent_at < at) {
            return;
        }
        self.level = (self.level.min(ceiling as f64) / 2.0).max(1.0);
        self.cut_at = Some(now);
    }
}

/// How long answers of one kind usually take.
#[derive(Debug, Default)]
pub(super) struct Usual(Option<f64>);

impl Usual {
    /// Takes the time of an answer; whether it came as fast as usual.
    pub(super) fn is_met(&mut self, took: Duration) -> bool {
        let took = took.as_secs_f64();
        let usual = self.0.unwrap_or(took);
        self.0 = Some(if took < usual {
            took
        } else {
            usual + (took - usual) * FORGETTING
        });
        took <= usual * SLOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn begins_at_the_ceiling_and_is_halved_once_for_each_burst() {
        let start = Instant::now();
        let mut window = Window::default();
        assert_eq!((window.width(8), window.width(3)), (8, 3));
        // Eight requests sent together are all refused: that is one sign.
        for ms in 20..28 {
            window.cut(8, after(start, 1), after(start, ms));
        }
        assert_eq!(window.width(8), 4);
        for (sent, expected) in [(30, 2), (40, 1), (50, 1)] {
            window.cut(8, after(start, sent), after(start, sent + 1));
            assert_eq!(window.width(8), expected);
        }
    }

    #[test]
    fn grows_by_one_for_each_round_of_good_answers_up_to_the_ceiling() {
        let start = Instant::now();
        let mut window = Window::default();
        window.cut(8, start, start);
        window.cut(8, start, start);
        assert_eq!(window.width(8), 2);
        let mut widths = Vec::new();
        for _ in 0..40 {
            while !window.is_full(8) {
                window.enter();
            }
            window.grow(8);
            widths.push(window.width(8));
            window.leave();
        }
        assert!(widths.is_sorted(), "{widths:?}");
        assert_eq!(widths.last(), Some(&8));
        let rounds = widths.iter().filter(|width| **width == 4).count();
        assert!((3..=6).contains(&rounds), "{widths:?}");
        // A client with a lower ceiling doesn't take room from the others.
        window.grow(2);
        assert_eq!(window.width(8), 8);
    }

    #[test]
    fn answers_of_a_window_that_is_not_full_prove_nothing() {
        let start = Instant::now();
        let mut window = Window::default();
        window.cut(8, start, start);
        window.enter();
        for _ in 0..100 {
            window.grow(8);
        }
        assert_eq!(window.width(8), 4);
    }

    #[test]
    fn slow_answers_are_told_from_usual_ones() {
        let mut usual = Usual::default();
        let ms = Duration::from_millis;
        assert!(usual.is_met(ms(100)));
        assert!(usual.is_met(ms(250)));
        assert!(!usual.is_met(ms(2000)));
        // What stays slow becomes usual.
        let again = (0..40).filter(|_| usual.is_met(ms(2000))).count();
        assert!((20..40).contains(&again), "{again}");
    }
}
