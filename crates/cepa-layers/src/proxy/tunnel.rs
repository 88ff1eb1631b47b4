//! Connections that have switched protocols.

use cepa_core::{Ctx, Reply, Response, Result};
use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, UPGRADE},
};
use hyper_util::rt::TokioIo;

use super::{
    HostPolicy, Inner,
    request::Head,
    upstream::{Lease, Upstream},
};
use crate::outbound::{Arriving, Failure, tunnel};

impl Head {
    /// The request by which an upstream is asked to switch.
    pub(super) fn request_switch(
        &self,
        upstream: &Upstream,
        host: HostPolicy,
    ) -> Result<http::Request<cepa_core::Body>> {
        let mut request = self.request(upstream, host, cepa_core::Body::empty())?;
        if let Some(protocol) = &self.upgrade {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(UPGRADE, protocol.clone());
        }
        Ok(request)
    }
}

impl Inner {
    /// Passes on what an upstream answered that was asked to switch protocols.
    pub(super) fn switched(
        &self,
        ctx: &mut Ctx,
        head: &Head,
        mut answer: http::Response<Arriving>,
        lease: Lease,
    ) -> Result {
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return self.answer(ctx, answer, lease);
        }
        let to = answer.headers().get(UPGRADE).cloned();
        let same =
            |to: &HeaderValue, asked: &HeaderValue| to.as_bytes().eq_ignore_ascii_case(asked.as_bytes());
        let to = match (to, &head.upgrade) {
            (Some(to), Some(asked)) if same(&to, asked) => to,
            _ => return Err(Failure::Switch.into_error()),
        };
        let upgraded = hyper::upgrade::on(&mut answer);
        let (parts, _) = answer.into_parts();
        let mut headers = parts.headers;
        self.pass_on(ctx, &mut headers, parts.version, &lease);
        headers.insert(UPGRADE, to);
        let mut response = Response::new();
        response.set_status(StatusCode::SWITCHING_PROTOCOLS);
        *response.headers_mut() = headers;
        response.reply(ctx)?;
        let silence = self.options.tunnel;
        ctx.response.on_upgrade(Box::new(move |client| {
            Box::pin(async move {
                let _lease = lease;
                if let Ok(upgraded) = upgraded.await {
                    tunnel(client, TokioIo::new(upgraded), silence).await;
                }
            })
        }));
        Ok(())
    }
}
