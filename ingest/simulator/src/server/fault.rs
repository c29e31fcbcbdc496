//! Faults on request: what goes wrong, where, and how often.

use std::time::Duration;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An error status with Jira's error body.
    Status(u16),
    /// 429, with `Retry-After` unless the gateway forgot it.
    TooManyRequests { retry_after: Option<Duration> },
    /// 200 with a page of HTML.
    Html,
    /// 200 with half of the JSON.
    TruncatedBody,
    /// 200 with nothing in it.
    EmptyBody,
    /// The connection closes without an answer.
    DroppedConnection,
    /// The right answer with a text in it replaced, such as a record that breaks its contract.
    Rewrite { find: String, put: String },
    /// The right answer, late.
    Delay(Duration),
    /// The right records, in the opposite order.
    Reversed,
    /// The right records, each of them twice.
    Doubled,
}

/// A fault for requests whose path contains a text.
#[derive(Clone, Debug)]
pub struct Fault {
    pub path: String,
    pub kind: FaultKind,
    /// Matching requests that pass before the first faulty one.
    pub skip: usize,
    /// Faulty requests from then on.
    pub count: usize,
    /// Passes over requests that carry no page token.
    pub continuing: bool,
}

impl Fault {
    /// Hits the next matching request, once.
    pub fn new(path: &str, kind: FaultKind) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            skip: 0,
            count: 1,
            continuing: false,
        }
    }

    pub fn status(path: &str, status: u16) -> Self {
        Self::new(path, FaultKind::Status(status))
    }

    /// Hits the `n`-th matching request (from 1) instead of the next.
    pub fn nth(mut self, n: usize) -> Self {
        self.skip = n.saturating_sub(1);
        self
    }

    /// Hits only requests that go on with a listing, by the token of their page.
    pub fn continuing(mut self) -> Self {
        self.continuing = true;
        self
    }

    /// Hits that many matching requests in a row.
    pub fn times(mut self, count: usize) -> Self {
        self.count = count;
        self
    }
}

/// Takes the fault that a request meets, if any.
pub(super) fn meet(faults: &mut Vec<Fault>, path: &str, continues: bool) -> Option<FaultKind> {
    let mut met = None;
    let hit = |fault: &Fault| path.contains(&fault.path) && (continues || !fault.continuing);
    for fault in faults.iter_mut().filter(|fault| hit(fault)) {
        if fault.skip > 0 {
            fault.skip -= 1;
        } else if met.is_none() && fault.count > 0 {
            fault.count -= 1;
            met = Some(fault.kind.clone());
        }
    }
    faults.retain(|fault| fault.count > 0);
    met
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_the_requests_it_was_made_for() {
        let mut faults = vec![
            Fault::status("/search", 503).nth(2).times(2),
            Fault::new("/board", FaultKind::Html),
        ];
        let met: Vec<_> = (0..4)
            .map(|_| meet(&mut faults, "/rest/api/3/search/jql", false).is_some())
            .collect();
        assert_eq!(met, [false, true, true, false]);
        assert_eq!(
            meet(&mut faults, "/rest/agile/1.0/board", false),
            Some(FaultKind::Html)
        );
        assert!(faults.is_empty());
    }

    #[test]
    fn tokens_expire_where_there_is_one() {
        let mut faults = vec![Fault::status("/search", 400).continuing().nth(2)];
        let asked = [false, true, false, true];
        let met = asked.map(|continues| meet(&mut faults, "/search/jql", continues).is_some());
        assert_eq!(met, [false, false, false, true]);
    }
}
