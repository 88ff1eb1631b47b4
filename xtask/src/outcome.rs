//! How a step of the checks ended.

/// How one step ended, with what the table says about it.
pub(crate) enum Outcome {
    /// It passed; a remark, or nothing.
    Passed(String),
    /// It failed.
    Failed(String),
    /// It could not be run here, and why; not a failure.
    Skipped(String),
}

impl Outcome {
    pub(crate) fn of(passed: bool) -> Outcome {
        if passed { Outcome::Passed(String::new()) } else { Outcome::Failed(String::new()) }
    }

    /// What could not be run for want of a tool: a failure where the tool was to be installed.
    pub(crate) fn missing(why: String, was_to_be_installed: bool) -> Outcome {
        if was_to_be_installed { Outcome::Failed(why) } else { Outcome::Skipped(why) }
    }

    pub(crate) fn parts(&self) -> (&'static str, &str) {
        match self {
            Outcome::Passed(remark) => ("ok", remark),
            Outcome::Failed(remark) => ("FAILED", remark),
            Outcome::Skipped(why) => ("skipped", why),
        }
    }
}
