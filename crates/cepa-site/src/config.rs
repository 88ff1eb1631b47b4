//! The sections `site` and `hosts` of the configuration.

use std::{path::PathBuf, time::Duration};

use cepa_core::{forwarded::Trust, units};
use cepa_layers::{cgi, fastcgi_pass, logger, proxy, static_files};
use serde::{
    Deserialize, Deserializer,
    de::{self, Error as _},
};

use crate::{names::HostName, redirect::RedirectConfig, table::At};

/// What holds for all hosts; the section `site`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SiteConfig {
    /// What a request gets that asks for none of the hosts, default `misdirected` (421); or `not_found` (404). A host that
    /// is named `*` answers it instead.
    pub unknown: Unknown,
    /// The front servers whose `X-Forwarded-For`, `-Proto` and `-Host` are believed: addresses, blocks, `loopback`,
    /// `private` or `unix`; default none.
    pub trust: Vec<String>,
}

impl SiteConfig {
    /// The proxies that are believed.
    pub(crate) fn trusted(&self) -> Result<Option<Trust>, cepa_core::forwarded::InvalidTrust> {
        if self.trust.is_empty() { Ok(None) } else { self.trust.join(",").parse().map(Some) }
    }
}

/// What a request gets that asks for none of the hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// 421: this server does not speak for that host (RFC 9110, section 15.5.20).
    #[default]
    Misdirected,
    /// 404.
    NotFound,
}

/// A virtual host; an element of the list `hosts`.
///
/// ```toml
/// [[hosts]]
/// names = ["example.org", "*.example.org"]
/// limits.body = "1 MiB"
///
/// [[hosts.mounts]]
/// files.root = "/srv/example/public"
///
/// [[hosts.mounts]]
/// path = "/api"
/// proxy.upstreams = ["http://10.0.0.5:8080"]
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostConfig {
    /// The names that it answers to: `example.org`, `*.example.org` for all below, `.example.org` for both, `~` and a
    /// regular expression for whole names, `*` for what no other host answers to. An exact name goes before `*.name`, a
    /// longer one of these before a shorter one, then come expressions in their order. Default `["*"]`.
    pub names: Vec<HostName>,
    /// The addresses of this machine at which it answers: `10.0.0.1:443`, `10.0.0.1` for all ports, `*:443` for that port
    /// of all addresses; default any. A host that is limited goes before those that are not. Listeners that are Unix
    /// sockets have no address.
    pub listen: Vec<At>,
    /// The folder that it is made of where it names no mounts, default `.`, which is that of the site: `public` at `/`, `cgi`
    /// at `/cgi-bin`, and the pages of `errors`. Relative folders of its mounts lie below it.
    pub folder: PathBuf,
    /// What answers below which path, the longest path first; default `public` and `cgi` of the folder.
    pub mounts: Vec<MountConfig>,
    /// The folder of pages for errors: `404.html`, or `4xx.html` and `5xx.html` for all without one of their own. Default
    /// `errors` in `folder`, if it is there.
    pub errors: Option<PathBuf>,
    /// What its requests may cost.
    pub limits: HostLimits,
    /// The lines for its requests.
    pub log: HostLog,
    /// Its certificate, for its names on all listeners with TLS.
    pub tls: Option<HostTls>,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            names: vec![HostName::Any],
            listen: Vec::new(),
            folder: ".".into(),
            mounts: Vec::new(),
            errors: None,
            limits: HostLimits::default(),
            log: HostLog::default(),
            tls: None,
        }
    }
}

/// What the requests of one host may cost.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostLimits {
    /// Bytes of a request body, default 0: as `server.limits.body` says; 413.
    #[serde(with = "units::size")]
    pub body: u64,
    /// Time to the head of the response, default 0: as `server.limits.request_time` says; 503.
    #[serde(with = "units::duration")]
    pub request_time: Duration,
    /// Requests that are handled at the same time by each process, default 0: any number. As many more wait for a second;
    /// 503.
    pub at_once: usize,
}

/// The lines for the requests of one host.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostLog {
    /// The category of the log that its lines are in, default `access`; one below it, such as `access.shop`, can have
    /// appenders of its own. Empty: there are no lines.
    #[serde(deserialize_with = "category")]
    pub category: Option<logger::Category>,
    /// The form of a line, default `common`.
    pub format: logger::Format,
}

impl Default for HostLog {
    fn default() -> Self {
        Self { category: Some(logger::Category::default()), format: logger::Format::default() }
    }
}

fn category<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<logger::Category>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
}

/// Where the certificate of a host comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostTls {
    /// Files.
    Files(CertificateConfig),
    /// An authority that is asked by ACME: `"acme"`.
    Acme,
    /// This program, for development: `"self_signed"`.
    SelfSigned,
}

/// The files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// The certificate in PEM, followed by the intermediate ones.
    pub cert: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

impl<'de> Deserialize<'de> for HostTls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;

        impl<'de> de::Visitor<'de> for NameOrTable {
            type Value = HostTls;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`acme`, `self_signed` or a table with `cert` and `key`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HostTls, E> {
                match text {
                    "acme" => Ok(HostTls::Acme),
                    "self_signed" => Ok(HostTls::SelfSigned),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, table: A) -> Result<HostTls, A::Error> {
                let table = de::value::MapAccessDeserializer::new(table);
                CertificateConfig::deserialize(table).map(HostTls::Files)
            }
        }

        deserializer.deserialize_any(NameOrTable)
    }
}

/// What answers at and below a path.
///
/// One of `app`, `proxy`, `fastcgi`, `scgi`, `cgi`, `redirect`, or `files`, which may also stand beside one of the first
/// four: then a file that is there answers first, but never one that `fastcgi` or `scgi` take for a script.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct MountConfig {
    /// The path, default `/`.
    pub path: String,
    /// The name of an app that the program has.
    pub app: Option<String>,
    /// A folder of files, with the options of the layer `static_files`.
    pub files: Option<static_files::Options>,
    /// Whether folders among the `files` that have no index are listed, default no.
    pub listing: bool,
    /// Other servers that are asked by HTTP, with the options of the layer `proxy`.
    pub proxy: Option<proxy::Options>,
    /// A FastCGI server such as php-fpm, with the options of `fastcgi_pass`.
    pub fastcgi: Option<fastcgi_pass::Options>,
    /// An SCGI server, with the options of `scgi_pass`.
    pub scgi: Option<fastcgi_pass::Options>,
    /// A folder of programs, each started for one request, with the options of `cgi`.
    pub cgi: Option<cgi::Options>,
    /// Where clients are sent: a URL, or a table with `to`, `status` and `path`.
    pub redirect: Option<RedirectConfig>,
}

impl Default for MountConfig {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            app: None,
            files: None,
            listing: false,
            proxy: None,
            fastcgi: None,
            scgi: None,
            cgi: None,
            redirect: None,
        }
    }
}

impl<'de> Deserialize<'de> for MountConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mount = Self::deserialize(deserializer)?;
        mount.check().map_err(D::Error::custom)?;
        Ok(mount)
    }
}

impl MountConfig {
    /// Files below a root at a path, without a listing.
    pub(crate) fn files(path: &str, root: PathBuf) -> Self {
        let files = Some(static_files::Options { root, ..Default::default() });
        Self { path: path.to_owned(), files, ..Self::default() }
    }

    /// The programs of a folder at a path.
    pub(crate) fn cgi(path: &str, root: PathBuf) -> Self {
        let cgi = Some(cgi::Options { root, ..Default::default() });
        Self { path: path.to_owned(), cgi, ..Self::default() }
    }

    /// What serde cannot see. A text begins with the key at fault.
    fn check(&self) -> Result<(), String> {
        let targets = [
            ("app", self.app.is_some()),
            ("proxy", self.proxy.is_some()),
            ("fastcgi", self.fastcgi.is_some()),
            ("scgi", self.scgi.is_some()),
            ("cgi", self.cgi.is_some()),
            ("redirect", self.redirect.is_some()),
        ];
        let mut named = targets.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name);
        let (first, second) = (named.next(), named.next());
        if let (Some(first), Some(second)) = (first, second) {
            return Err(format!("{second}: there is {first} already; one of them answers"));
        }
        match (first, &self.files) {
            (None, None) => {
                Err("a mount has `files`, `app`, `proxy`, `fastcgi`, `scgi`, `cgi` or `redirect`".to_owned())
            }
            (Some(name @ ("cgi" | "redirect")), Some(_)) => Err(format!("files: {name} answers alone")),
            (_, None) if self.listing => Err("listing: there are no `files`".to_owned()),
            (_, Some(files)) => self.check_files(files),
            (_, None) => Ok(()),
        }?;
        let is_path = self.path.starts_with('/') && !self.path.contains("//");
        // What a pattern of a route means something by, or is never the path of a request.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#{}%*\\\"<>^`|".contains(&byte);
        let dots = self.path.split('/').any(|part| matches!(part, "." | ".."));
        if !is_path || dots || !self.path.bytes().all(is_plain) {
            return Err(format!("path {:?} is no path such as `/api`", self.path));
        }
        Ok(())
    }

    fn check_files(&self, files: &static_files::Options) -> Result<(), String> {
        if !files.prefix.is_empty() {
            return Err("files.prefix: the `path` of the mount is the prefix".to_owned());
        }
        if files.deferred {
            return Err("files.deferred: files answer first in a mount".to_owned());
        }
        shows_none(files, self.scripts()).map_err(|fault| format!("files: {fault}"))
    }

    /// How the names of scripts end, which are not among the files.
    pub(crate) fn scripts(&self) -> &[String] {
        let options = self.fastcgi.as_ref().or(self.scgi.as_ref());
        options.filter(|options| options.root.is_some()).map_or(&[], |options| &options.suffixes)
    }
}

/// Checks that no file is among these whose name was not asked for, but added, and is a script's: it would show its source.
pub(crate) fn shows_none(files: &static_files::Options, suffixes: &[String]) -> Result<(), String> {
    let extensions = files.extensions.iter().map(|extension| format!(".{extension}"));
    let shown = extensions.chain([files.index.clone()]).find(|name| is_script(name, suffixes));
    shown.map_or(Ok(()), |name| Err(format!("{name:?} would show the source of a script")))
}

/// Whether a name ends as scripts do, in whatever case: what differs from a script in that only is no file to be shown.
pub(crate) fn is_script(name: &str, suffixes: &[String]) -> bool {
    let end = |suffix: &String| name.len().checked_sub(suffix.len()).and_then(|at| name.as_bytes().get(at..));
    suffixes.iter().any(|suffix| end(suffix).is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes())))
}
