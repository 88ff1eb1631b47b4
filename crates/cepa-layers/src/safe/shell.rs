//! Commands for a shell. [`std::process::Command`] with arguments needs none, and none of this.

/// A word of a command: ASCII letters, digits, `.`, `-` and `_`, all else left out; Egg's `cliFilter`.
///
/// Leading hyphens are left out as well: a word shall not become an option.
pub fn word(text: &str) -> String {
    let stays = |char: &char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    text.chars().filter(stays).skip_while(|char| *char == '-').collect()
}

/// Text as one argument of a command, in single quotes: Egg's `escapeShellArg`.
///
/// A NUL, which would end the command, is left out. An argument that begins with `-` may be taken for an option: put
/// `--` before it.
pub fn shell_arg(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    out.push('\'');
    for char in text.chars() {
        match char {
            '\'' => out.push_str("'\\''"),
            '\0' => {}
            char => out.push(char),
        }
    }
    out.push('\'');
    out
}

/// A command without what a shell gives a meaning to, so that it stays one command: Egg's `escapeShellCmd`.
///
/// Left out are ``# & ; ` | * ? ~ < > ^ ( ) [ ] { } $ ' " , \``, control characters and `ÿ`. Its words may still be
/// options; for an argument use [`shell_arg`].
pub fn shell_cmd(text: &str) -> String {
    let stays = |char: &char| !"#&;`|*?~<>^()[]{}$'\",\\\u{ff}".contains(*char) && !char.is_control();
    text.chars().filter(stays).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn attack_command_injection() {
        let attack = "x'; echo evil; $(echo evil) `echo evil` \\' | echo evil > /dev/null & \n echo evil \0";
        let said = |command: &str| {
            let output = Command::new("sh").args(["-c", command]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(said(&format!("printf %s {}", shell_arg(attack))), attack.replace('\0', ""));
        let command = shell_cmd(&format!("echo {attack}"));
        assert_eq!(command, "echo x echo evil echo evil echo evil   echo evil  /dev/null   echo evil ");
        assert_eq!(said(&command).lines().count(), 1);
        assert_eq!(word("--rf -x; $HOME"), "rf-xHOME");
    }

    /// What a shell makes of quotes and backslashes, and of nothing else.
    fn unquoted(text: &str) -> String {
        let (mut out, mut chars, mut is_quoted) = (String::new(), text.chars(), false);
        while let Some(char) = chars.next() {
            match (char, is_quoted) {
                ('\'', _) => is_quoted = !is_quoted,
                ('\\', false) => out.extend(chars.next()),
                (char, true) => out.push(char),
                (char, false) => panic!("{char} stands outside of quotes in {text}"),
            }
        }
        assert!(!is_quoted, "{text}");
        out
    }

    proptest! {
        #[test]
        fn an_argument_is_one_argument(text in "\\PC{0,40}|[\\x01-\\x7f]{0,40}") {
            prop_assert_eq!(unquoted(&shell_arg(&text)), text);
        }
    }
}
