//! The recorded cases: read from their file, sent to a server.

use std::{collections::BTreeMap, net::SocketAddr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::Value;

use super::{
    cookies,
    verdict::{Expect, differences},
};
use crate::http;

/// All cases.
#[derive(Debug, Deserialize)]
pub struct Recording {
    /// The keys that cookies are signed with, the first signs.
    keys: Vec<String>,
    /// The cases, in the order of recording.
    pub cases: Vec<Case>,
}

/// A few requests, one after the other, and what Koa answered.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// `theme/name`.
    pub id: String,
    /// Set where Koa's own answer looks like a defect, and says which.
    pub quirk: Option<String>,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    request: Request,
    expect: Expect,
    /// What later steps need of the answer, by the name they call it.
    #[serde(default)]
    save: BTreeMap<String, Save>,
}

#[derive(Debug, Deserialize)]
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_b64: Option<String>,
    version: Option<String>,
    #[serde(default)]
    no_host: bool,
    #[serde(default)]
    no_length: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Save {
    /// The value of a cookie that is set.
    Cookie(String),
    /// A value in a JSON body, by its dotted path.
    Json(String),
}

/// The apps that the recorded server held besides the main one, by the first segment of their paths.
const APPS: [&str; 13] =
    ["px", "pq", "sess", "sroll", "srenew", "sext", "z", "b", "bl", "csrf", "st", "rt", "rth"];

impl Recording {
    /// Reads the recording.
    ///
    /// # Panics
    /// When the file is not there or not as it should be.
    pub fn load() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/koa/cases.json");
        let text = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The cases of one app that show no defect of Koa's.
    pub fn of_app(&self, app: &str) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(move |case| case.quirk.is_none() && case.app() == app)
    }

    /// Sends the requests of a case and says what differs from Koa's answers, a line for each difference.
    pub fn run(&self, case: &Case, server: SocketAddr) -> Vec<String> {
        let mut saved = BTreeMap::new();
        let mut found = Vec::new();
        for (at, step) in case.steps.iter().enumerate() {
            let differing = step
                .run(server, &self.keys, &mut saved)
                .unwrap_or_else(|failure| vec![format!("no usable response: {failure}")]);
            let Request { method, target, .. } = &step.request;
            found.extend(differing.iter().map(|line| format!("step {} {method} {target}: {line}", at + 1)));
        }
        found
    }
}

impl Case {
    /// The app that the case is for; `main` is the one without a prefix.
    pub fn app(&self) -> &str {
        let target = self.steps.first().map_or("", |step| &step.request.target);
        let first = target.strip_prefix('/').and_then(|path| path.split(['/', '?']).next());
        first.filter(|first| APPS.contains(first)).unwrap_or("main")
    }
}

impl Step {
    fn run(
        &self,
        server: SocketAddr,
        keys: &[String],
        saved: &mut BTreeMap<String, String>,
    ) -> Result<Vec<String>, String> {
        let response = self.request.build(saved)?.send(server).map_err(|failure| failure.to_string())?;
        let found = differences(&self.expect, &response, keys, saved);
        for (name, what) in &self.save {
            if let Some(value) = what.find(&response) {
                saved.insert(name.clone(), value);
            }
        }
        Ok(found)
    }
}

impl Request {
    /// The request with what the cases leave to the one who sends them.
    fn build(&self, saved: &BTreeMap<String, String>) -> Result<http::Request, String> {
        let body = match (&self.body, &self.body_b64) {
            (Some(text), _) => Some(fill_in(text, saved).into_bytes()),
            (None, Some(text)) => Some(BASE64_STANDARD.decode(text).map_err(|error| error.to_string())?),
            (None, None) => None,
        };
        let mut headers: Vec<(String, String)> =
            self.headers.iter().map(|(name, value)| (name.clone(), fill_in(value, saved))).collect();
        let given = |name| self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if !given("host") && !self.no_host {
            headers.insert(0, ("Host".to_owned(), "example.test".to_owned()));
        }
        if let Some(body) = &body
            && !given("content-length")
            && !given("transfer-encoding")
            && !self.no_length
        {
            headers.push(("Content-Length".to_owned(), body.len().to_string()));
        }
        if !given("connection") {
            headers.push(("Connection".to_owned(), "close".to_owned()));
        }
        Ok(http::Request {
            method: self.method.clone(),
            target: fill_in(&self.target, saved),
            version: self.version.clone().unwrap_or_else(|| "HTTP/1.1".to_owned()),
            headers,
            body: body.unwrap_or_default(),
        })
    }
}

impl Save {
    fn find(&self, response: &http::Response) -> Option<String> {
        match self {
            Save::Cookie(name) => {
                let cookies = response.all("set-cookie").map(cookies::parse);
                cookies.filter(|cookie| cookie.name == name).last().map(|cookie| cookie.value.to_owned())
            }
            Save::Json(path) => {
                let json: Value = serde_json::from_slice(&response.body).ok()?;
                let value = path.split('.').try_fold(&json, |json, key| json.get(key))?;
                Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            }
        }
    }
}

/// Puts saved values in for `{{name}}`; a name that was not saved stays.
pub(super) fn fill_in(text: &str, saved: &BTreeMap<String, String>) -> String {
    saved.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}
