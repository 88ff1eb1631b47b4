//! The door's side of a request: policies, early hints, and a client that is gone.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use cepa_core::{
    App, Body, Connection, Ctx, Next, OnClose, Peer, Policy, Request,
    router::{all, get},
    test::{Client, block_on},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

/// A door that notes what it is told.
#[derive(Default)]
struct Door {
    policy: Cell<Policy>,
    hints: RefCell<Vec<String>>,
    gone: Cell<bool>,
    watcher: RefCell<Option<Waker>>,
}

impl Connection for Door {
    fn door(&self) -> &'static str {
        "noted"
    }

    fn peer(&self) -> Peer {
        Peer::Unix(None)
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.gone.get() {
            return Poll::Ready(());
        }
        self.watcher.replace(Some(cx.waker().clone()));
        Poll::Pending
    }

    fn inform(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        self.hints.borrow_mut().push(format!("{} {headers:?}", status.as_u16()));
        true
    }

    fn set_policy(&self, policy: Policy) {
        self.policy.set(policy);
    }
}

fn through(door: &Rc<Door>, method: Method, target: &str) -> Request {
    let mut request = Request::new(method, target);
    request.set_connection(Rc::clone(door) as Rc<dyn Connection>);
    request
}

#[test]
fn the_policies_of_layers_and_route_reach_the_door_together() {
    let ok = async |ctx: &mut Ctx| ctx.connection().door();
    let second = Duration::from_secs(1);
    let onion = App::new()
        .with(async move |ctx: &mut Ctx, next: Next<'_>| {
            if ctx.path() != "/plain" {
                ctx.set_policy(Policy { request_time: Some(second), ..Policy::default() });
            }
            next.run(ctx).await
        })
        .get("/plain", ok)
        .get("/layer", ok)
        .route("/complete", get(ok).on_close(OnClose::Complete).body_limit(5))
        .route("/slow", all(ok).on_close(OnClose::Cancel).request_time(Duration::ZERO))
        .build()
        .expect("the app builds");
    let policy = |on_close, request_time, body_limit| Policy { on_close, request_time, body_limit };
    for (path, expected) in [
        ("/plain", Policy::default()),
        ("/layer", policy(OnClose::Auto, Some(second), None)),
        ("/complete", policy(OnClose::Complete, Some(second), Some(5))),
        ("/slow", policy(OnClose::Cancel, Some(Duration::ZERO), None)),
    ] {
        let door = Rc::new(Door::default());
        assert_eq!(block_on(onion.handle(through(&door, Method::GET, path))).status(), 200);
        assert_eq!(door.policy.get(), expected, "{path}");
    }
}

#[test]
fn a_handler_learns_that_its_client_is_gone() {
    let onion = App::new()
        .get("/", async |ctx: &mut Ctx| {
            let closed = ctx.closed();
            ctx.set_body("the ctx is not borrowed")?;
            closed.await;
            ctx.set_body("gone")
        })
        .build()
        .expect("the app builds");
    let door = Rc::new(Door::default());
    let mut answer = onion.handle(through(&door, Method::GET, "/"));
    block_on(poll_fn(|cx| {
        assert!(answer.poll_response(cx).is_pending());
        Poll::Ready(())
    }));
    door.gone.set(true);
    door.watcher.take().expect("somebody watches").wake();
    let response = block_on(answer);
    assert_eq!(response.body().and_then(Body::as_bytes), Some(&Bytes::from_static(b"gone")));
}

#[test]
fn early_hints_go_to_the_door() {
    let app = App::new().get("/", async |ctx: &mut Ctx| {
        let mut hints = HeaderMap::new();
        hints.insert(header::LINK, HeaderValue::from_static("</a.css>; rel=preload"));
        ctx.early_hints(&hints).to_string()
    });
    let onion = app.build().expect("the app builds");
    let door = Rc::new(Door::default());
    block_on(onion.handle(through(&door, Method::GET, "/")));
    assert_eq!(*door.hints.borrow(), [r#"103 {"link": "</a.css>; rel=preload"}"#]);
    assert_eq!(block_on(Client::new(onion).get("/")).text(), "false", "in memory nobody is told");
}
