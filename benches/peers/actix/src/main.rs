//! actix-web 4. Variants: "" = HTTP/1.1 only; "h2" = h2c prior knowledge by bind_auto_h2c.
use actix_web::{
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{header, KeepAlive},
    middleware::{from_fn, Next},
    web, App, Error, HttpRequest, HttpResponse, HttpServer,
};
use futures_util::StreamExt;
use peer_common::*;
use std::{convert::Infallible, time::Duration};

const SERVER: (header::HeaderName, header::HeaderValue) =
    (header::SERVER, header::HeaderValue::from_static("actix"));

async fn plaintext() -> HttpResponse {
    HttpResponse::Ok().insert_header(SERVER).content_type("text/plain").body(HELLO)
}

async fn json() -> HttpResponse {
    HttpResponse::Ok().insert_header(SERVER).json(Message::new())
}

async fn user(id: web::Path<String>) -> web::Json<User<String>> {
    web::Json(User { id: id.into_inner() })
}

async fn other() -> &'static str {
    "other"
}

async fn echo(p: web::Json<Payload>) -> web::Json<Payload> {
    p
}

async fn noop(req: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    next.call(req).await
}

async fn file() -> std::io::Result<actix_files::NamedFile> {
    actix_files::NamedFile::open(file_path())
}

async fn ws(req: HttpRequest, body: web::Payload) -> Result<HttpResponse, Error> {
    let (res, mut session, mut msgs) = actix_ws::handle(&req, body)?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(m)) = msgs.next().await {
            let r = match m {
                actix_ws::Message::Text(t) => session.text(t).await,
                actix_ws::Message::Binary(b) => session.binary(b).await,
                actix_ws::Message::Ping(b) => session.pong(&b).await,
                actix_ws::Message::Close(_) => return,
                _ => Ok(()),
            };
            if r.is_err() {
                return;
            }
        }
    });
    Ok(res)
}

async fn sse() -> HttpResponse {
    let s = futures_util::stream::once(async { Ok::<_, Infallible>(web::Bytes::from_static(b"data: hello\n\n")) })
        .chain(futures_util::stream::pending());
    HttpResponse::Ok().content_type("text/event-stream").streaming(s)
}

fn main() -> std::io::Result<()> {
    let a = args();
    actix_web::rt::System::new().block_on(async move {
        let s = HttpServer::new(|| {
            let mut app = App::new()
                .route("/plaintext", web::get().to(plaintext))
                .route("/json", web::get().to(json))
                .route("/echo", web::post().to(echo))
                .route("/file", web::get().to(file))
                .route("/ws", web::get().to(ws))
                .route("/sse", web::get().to(sse))
                .service(
                    web::resource("/stack")
                        .wrap(from_fn(noop))
                        .wrap(from_fn(noop))
                        .wrap(from_fn(noop))
                        .wrap(from_fn(noop))
                        .wrap(from_fn(noop))
                        .wrap(from_fn(noop))
                        .wrap(from_fn(noop))
                        .wrap(from_fn(noop))
                        .route(web::get().to(plaintext)),
                );
            for (i, path) in routes(|n| format!("{{{n}}}")).iter().enumerate() {
                app = if i == USERS_INDEX {
                    app.route(path, web::get().to(user))
                } else {
                    app.route(path, web::get().to(other))
                };
            }
            app
        })
        .workers(a.workers)
        .backlog(BACKLOG)
        .keep_alive(KeepAlive::Timeout(Duration::from_secs(600)));
        let addr = ("127.0.0.1", a.port);
        let s = if a.variant == "h2" { s.bind_auto_h2c(addr)? } else { s.bind(addr)? };
        s.run().await
    })
}
