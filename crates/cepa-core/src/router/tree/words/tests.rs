use proptest::prelude::*;

use super::*;

#[test]
fn a_segment_has_one_key_wherever_it_stands() {
    let text = b"abcdefghijklmnopqrstuvwxyz";
    for len in 0..=text.len() {
        let segment = &text[..len];
        let (_, alone) = Words::new(segment, false).segment(0);
        for before in 0..10 {
            for after in ["", "/", "/x", "/123456789"] {
                let path = [&b"123456789/"[9 - before.min(9)..], segment, after.as_bytes()].concat();
                let at = path.iter().position(|&byte| byte == b'/').unwrap() + 1;
                assert_eq!(Words::new(&path, false).segment(at), (at + len, alone), "{path:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn segments_end_at_the_next_slash(path in "[a/\0.é\u{80}\u{2f80}]{0,40}", at in 0..41_usize) {
        let path = path.as_bytes();
        let at = at.min(path.len());
        let end = path[at..].iter().position(|&byte| byte == b'/').map_or(path.len(), |len| at + len);
        prop_assert_eq!(Words::new(path, false).segment(at).0, end);
        prop_assert_eq!(Words::new(path, true).segment(at).0, end);
    }
}
