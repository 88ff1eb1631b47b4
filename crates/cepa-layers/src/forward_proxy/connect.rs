//! Tunnels (RFC 9110, section 9.3.6).

use std::{sync::Arc, time::Duration};

use cepa_core::{Body, Ctx, Error, OnUpgrade, Result};
use http::{
    HeaderValue, Method, StatusCode, Uri,
    header::{HOST, PROXY_AUTHORIZATION, RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OwnedSemaphorePermit,
};

use super::{Inner, Parent, refusal};
use crate::{
    fetch::url::Url,
    outbound::{Failure, Origin, Unsent, tunnel},
};

impl Inner {
    /// Opens a tunnel to where the client asks for, and says so once it is open.
    pub(super) async fn connect(&self, ctx: &mut Ctx) -> Result {
        if ctx.request.has_body() {
            return Err(Error::new(400, "CONNECT has no body"));
        }
        let target = ctx.request.target().as_str();
        let origin = origin_of(target)?;
        self.check(&origin, &self.options.connect_ports)?;
        let permit = Arc::clone(&self.tunnels)
            .try_acquire_owned()
            .map_err(|_| Error::status_only(503).with_header(RETRY_AFTER, HeaderValue::from_static("1")))?;
        let silence = self.options.tunnel;
        let run = match &self.parent {
            Some(parent) => through(permit, self.ask(parent, target).await?, silence),
            None => {
                let choose = |host: &str, addresses| self.guard.choose(host, addresses);
                let stream = self.dialer.connect(&origin, Some(&choose)).await.map_err(refusal)?;
                through(permit, stream, silence)
            }
        };
        ctx.set_status(StatusCode::OK)?;
        ctx.response.on_upgrade(run);
        Ok(())
    }

    /// Has another proxy open the tunnel.
    async fn ask(
        &self,
        parent: &Parent,
        target: &str,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + 'static + use<>> {
        let mut request = http::Request::new(Body::empty());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = Uri::try_from(target)?;
        request.headers_mut().insert(HOST, HeaderValue::try_from(target)?);
        if let Some(credentials) = &parent.credentials {
            request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        let answer = self.dialer.send_upgrade(&parent.origin, request, self.options.head).await;
        let mut answer = answer.map_err(|Unsent { failure, .. }| refusal(failure))?;
        if !answer.status().is_success() {
            // What it says is about this proxy, its name and password, and not for the client.
            return Err(Failure::Status(answer.status()).into_error());
        }
        let upgraded = hyper::upgrade::on(&mut answer).await;
        Ok(TokioIo::new(upgraded.map_err(|error| Failure::Http(error).into_error())?))
    }
}

/// Where a tunnel leads. The door has checked the target; this is for those that come from elsewhere.
fn origin_of(target: &str) -> Result<Origin> {
    let failed = || Error::new(400, "CONNECT wants a host and a port");
    if target.contains(['/', '?', '@', '#']) || !target.contains(':') {
        return Err(failed());
    }
    let url = Url::parse(&format!("https://{target}")).map_err(|failure| failed().with_cause(failure))?;
    // TLS is the client's: here it is bytes.
    Ok(Origin { tls: false, ..url.origin })
}

/// What carries bytes both ways and holds its place meanwhile.
fn through<S>(permit: OwnedSemaphorePermit, stream: S, silence: Duration) -> OnUpgrade
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    Box::new(move |client| {
        Box::pin(async move {
            let _permit = permit;
            tunnel(client, stream, silence).await;
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_leads_to_a_host_and_a_port() {
        for (target, expected) in [
            ("Example.com:443", Some(("example.com", 443))),
            ("example.com:22", Some(("example.com", 22))),
            ("[2001:db8::1]:443", Some(("2001:db8::1", 443))),
            ("192.0.2.1:443", Some(("192.0.2.1", 443))),
            ("example.com", None),
            ("user@example.com:443", None),
            ("example.com:443/path", None),
            ("/path:1", None),
            ("example.com:x", None),
            (":443", None),
            ("http://example.com:443", None),
        ] {
            let origin = origin_of(target).ok();
            let found = origin.as_ref().map(|origin| (origin.host(), origin.port().unwrap()));
            assert_eq!(found, expected, "{target}");
        }
    }
}
