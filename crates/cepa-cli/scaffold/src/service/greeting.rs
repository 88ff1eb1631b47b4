//! Greetings, in the language that the client likes best.

use cepa::prelude::*;

/// Greets; made for a request when it first asks.
pub(crate) struct Greeting {
    word: &'static str,
}

impl Service for Greeting {
    fn new(ctx: &mut Ctx) -> Result<Self> {
        let word = match ctx.accepts_languages(&["en", "de", "zh"]) {
            Some("de") => "Hallo",
            Some("zh") => "你好",
            _ => "Hello",
        };
        Ok(Self { word })
    }
}

impl Greeting {
    pub(crate) fn of(&self, name: &str) -> String {
        format!("{}, {name}", self.word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_greets_by_name() {
        assert_eq!(Greeting { word: "Hello" }.of("Ada"), "Hello, Ada");
    }
}
