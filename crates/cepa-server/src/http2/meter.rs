//! Judges what the frames of a connection cost: the floods that each frame alone does not show.
//!
//! `h2` checks every frame; what it lets pass in any number is counted here, in both directions, before it reads
//! it. No socket and no clock: the caller says which second it is.

use std::time::Duration;

use h2::Reason;

use super::frames::{Frame, Frames, flag, kind};
use crate::{floor::Floor, http1::PREFACE, limits::Http2Limits};

/// How many control frames one frame that brings a stream forward pays for. A client may acknowledge each DATA
/// frame with two WINDOW_UPDATEs and a PING, and prioritise each request; more it has no use for.
const PAID_FOR: u32 = 8;

/// A DATA frame with fewer bytes is small: keeping it costs `h2` more than its bytes.
const SMALL: u32 = 256;

/// The most bytes that a frame may take for padding and its length.
const PADDING: u32 = 256;

/// A number of events that may come within a time.
#[derive(Debug)]
struct Budget {
    most: u32,
    /// Whole seconds; `None`: any number may come.
    window: Option<u32>,
    since: u32,
    spent: u32,
}

impl Budget {
    fn new(most: u32, window: Duration) -> Self {
        let window = Floor::limit(window).map(|window| window.as_secs().max(1) as u32);
        Self { most, window, since: 0, spent: 0 }
    }

    /// Counts one event; whether that is one too many.
    fn spend(&mut self, now: u32) -> bool {
        let Some(window) = self.window else { return false };
        if now.wrapping_sub(self.since) >= window {
            (self.since, self.spent) = (now, 0);
        }
        self.spent += 1;
        self.spent > self.most
    }

    fn give_back(&mut self, events: u32) {
        self.spent = self.spent.saturating_sub(events);
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Meter {
    incoming: Frames,
    outgoing: Frames,
    resets: Budget,
    local_resets: Budget,
    controls: Budget,
    /// The tick of the first byte.
    begun: Option<u32>,
    /// The head of the first SETTINGS has come.
    settling: bool,
    settled: bool,
    /// Between HEADERS and the end of its header block.
    in_block: bool,
    /// The tick since which a frame or a header block is unfinished.
    unfinished: Option<u32>,
    fault: Option<Reason>,
    /// Small DATA frames that came, over and over from zero.
    small: u32,
    /// The tick in which a fault was found, or a GOAWAY with an error sent.
    gave_up: Option<u32>,
}

impl Meter {
    pub(super) fn new(limits: &Http2Limits) -> Self {
        Self {
            incoming: Frames::after(PREFACE.len()),
            outgoing: Frames::after(0),
            resets: Budget::new(limits.resets, limits.reset_window),
            local_resets: Budget::new(limits.local_resets, limits.reset_window),
            controls: Budget::new(limits.control_frames, limits.control_window),
            begun: None,
            settling: false,
            settled: false,
            in_block: false,
            unfinished: None,
            small: 0,
            fault: None,
            gave_up: None,
        }
    }

    /// See [`Self::small`].
    pub(super) fn small(&self) -> u32 {
        self.small
    }

    /// Why the connection must end, once the peer has gone too far.
    pub(super) fn fault(&self) -> Option<Reason> {
        self.fault
    }

    /// Whether anything has come.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// The tick since which the preface and the first SETTINGS have not come to their end.
    pub(super) fn unsettled(&self) -> Option<u32> {
        self.begun.filter(|_| !self.settled)
    }

    /// The tick since which a header block, or a frame other than DATA, has not come to its end.
    pub(super) fn unfinished(&self) -> Option<u32> {
        self.unfinished
    }

    /// The tick in which this side ended the connection for an error of the peer.
    pub(super) fn gave_up(&self) -> Option<u32> {
        self.gave_up
    }

    fn give_up(&mut self, now: u32) {
        self.gave_up.get_or_insert(now);
    }

    /// Counts what was read; answers how many of the bytes may be looked at. It is fewer than came when one of the
    /// frames is too many, and nothing after it is to be read.
    pub(super) fn read(&mut self, bytes: &[u8], now: u32) -> usize {
        self.begun = self.begun.or((!bytes.is_empty()).then_some(now));
        let (mut at, mut moved) = (0, false);
        while at < bytes.len() {
            let (used, frame) = self.incoming.next(&bytes[at..]);
            if let Some(frame) = frame {
                moved = true;
                self.fault = self.judge(frame, now);
                if self.fault.is_some() {
                    self.give_up(now);
                    return at;
                }
            }
            at += used;
        }
        if moved && !self.in_block {
            self.unfinished = None;
        }
        let inside = self.incoming.inside().map(|frame| frame.kind);
        self.settled |= self.settling && inside != Some(kind::SETTINGS);
        let in_data = inside == Some(kind::DATA);
        if self.in_block || !(self.incoming.is_between() || in_data) {
            self.unfinished.get_or_insert(now);
        } else {
            self.unfinished = None;
        }
        at
    }

    fn judge(&mut self, frame: Frame, now: u32) -> Option<Reason> {
        if !self.settling {
            // RFC 9113, section 3.4: h2 takes any frame.
            if frame.kind != kind::SETTINGS || frame.has(flag::ACK) {
                return Some(Reason::PROTOCOL_ERROR);
            }
            self.settling = true;
        }
        if matches!(frame.kind, kind::HEADERS | kind::CONTINUATION) {
            self.in_block = !frame.has(flag::END_HEADERS);
        }
        if frame.kind == kind::DATA && frame.length < SMALL {
            self.small = self.small.wrapping_add(1);
        }
        let too_many = match frame.kind {
            kind::HEADERS | kind::DATA if moves_a_stream(&frame) => {
                self.controls.give_back(PAID_FOR);
                false
            }
            // Their number in one header block is bounded by h2.
            kind::CONTINUATION if frame.length > 0 => false,
            kind::RST_STREAM => self.resets.spend(now),
            _ => self.controls.spend(now),
        };
        too_many.then_some(Reason::ENHANCE_YOUR_CALM)
    }

    /// Counts what was written.
    pub(super) fn wrote(&mut self, bytes: &[u8], now: u32) {
        let mut at = 0;
        while at < bytes.len() {
            let (used, frame) = self.outgoing.next(&bytes[at..]);
            at += used;
            let Some(frame) = frame else { continue };
            match frame.kind {
                kind::HEADERS | kind::DATA if moves_a_stream(&frame) => self.controls.give_back(PAID_FOR),
                kind::RST_STREAM if is_blamed(frame.code) && self.local_resets.spend(now) => {
                    self.fault = self.fault.or(Some(Reason::ENHANCE_YOUR_CALM));
                    self.give_up(now);
                }
                kind::GOAWAY if frame.code != 0 => self.give_up(now),
                _ => {}
            }
        }
    }
}

fn moves_a_stream(frame: &Frame) -> bool {
    let most_padding = if frame.has(flag::PADDED) { PADDING } else { 0 };
    frame.kind == kind::HEADERS || frame.length > most_padding || frame.has(flag::END_STREAM)
}

/// Whether a reset that we send with this code says that the peer did wrong, and not we, or nobody.
fn is_blamed(code: u32) -> bool {
    !matches!(Reason::from(code), Reason::NO_ERROR | Reason::INTERNAL_ERROR | Reason::CANCEL)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn settled() -> Meter {
        let mut meter = Meter::new(&Http2Limits::default());
        let opening = [&PREFACE[..], &frame(kind::SETTINGS, 0, &[])].concat();
        assert_eq!(meter.read(&opening, 0), opening.len());
        assert_eq!(meter.unsettled(), None);
        meter
    }

    /// How many of these frames are let through within one second.
    fn let_through(meter: &mut Meter, frame: &[u8]) -> usize {
        let mut count = 0;
        while count < 5000 && meter.read(frame, 1) == frame.len() {
            count += 1;
        }
        count
    }

    #[test]
    fn each_flood_ends_at_its_limit() {
        for (name, flood, most) in [
            ("rapid reset", frame(kind::RST_STREAM, 0, &[0, 0, 0, 8]), 100),
            ("SETTINGS", frame(kind::SETTINGS, 0, &[]), 999),
            ("SETTINGS ack", frame(kind::SETTINGS, flag::ACK, &[]), 999),
            ("PING", frame(6, 0, &[0; 8]), 1000),
            ("PRIORITY", frame(2, 0, &[0; 5]), 1000),
            ("WINDOW_UPDATE", frame(8, 0, &[0, 0, 0, 1]), 1000),
            ("empty DATA", frame(kind::DATA, 0, &[]), 1000),
            ("padding", frame(kind::DATA, flag::PADDED, &[3, 0, 0, 0]), 1000),
            ("empty CONTINUATION", frame(kind::CONTINUATION, 0, &[]), 1000),
            ("unknown frames", frame(0xfa, 0, &[0; 99]), 1000),
        ] {
            let mut meter = settled();
            let passed = let_through(&mut meter, &flood);
            assert!((most - 1..=most).contains(&passed), "{name}: {passed}");
            assert_eq!(meter.fault(), Some(Reason::ENHANCE_YOUR_CALM), "{name}");
            assert_eq!(meter.gave_up(), Some(1), "{name}");
        }
    }

    #[test]
    fn work_pays_for_control_frames_and_time_forgives() {
        let (ping, data) = (frame(6, 0, &[0; 8]), frame(kind::DATA, 0, b"x"));
        for (wrote, read) in [(&data[..], &[][..]), (&[], &data)] {
            let mut meter = settled();
            for _ in 0..5000 {
                assert_eq!(meter.read(&ping.repeat(8), 0), ping.len() * 8);
                meter.wrote(wrote, 0);
                assert_eq!(meter.read(read, 0), read.len());
            }
        }
        let mut meter = settled();
        for second in 0..100 {
            assert_eq!(meter.read(&ping.repeat(99), second), ping.len() * 99);
        }
    }

    #[test]
    fn resets_that_the_peer_provokes_are_counted_and_ours_are_not() {
        let mut meter = settled();
        for code in [0, 2, 8] {
            meter.wrote(&frame(kind::RST_STREAM, 0, &[0, 0, 0, code]).repeat(500), 0);
        }
        assert_eq!(meter.fault(), None);
        meter.wrote(&frame(kind::RST_STREAM, 0, &[0, 0, 0, 1]).repeat(100), 0);
        assert_eq!(meter.fault(), None);
        meter.wrote(&frame(kind::RST_STREAM, 0, &[0, 0, 0, 5]), 0);
        assert_eq!(meter.fault(), Some(Reason::ENHANCE_YOUR_CALM));
    }

    #[test]
    fn settings_come_first() {
        for first in
            [frame(kind::HEADERS, 5, b"x"), frame(kind::SETTINGS, flag::ACK, &[]), frame(6, 0, &[0; 8])]
        {
            let mut meter = Meter::new(&Http2Limits::default());
            let opening = [&PREFACE[..], &first].concat();
            assert_eq!(meter.read(&opening, 0), PREFACE.len());
            assert_eq!(meter.fault(), Some(Reason::PROTOCOL_ERROR));
        }
        let mut meter = Meter::new(&Http2Limits::default());
        let half = &frame(kind::SETTINGS, 0, &[0; 6])[..12];
        meter.read(&[&PREFACE[..], half].concat(), 0);
        assert_eq!(meter.unsettled(), Some(0));
    }

    #[test]
    fn an_unfinished_header_block_is_known_since_its_beginning() {
        let mut meter = settled();
        let [headers, more, end] =
            [(kind::HEADERS, 0), (kind::CONTINUATION, 0), (kind::CONTINUATION, flag::END_HEADERS)]
                .map(|(kind, flags)| frame(kind, flags, b"xx"));
        meter.read(&headers, 3);
        assert_eq!(meter.unfinished(), Some(3));
        meter.read(&more, 9);
        assert_eq!(meter.unfinished(), Some(3), "more of it does not prolong it");
        meter.read(&end, 10);
        assert_eq!(meter.unfinished(), None);
        meter.read(&headers[..4], 11);
        assert_eq!(meter.unfinished(), Some(11), "half a frame head");
        meter.read(&headers[4..10], 12);
        assert_eq!(meter.unfinished(), Some(11));
    }

    #[test]
    fn a_slow_body_is_not_an_unfinished_frame() {
        let mut meter = settled();
        let data = frame(kind::DATA, 0, &[0; 100]);
        meter.read(&data[..50], 3);
        assert_eq!(meter.unfinished(), None);
        meter.read(&[&data[50..], &data[..5]].concat(), 5);
        assert_eq!(meter.unfinished(), Some(5));
        meter.read(&data[5..20], 7);
        assert_eq!(meter.unfinished(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_split_are_judged_alike(
            bytes in prop::collection::vec(any::<u8>(), 0..3000), cut in 1usize..200,
        ) {
            let (mut whole, mut split) = (settled(), settled());
            let used = whole.read(&bytes, 0);
            prop_assert!(used == bytes.len() || whole.fault().is_some());
            for piece in bytes.chunks(cut) {
                if split.read(piece, 0) < piece.len() {
                    break;
                }
            }
            prop_assert_eq!(whole.fault(), split.fault());
            whole.wrote(&bytes, 0);
        }
    }
}
