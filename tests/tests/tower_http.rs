//! Layers of tower-http around a service that is mounted in an app: they work through the bridge as they are.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use cepa_core::{App, Body, Ctx};
use cepa_tests::{serve, wire::Wire};
use http::{HeaderValue, header::SERVER};
use tower::{ServiceBuilder, service_fn};
use tower_http::{set_header::SetResponseHeaderLayer, trace::TraceLayer};

#[test]
fn layers_of_tower_http_work_around_a_mounted_service() {
    let service = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(SetResponseHeaderLayer::overriding(SERVER, HeaderValue::from_static("tower")))
        .service(service_fn(async |request: http::Request<cepa_core::SendBody>| {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(format!("{method} {path}"))))
        }));
    let app = App::new().mount("/tower", service).get("/own", async |_: &mut Ctx| "own");
    let server = serve(app).unwrap();
    for (path, text, layered) in [("/tower/a/b", "GET /a/b", true), ("/own", "own", false)] {
        let get = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = Wire::open(server.address(), get).response();
        assert_eq!((answer.status, answer.text()), (200, text.to_owned()));
        assert_eq!(answer.all("server").any(|value| value == "tower"), layered, "{path}");
    }
}
