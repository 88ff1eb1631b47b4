//! Serves [`koa_parity::app`] on `127.0.0.1:$PORT`.

use std::{env, error::Error, net::Ipv4Addr};

use cepa::{ServerConfig, server::listen::Address};

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PORT").map_err(|_| "set PORT")?.parse()?;
    let address = Address::Tcp((Ipv4Addr::LOCALHOST, port).into());
    let config = ServerConfig { listen: vec![address.into()], ..ServerConfig::default() };
    let running = cepa::serve(koa_parity::app().build()?, config)?;
    cepa::stop_on_signals(running.stopper())?;
    Ok(running.join()?)
}
