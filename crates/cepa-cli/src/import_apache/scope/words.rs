//! What single words of Apache mean.

use std::collections::BTreeMap;

/// What changes nothing of what is answered, or is a matter of course here.
pub(in crate::import_apache) const WITHOUT_EFFECT: [&str; 67] = [
    "accessfilename",
    "addcharset",
    "adddefaultcharset",
    "addencoding",
    "addicon",
    "addiconbyencoding",
    "addiconbytype",
    "addlanguage",
    "addtype",
    "browsermatch",
    "defaulticon",
    "defaultruntimedir",
    "enablemmap",
    "enablesendfile",
    "errorlog",
    "errorlogformat",
    "extendedstatus",
    "forcelanguagepriority",
    "group",
    "headername",
    "hostnamelookups",
    "indexignore",
    "indexoptions",
    "keepalive",
    "keepalivetimeout",
    "languagepriority",
    "loglevel",
    "maxconnectionsperchild",
    "maxkeepaliverequests",
    "maxrequestworkers",
    "maxsparethreads",
    "mimemagicfile",
    "minsparethreads",
    "mutex",
    "namevirtualhost",
    "pidfile",
    "proxypassreverse",
    "proxypassreversecookiedomain",
    "proxypassreversecookiepath",
    "proxyrequests",
    "readmename",
    "removelanguage",
    "removetype",
    "requestreadtimeout",
    "scriptsock",
    "serveradmin",
    "serverlimit",
    "serversignature",
    "servertokens",
    "sslciphersuite",
    "sslcompression",
    "sslhonorcipherorder",
    "ssloptions",
    "sslpassphrasedialog",
    "sslprotocol",
    "sslrandomseed",
    "sslsessioncache",
    "sslsessioncachetimeout",
    "sslsessiontickets",
    "startservers",
    "threadlimit",
    "threadsperchild",
    "timeout",
    "traceenable",
    "typesconfig",
    "usecanonicalname",
    "user",
];

/// What says who may ask.
pub(in crate::import_apache) const LIMITS_ACCESS: [&str; 9] = [
    "allow",
    "authname",
    "authtype",
    "authuserfile",
    "deny",
    "order",
    "require",
    "satisfy",
    "sslverifyclient",
];

/// Whether `Options` say that folders are listed; `None` if they say nothing of it.
pub(in crate::import_apache) fn lists(words: &[String]) -> Option<bool> {
    let is = |word: &str, name: &str| word.eq_ignore_ascii_case(name);
    let mut answer = None;
    for word in words {
        match (word.strip_prefix('+'), word.strip_prefix('-')) {
            (Some(word), _) if is(word, "Indexes") => answer = Some(true),
            (_, Some(word)) if is(word, "Indexes") => answer = Some(false),
            (None, None) => answer = Some(answer == Some(true) || is(word, "Indexes") || is(word, "All")),
            _ => {}
        }
    }
    answer
}

pub(in crate::import_apache) fn has_referrer(format: &str) -> bool {
    format.to_ascii_lowercase().contains("referer")
}

/// A name without scheme and port.
pub(in crate::import_apache) fn bare_name(name: &str) -> String {
    let name = name.split_once("://").map_or(name, |(_, name)| name);
    match name.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => name,
    }
    .to_ascii_lowercase()
}

pub(in crate::import_apache) fn is_ip(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<std::net::IpAddr>().is_ok()
}

/// Whether an address is every address of both families, as `[::]` is too for Apache as Debian and most others build it.
pub(in crate::import_apache) fn is_every_ip(text: &str) -> bool {
    matches!(text, "*" | "_default_" | "[::]")
}

/// The servers of a URL, as `proxy` names them.
pub(in crate::import_apache) fn upstreams(
    url: &str,
    balancers: &BTreeMap<String, Vec<String>>,
) -> Option<Vec<String>> {
    if let Some(rest) = url.strip_prefix("balancer://") {
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let members = balancers.get(name).filter(|members| !members.is_empty())?;
        let join = |member: &String| upstream(&format!("{}/{path}", member.trim_end_matches('/')));
        return members.iter().map(join).collect();
    }
    upstream(url).map(|upstream| vec![upstream])
}

fn upstream(url: &str) -> Option<String> {
    if let Some((socket, url)) = url.strip_prefix("unix:").and_then(|rest| rest.split_once('|')) {
        let path = url.strip_prefix("http://")?.split_once('/').map_or("", |(_, path)| path);
        return path.is_empty().then(|| format!("unix:{socket}"));
    }
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "http" | "ws" => "http",
        "https" | "wss" => "https",
        _ => return None,
    };
    let sound = !rest.is_empty() && !rest.contains(['?', '#', '$', '@', ' ']);
    sound.then(|| format!("{scheme}://{}", rest.trim_end_matches('/')))
}

/// The FastCGI server of `fcgi://host:port/…` and `unix:/path|fcgi://…`.
pub(in crate::import_apache) fn fastcgi(url: &str) -> Option<String> {
    if let Some((socket, url)) = url.strip_prefix("unix:").and_then(|rest| rest.split_once('|')) {
        return url.starts_with("fcgi://").then(|| format!("unix:{socket}"));
    }
    let place = url.strip_prefix("fcgi://")?.split('/').next()?;
    Some(if place.contains(':') { place.to_owned() } else { format!("{place}:8000") })
}
