//! The listening sockets: bound by the master, kept by it for as long as it lives, lent to workers.

use std::{io, os::fd::OwnedFd};

use cepa_server::{
    ListenConfig,
    listen::{self, Address, BindOptions, Endpoint, ListenError, Socket},
};
use serde::{Deserialize, Serialize};

/// All sockets of all listeners.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    listeners: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    address: Address,
    options: BindOptions,
    sockets: Vec<Socket>,
}

/// What the next program has to know of the sockets of a listener.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    address: Address,
    options: BindOptions,
    sockets: usize,
}

impl Ground {
    /// Binds what is listened on, with a socket for each of so many threads where the system spreads connections over
    /// sockets. Those of `before` are used again: who waits in their backlogs is served.
    pub(crate) fn bind(listen: &[ListenConfig], threads: usize, before: &Self) -> Result<Self, ListenError> {
        let mut listeners = Vec::new();
        for config in listen {
            let known = before.listeners.iter().find(|known| known.address == config.address);
            let sockets = match known {
                // As many as there were: a socket more would get connections before anybody serves them.
                Some(known) => known.sockets.iter().map(Socket::shared).collect::<Result<_, _>>()?,
                None => listen::bind(&config.address, sockets(&config.address, threads), &config.options)?,
            };
            let (address, options) = (config.address.clone(), config.options.clone());
            listeners.push(Listener { address, options, sockets });
        }
        Ok(Self { listeners })
    }

    /// The sockets that an earlier program of this process has had.
    pub(crate) fn inherit(
        held: Vec<Held>,
        descriptors: &mut impl Iterator<Item = OwnedFd>,
    ) -> Result<Self, ListenError> {
        let mut listeners = Vec::new();
        for Held { address, options, sockets } in held {
            let sockets = descriptors.take(sockets);
            let sockets = sockets
                .map(|socket| Socket::inherit(socket, &address, &options))
                .collect::<Result<_, _>>()?;
            listeners.push(Listener { address, options, sockets });
        }
        Ok(Self { listeners })
    }

    /// What [`inherit`](Self::inherit) needs.
    pub(crate) fn hold(&self) -> io::Result<(Vec<Held>, Vec<OwnedFd>)> {
        let (mut held, mut descriptors) = (Vec::new(), Vec::new());
        for Listener { address, options, sockets } in &self.listeners {
            held.push(Held { address: address.clone(), options: options.clone(), sockets: sockets.len() });
            for socket in sockets {
                descriptors.push(socket.descriptor()?);
            }
        }
        Ok((held, descriptors))
    }

    /// What one of so many slots accepts from: each socket goes to one slot, and where there are fewer than slots some
    /// share one.
    pub(crate) fn deal(&self, slot: u32, slots: u32) -> io::Result<Vec<(String, Vec<OwnedFd>)>> {
        let deal = |listener: &Listener| {
            let count = listener.sockets.len();
            let (slot, slots) = (slot as usize, slots.max(1) as usize);
            let mine = listener.sockets.iter().enumerate().filter(|(at, _)| at % slots == slot % slots);
            let mut mine: Vec<_> = mine.map(|(_, socket)| socket).collect();
            if mine.is_empty() {
                mine.extend(listener.sockets.get(slot % count.max(1)));
            }
            let descriptors = mine.into_iter().map(Socket::descriptor).collect::<io::Result<_>>()?;
            Ok((listener.address.to_string(), descriptors))
        };
        self.listeners.iter().map(deal).collect()
    }

    /// Where the listeners listen.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.listeners.iter().filter_map(|listener| Some(listener.sockets.first()?.local_addr()))
    }
}

/// How many sockets an address gets.
fn sockets(address: &Address, threads: usize) -> usize {
    match address {
        Address::Tcp(_) => threads.max(1),
        Address::Unix(_) | Address::Fd(_) | Address::FdName(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground(threads: usize) -> (Ground, ListenConfig) {
        let config = ListenConfig::from(Address::Tcp(([127, 0, 0, 1], 0).into()));
        (Ground::bind(std::slice::from_ref(&config), threads, &Ground::default()).unwrap(), config)
    }

    #[test]
    fn every_socket_is_accepted_from_and_every_slot_has_one() {
        let (ground, _) = ground(4);
        for (slots, counts) in [(1, &[4][..]), (2, &[2, 2]), (3, &[2, 1, 1]), (4, &[1; 4]), (6, &[1; 6])] {
            let dealt: Vec<_> =
                (0..slots).map(|slot| ground.deal(slot, slots).unwrap().remove(0).1.len()).collect();
            assert_eq!(dealt, counts);
        }
    }

    #[test]
    fn sockets_last_over_a_change_of_plan_and_of_program() {
        let (ground, config) = ground(2);
        let endpoints = |ground: &Ground| ground.endpoints().cloned().collect::<Vec<_>>();
        // The address says port 0, and the sockets which one it was.
        let again = Ground::bind(std::slice::from_ref(&config), 8, &ground).unwrap();
        assert_eq!(endpoints(&again), endpoints(&ground));
        assert_eq!(again.listeners[0].sockets.len(), 2);
        let (held, descriptors) = ground.hold().unwrap();
        let before = endpoints(&ground);
        drop((ground, again));
        let next = Ground::inherit(held, &mut descriptors.into_iter()).unwrap();
        assert_eq!(endpoints(&next), before);
    }
}
