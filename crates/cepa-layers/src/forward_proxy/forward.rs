//! Requests for a URL with a host.

use cepa_core::{Body, Ctx, Error, Reply, Response, Result};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, EXPECT, HOST, MAX_FORWARDS, PROXY_AUTHORIZATION, TE, VIA},
};

use super::{Inner, refusal};
use crate::{
    fetch::url::Url,
    outbound::{
        Arriving, Failure, Progress, Received, Stage, Unsent, Wait,
        hop::{remove_hop_by_hop, takes_trailers, via_of},
    },
};

impl Inner {
    /// Has a request answered by the server that it is for.
    pub(super) async fn forward(&self, ctx: &mut Ctx) -> Result {
        let url = Url::parse(ctx.request.target().as_str())
            .map_err(|failure| Error::new(400, "the URL cannot be asked for").with_cause(failure))?;
        if url.origin.tls {
            return Err(Error::new(400, "ask a proxy for https by CONNECT"));
        }
        self.check(&url.origin, &self.options.ports)?;
        let mut headers = self.headers(ctx, &url)?;
        if *ctx.method() == Method::TRACE {
            // It would show what is meant for this proxy.
            return Err(Error::status_only(405));
        }
        if *ctx.method() == Method::OPTIONS && !count_down(&mut headers) {
            return ctx.set_status(StatusCode::NO_CONTENT);
        }
        let body = ctx.request.take_body();
        if body.is_empty() && ctx.request.length().is_some_and(|length| length > 0) {
            return Err(Error::new(500, "a layer outside of the proxy has read the body"));
        }
        if let Some(credentials) = self.parent.as_ref().and_then(|parent| parent.credentials.clone()) {
            headers.insert(PROXY_AUTHORIZATION, credentials);
        }
        let mut request = http::Request::new(body);
        request.method_mut().clone_from(ctx.method());
        *request.uri_mut() = self.target(&url)?;
        *request.headers_mut() = headers;
        let progress = Progress::new();
        let choose = |host: &str, addresses| self.guard.choose(host, addresses);
        let answer = match &self.parent {
            Some(parent) => {
                self.dialer.send(&parent.origin, request, None, self.options.head, &progress).await
            }
            None => self.dialer.send(&url.origin, request, Some(&choose), self.options.head, &progress).await,
        };
        let Unsent { failure, .. } = match answer {
            // It is this proxy that is asked for a name and password, and not the client.
            Ok(answer) if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                return Err(Failure::Status(answer.status()).into_error());
            }
            Ok(answer) => return self.answer(ctx, answer),
            Err(unsent) => unsent,
        };
        if let Some(error) = progress.take_failure() {
            return Err(error);
        }
        // The client has not sent the rest of its body.
        if matches!(failure, Failure::Timeout(Stage::Head)) && progress.is_starved() {
            return Err(Error::status_only(408).with_cause(failure));
        }
        Err(refusal(failure))
    }

    /// The target as the next server gets it: whole for another proxy, else without scheme and host.
    fn target(&self, url: &Url) -> Result<Uri> {
        match self.parent {
            Some(_) => Ok(Uri::try_from(url.to_string())?),
            None => Ok(url.target.clone().into()),
        }
    }

    /// The headers as the next server gets them.
    fn headers(&self, ctx: &Ctx, url: &Url) -> Result<HeaderMap> {
        let request = &ctx.request;
        let mut headers = request.headers().clone();
        if has_been_here(&headers, &self.options.via) {
            return Err(Error::new(508, "the request has come through this proxy already"));
        }
        let trailers = takes_trailers(&headers);
        remove_hop_by_hop(&mut headers);
        headers.remove(CONTENT_LENGTH);
        headers.remove(EXPECT);
        // CGI programs would take it for the proxy that they are to use.
        headers.remove("proxy");
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        headers.insert(HOST, HeaderValue::try_from(url.origin.authority())?);
        headers.append(VIA, via_of(&self.via, request.version()));
        Ok(headers)
    }

    /// Makes the answer of a server the response.
    fn answer(&self, ctx: &mut Ctx, answer: http::Response<Arriving>) -> Result {
        let (parts, body) = answer.into_parts();
        let mut headers = parts.headers;
        self.pass_on(&mut headers, parts.version);
        let is_head = *ctx.method() == Method::HEAD;
        let bodiless = is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !bodiless {
            // The door says how long it is, from the body itself.
            headers.remove(CONTENT_LENGTH);
        }
        let mut response = Response::new();
        response.set_status(parts.status);
        *response.headers_mut() = headers;
        if !bodiless {
            let wait = Wait { pause: Some(self.options.pause), deadline: None, most: u64::MAX };
            response.replace_body(Body::new(Received::new(body, wait, ())));
        }
        response.reply(ctx)
    }

    fn pass_on(&self, headers: &mut HeaderMap, version: Version) {
        remove_hop_by_hop(headers);
        headers.append(VIA, via_of(&self.via, version));
    }
}

/// Whether a proxy of this name has seen the request.
fn has_been_here(headers: &HeaderMap, name: &str) -> bool {
    let lines = headers.get_all(VIA).iter().filter_map(|line| line.to_str().ok());
    let mut items = lines.flat_map(|line| line.split(','));
    items.any(|item| {
        item.split_ascii_whitespace().nth(1).is_some_and(|proxy| proxy.eq_ignore_ascii_case(name))
    })
}

/// Counts `Max-Forwards` down; `false` when the request must not go on (RFC 9110, section 7.6.2).
fn count_down(headers: &mut HeaderMap) -> bool {
    let Some(value) = headers.get(MAX_FORWARDS) else { return true };
    // What is no number is passed on, as what means nothing here.
    let Some(left) = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok()) else {
        return true;
    };
    match left.checked_sub(1) {
        Some(left) => {
            headers.insert(MAX_FORWARDS, HeaderValue::from(left));
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_seen_in_via() {
        for (lines, expected) in [
            (&[][..], false),
            (&["1.1 other"], false),
            (&["1.1 cepa"], true),
            (&["1.0 other (x), 1.1 CEPA (Cepa)"], true),
            (&["1.1 other", "HTTP/1.1 cepa"], true),
            (&["1.1 cepax, cepa"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(VIA, HeaderValue::from_static(line));
            }
            assert_eq!(has_been_here(&headers, "cepa"), expected, "{lines:?}");
        }
    }

    #[test]
    fn max_forwards_is_counted_down_to_nought() {
        for (value, goes_on, left) in [
            (None, true, None),
            (Some("3"), true, Some("2")),
            (Some("1"), true, Some("0")),
            (Some("0"), false, Some("0")),
            (Some("x"), true, Some("x")),
            (Some("-1"), true, Some("-1")),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(MAX_FORWARDS, HeaderValue::from_static(value));
            }
            assert_eq!(count_down(&mut headers), goes_on, "{value:?}");
            assert_eq!(headers.get(MAX_FORWARDS).and_then(|value| value.to_str().ok()), left);
        }
    }
}
