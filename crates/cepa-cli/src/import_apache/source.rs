//! All that a configuration says, with what its files include, as a tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{ImportError, Note, Place, glob, words};

/// Bytes of all files.
const MOST_BYTES: usize = 4 << 20;
/// Files, each counted as often as it is included.
const MOST_FILES: usize = 1000;
/// How deep files include files, and how deep sections are in sections.
const DEEPEST: usize = 16;

/// A line that says something, or opens a section.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    pub(super) place: Place,
    /// Its name as it is written; case does not count.
    pub(super) name: String,
    pub(super) words: Vec<String>,
}

impl Directive {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    pub(super) fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    /// A note about it.
    pub(super) fn note(&self, text: impl std::fmt::Display) -> Note {
        let words: String = self.words.iter().flat_map(|word| [" ", word]).collect();
        let shown: String = words.chars().take(120).collect();
        Note { place: self.place.clone(), text: format!("{}{shown}: {text}", self.name) }
    }
}

/// A directive, or a section with all in it.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Directive(Directive),
    Section(Directive, Vec<Node>),
}

/// What was read.
#[derive(Debug)]
pub(super) struct Source {
    /// What relative paths lie below.
    pub(super) root: PathBuf,
    pub(super) nodes: Vec<Node>,
    /// The modules that were loaded, if that is said.
    pub(super) modules: Option<BTreeSet<String>>,
    pub(super) notes: Vec<Note>,
}

/// Reads a file and what it includes.
pub(super) fn read(file: &Path, variables: BTreeMap<String, String>) -> Result<Source, ImportError> {
    let root = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut reader = Reader {
        root: root.to_owned(),
        environment: envvars(&root.join("envvars")),
        variables,
        modules: None,
        open: vec![Open { head: None, name: String::new(), nodes: Vec::new(), skipped: false }],
        notes: Vec::new(),
        files: Vec::new(),
        count: 0,
        bytes: 0,
    };
    let text = bounded(file).map_err(|source| ImportError::Read { file: file.to_owned(), source })?;
    reader.read(file, text, &Place { file: file.into(), line: 1 })?;
    let Reader { root, modules, notes, mut open, .. } = reader;
    let nodes = open.pop().map_or_else(Vec::new, |open| open.nodes);
    Ok(Source { root, nodes, modules, notes })
}

/// The bytes of a file, no more of them than one too many.
fn bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What Debian's `envvars` exports, as far as it can be read without a shell.
fn envvars(file: &Path) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    // Without it the variables are unknown, which is noted where they are used.
    let text = bounded(file).unwrap_or_default();
    for line in String::from_utf8_lossy(&text).lines().filter_map(|line| line.trim().strip_prefix("export "))
    {
        if let Some((name, value)) = line.split_once('=') {
            let value = value.trim_matches(['"', '\'']).replace("$SUFFIX", "");
            if !value.contains('$') {
                known.insert(name.to_owned(), value);
            }
        }
    }
    known
}

/// A section that is not closed yet, or all of it.
struct Open {
    /// None of a condition, whose content is that of the section around.
    head: Option<Directive>,
    name: String,
    nodes: Vec<Node>,
    /// Whether what is in it does not hold.
    skipped: bool,
}

struct Reader {
    root: PathBuf,
    environment: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    modules: Option<BTreeSet<String>>,
    /// The innermost last; the first is the whole.
    open: Vec<Open>,
    notes: Vec<Note>,
    /// Those that are being read.
    files: Vec<PathBuf>,
    count: usize,
    bytes: usize,
}

impl Reader {
    fn read(&mut self, file: &Path, bytes: Vec<u8>, from: &Place) -> Result<(), ImportError> {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > MOST_BYTES || self.count > MOST_FILES {
            return Err(ImportError::TooMuch(from.clone(), "4 MiB in 1,000 files"));
        }
        let text = String::from_utf8(bytes).unwrap_or_else(|error| {
            let text = "it is not UTF-8; what is not is replaced by \u{fffd}".to_owned();
            self.notes.push(Note { place: Place { file: file.into(), line: 1 }, text });
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        });
        self.files.push(fs::canonicalize(file).unwrap_or_else(|_| file.to_owned()));
        let (depth, name): (_, Arc<Path>) = (self.open.len(), file.into());
        for (line, text) in words::lines(&text) {
            self.line(&text, Place { file: Arc::clone(&name), line }, depth)?;
        }
        while self.open.len() > depth {
            let place = Place { file: Arc::clone(&name), line: text.lines().count().max(1) };
            let section = self.open.last().map_or_else(String::new, |open| open.name.clone());
            self.notes.push(Note { place, text: format!("<{section}> is not closed") });
            self.close();
        }
        self.files.pop();
        Ok(())
    }

    fn is_skipped(&self) -> bool {
        self.open.last().is_some_and(|open| open.skipped)
    }

    fn line(&mut self, text: &str, place: Place, depth: usize) -> Result<(), ImportError> {
        if let Some(name) = text.strip_prefix("</") {
            let name = name.trim_end_matches('>').trim();
            let fits = self.open.last().is_some_and(|open| open.name.eq_ignore_ascii_case(name));
            if fits && self.open.len() > depth {
                self.close();
            } else {
                self.notes.push(Note { place, text: format!("</{name}> closes nothing that is open") });
            }
            return Ok(());
        }
        let section = text.strip_prefix('<').map(|text| text.strip_suffix('>').unwrap_or(text));
        let text = section.unwrap_or(text);
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if self.is_skipped() {
            if section.is_some() {
                self.enter(None, name, true, &place)?;
            }
            return Ok(());
        }
        let (rest, unknown) = words::resolve(rest, &self.variables);
        let (rest, unknown) = match unknown {
            None => (rest, None),
            Some(_) => {
                let (rest, unknown) = words::resolve(&rest, &self.environment);
                (rest.into_owned().into(), unknown)
            }
        };
        let directive = Directive { place, name: name.to_owned(), words: words::words(&rest) };
        if let Some(unknown) = unknown {
            self.notes.push(directive.note(format_args!("the variable {unknown} is not known")));
        }
        match section {
            Some(_) => self.section(directive),
            None => self.directive(directive),
        }
    }

    /// Opens a section; of a condition, what holds of it belongs to the section around.
    fn section(&mut self, head: Directive) -> Result<(), ImportError> {
        let place = head.place.clone();
        let (negated, word) = match head.word(0).strip_prefix('!') {
            Some(word) => (true, word.to_owned()),
            None => (false, head.word(0).to_owned()),
        };
        let holds = match head.name.to_ascii_lowercase().as_str() {
            "ifmodule" => self.has_module(&word) != negated,
            "ifdefine" => self.variables.contains_key(&word) != negated,
            "iffile" => self.root.join(&word).exists() != negated,
            "ifversion" => {
                self.notes.push(head.note("versions are not compared: what is in it is passed over"));
                false
            }
            _ => {
                let name = head.name.clone();
                return self.enter(Some(head), &name, false, &place);
            }
        };
        self.enter(None, &head.name, !holds, &place)
    }

    fn enter(
        &mut self,
        head: Option<Directive>,
        name: &str,
        skipped: bool,
        place: &Place,
    ) -> Result<(), ImportError> {
        if self.open.len() > DEEPEST {
            return Err(ImportError::TooMuch(place.clone(), "sections 16 deep"));
        }
        self.open.push(Open { head, name: name.to_owned(), nodes: Vec::new(), skipped });
        Ok(())
    }

    fn close(&mut self) {
        let Some(closed) = self.open.pop() else { return };
        let Some(around) = self.open.last_mut() else { return };
        match closed.head {
            Some(head) => around.nodes.push(Node::Section(head, closed.nodes)),
            None => around.nodes.extend(closed.nodes),
        }
    }

    /// Whether a module is there: `ssl_module` and `mod_ssl.c` are one. Where none is loaded, as in the file of a single
    /// host, all that are asked for are, and what is said for their absence does not hold.
    fn has_module(&self, name: &str) -> bool {
        const BUILT_IN: [&str; 7] = ["core", "so", "http", "log_config", "logio", "version", "unixd"];
        let short = short(name);
        self.modules.as_ref().is_none_or(|modules| modules.contains(short)) || BUILT_IN.contains(&short)
    }

    fn directive(&mut self, directive: Directive) -> Result<(), ImportError> {
        match directive.name.to_ascii_lowercase().as_str() {
            "include" => self.include(&directive, false),
            "includeoptional" => self.include(&directive, true),
            "define" => {
                self.variables.insert(directive.word(0).to_owned(), directive.word(1).to_owned());
                Ok(())
            }
            "undefine" => {
                self.variables.remove(directive.word(0));
                Ok(())
            }
            "serverroot" => {
                self.root = self.root.join(directive.word(0));
                Ok(())
            }
            "loadmodule" => {
                let modules = self.modules.get_or_insert_default();
                modules.insert(short(directive.word(0)).to_owned());
                Ok(())
            }
            _ => {
                if let Some(open) = self.open.last_mut() {
                    open.nodes.push(Node::Directive(directive));
                }
                Ok(())
            }
        }
    }

    fn include(&mut self, directive: &Directive, optional: bool) -> Result<(), ImportError> {
        let pattern = self.root.join(directive.word(0));
        let files = glob::files(&pattern, MOST_FILES).unwrap_or_default();
        if files.is_empty() && !optional {
            self.notes.push(directive.note("there is no such file"));
        }
        if self.files.len() > DEEPEST {
            return Err(ImportError::TooMuch(directive.place.clone(), "files 16 deep"));
        }
        for file in files {
            let real = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if self.files.contains(&real) {
                self.notes.push(directive.note("the file includes itself"));
                continue;
            }
            match bounded(&file) {
                Ok(bytes) => self.read(&file, bytes, &directive.place)?,
                Err(error) => {
                    self.notes.push(directive.note(format_args!("{}: {error}", file.display())));
                }
            }
        }
        Ok(())
    }
}

/// `ssl` of `ssl_module`, `mod_ssl.c` and `mod_ssl`.
fn short(module: &str) -> &str {
    let module = module.strip_suffix(".c").unwrap_or(module);
    module.strip_prefix("mod_").or_else(|| module.strip_suffix("_module")).unwrap_or(module)
}

impl Source {
    /// Whether a module is there, or nothing is said of modules.
    pub(super) fn has_module(&self, name: &str) -> bool {
        self.modules.as_ref().is_none_or(|modules| modules.contains(name))
    }

    pub(super) fn take_nodes(&mut self) -> Vec<Node> {
        mem::take(&mut self.nodes)
    }
}
