//! Virtual hosts and what answers below them, in code and in a configuration; and the folder that the program `cepa` hosts.

mod config;
mod names;
mod redirect;
mod table;

pub use self::{
    config::{CertificateConfig, HostConfig, HostLimits, HostLog, HostTls, MountConfig, SiteConfig, Unknown},
    names::{HostName, InvalidHostName, Pattern},
    redirect::RedirectConfig,
    table::{At, InvalidAt},
};
