//! Finds the frames in one direction of a connection, however its bytes are split (RFC 9113, section 4.1).

/// Frame types (RFC 9113, section 6).
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Frame flags (RFC 9113, section 6).
pub(super) mod flag {
    pub(crate) const ACK: u8 = 1;
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;
    pub(crate) const PADDED: u8 = 8;
}

/// Bytes before the payload of a frame.
const HEAD: usize = 9;

/// The head of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes of the payload.
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// The error code of RST_STREAM and GOAWAY; 0 in all others.
    pub(super) code: u32,
}

impl Frame {
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Bytes before the error code, where the frame has one.
    fn before_code(&self) -> Option<usize> {
        match self.kind {
            kind::RST_STREAM if self.length >= 4 => Some(HEAD),
            kind::GOAWAY if self.length >= 8 => Some(HEAD + 4),
            _ => None,
        }
    }
}

/// Walks through the bytes of one direction and keeps at most one frame head of them.
#[derive(Debug)]
pub(super) struct Frames {
    kept: [u8; HEAD + 8],
    filled: usize,
    /// Bytes until the next head.
    skip: u32,
    last: Frame,
}

impl Frames {
    /// The first frame comes after so many bytes.
    pub(super) fn after(skip: usize) -> Self {
        Self { kept: [0; HEAD + 8], filled: 0, skip: skip as u32, last: Frame::default() }
    }

    /// Takes the rest of a payload, or the next frame head with its error code; says how many bytes that took, which
    /// is never none of some.
    pub(super) fn next(&mut self, bytes: &[u8]) -> (usize, Option<Frame>) {
        let skipped = bytes.len().min(self.skip as usize);
        self.skip -= skipped as u32;
        let mut used = skipped;
        if skipped > 0 || !self.keep(bytes, &mut used, HEAD) {
            return (used, None);
        }
        let [l0, l1, l2, kind, flags, ..] = self.kept;
        let mut frame = Frame { length: u32::from_be_bytes([0, l0, l1, l2]), kind, flags, code: 0 };
        let mut seen = 0;
        if let Some(at) = frame.before_code() {
            if !self.keep(bytes, &mut used, at + 4) {
                return (used, None);
            }
            frame.code = self.kept[at..at + 4].iter().fold(0, |code, byte| code << 8 | u32::from(*byte));
            seen = (at + 4 - HEAD) as u32;
        }
        (self.filled, self.skip, self.last) = (0, frame.length - seen, frame);
        (used, Some(frame))
    }

    /// Keeps bytes until there are `most`; whether there are.
    fn keep(&mut self, bytes: &[u8], used: &mut usize, most: usize) -> bool {
        let take = most.saturating_sub(self.filled).min(bytes.len() - *used);
        self.kept[self.filled..self.filled + take].copy_from_slice(&bytes[*used..*used + take]);
        self.filled += take;
        *used += take;
        self.filled >= most
    }

    /// The frame in whose payload the bytes have stopped; `None` between frames and inside of a head.
    pub(super) fn inside(&self) -> Option<Frame> {
        (self.skip > 0).then_some(self.last)
    }

    /// Whether the bytes have stopped at the end of a frame.
    pub(super) fn is_between(&self) -> bool {
        self.skip == 0 && self.filled == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(frame: &Frame) -> Vec<u8> {
        let mut bytes = frame.length.to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[frame.kind, frame.flags, 0, 0, 0, 1]);
        let mut payload = vec![0xff; frame.length as usize];
        if let Some(at) = frame.before_code() {
            payload[at - HEAD..at - HEAD + 4].copy_from_slice(&frame.code.to_be_bytes());
        }
        bytes.extend_from_slice(&payload);
        bytes
    }

    fn walk<'a>(frames: &mut Frames, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Frame> {
        let mut found = Vec::new();
        for piece in pieces {
            let mut at = 0;
            while at < piece.len() {
                let (used, frame) = frames.next(&piece[at..]);
                at += used;
                found.extend(frame);
                assert!(used > 0);
            }
        }
        found
    }

    proptest! {
        #[test]
        fn any_split_finds_the_same_frames(
            list in prop::collection::vec((0u32..40, 0u8..12, any::<u8>(), any::<u32>()), 0..20),
            skip in 0usize..30,
            cut in 1usize..50,
        ) {
            let frames: Vec<Frame> = list.into_iter().map(|(length, kind, flags, code)| {
                let frame = Frame { length, kind, flags, code: 0 };
                let code = if frame.before_code().is_some() { code } else { 0 };
                Frame { code, ..frame }
            }).collect();
            let mut bytes = vec![b'P'; skip];
            bytes.extend(frames.iter().flat_map(encode));
            let mut walker = Frames::after(skip);
            prop_assert_eq!(walk(&mut walker, bytes.chunks(cut)), frames);
            prop_assert!(walker.is_between());
        }

        #[test]
        fn any_bytes_are_walked_through(bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in 1usize..99) {
            let (mut whole, mut split) = (Frames::after(24), Frames::after(24));
            let found = walk(&mut whole, [&bytes[..]]);
            prop_assert_eq!(found, walk(&mut split, bytes.chunks(cut)));
            prop_assert_eq!(whole.is_between(), split.is_between());
        }
    }
}
