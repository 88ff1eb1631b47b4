//! Serves [`conformance::app`] with default limits: HTTP/1.1 and HTTP/2 in clear text on `127.0.0.1:$PORT`, and both
//! over TLS on `127.0.0.1:$TLS_PORT` if that is set, with a certificate made at start, or that of `$TLS_CERT` and
//! `$TLS_KEY`.

use std::{env, error::Error, fs, net::Ipv4Addr, path::Path};

use cepa::{
    ServerConfig,
    server::{
        ListenConfig,
        listen::Address,
        tls::{CertificateFiles, TlsConfig, self_signed},
    },
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut listen = vec![address("PORT")?.ok_or("set PORT, and TLS_PORT for TLS")?.into()];
    // The files in it are watched as long as the server runs.
    let folder = tempfile::tempdir()?;
    if let Some(address) = address("TLS_PORT")? {
        let tls = TlsConfig::new(vec![certificate(folder.path())?]);
        listen.push(ListenConfig { tls: Some(tls), ..ListenConfig::from(address) });
    }
    let running =
        cepa::serve(conformance::app().build()?, ServerConfig { listen, ..ServerConfig::default() })?;
    cepa::stop_on_signals(running.stopper())?;
    Ok(running.join()?)
}

/// The certificate that `TLS_CERT` and `TLS_KEY` name, or a new one in `folder`.
fn certificate(folder: &Path) -> Result<CertificateFiles, Box<dyn Error>> {
    if let (Some(cert), Some(key)) = (env::var_os("TLS_CERT"), env::var_os("TLS_KEY")) {
        return Ok(CertificateFiles { cert: cert.into(), key: key.into(), names: Vec::new() });
    }
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let made = self_signed(&["localhost", "127.0.0.1"])?;
    fs::write(&cert, made.cert)?;
    fs::write(&key, made.key)?;
    Ok(CertificateFiles { cert, key, names: Vec::new() })
}

/// The loopback address with the port that a variable of the environment gives.
fn address(variable: &str) -> Result<Option<Address>, Box<dyn Error>> {
    let Ok(port) = env::var(variable) else { return Ok(None) };
    let port: u16 = port.parse().map_err(|_| format!("{variable} is no port: {port:?}"))?;
    Ok(Some(Address::Tcp((Ipv4Addr::LOCALHOST, port).into())))
}
