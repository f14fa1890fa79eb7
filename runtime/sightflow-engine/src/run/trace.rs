//! What the calls of one node wrote and used.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use crate::host::{CallTrace, LogLine};

/// Bytes of log lines that are kept for a node.
const NODE_BYTES: usize = 64 << 10;

/// Logs and processor time of a node, over all its attempts. The newest lines are kept.
#[derive(Debug, Default)]
pub(super) struct NodeTrace {
    lines: VecDeque<LogLine>,
    bytes: usize,
    dropped: u64,
    cpu_us: u64,
    called: bool,
}

impl NodeTrace {
    pub(super) fn add(&mut self, trace: CallTrace) {
        self.called = true;
        self.dropped += trace.dropped;
        self.cpu_us += trace.profile.cpu_us + trace.profile.host_cpu_us;
        for line in trace.logs {
            self.bytes += size(&line);
            self.lines.push_back(line);
            while self.bytes > NODE_BYTES
                && let Some(oldest) = self.lines.pop_front()
            {
                self.bytes -= size(&oldest);
                self.dropped += 1;
            }
        }
    }

    /// Keeps the newest lines within `budget` bytes, which shrinks by what is kept: the run's records have a bound, too.
    pub(super) fn settle(&mut self, budget: &mut usize) {
        while self.bytes > *budget
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= size(&oldest);
            self.dropped += 1;
        }
        *budget -= self.bytes;
    }

    /// Processor time of the calls, µs.
    pub(super) fn cpu_us(&self) -> u64 {
        self.cpu_us
    }

    /// Adds `logs`, `logs_dropped` and `block_cpu_us` to a frame's record, if it called a block and there is something to say.
    pub(super) fn report(&self, record: &mut Map<String, Value>) {
        if !self.called {
            return;
        }
        let line = |line: &LogLine| json!({"level": line.level.as_str(), "message": line.message});
        if !self.lines.is_empty() {
            record.insert("logs".to_owned(), self.lines.iter().map(line).collect());
        }
        if self.dropped > 0 {
            record.insert("logs_dropped".to_owned(), json!(self.dropped));
        }
        record.insert("block_cpu_us".to_owned(), json!(self.cpu_us));
    }
}

fn size(line: &LogLine) -> usize {
    // Its level and punctuation, roughly.
    line.message.len() + 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{CallProfile, LogLevel};

    fn call(lines: usize, bytes: usize, dropped: u64) -> CallTrace {
        let line = |index: usize| LogLine {
            level: LogLevel::Info,
            message: index.to_string().repeat(bytes)[..bytes].to_owned(),
        };
        let profile = CallProfile { cpu_us: 2, host_cpu_us: 1, ..CallProfile::default() };
        CallTrace { logs: (0..lines).map(line).collect(), dropped, profile }
    }

    #[test]
    fn the_newest_lines_stay() {
        // Calls; budget; lines that stay, lines dropped.
        let cases = [
            (vec![call(3, 10, 0)], 1 << 20, 3, 0),
            (vec![call(3, 10, 5), call(2, 10, 1)], 1 << 20, 5, 6),
            (vec![call(100, 968, 0)], 1 << 20, 65, 35),
            (vec![call(100, 968, 0)], 2500, 2, 98),
            (vec![call(1, 100_000, 0)], 1 << 20, 0, 1),
        ];
        for (calls, mut budget, kept, dropped) in cases {
            let (mut trace, before, count) = (NodeTrace::default(), budget, calls.len());
            calls.into_iter().for_each(|call| trace.add(call));
            trace.settle(&mut budget);
            let mut record = Map::new();
            trace.report(&mut record);
            let logs = record.get("logs").and_then(Value::as_array).map_or(0, Vec::len);
            let said = record.get("logs_dropped").and_then(Value::as_u64).unwrap_or(0);
            assert_eq!((logs, said), (kept, dropped));
            assert_eq!(record["block_cpu_us"], 3 * count);
            assert_eq!(before - budget, trace.bytes);
        }
    }

    #[test]
    fn a_node_that_calls_nothing_says_nothing() {
        let mut record = Map::new();
        NodeTrace::default().report(&mut record);
        assert_eq!(record, Map::new());
    }
}
