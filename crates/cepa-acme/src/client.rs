//! The requests to the authority: over TLS, one connection for each, bounded in time and size.

use std::{
    error::Error as StdError,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cepa_core::date;
use cepa_server::tls;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error as Protocol, HttpClient};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::{AcmeConfig, AcmeError};

/// The longest time for which an authority is left alone because it says so.
const LONGEST_PAUSE: Duration = Duration::from_secs(7 * 86_400);

type Fault = Box<dyn StdError + Send + Sync>;

/// Asks the authority; clones are one.
#[derive(Clone)]
pub(crate) struct Client {
    tls: TlsConnector,
    time: Duration,
    most: usize,
    pause: Pause,
}

/// Until when the authority wants to be left alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pause(Arc<Mutex<Option<SystemTime>>>);

impl Pause {
    /// Until when, if that was said since the last call.
    pub(crate) fn take(&self) -> Option<SystemTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Hears what an answer says of it (RFC 8555, section 6.6), in words that nobody stumbles over: instant-acme adds
    /// whatever number it finds to the time.
    fn hear(&self, status: StatusCode, headers: &mut HeaderMap, now: SystemTime) {
        let Some(value) = headers.remove(header::RETRY_AFTER) else { return };
        let Some(wait) = retry_after(&value, now) else { return };
        headers.insert(header::RETRY_AFTER, wait.as_secs().into());
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + wait);
        }
    }
}

/// How long to wait, said in seconds or by a date (RFC 9110, section 10.2.3), at most for a week.
fn retry_after(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => date::parse(text)?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_PAUSE))
}

impl Client {
    /// One that believes the certificates of the system, and those that the configuration names.
    pub(crate) fn new(config: &AcmeConfig) -> Result<Self, AcmeError> {
        let mut roots = RootCertStore::empty();
        // Systems keep certificates that nobody can read any more; those that can be are enough.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &config.root {
            let failed = |reason: String| AcmeError::Root { path: path.clone(), reason };
            let own = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
            let own = own.collect::<Result<Vec<_>, _>>().map_err(|error| failed(error.to_string()))?;
            if own.is_empty() {
                return Err(failed("it holds no certificate".to_owned()));
            }
            for certificate in own {
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
        }
        if roots.is_empty() {
            return Err(AcmeError::NoRoots);
        }
        let tls =
            ClientConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions()?;
        let tls = TlsConnector::from(Arc::new(tls.with_root_certificates(roots).with_no_client_auth()));
        Ok(Self { tls, time: config.request_timeout, most: config.answer, pause: Pause::default() })
    }

    pub(crate) fn pause(&self) -> &Pause {
        &self.pause
    }

    async fn send(&self, mut request: Request<BodyWrapper<Bytes>>) -> Result<Response<Bytes>, Fault> {
        let url = request.uri().clone();
        let host = url.host().filter(|_| url.scheme_str() == Some("https"));
        let host = host.ok_or_else(|| format!("the authority names {url}, which is no URL with https"))?;
        let authority = url.authority().map_or(host, |authority| authority.as_str());
        request.headers_mut().insert(header::HOST, HeaderValue::from_str(authority)?);
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = Uri::try_from(path)?;

        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, url.port_u16().unwrap_or(443))).await?;
        let stream = self.tls.connect(ServerName::try_from(bare.to_owned())?, stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut exchange = pin!(async {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, self.most).collect().await?.to_bytes();
            Ok::<_, Fault>(Response::from_parts(parts, body))
        });
        tokio::select! {
            biased;
            answer = &mut exchange => return answer,
            ended = connection => ended?,
        }
        // The last of the answer may have come with the end.
        exchange.await
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Protocol>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let url = request.uri().clone();
            let failed = |fault: Fault| Protocol::Other(format!("{url}: {fault}").into());
            let answer = match timeout(client.time, client.send(request)).await {
                Ok(answer) => answer.map_err(failed)?,
                Err(_) => return Err(failed(io::Error::from(io::ErrorKind::TimedOut).into())),
            };
            let (mut parts, body) = answer.into_parts();
            client.pause.hear(parts.status, &mut parts.headers, SystemTime::now());
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn an_authority_that_asks_for_it_is_left_alone() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (status, value, until) in [
            (429, "120", Some(120)),
            (503, " 7 ", Some(7)),
            (429, "Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            (429, "Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            (429, "18446744073709551615", Some(7 * 86_400)),
            (429, "18446744073709551616", None),
            (429, "soon", None),
            (429, "-1", None),
            (200, "120", Some(120)),
            (400, "120", Some(120)),
        ] {
            let pause = Pause::default();
            let mut headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(value))]);
            pause.hear(StatusCode::from_u16(status).unwrap(), &mut headers, now);
            let said = headers.get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(said, until.map(|seconds: u64| seconds.to_string()), "{status} {value}");
            // Others ask for patience with this one request.
            let until = until.filter(|_| status == 429 || status == 503);
            assert_eq!(
                pause.take(),
                until.map(|seconds| now + Duration::from_secs(seconds)),
                "{status} {value}"
            );
            assert_eq!(pause.take(), None);
        }
    }

    #[test]
    fn what_vouches_for_the_directory_is_read_at_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.pem");
        let with = || Client::new(&AcmeConfig { root: Some(path.clone()), ..AcmeConfig::default() });
        let failed = || with().err().unwrap().to_string();
        assert!(failed().contains("root.pem: "), "{}", failed());
        std::fs::write(&path, "nothing").unwrap();
        assert!(failed().ends_with("root.pem: it holds no certificate"), "{}", failed());
        let made = rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        assert!(with().is_ok());
    }
}
