//! Which form of a message goes with a number: the cardinal rules of the languages (CLDR 47, UTS 35 part 3,
//! section 5).

/// A form that a language has for some numbers. Every language has `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Arabic and Welsh have a form for none.
    Zero,
    /// One thing, in most languages; which other numbers take it differs.
    One,
    /// Two things.
    Two,
    /// A few, such as 2 to 4 in Czech.
    Few,
    /// Many, such as 5 to 20 in Russian, or a million in French.
    Many,
    /// All else.
    Other,
}

impl Category {
    /// All of them, in the order of their names in CLDR.
    pub const ALL: [Self; 6] = [Self::Zero, Self::One, Self::Two, Self::Few, Self::Many, Self::Other];

    /// The name, as it is a key in a file of messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::One => "one",
            Self::Two => "two",
            Self::Few => "few",
            Self::Many => "many",
            Self::Other => "other",
        }
    }

    /// The form that a language, or a locale such as `pt-pt`, has for a number as it is shown.
    ///
    /// What counts is the text: `1` is one thing in English, `1.0` is not. Text that is no decimal number, and a
    /// language without rules, are `Other`.
    ///
    /// ```
    /// use cepa_layers::i18n::Category;
    ///
    /// assert_eq!(Category::of("en", "1"), Category::One);
    /// assert_eq!(Category::of("ru", "22"), Category::Few);
    /// assert_eq!(Category::of("ja", "1"), Category::Other);
    /// ```
    pub fn of(locale: &str, number: &str) -> Self {
        let language = locale.split('-').next().unwrap_or_default();
        match Operands::read(number) {
            Some(operands) => rule(locale, language)(operands),
            None => Self::Other,
        }
    }
}

/// What the rules ask of a number, by the names that they have there.
#[derive(Clone, Copy)]
struct Operands {
    /// The whole digits.
    i: u64,
    /// How many fraction digits are shown.
    v: usize,
    /// The fraction digits as a number.
    f: u64,
    /// The same without zeros at the end.
    t: u64,
}

impl Operands {
    fn read(number: &str) -> Option<Self> {
        let number = number.strip_prefix('-').unwrap_or(number);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        // The rules ask for no more than the last digits, and of a large number whether it is a million or so.
        let last = |digits: &str| digits[digits.len().saturating_sub(18)..].parse().unwrap_or(0);
        let trimmed = fraction.trim_end_matches('0');
        let beyond = whole.len() > 18 && whole.trim_start_matches('0').len() > 18;
        let i = last(whole) + if beyond { 1_000_000_000_000_000_000 } else { 0 };
        Some(Self { i, v: fraction.len(), f: last(fraction), t: last(trimmed) })
    }

    /// Whether the number is this one.
    fn is(self, number: u64) -> bool {
        self.t == 0 && self.i == number
    }

    /// Whether the number is whole and its remainder is among these.
    fn rem(self, divisor: u64, wanted: &[u64]) -> bool {
        self.t == 0 && wanted.contains(&(self.i % divisor))
    }
}

type Rule = fn(Operands) -> Category;

use Category::{Few, Many, One, Other, Two, Zero};

/// The rule of a language; equal ones stand together.
fn rule(locale: &str, language: &str) -> Rule {
    match language {
        "pt" if locale == "pt-pt" => |n| if n.i == 1 && n.v == 0 { One } else { million(n) },
        "ast" | "de" | "en" | "et" | "fi" | "fy" | "gl" | "ia" | "ie" | "io" | "lij" | "nl" | "sc" | "sv"
        | "sw" | "ur" | "yi" => |n| if n.i == 1 && n.v == 0 { One } else { Other },
        "af" | "an" | "asa" | "az" | "bal" | "bem" | "bez" | "bg" | "brx" | "ce" | "cgg" | "chr" | "ckb"
        | "dv" | "ee" | "el" | "eo" | "eu" | "fo" | "fur" | "gsw" | "ha" | "haw" | "hu" | "jgo" | "jmc"
        | "ka" | "kaj" | "kcg" | "kk" | "kkj" | "kl" | "ks" | "ksb" | "ku" | "ky" | "lb" | "lg" | "mas"
        | "mgo" | "ml" | "mn" | "mr" | "nah" | "nb" | "nd" | "ne" | "nn" | "nnh" | "no" | "nr" | "ny"
        | "nyn" | "om" | "or" | "os" | "pap" | "ps" | "rm" | "rof" | "rwk" | "saq" | "sd" | "sdh" | "seh"
        | "sn" | "so" | "sq" | "ss" | "ssy" | "st" | "syr" | "ta" | "te" | "teo" | "tig" | "tk" | "tn"
        | "tr" | "ts" | "ug" | "uz" | "ve" | "vo" | "vun" | "wae" | "xh" | "xog" => {
            |n| if n.is(1) { One } else { Other }
        }
        "ak" | "bho" | "csw" | "guw" | "ln" | "mg" | "nso" | "pa" | "ti" | "wa" => {
            |n| if n.is(0) || n.is(1) { One } else { Other }
        }
        "am" | "as" | "bn" | "doi" | "fa" | "gu" | "hi" | "kn" | "pcm" | "zu" => {
            |n| if n.i == 0 || n.is(1) { One } else { Other }
        }
        "ff" | "hy" | "kab" => |n| if n.i <= 1 { One } else { Other },
        "si" => |n| if n.is(0) || n.is(1) || n.i == 0 && n.f == 1 { One } else { Other },
        "fr" | "pt" => |n| if n.i <= 1 { One } else { million(n) },
        "ca" | "it" | "lld" | "scn" | "vec" => |n| if n.i == 1 && n.v == 0 { One } else { million(n) },
        "es" => |n| if n.is(1) { One } else { million(n) },
        "da" => |n| if n.is(1) || n.t != 0 && n.i <= 1 { One } else { Other },
        "is" => |n| if n.t == 0 && ends_in_one(n.i) || ends_in_one(n.t) { One } else { Other },
        "mk" => |n| if n.v == 0 && ends_in_one(n.i) || ends_in_one(n.f) { One } else { Other },
        "ceb" | "fil" | "tl" => |n| {
            let last = if n.v == 0 { n.i } else { n.f };
            if n.v == 0 && (1..=3).contains(&n.i) || ![4, 6, 9].contains(&(last % 10)) { One } else { Other }
        },
        "lv" | "prg" => latvian,
        "lt" => |n| match (n.i % 10, n.i % 100) {
            _ if n.t != 0 => Many,
            (_, 11..=19) | (0, _) => Other,
            (1, _) => One,
            _ => Few,
        },
        "bs" | "hr" | "sh" | "sr" => |n| slavic(if n.v == 0 { n.i } else { n.f }, Other),
        "ru" | "uk" => |n| if n.v == 0 { slavic(n.i, Many) } else { Other },
        "be" => |n| if n.t == 0 { slavic(n.i, Many) } else { Other },
        "pl" => |n| match n.i {
            _ if n.v != 0 => Other,
            1 => One,
            i if slavic(i, Many) == Few => Few,
            _ => Many,
        },
        "cs" | "sk" => |n| match n.i {
            _ if n.v != 0 => Many,
            1 => One,
            2..=4 => Few,
            _ => Other,
        },
        "sl" => |n| if n.v == 0 { dual(n.i) } else { Few },
        "dsb" | "hsb" => |n| dual(if n.v == 0 { n.i } else { n.f }),
        "ro" | "mo" => |n| match n.i {
            1 if n.v == 0 => One,
            _ if n.v != 0 || n.is(0) || (1..=19).contains(&(n.i % 100)) => Few,
            _ => Other,
        },
        "iw" | "he" => |n| match (n.i, n.v) {
            (1, 0) => One,
            (0, v) if v != 0 => One,
            (2, 0) => Two,
            _ => Other,
        },
        "iu" | "naq" | "sat" | "se" | "sma" | "smi" | "smj" | "smn" | "sms" => {
            |n| if n.is(1) { One } else { two(n) }
        }
        "shi" => |n| match n.i {
            0 => One,
            1 if n.t == 0 => One,
            2..=10 if n.t == 0 => Few,
            _ => Other,
        },
        "blo" | "ksh" => |n| {
            if n.is(0) {
                Zero
            } else if n.is(1) {
                One
            } else {
                Other
            }
        },
        "lag" => |n| {
            if n.is(0) {
                Zero
            } else if n.i <= 1 {
                One
            } else {
                Other
            }
        },
        "tzm" => |n| if n.t == 0 && (n.i <= 1 || (11..=99).contains(&n.i)) { One } else { Other },
        "ar" | "ars" => |n| match (n.i, n.i % 100) {
            _ if n.t != 0 => Other,
            (0, _) => Zero,
            (1, _) => One,
            (2, _) => Two,
            (_, 3..=10) => Few,
            (_, 11..=99) => Many,
            _ => Other,
        },
        "cy" => |n| match n.i {
            _ if n.t != 0 => Other,
            0 => Zero,
            1 => One,
            2 => Two,
            3 => Few,
            6 => Many,
            _ => Other,
        },
        "ga" => |n| match n.i {
            _ if n.t != 0 => Other,
            1 => One,
            2 => Two,
            3..=6 => Few,
            7..=10 => Many,
            _ => Other,
        },
        "gd" => |n| match n.i {
            _ if n.t != 0 => Other,
            1 | 11 => One,
            2 | 12 => Two,
            3..=19 => Few,
            _ => Other,
        },
        "gv" => |n| match n.i % 10 {
            _ if n.v != 0 => Many,
            1 => One,
            2 => Two,
            _ if n.i % 20 == 0 => Few,
            _ => Other,
        },
        "mt" => |n| match (n.i, n.i % 100) {
            _ if n.t != 0 => Other,
            (1, _) => One,
            (2, _) => Two,
            (0, _) | (_, 3..=10) => Few,
            (_, 11..=19) => Many,
            _ => Other,
        },
        "br" => breton,
        // Chinese, Japanese, Korean, Thai, Vietnamese, Indonesian, Malay …, and what has no rules here.
        _ => |_| Other,
    }
}

fn two(n: Operands) -> Category {
    if n.is(2) { Two } else { Other }
}

/// Romance languages count whole millions as `de` something.
fn million(n: Operands) -> Category {
    if n.v == 0 && n.i != 0 && n.i.is_multiple_of(1_000_000) { Many } else { Other }
}

fn ends_in_one(number: u64) -> bool {
    number % 10 == 1 && number % 100 != 11
}

fn slavic(number: u64, rest: Category) -> Category {
    match (number % 10, number % 100) {
        (1, last) if last != 11 => One,
        (2..=4, last) if !(12..=14).contains(&last) => Few,
        _ => rest,
    }
}

fn dual(number: u64) -> Category {
    match number % 100 {
        1 => One,
        2 => Two,
        3 | 4 => Few,
        _ => Other,
    }
}

fn latvian(n: Operands) -> Category {
    let teen = |number: u64| (11..=19).contains(&(number % 100));
    if n.rem(10, &[0]) || n.t == 0 && teen(n.i) || n.v == 2 && teen(n.f) {
        Zero
    } else if n.t == 0 && ends_in_one(n.i) || n.v == 2 && ends_in_one(n.f) || n.v != 2 && n.f % 10 == 1 {
        One
    } else {
        Other
    }
}

fn breton(n: Operands) -> Category {
    match (n.i % 10, n.i % 100) {
        _ if n.t != 0 => Other,
        (1, last) if ![11, 71, 91].contains(&last) => One,
        (2, last) if ![12, 72, 92].contains(&last) => Two,
        (3 | 4 | 9, last) if ![1, 7, 9].contains(&(last / 10)) => Few,
        _ if n.i != 0 && n.i.is_multiple_of(1_000_000) => Many,
        _ => Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_forms_that_cldr_gives_as_samples() {
        let table: &[(&str, Category, &[&str])] = &[
            ("en", One, &["1"]),
            ("en", Other, &["0", "2", "16", "100", "1.0", "0.1", "1.5"]),
            ("de", One, &["1"]),
            ("de", Other, &["0", "2", "1.0"]),
            ("fr", One, &["0", "1", "0.0", "1.5"]),
            ("fr", Many, &["1000000", "2000000"]),
            ("fr", Other, &["2", "17", "100", "1000", "1000001", "2.0"]),
            ("pt", One, &["0", "1", "1.5"]),
            ("pt-pt", Other, &["0", "2", "1.5"]),
            ("es", One, &["1", "1.0"]),
            ("es", Many, &["1000000"]),
            ("it", Other, &["0", "1.0", "2"]),
            ("ru", One, &["1", "21", "101", "1001"]),
            ("ru", Few, &["2", "4", "22", "104"]),
            ("ru", Many, &["0", "5", "11", "12", "14", "19", "100", "111"]),
            ("ru", Other, &["0.0", "1.5", "10.0"]),
            ("uk", Few, &["3", "23"]),
            ("be", One, &["1", "1.0", "21"]),
            ("be", Other, &["0.1", "1.5"]),
            ("pl", One, &["1"]),
            ("pl", Few, &["2", "3", "4", "22", "104"]),
            ("pl", Many, &["0", "5", "12", "14", "21", "100", "101"]),
            ("pl", Other, &["1.5", "0.0"]),
            ("cs", One, &["1"]),
            ("cs", Few, &["2", "3", "4"]),
            ("cs", Many, &["0.0", "1.5"]),
            ("cs", Other, &["0", "5", "22", "100"]),
            ("hr", One, &["1", "21", "0.1", "1.1"]),
            ("hr", Few, &["2", "22", "0.2", "1.3"]),
            ("hr", Other, &["0", "5", "11", "12", "0.5"]),
            ("sl", One, &["1", "101"]),
            ("sl", Two, &["2", "102"]),
            ("sl", Few, &["3", "4", "1.0"]),
            ("ar", Zero, &["0", "0.0"]),
            ("ar", One, &["1"]),
            ("ar", Two, &["2"]),
            ("ar", Few, &["3", "10", "103", "110"]),
            ("ar", Many, &["11", "26", "99", "111"]),
            ("ar", Other, &["100", "102", "200", "0.1"]),
            ("he", One, &["1", "0.5"]),
            ("he", Two, &["2"]),
            ("he", Other, &["0", "3", "1.5"]),
            ("lv", Zero, &["0", "10", "11", "20", "100"]),
            ("lv", One, &["1", "21", "0.1", "1.0"]),
            ("lv", Other, &["2", "9", "22", "0.2"]),
            ("lt", One, &["1", "21"]),
            ("lt", Few, &["2", "9", "22"]),
            ("lt", Many, &["0.1", "1.5"]),
            ("lt", Other, &["0", "10", "11", "20"]),
            ("ro", Few, &["0", "2", "16", "101", "1.5"]),
            ("ro", Other, &["20", "35", "100"]),
            ("da", One, &["1", "0.1", "1.6"]),
            ("da", Other, &["0", "2", "2.5"]),
            ("cy", Many, &["6"]),
            ("ga", Many, &["7", "10"]),
            ("gv", Few, &["0", "20", "40", "100"]),
            ("mt", Few, &["0", "3", "10", "103"]),
            ("mt", Many, &["11", "19", "111"]),
            ("hi", One, &["0", "1", "0.5"]),
            ("tl", Other, &["4", "6", "9", "14"]),
            ("ja", Other, &["0", "1", "2"]),
            ("zh-tw", Other, &["1"]),
            ("en-gb", One, &["1", "-1"]),
            ("xx", Other, &["1"]),
            ("en", Other, &["", "one", "1e3", ".5", "1.2.3", "٣"]),
        ];
        for (locale, category, numbers) in table {
            for number in *numbers {
                assert_eq!(Category::of(locale, number), *category, "{locale} {number}");
            }
        }
    }

    #[test]
    fn numbers_of_any_length_have_a_form() {
        let million = format!("1{}", "0".repeat(60));
        assert_eq!(Category::of("fr", &million), Many);
        assert_eq!(Category::of("ru", &format!("{million}.{million}")), Other);
        assert_eq!(Category::of("ru", &(million + "1")), One);
    }
}
