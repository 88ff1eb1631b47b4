use proptest::prelude::*;

use super::*;

#[test]
fn zeros_at_the_end_count() {
    let mut literals: Literals<u8> = Literals::default();
    literals.get_or_insert(b"ab", false).value = Some(1);
    for (segment, found) in
        [(&b"ab"[..], true), (b"ab\0", false), (b"\0ab", false), (b"a", false), (b"", false)]
    {
        let (_, key) = Words::new(segment, false).segment(0);
        assert_eq!(literals.get(segment, key, false).is_some(), found, "{segment:?}");
    }
}

proptest! {
    #[test]
    fn what_is_put_in_is_found_and_nothing_else(
        labels in prop::collection::vec("[aAb]{0,3}|[ab]{7,10}|[aA]{15,18}", 0..40),
        others in prop::collection::vec("[aAb\0@`]{0,3}|[ab]{7,10}|[aA]{15,18}", 0..40),
        ignore_case: bool,
    ) {
        let fold = |text: &str| if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
        let mut literals: Literals<String> = Literals::default();
        for label in &labels {
            let node = literals.get_or_insert(label.as_bytes(), ignore_case);
            let known = node.value.get_or_insert_with(|| fold(label));
            prop_assert_eq!(known, &fold(label));
        }
        for segment in labels.iter().chain(&others) {
            let (_, key) = Words::new(segment.as_bytes(), ignore_case).segment(0);
            let found = literals.get(segment.as_bytes(), key, ignore_case).and_then(|node| node.value.as_ref());
            let folded = fold(segment);
            let expected = labels.iter().any(|label| fold(label) == folded).then_some(&folded);
            prop_assert_eq!(found, expected);
        }
    }
}
