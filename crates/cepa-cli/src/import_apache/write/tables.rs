//! The tables of a site's configuration, as they are written.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

#[derive(Serialize)]
pub(super) struct ServerTable {
    pub(super) server: Listeners,
}

#[derive(Serialize)]
pub(super) struct Listeners {
    pub(super) listen: Vec<Listener>,
}

#[derive(Serialize)]
pub(super) struct Listener {
    pub(super) address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) options: Option<Bind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<Empty>,
}

#[derive(Serialize)]
pub(super) struct Bind {
    pub(super) ipv6_only: bool,
}

#[derive(Serialize)]
pub(super) struct Empty {}

#[derive(Serialize)]
pub(super) struct HostTables {
    pub(super) hosts: [HostTable; 1],
}

#[derive(Serialize)]
pub(super) struct HostTable {
    pub(super) names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) listen: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) errors: Option<PathBuf>,
    pub(super) log: LogTable,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<TlsTable>,
    pub(super) mounts: Vec<MountTable>,
}

#[derive(Serialize)]
pub(super) struct LogTable {
    pub(super) category: String,
    pub(super) format: &'static str,
}

#[derive(Serialize)]
pub(super) struct TlsTable {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

#[derive(Serialize, Default)]
pub(super) struct MountTable {
    pub(super) path: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) listing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) files: Option<FilesTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cgi: Option<FolderTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proxy: Option<ProxyTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fastcgi: Option<FastCgiTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) redirect: Option<RedirectTable>,
}

#[derive(Serialize)]
pub(super) struct FilesTable {
    pub(super) root: PathBuf,
    pub(super) index: String,
}

#[derive(Serialize)]
pub(super) struct FolderTable {
    pub(super) root: PathBuf,
}

#[derive(Serialize)]
pub(super) struct ProxyTable {
    pub(super) upstreams: Vec<String>,
    pub(super) host: &'static str,
}

#[derive(Serialize)]
pub(super) struct FastCgiTable {
    pub(super) upstream: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) root: Option<PathBuf>,
}

#[derive(Serialize)]
pub(super) struct RedirectTable {
    pub(super) to: String,
    pub(super) status: u16,
}

#[derive(Serialize)]
pub(super) struct LogTables {
    pub(super) log: LogSection,
}

#[derive(Serialize)]
pub(super) struct LogSection {
    pub(super) appenders: BTreeMap<String, Appender>,
    pub(super) categories: BTreeMap<String, Category>,
}

#[derive(Serialize)]
pub(super) struct Appender {
    pub(super) r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) layout: Option<Layout>,
}

#[derive(Serialize)]
pub(super) struct Layout {
    pub(super) r#type: &'static str,
}

#[derive(Serialize)]
pub(super) struct Category {
    pub(super) appenders: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inherit: Option<bool>,
}

/// Files for the lines of requests, and standard error for everything else.
pub(super) fn logs(files: &[(String, String)]) -> LogSection {
    let console = Appender { r#type: "stderr", filename: None, layout: None };
    let mut appenders = BTreeMap::from([("console".to_owned(), console)]);
    let default = Category { appenders: vec!["console".to_owned()], level: Some("info"), inherit: None };
    let mut categories = BTreeMap::from([("default".to_owned(), default)]);
    for (category, file) in files {
        let name = category.replace('.', "_");
        let layout = Some(Layout { r#type: "message_pass_through" });
        let appender = Appender { r#type: "file", filename: Some(file.clone()), layout };
        appenders.insert(name.clone(), appender);
        let own = Category { appenders: vec![name], level: None, inherit: Some(false) };
        categories.insert(category.clone(), own);
    }
    LogSection { appenders, categories }
}
