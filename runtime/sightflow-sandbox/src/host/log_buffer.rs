//! What a guest logs and prints, within its allowance.

use crate::text::line;
use crate::{CallLimits, Level, LogLine, Logs};

/// Log lines with a bound on their number and their bytes.
pub(crate) struct LogBuffer {
    logs: Logs,
    lines_left: usize,
    bytes_left: usize,
    /// Unfinished lines of standard output and standard error.
    partial: [Vec<u8>; 2],
}

/// Which standard stream of the guest.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Out = 0,
    Err = 1,
}

impl Stream {
    fn level(self) -> Level {
        match self {
            Self::Out => Level::Info,
            Self::Err => Level::Warn,
        }
    }
}

impl LogBuffer {
    pub(crate) fn new(limits: &CallLimits) -> Self {
        Self {
            logs: Logs::default(),
            lines_left: limits.log_lines,
            bytes_left: limits.log_bytes,
            partial: [Vec::new(), Vec::new()],
        }
    }

    /// Keeps a message, or the part of it that is still allowed.
    pub(crate) fn push(&mut self, level: Level, message: &str) {
        if self.lines_left == 0 || self.bytes_left == 0 {
            self.logs.dropped += 1;
            return;
        }
        let (kept, taken) = line(message, self.bytes_left);
        self.bytes_left = if taken < message.len() { 0 } else { self.bytes_left - kept.len() };
        self.lines_left -= 1;
        self.logs.lines.push(LogLine { level, message: kept });
    }

    /// Bytes that the guest printed.
    pub(crate) fn print(&mut self, stream: Stream, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let partial = &mut self.partial[stream as usize];
            // What can no longer be kept is not gathered either.
            let room = self.bytes_left.saturating_sub(partial.len());
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    partial.extend_from_slice(&end[..end.len().min(room)]);
                    let line = std::mem::take(partial);
                    self.push(stream.level(), &String::from_utf8_lossy(&line));
                }
                None => partial.extend_from_slice(&piece[..piece.len().min(room)]),
            }
        }
    }

    /// Ends unfinished lines and gives everything.
    pub(crate) fn finish(mut self) -> Logs {
        for stream in [Stream::Out, Stream::Err] {
            let partial = std::mem::take(&mut self.partial[stream as usize]);
            if !partial.is_empty() {
                self.push(stream.level(), &String::from_utf8_lossy(&partial));
            }
        }
        self.logs
    }
}

#[cfg(test)]
mod tests {
    use super::{LogBuffer, Stream};
    use crate::{CallLimits, Level};

    fn buffer(log_bytes: usize) -> LogBuffer {
        LogBuffer::new(&CallLimits { log_lines: 10, log_bytes, ..CallLimits::default() })
    }

    #[test]
    fn prints_become_lines_within_the_allowance() {
        let lines = |pieces: &[&str], bytes: usize| {
            let mut log = buffer(bytes);
            pieces.iter().for_each(|piece| log.print(Stream::Err, piece.as_bytes()));
            log.finish()
                .lines
                .into_iter()
                .inspect(|line| assert_eq!(line.level, Level::Warn))
                .map(|line| line.message)
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(&["a", "b\nc\n", "d"], 100), ["ab", "c", "d"]);
        assert_eq!(lines(&["abcdef", "ghi\n", "next\n"], 4), ["abcd"]);
        assert_eq!(lines(&["\n"], 4), [""]);
        assert_eq!(lines(&["äöü"], 3), ["ä"], "never half a character");
        assert_eq!(lines(&["\u{1b}[2J\n"], 100), ["\\u{1b}[2J"], "a terminal is not told what to do");
    }

    #[test]
    fn a_long_message_is_not_kept_for_its_first_bytes() {
        let mut log = buffer(8);
        log.push(Level::Info, &"x".repeat(1 << 20));
        let logs = log.finish();
        assert_eq!(logs.lines[0].message, "xxxxxxxx");
        assert!(logs.lines[0].message.capacity() < 64);
    }
}
