//! The pause of a thread that writes lines: what comes meanwhile waits in its queue, so that under load neither waking the thread
//! nor writing is paid for each line.

use std::time::Duration;

/// How long a line of a log may wait. In that time the queues can take lines at more than 80,000 a second.
pub(crate) const LONGEST: Duration = Duration::from_millis(100);
const SHORTEST: Duration = Duration::from_millis(5);
/// Lines written at once; more would only fill memory.
const ENOUGH: usize = 256;

/// Grows shorter where many lines come.
#[derive(Debug)]
pub(crate) struct FlushPacer {
    longest: Duration,
    length: Duration,
    /// Taken from the queue since the last pause.
    lines: usize,
}

impl FlushPacer {
    /// A pacer under which no line waits for more than `longest`.
    pub(crate) fn new(longest: Duration) -> Self {
        Self { longest, length: longest, lines: 0 }
    }

    /// Counts lines that were taken.
    pub(crate) fn count(&mut self, lines: usize) {
        self.lines += lines;
    }

    /// Pauses, once the queue is empty. Unparking the thread ends the pause.
    pub(crate) fn rest(&mut self) {
        std::thread::park_timeout(self.next());
    }

    fn next(&mut self) -> Duration {
        let lines = std::mem::take(&mut self.lines);
        if lines > ENOUGH {
            self.length = (self.length / 2).max(SHORTEST);
        } else if lines < ENOUGH / 4 {
            self.length = (self.length * 2).min(self.longest);
        }
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pause after a while at this rate, in lines a second, and the lines that gather in it.
    fn settled(pause: &mut FlushPacer, rate: u32) -> (Duration, u32) {
        let mut length = pause.length;
        for _ in 0..100 {
            pause.count((length * rate).as_secs() as usize);
            length = pause.next();
        }
        (length, (length * rate).as_secs() as u32)
    }

    #[test]
    fn a_pause_ends_when_its_thread_is_unparked() {
        std::thread::current().unpark();
        FlushPacer::new(Duration::from_secs(3600)).rest();
    }

    #[test]
    fn few_lines_are_gathered_for_long_and_many_until_they_are_enough() {
        let mut pause = FlushPacer::new(LONGEST);
        for (rate, least, most) in
            [(5, 0, 1), (200, 20, 20), (2_000, 64, 256), (20_000, 64, 256), (50_000, 64, 256), (90, 9, 9)]
        {
            let (length, lines) = settled(&mut pause, rate);
            assert!((least..=most).contains(&lines), "{rate}/s: {lines} in {length:?}");
        }
        assert_eq!(settled(&mut pause, 200).0, LONGEST);
        assert_eq!(settled(&mut pause, 1_000_000).0, SHORTEST);
        assert_eq!(settled(&mut pause, 0).0, LONGEST);
    }
}
