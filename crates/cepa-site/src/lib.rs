//! Virtual hosts and what answers below them, in code and in a configuration; and the folder that the program `cepa` hosts.
//!
//! In reading order: [`Sites`] are apps by host; [`HostConfig`] and [`MountConfig`] are what a configuration says of them;
//! [`Site`] makes the app of a folder with such a configuration, or with none, and [`program`] a program that hosts folders.

mod certificates;
mod config;
mod errors;
#[cfg(any(test, doctest))]
mod guide;
mod host;
mod mount;
mod names;
mod reading;
mod redirect;
mod roots;
mod site;
mod sites;
mod table;
mod welcome;

pub use self::{
    config::{CertificateConfig, HostConfig, HostLimits, HostLog, HostTls, MountConfig, SiteConfig, Unknown},
    names::{HostName, InvalidHostName, Pattern},
    redirect::RedirectConfig,
    site::{CONFIG, Site, app, program},
    sites::{Sites, SitesError},
    table::{At, InvalidAt},
};
