//! The listening sockets: bound once, kept as long as `dev` runs, and handed to one program after the other.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsRawFd, OwnedFd},
    process::{Child, Command},
};

use cepa_server::{
    ServerConfig,
    listen::{self, Address, ListenError, Socket},
};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

/// The number from which on sockets are handed over, far from what a program opens by itself at first.
const FIRST: i32 = 200;

#[derive(Default)]
pub(super) struct Sockets(Vec<(Address, Socket)>);

impl Sockets {
    /// Binds what is not bound yet, and lets go of what is no longer listened on.
    pub(super) fn bind(&mut self, config: &ServerConfig) -> Result<(), ListenError> {
        self.0.retain(|(address, _)| config.listen.iter().any(|listen| listen.address == *address));
        for listen in &config.listen {
            if self.get(&listen.address).is_none() {
                // One for all threads of the program: what waits in it waits for whichever program comes.
                let mut bound = listen::bind(&listen.address, 1, &listen.options)?;
                self.0.extend(bound.pop().map(|socket| (listen.address.clone(), socket)));
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, address: &Address) -> Option<&Socket> {
        self.0.iter().find(|(bound, _)| bound == address).map(|(_, socket)| socket)
    }

    /// The number that each address will have in a program that is started by [`spawn_with`](Self::spawn_with).
    pub(super) fn numbers(&self) -> BTreeMap<String, i32> {
        self.0.iter().zip(FIRST..).map(|((address, _), number)| (address.to_string(), number)).collect()
    }

    /// Starts a program that has the sockets, as `sd_listen_fds(3)` says it.
    pub(super) fn spawn_with(&self, mut command: Command) -> io::Result<Child> {
        let mut handed: Vec<OwnedFd> = Vec::with_capacity(self.0.len());
        for ((_, socket), number) in self.0.iter().zip(FIRST..) {
            let copy = fcntl_dupfd_cloexec(socket, number)?;
            if copy.as_raw_fd() != number {
                return Err(io::Error::other(format!("descriptor {number} is taken")));
            }
            handed.push(copy);
        }
        command.env("LISTEN_FDS", handed.len().to_string()).env("LISTEN_FDS_FIRST_FD", FIRST.to_string());
        // Its number is not known before it runs.
        command.env_remove("LISTEN_PID").env_remove("LISTEN_FDNAMES");
        // Nothing else is started meanwhile, which would have them too: all is started by this thread.
        for descriptor in &handed {
            fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        command.spawn()
    }
}
