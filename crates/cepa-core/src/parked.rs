//! Connections that wait, and go on in another process.

use std::{fmt, pin::Pin, rc::Rc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use http_body::Body as HttpBody;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Body, Connection, Ctx, Error, Request, Result, Target};

/// What a connection that waits takes along to another process, besides its socket.
///
/// The program there may be a newer one, so that it is all text: the name of the handler that is to go on with the
/// connection ([`App::resume`](crate::App::resume)), and what that needs to know.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The handler.
    pub handler: String,
    /// What the app has to tell it, as JSON: [`Ctx::resumed`].
    pub state: String,
    /// Headers of the request that it gets.
    pub headers: Vec<(String, String)>,
    /// What is sent as the end if nobody goes on with the connection: the rest of the body, or the last frame.
    pub farewell: Vec<u8>,
}

impl Parked {
    /// The most bytes of all of it; with more the connection does not move.
    pub const MOST: usize = 4096;

    /// For a handler, with its state.
    ///
    /// # Errors
    /// A state that cannot be written as JSON.
    pub fn new(handler: &str, state: &impl Serialize) -> Result<Self> {
        let state = serde_json::to_string(state)?;
        Ok(Self { handler: handler.to_owned(), state, headers: Vec::new(), farewell: Vec::new() })
    }

    /// Adds a header to the request that the handler gets.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets what is sent if nobody goes on with the connection.
    #[must_use]
    pub fn with_farewell(mut self, farewell: impl Into<Vec<u8>>) -> Self {
        self.farewell = farewell.into();
        self
    }

    /// Whether it is no larger than it may be.
    pub fn fits(&self) -> bool {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.handler.len() + self.state.len() + headers + self.farewell.len() <= Self::MOST
    }

    /// The request that the handler gets; `None` where a header is none.
    pub(crate) fn request(self, connection: Rc<dyn Connection>) -> Option<Request> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        }
        let (target, body) = (Target::new("/"), Body::empty());
        let mut request =
            Request::from_door(Method::GET, target, Version::HTTP_11, headers, body, connection);
        request.extensions_mut().insert(self);
        Some(request)
    }
}

/// Without the state, which may be private.
impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").field("handler", &self.handler).finish_non_exhaustive()
    }
}

/// A body that waits for what happens, and can go on waiting in another process, see [`Body::parks`].
///
/// Whoever wraps such a body passes the question on with [`Body::park`], unless it has a state of its own.
pub trait Park: HttpBody<Data = Bytes> {
    /// Leaves, if it can: then it is not read any more. It is asked when it has nothing to give, and all that it has given
    /// is sent.
    fn park(self: Pin<&mut Self>) -> Option<Parked>;
}

impl Ctx {
    /// What this handler goes on with, if it is one that [resumes](crate::App::resume).
    pub fn parked(&self) -> Option<&Parked> {
        self.request.extensions().get()
    }

    /// The state that the connection was parked with, for a handler that [resumes](crate::App::resume).
    ///
    /// # Errors
    /// 500 when it is another one, as that of an older program, or when there is none.
    #[track_caller]
    pub fn resumed<T: DeserializeOwned>(&self) -> Result<T> {
        let parked = self.parked().ok_or_else(|| Error::new(500, "nothing was parked"))?;
        Ok(serde_json::from_str(&parked.state)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{App, Memory, test::block_on};

    fn parked(state: &str) -> Parked {
        Parked::new("it", &state).unwrap().with_header("last-event-id", "7").with_farewell("bye")
    }

    #[test]
    fn the_handler_of_that_name_gets_the_state_and_the_headers_and_no_layer_runs() {
        let app = App::new()
            .provide(3_u32)
            .with(async |_: &mut Ctx, _: crate::Next<'_>| -> Result { Err(Error::new(500, "a layer")) })
            .resume("it", async |ctx: &mut Ctx| -> Result<String> {
                let (state, number) = (ctx.resumed::<String>()?, ctx.provided::<u32>()?);
                Ok(format!("{state} {number} {}", ctx.get("last-event-id").unwrap_or_default()))
            });
        let onion = app.build().unwrap();
        let answer = |parked| onion.resume(parked, Rc::new(Memory::default()));
        block_on(async {
            let mut response = answer(parked("a")).unwrap().await;
            let body = response.take_body().unwrap().try_into_bytes().unwrap();
            assert_eq!((response.status().as_u16(), &body[..]), (200, &b"a 3 7"[..]));
            let wrong = Parked { state: "{".to_owned(), ..parked("a") };
            assert_eq!(answer(wrong).unwrap().await.status(), 500);
        });
        assert!(answer(Parked { handler: "other".to_owned(), ..parked("a") }).is_none());
        assert!(answer(parked("a").with_header("a b", "c")).is_none());
    }

    #[test]
    fn nothing_is_parked_in_other_requests() {
        let client = App::new().get("/", async |ctx: &mut Ctx| ctx.resumed::<String>()).test();
        assert_eq!(block_on(client.get("/")).status(), 500);
    }

    #[test]
    fn what_is_too_large_does_not_fit() {
        assert!(parked("a").fits());
        assert!(!parked(&"a".repeat(Parked::MOST)).fits());
        assert!(!parked("a").with_farewell(vec![0; Parked::MOST]).fits());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            handler in ".{0,20}",
            state in ".{0,60}",
            headers in prop::collection::vec((".{0,10}", ".{0,10}"), 0..3),
            farewell in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let parked = Parked { headers, farewell, ..Parked::new(&handler, &state).unwrap() };
            let text = serde_json::to_string(&parked).unwrap();
            prop_assert_eq!(serde_json::from_str::<Parked>(&text).unwrap(), parked);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}", name in ".{0,8}") {
            let _ = serde_json::from_str::<Parked>(&text);
            let onion = App::new().resume("it", async |ctx: &mut Ctx| ctx.resumed::<String>()).build().unwrap();
            let parked = Parked { state: text.clone(), ..parked("a") }.with_header(&name, text);
            if let Some(handling) = onion.resume(parked, Rc::new(Memory::default())) {
                block_on(handling);
            }
        }
    }
}
