//! The answer as the client gets it.

use cepa_core::{Body, Ctx, Reply, Request, Response, Result};
use http::{HeaderMap, Method, StatusCode, header};

use super::{Failure, head::Head};

/// How often one answer may lead to another one of this server.
const MOST_REDIRECTS: u32 = 5;

/// How many local redirects have led to a request.
#[derive(Clone, Copy)]
struct Redirected(u32);

/// Makes what a program answered the response, or the answer to the path that it names instead (RFC 3875, section 6.2.2).
pub(crate) async fn answer(ctx: &mut Ctx, head: Head, body: Body) -> Result {
    let Head { status, mut headers, local } = head;
    if let Some(path) = local {
        drop(body);
        return redirect(ctx, path).await;
    }
    let bodiless =
        *ctx.method() == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if body.len().is_some() && !bodiless {
        headers.remove(header::CONTENT_LENGTH);
    }
    let mut response = Response::new();
    response.set_status(status);
    let length = headers.remove(header::CONTENT_LENGTH);
    *response.headers_mut() = headers;
    if !bodiless {
        response.replace_body(body);
    }
    // A stream is held to what the program has promised.
    if let Some(length) = length {
        response.headers_mut().insert(header::CONTENT_LENGTH, length);
    }
    response.reply(ctx)
}

/// Has another path of this app answer, as if the client had asked for it by GET.
async fn redirect(ctx: &mut Ctx, path: String) -> Result {
    let times = ctx.request.extensions().get::<Redirected>().map_or(1, |times| times.0 + 1);
    if times > MOST_REDIRECTS {
        return Err(Failure::Redirects(MOST_REDIRECTS).into_error());
    }
    let mut request =
        Request::new(if *ctx.method() == Method::HEAD { Method::HEAD } else { Method::GET }, path);
    *request.headers_mut() = without_body(ctx.request.headers());
    request.set_connection(std::rc::Rc::clone(ctx.request.connection()));
    request.extensions_mut().insert(Redirected(times));
    let answer = ctx.app().handle(request);
    // In a box: the app that answers may run this very code.
    let answer = Box::pin(answer).await;
    answer.reply(ctx)
}

/// The headers without those that speak of a body.
fn without_body(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| {
        !name.as_str().starts_with("content-")
            && *name != header::TRANSFER_ENCODING
            && *name != header::EXPECT
    });
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
