//! The two ends of a connection, as every door tells them to the app.

use std::net::SocketAddr;

use cepa_core::{OnClose, Peer, TlsInfo};

/// Who speaks to whom, and under which TLS; settled before the first request.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) peer: Peer,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) tls: Option<Box<TlsInfo>>,
}

/// Whether a policy drops a running handler when the client goes, if its method is a safe one or not.
pub(crate) fn cancels(on_close: OnClose, safe: bool) -> bool {
    match on_close {
        OnClose::Auto => safe,
        OnClose::Cancel => true,
        OnClose::Complete => false,
    }
}
