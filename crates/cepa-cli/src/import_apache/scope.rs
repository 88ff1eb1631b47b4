//! What the server says, and what each virtual host.

mod words;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use self::words::{LIMITS_ACCESS, WITHOUT_EFFECT, bare_name, fastcgi, has_referrer, lists, upstreams};
pub(super) use self::words::{is_every_ip, is_ip};
use super::{
    Note, Place,
    rule::{Rule, Target},
    source::{Directive, Node, Source},
};

/// The whole configuration.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) listen: Vec<Listen>,
    /// What holds outside of virtual hosts, and in them where they say nothing.
    pub(super) base: Scope,
    pub(super) hosts: Vec<Host>,
    /// The members of balancers, by name.
    pub(super) balancers: BTreeMap<String, Vec<String>>,
    /// Whether folders without an index may be listed at all.
    pub(super) lists: bool,
}

/// An address that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    /// None is every address.
    pub(super) ip: Option<String>,
    pub(super) port: u16,
    pub(super) https: bool,
}

/// A virtual host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) place: Place,
    /// As they are written: `*:80`, `[::1]:443`.
    pub(super) addresses: Vec<String>,
    pub(super) scope: Scope,
}

/// What is said for the server, or for one host.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) names: Vec<(Place, String)>,
    pub(super) root: Option<PathBuf>,
    pub(super) index: Option<Vec<String>>,
    pub(super) proxies: Vec<Rule>,
    pub(super) redirects: Vec<Rule>,
    pub(super) aliases: Vec<Rule>,
    /// Whether folders below a folder are listed.
    pub(super) listing: Vec<(PathBuf, bool)>,
    /// Pages by status.
    pub(super) errors: Vec<(Directive, u16, String)>,
    pub(super) tls: Option<bool>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    /// The file of the log, and whether its lines have referrer and user agent.
    pub(super) log: Option<(String, bool)>,
    /// The FastCGI server for PHP.
    pub(super) php: Option<String>,
    pub(super) preserve_host: Option<bool>,
}

/// Where in a host a directive stands.
#[derive(Clone, Copy)]
enum Around<'a> {
    Host,
    /// `<Location>`: its path.
    Location(&'a str),
    /// `<Directory>`: its folder.
    Directory(&'a Path),
    /// `<FilesMatch>` of scripts in PHP.
    Php,
}

/// What gathers it.
struct Gatherer {
    root: PathBuf,
    /// Formats of log lines by their nicknames: whether they have referrer and user agent.
    formats: BTreeMap<String, bool>,
    server: Server,
    notes: Vec<Note>,
}

impl Server {
    /// What a configuration says, and what of it is not understood.
    pub(super) fn of(mut source: Source) -> (Self, Vec<Note>) {
        let nodes = source.take_nodes();
        let mut gatherer = Gatherer {
            root: source.root.clone(),
            formats: BTreeMap::from([("combined".to_owned(), true), ("vhost_combined".to_owned(), true)]),
            server: Server { lists: source.has_module("autoindex"), ..Server::default() },
            notes: source.notes,
        };
        let mut base = Scope::default();
        for node in nodes {
            match node {
                Node::Section(head, nodes) if head.is("VirtualHost") => gatherer.host(head, nodes),
                node => gatherer.node(node, Around::Host, &mut base),
            }
        }
        gatherer.server.base = base;
        (gatherer.server, gatherer.notes)
    }
}

impl Gatherer {
    fn host(&mut self, head: Directive, nodes: Vec<Node>) {
        let mut scope = Scope::default();
        for node in nodes {
            self.node(node, Around::Host, &mut scope);
        }
        self.server.hosts.push(Host { place: head.place, addresses: head.words, scope });
    }

    fn note(&mut self, directive: &Directive, text: &str) {
        self.notes.push(directive.note(text));
    }

    fn node(&mut self, node: Node, around: Around<'_>, scope: &mut Scope) {
        match node {
            Node::Directive(directive) => self.directive(&directive, around, scope),
            Node::Section(head, nodes) => self.section(&head, nodes, scope),
        }
    }

    fn section(&mut self, head: &Directive, nodes: Vec<Node>, scope: &mut Scope) {
        let name = head.name.to_ascii_lowercase();
        let is_php = head.word(0).contains("php") || head.word(0).contains("ph(");
        match (&*name, head.word(0)) {
            ("directory", folder) if folder != "~" && !folder.contains(['*', '?']) => {
                let folder = self.root.join(folder);
                for node in nodes {
                    self.node(node, Around::Directory(&folder), scope);
                }
            }
            ("location", path) if path.starts_with('/') && !path.contains(['*', '?']) => {
                for node in nodes {
                    self.node(node, Around::Location(path), scope);
                }
            }
            ("files" | "filesmatch", _) if is_php => {
                for node in nodes {
                    self.node(node, Around::Php, scope);
                }
            }
            // Hidden files are shown nowhere.
            ("files" | "filesmatch", pattern) if pattern.contains(r"\.ht") || pattern.starts_with(".ht") => {}
            ("proxy", name) if name.starts_with("balancer://") => self.balancer(head, &nodes),
            _ => self.note(head, "the section is not imported, nor what is in it"),
        }
    }

    fn balancer(&mut self, head: &Directive, nodes: &[Node]) {
        let name = head.word(0).trim_start_matches("balancer://").trim_end_matches('/');
        let mut members = Vec::new();
        for node in nodes {
            match node {
                Node::Directive(member) if member.is("BalancerMember") => {
                    members.push(member.word(0).to_owned());
                    if member.words.len() > 1 {
                        self.note(member, "what stands behind the URL is not imported");
                    }
                }
                Node::Directive(other) | Node::Section(other, _) => self.note(other, "it is not imported"),
            }
        }
        self.server.balancers.insert(name.to_owned(), members);
    }

    fn directive(&mut self, directive: &Directive, around: Around<'_>, scope: &mut Scope) {
        let name = directive.name.to_ascii_lowercase();
        match (&*name, around) {
            ("options", Around::Directory(folder)) => {
                if let Some(lists) = lists(&directive.words) {
                    scope.listing.push((folder.to_owned(), lists));
                }
            }
            // The whole of a site is open here, and no file of a folder says more.
            ("require", _) if directive.words == ["all", "granted"] => {}
            // Nothing is served but what is named.
            ("require", Around::Directory(folder))
                if directive.words == ["all", "denied"] && folder == Path::new("/") => {}
            ("allowoverride", _) if directive.word(0).eq_ignore_ascii_case("none") => {}
            ("sethandler", Around::Php) => self.php(directive, scope),
            ("proxypass", Around::Location(path)) => {
                let mut words = vec![path.to_owned()];
                words.extend(directive.words.iter().cloned());
                self.proxy(&Directive { words, ..directive.clone() }, scope);
            }
            ("redirect", Around::Location(path)) => {
                let mut words = directive.words.clone();
                words.insert(words.len().saturating_sub(1), path.to_owned());
                self.redirect(&Directive { words, ..directive.clone() }, scope);
            }
            ("directoryindex", _) => scope.index = Some(directive.words.clone()),
            (name, _) if WITHOUT_EFFECT.contains(&name) => {}
            (_, Around::Host) => self.of_host(&name, directive, scope),
            _ => self.unknown(&name, directive),
        }
    }

    fn unknown(&mut self, name: &str, directive: &Directive) {
        match LIMITS_ACCESS.contains(&name) {
            true => self.note(directive, "it is not imported: what it guards is open to everybody"),
            false => self.note(directive, "it is not imported"),
        }
    }

    /// What stands at the server, or at a host.
    fn of_host(&mut self, name: &str, directive: &Directive, scope: &mut Scope) {
        let path = || self.root.join(directive.word(0));
        match name {
            "listen" => self.listen(directive),
            "servername" | "serveralias" => {
                for name in &directive.words {
                    scope.names.push((directive.place.clone(), bare_name(name)));
                }
            }
            "documentroot" => scope.root = Some(path()),
            "sslengine" => scope.tls = Some(!directive.word(0).eq_ignore_ascii_case("off")),
            "sslcertificatefile" | "sslcertificatekeyfile" => {
                let path = path();
                let file = if name.contains("key") { &mut scope.key } else { &mut scope.cert };
                if file.is_some() {
                    return self.note(directive, "there is one already, which is the one that is imported");
                }
                *file = Some(path);
            }
            "sslcertificatechainfile" => {
                self.note(directive, "put its certificates behind that of SSLCertificateFile, into one file");
            }
            "alias" | "scriptalias" => {
                let folder = self.root.join(directive.word(1));
                if directive.words.len() != 2 || folder.is_file() {
                    return self.note(directive, "only folders can be mounted");
                }
                let target = if name == "alias" { Target::Files(folder) } else { Target::Cgi(folder) };
                scope.aliases.push(Rule::new(directive, directive.word(0), target));
            }
            "redirect" | "redirectpermanent" | "redirecttemp" => self.redirect(directive, scope),
            "redirectmatch" => self.redirect_match(directive, scope),
            "proxypass" => self.proxy(directive, scope),
            "proxypreservehost" => scope.preserve_host = Some(directive.word(0).eq_ignore_ascii_case("on")),
            "errordocument" => match directive.word(0).parse() {
                Ok(status) if directive.words.len() == 2 => {
                    scope.errors.push((directive.clone(), status, directive.word(1).to_owned()));
                }
                _ => self.note(directive, "it is no page for a status"),
            },
            "logformat" => {
                let nickname = directive.word(1).to_owned();
                self.formats.insert(nickname, has_referrer(directive.word(0)));
            }
            "customlog" => self.log(directive, scope),
            _ => self.unknown(name, directive),
        }
    }

    fn listen(&mut self, directive: &Directive) {
        let text = directive.word(0);
        let (ip, port) = text.rsplit_once(':').map_or((None, text), |(ip, port)| (Some(ip), port));
        let ip = ip.filter(|ip| !is_every_ip(ip)).map(str::to_owned);
        let is_ip = ip.as_deref().is_none_or(is_ip);
        match port.parse() {
            Ok(port) if is_ip && port > 0 => {
                let https = directive.word(1).eq_ignore_ascii_case("https");
                self.server.listen.push(Listen { ip, port, https });
            }
            _ => self.note(directive, "it is no address to listen on"),
        }
    }

    fn log(&mut self, directive: &Directive, scope: &mut Scope) {
        if directive.word(0).contains("${") {
            return self.note(directive, "it is not imported");
        }
        if directive.word(0).starts_with('|') || scope.log.is_some() {
            return self.note(directive, "it is not imported: a host has one log, in a file");
        }
        let format = directive.word(1);
        let full = self.formats.get(format).copied().unwrap_or_else(|| has_referrer(format));
        let file = self.root.join(directive.word(0));
        scope.log = Some((file.display().to_string(), full));
        if directive.words.len() > 2 {
            self.note(directive, "all requests are logged, under whatever condition here");
        }
    }

    fn php(&mut self, directive: &Directive, scope: &mut Scope) {
        let handler = directive.word(0).strip_prefix("proxy:").unwrap_or_default();
        match fastcgi(handler) {
            Some(upstream) => scope.php = Some(upstream),
            None => self.note(directive, "scripts are asked of a FastCGI server only"),
        }
    }

    fn redirect(&mut self, directive: &Directive, scope: &mut Scope) {
        let status = match &*directive.name.to_ascii_lowercase() {
            "redirectpermanent" => "permanent",
            "redirecttemp" => "temp",
            _ if !directive.word(0).starts_with('/') => directive.word(0),
            _ => "temp",
        };
        let status = match status.to_ascii_lowercase().as_str() {
            "permanent" => 301,
            "temp" => 302,
            "seeother" => 303,
            other => other.parse().unwrap_or(0),
        };
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return self.note(directive, "a mount sends elsewhere by 301, 302, 303, 307 or 308 only");
        }
        let [.., path, to] = &directive.words[..] else {
            return self.note(directive, "it does not say from where to where");
        };
        if !path.starts_with('/') {
            return self.note(directive, "it does not say from which path");
        }
        let target = Target::Redirect { to: to.clone(), status };
        scope.redirects.push(Rule::new(directive, path, target));
    }

    /// `^/old/(.*)$` to `https://new/$1` is a redirect of what is below a path.
    fn redirect_match(&mut self, directive: &Directive, scope: &mut Scope) {
        let [words @ .., pattern, to] = &directive.words[..] else {
            return self.note(directive, "it does not say from where to where");
        };
        let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
        let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
        let path = pattern.strip_suffix("(.*)").map(|path| path.replace(r"\.", "."));
        let is_plain =
            |path: &str| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
        match (path, to.strip_suffix("$1")) {
            (Some(path), Some(to)) if path.ends_with('/') && is_plain(&path) && !to.contains('$') => {
                let words = words.iter().cloned().chain([path, to.to_owned()]).collect();
                self.redirect(&Directive { words, ..directive.clone() }, scope);
            }
            _ => self.note(directive, "only patterns such as ^/old/(.*)$ with $1 at the end are imported"),
        }
    }

    fn proxy(&mut self, directive: &Directive, scope: &mut Scope) {
        let (path, url) = (directive.word(0), directive.word(1));
        if directive.words.len() > 2 {
            self.note(directive, "what stands behind the URL is not imported");
        }
        let target = match url {
            "!" => Some(Target::Nothing),
            _ => upstreams(url, &self.server.balancers).map(|upstreams| Target::Proxy { upstreams }),
        };
        match target.or_else(|| fastcgi(url).map(|upstream| Target::FastCgi { upstream })) {
            Some(target) => scope.proxies.push(Rule::new(directive, path, target)),
            None => self.note(directive, "only http, https, ws, fcgi, Unix sockets and balancers are asked"),
        }
    }
}
