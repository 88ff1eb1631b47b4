//! The configuration of a site that answers as Apache did.

mod tables;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use cepa_site::{HostName, MountConfig};

use self::tables::{
    Bind, Empty, FastCgiTable, FilesTable, FolderTable, HostTable, HostTables, Listener, Listeners, LogTable,
    LogTables, MountTable, ProxyTable, RedirectTable, ServerTable, TlsTable, logs,
};
use super::{
    ImportError, Note,
    routes::routes,
    rule::Target,
    scope::{Host, Listen, Scope, Server, is_every_ip, is_ip},
};

/// The text; `None` where nothing would answer.
pub(super) fn write(
    file: &Path,
    server: &Server,
    notes: &mut Vec<Note>,
) -> Result<Option<String>, ImportError> {
    let mut writer =
        Writer { server, notes, defaults: BTreeSet::new(), known: BTreeSet::new(), logs: Vec::new() };
    let mut hosts = Vec::new();
    for host in &server.hosts {
        if let Some(table) = writer.host(host) {
            hosts.push((host.place.to_string(), table));
        }
    }
    if let Some(table) = writer.main() {
        hosts.push((format!("{}, outside of virtual hosts", file.display()), table));
    }
    if hosts.is_empty() {
        return Ok(None);
    }
    let mut text = format!("# From {} by `cepa import-apache`.\n", file.display());
    let listen = writer.listeners();
    if !listen.is_empty() {
        text.push('\n');
        text += &toml::to_string(&ServerTable { server: Listeners { listen } })?;
    }
    if !writer.logs.is_empty() {
        text.push('\n');
        text += &toml::to_string(&LogTables { log: logs(&writer.logs) })?;
    }
    for (place, table) in hosts {
        text += &format!("\n# {place}\n");
        text += &toml::to_string(&HostTables { hosts: [table] })?;
    }
    Ok(Some(text))
}

struct Writer<'a> {
    server: &'a Server,
    notes: &'a mut Vec<Note>,
    /// The addresses that have a host for all other names.
    defaults: BTreeSet<String>,
    /// The names that are answered, by address.
    known: BTreeSet<(String, String)>,
    /// The categories of the log and their files.
    logs: Vec<(String, String)>,
}

impl Writer<'_> {
    fn host(&mut self, host: &Host) -> Option<HostTable> {
        let listen = self.addresses(host)?;
        let mut names = self.names(host, &listen);
        // The first host of an address answers for all names that no other one there has.
        let key = |listen: &[String]| if listen.is_empty() { vec!["*".to_owned()] } else { listen.to_vec() };
        let fresh = key(&listen).into_iter().map(|at| self.defaults.insert(at)).collect::<Vec<_>>();
        if fresh.iter().all(|fresh| *fresh) {
            names.push("*".to_owned());
        } else if fresh.contains(&true) {
            self.note(
                host,
                "it is the first of some of its addresses: names that nobody has are not answered there",
            );
        }
        if names.is_empty() {
            self.note(
                host,
                "it has no name of its own and is not the first of its address: nothing reaches it",
            );
            return None;
        }
        let table = self.table(names, listen, &host.scope);
        if table.mounts.is_empty() {
            self.note(host, "nothing in it answers");
            return None;
        }
        Some(table)
    }

    fn note(&mut self, host: &Host, text: &str) {
        self.notes.push(Note { place: host.place.clone(), text: format!("VirtualHost: {text}") });
    }

    /// The addresses of a host as a site has them; none are all. `None` if it has none that can be told.
    fn addresses(&mut self, host: &Host) -> Option<Vec<String>> {
        let mut listen = Vec::new();
        for address in &host.addresses {
            let (ip, port) = match address.rsplit_once(':') {
                Some((ip, port)) if !port.ends_with(']') => (ip, port),
                _ => (address.as_str(), "*"),
            };
            let any_ip = is_every_ip(ip) || ip == "0.0.0.0";
            match (any_ip, port) {
                (true, "*") => return Some(Vec::new()),
                (true, port) if is_port(port) => listen.push(format!("*:{port}")),
                (false, "*") if is_ip(ip) => listen.push(ip.trim_matches(['[', ']']).to_owned()),
                (false, port) if is_ip(ip) && is_port(port) => listen.push(address.clone()),
                _ => self.note(host, &format!("{address} is no address: names are not resolved")),
            }
        }
        listen.sort();
        listen.dedup();
        (!listen.is_empty()).then_some(listen)
    }

    /// The names of a host, without those that an earlier one has.
    fn names(&mut self, host: &Host, listen: &[String]) -> Vec<String> {
        let mut names = Vec::new();
        for (place, written) in &host.scope.names {
            let name = as_site(written);
            let note = |text: &str| Note { place: place.clone(), text: format!("{written}: {text}") };
            if name.parse::<HostName>().is_err() || name == "*" {
                self.notes.push(note("it is no name of a host"));
                continue;
            }
            let any = ["*".to_owned()];
            let at = if listen.is_empty() { &any } else { listen };
            let fresh = at.iter().all(|at| self.known.insert((at.clone(), name.clone())));
            match fresh || names.contains(&name) {
                true if !names.contains(&name) => names.push(name),
                true => {}
                false => self.notes.push(note("an earlier host has this name")),
            }
        }
        names
    }

    /// What answers at the addresses that no virtual host has.
    fn main(&mut self) -> Option<HostTable> {
        let covers = |listen: &Listen, address: &String| {
            let (ip, port) = address.rsplit_once(':').unwrap_or((address, "*"));
            let same_ip = is_every_ip(ip) || ip == "0.0.0.0" || listen.ip.as_deref() == Some(ip);
            same_ip && (port == "*" || port.parse() == Ok(listen.port))
        };
        let open = self.server.listen.iter().filter(|listen| {
            !self.server.hosts.iter().flat_map(|host| &host.addresses).any(|address| covers(listen, address))
        });
        let open: Vec<String> = open
            .map(|listen| match &listen.ip {
                Some(ip) if ip != "0.0.0.0" => format!("{ip}:{}", listen.port),
                _ => format!("*:{}", listen.port),
            })
            .collect();
        if !self.server.hosts.is_empty() && open.is_empty() {
            return None;
        }
        let listen = if self.server.hosts.is_empty() { Vec::new() } else { open };
        let table = self.table(vec!["*".to_owned()], listen, &self.server.base);
        (!table.mounts.is_empty()).then_some(table)
    }

    fn table(&mut self, names: Vec<String>, listen: Vec<String>, scope: &Scope) -> HostTable {
        let base = &self.server.base;
        let mounts = routes(scope, base, self.notes);
        let mounts =
            mounts.into_iter().filter_map(|(path, target)| self.mount(path, target, scope)).collect();
        let (errors, log) = (self.errors(scope), self.log(&names, scope));
        HostTable { names, listen, errors, log, tls: tls(scope, base), mounts }
    }

    fn mount(&mut self, path: String, target: Target, scope: &Scope) -> Option<MountTable> {
        let base = &self.server.base;
        let mut table = MountTable { path, ..MountTable::default() };
        match target {
            Target::Files(root) => {
                let php = scope.php.as_ref().or(base.php.as_ref());
                table.fastcgi =
                    php.map(|upstream| FastCgiTable { upstream: upstream.clone(), root: Some(root.clone()) });
                table.listing = self.server.lists && is_listed(&root, scope, base);
                let index = index(&root, scope.index.as_ref().or(base.index.as_ref()));
                table.files = Some(FilesTable { root, index });
            }
            Target::Cgi(root) => table.cgi = Some(FolderTable { root }),
            Target::Proxy { upstreams } => {
                let keeps = scope.preserve_host.or(base.preserve_host).unwrap_or(false);
                table.proxy = Some(ProxyTable { upstreams, host: if keeps { "keep" } else { "upstream" } });
            }
            Target::FastCgi { upstream } => table.fastcgi = Some(FastCgiTable { upstream, root: None }),
            Target::Redirect { to, status } => table.redirect = Some(RedirectTable { to, status }),
            Target::Nothing => return None,
        }
        let fault = match toml::to_string(&table) {
            Ok(text) => toml::from_str::<MountConfig>(&text).err().map(|error| error.message().to_owned()),
            Err(error) => Some(error.to_string()),
        };
        match fault {
            None => Some(table),
            Some(fault) => {
                let rules = scope.proxies.iter().chain(&scope.redirects).chain(&scope.aliases);
                let rules = rules.chain(&base.proxies).chain(&base.redirects).chain(&base.aliases);
                let rule = rules.into_iter().find(|rule| rule.path == table.path);
                self.notes.extend(rule.map(|rule| rule.note(fault)));
                None
            }
        }
    }

    /// The folder of pages for errors, if each has the name of its status.
    fn errors(&mut self, scope: &Scope) -> Option<PathBuf> {
        let root = scope.root.as_ref().or(self.server.base.root.as_ref())?;
        let mut folder: Option<PathBuf> = None;
        for (directive, status, page) in scope.errors.iter().chain(&self.server.base.errors) {
            let file = page.strip_prefix('/').map(|page| root.join(page));
            let here = file.filter(|file| file.file_name() == Some(format!("{status}.html").as_ref()));
            let here = here.and_then(|file| file.parent().map(Path::to_owned));
            match (here, &folder) {
                (Some(here), None) => folder = Some(here),
                (Some(here), Some(folder)) if here == *folder => {}
                _ => self.notes.push(directive.note(
                    "a host has pages such as 404.html in one folder; texts and other places are not imported",
                )),
            }
        }
        folder
    }

    fn log(&mut self, names: &[String], scope: &Scope) -> LogTable {
        let own = scope.log.as_ref();
        let (file, full) = match own.or(self.server.base.log.as_ref()) {
            Some((file, full)) => (file, *full),
            None => return LogTable { category: "access".to_owned(), format: "common" },
        };
        let known = self.logs.iter().find(|(_, other)| other == file).map(|(category, _)| category.clone());
        let category = known.unwrap_or_else(|| {
            let name: String = names[0].chars().filter(|char| char.is_ascii_alphanumeric()).collect();
            let mut category = format!("access.{}", if name.is_empty() { "default" } else { &name });
            while self.logs.iter().any(|(other, _)| *other == category) {
                category.push('x');
            }
            self.logs.push((category.clone(), file.clone()));
            category
        });
        LogTable { category, format: if full { "combined" } else { "common" } }
    }

    /// What is listened on: what is said, or in the file of a single host what it asks for.
    fn listeners(&self) -> Vec<Listener> {
        if !self.server.listen.is_empty() {
            return self.bound(&self.server.listen);
        }
        let mut listen: Vec<Listen> = Vec::new();
        for address in self.server.hosts.iter().flat_map(|host| &host.addresses) {
            let Some((ip, Ok(port))) = address.rsplit_once(':').map(|(ip, port)| (ip, port.parse())) else {
                continue;
            };
            if port == 0 {
                continue;
            }
            let ip = (is_ip(ip) && !is_every_ip(ip)).then(|| ip.to_owned());
            listen.push(Listen { ip, port, https: false });
        }
        self.bound(&listen)
    }

    /// Each once: what listens on every address does so for those of IPv4, too.
    fn bound(&self, listen: &[Listen]) -> Vec<Listener> {
        let is_every = |at: &Listen| listen.iter().any(|other| other.ip.is_none() && other.port == at.port);
        let mut bound: Vec<&Listen> = Vec::new();
        for at in listen {
            let is_part = at.ip.as_deref() == Some("0.0.0.0") && is_every(at);
            if !is_part && !bound.iter().any(|other| (&other.ip, other.port) == (&at.ip, at.port)) {
                bound.push(at);
            }
        }
        bound.into_iter().map(|listen| self.listener(listen)).collect()
    }

    fn listener(&self, listen: &Listen) -> Listener {
        let (address, options) = match &listen.ip {
            Some(ip) => (format!("{ip}:{}", listen.port), None),
            None => (format!("[::]:{}", listen.port), Some(Bind { ipv6_only: false })),
        };
        let at_port = |address: &String| {
            let port = address.rsplit_once(':').map_or("*", |(_, port)| port);
            port.parse() == Ok(listen.port)
        };
        let base = &self.server.base;
        let with_tls = self.server.hosts.iter().filter(|host| tls(&host.scope, base).is_some());
        let is_tls = listen.https || with_tls.flat_map(|host| &host.addresses).any(at_port);
        Listener { address, options, tls: is_tls.then_some(Empty {}) }
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A name as a site writes it: wildcards anywhere but in front become an expression.
fn as_site(name: &str) -> String {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    if !rest.contains(['*', '?']) {
        return name.to_owned();
    }
    let mut pattern = "~".to_owned();
    for char in name.chars() {
        match char {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            char if char.is_ascii_alphanumeric() || char == '-' || char == '_' => pattern.push(char),
            char => pattern.extend(['\\', char]),
        }
    }
    pattern
}

fn tls(scope: &Scope, base: &Scope) -> Option<TlsTable> {
    if !scope.tls.or(base.tls).unwrap_or(false) {
        return None;
    }
    let cert = scope.cert.as_ref().or(base.cert.as_ref())?;
    // Without a file of its own the key is in that of the certificate.
    let key = scope.key.as_ref().or(base.key.as_ref()).unwrap_or(cert);
    Some(TlsTable { cert: cert.clone(), key: key.clone() })
}

/// The file that stands for its folder: the first that is there, else the first that is no script.
fn index(root: &Path, candidates: Option<&Vec<String>>) -> String {
    let Some(candidates) = candidates else { return "index.html".to_owned() };
    let is_script = |name: &&String| {
        let name = name.to_ascii_lowercase();
        [".php", ".cgi", ".pl"].iter().any(|suffix| name.ends_with(suffix))
    };
    let mut plain = candidates.iter().filter(|name| !is_script(name) && !name.contains('/'));
    let first = plain.clone().next();
    match plain.find(|name| root.join(name).is_file()).or(first) {
        Some(name) if name.eq_ignore_ascii_case("disabled") => String::new(),
        Some(name) => name.clone(),
        None => String::new(),
    }
}

fn is_listed(root: &Path, scope: &Scope, base: &Scope) -> bool {
    let about = base.listing.iter().chain(&scope.listing).filter(|(folder, _)| root.starts_with(folder));
    // Of the same folder the last counts.
    about.max_by_key(|(folder, _)| folder.components().count()).is_some_and(|(_, lists)| *lists)
}
