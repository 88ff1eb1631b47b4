//! Connections that wait for something, as they leave for another process: a few at a time.
//!
//! Each stays where it is, and hears what happens, until there is room for it on the way. So it is never behind for longer
//! than it takes to move a few, however many leave.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::{
    sync::{
        Notify,
        mpsc::{OwnedPermit, Sender},
    },
    task::yield_now,
};

use crate::moved::MovedConnection;

/// Room for one connection on the way.
pub(crate) type Pass = OwnedPermit<MovedConnection>;

/// Gives passes to the connections of one thread.
pub(crate) struct Leaving {
    passes: RefCell<Vec<Pass>>,
    /// Who waits for one, in the order of their numbers.
    waiting: RefCell<VecDeque<Waker>>,
    /// The number of the last that was called, and the last that waits.
    called: Cell<u32>,
    last: Cell<u32>,
    /// Tells that somebody waits.
    come: Notify,
    is_open: Cell<bool>,
}

impl Leaving {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            passes: RefCell::default(),
            waiting: RefCell::default(),
            called: Cell::new(0),
            last: Cell::new(0),
            come: Notify::new(),
            is_open: Cell::new(true),
        })
    }

    /// Whether there is still somebody to take connections.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// A pass; `None` if nobody takes connections any more. `number` is the caller's to keep, 0 at first: with it none
    /// waits twice.
    pub(crate) fn poll_pass(&self, number: &mut u32, cx: &mut Context<'_>) -> Poll<Option<Pass>> {
        if let Some(pass) = self.passes.borrow_mut().pop() {
            return Poll::Ready(Some(pass));
        }
        if !self.is_open() {
            return Poll::Ready(None);
        }
        if *number <= self.called.get() {
            self.last.set(self.last.get() + 1);
            *number = self.last.get();
            self.waiting.borrow_mut().push_back(cx.waker().clone());
            self.come.notify_one();
        }
        Poll::Pending
    }

    /// Calls those who wait, each when there is room on the way, until nobody takes them.
    pub(crate) async fn run(self: Rc<Self>, way: Sender<MovedConnection>) {
        while let Ok(pass) = way.clone().reserve_owned().await {
            self.passes.borrow_mut().push(pass);
            // Who is called may be gone, or have found a pass that was another's.
            while !self.passes.borrow().is_empty() {
                if !self.call() {
                    tokio::select! {
                        () = self.come.notified() => {}
                        () = way.closed() => break,
                    }
                }
                // All that were called get their turn meanwhile.
                yield_now().await;
            }
        }
        self.is_open.set(false);
        self.passes.borrow_mut().clear();
        while self.call() {}
    }

    /// Wakes the first that waits, if there is one.
    fn call(&self) -> bool {
        let first = self.waiting.borrow_mut().pop_front();
        if let Some(waker) = &first {
            self.called.set(self.called.get() + 1);
            waker.wake_by_ref();
        }
        first.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, future::poll_fn};

    use tokio::{
        runtime::{Builder, LocalOptions},
        sync::mpsc,
        task::spawn_local,
    };

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let mut builder = Builder::new_current_thread();
        builder.enable_all().start_paused(true).build_local(LocalOptions::default()).unwrap().block_on(test);
    }

    fn moved() -> MovedConnection {
        let socket = File::open("/dev/null").unwrap().into();
        MovedConnection { socket, served: 0, age: 0, unfinished: None, receipt: None }
    }

    /// A connection that leaves as soon as it may; whether it has.
    async fn leave(leaving: Rc<Leaving>) -> bool {
        let mut number = 0;
        match poll_fn(|cx| leaving.poll_pass(&mut number, cx)).await {
            Some(pass) => {
                pass.send(moved());
                true
            }
            None => false,
        }
    }

    #[test]
    fn all_leave_and_few_are_on_the_way() {
        run(async {
            let (way, mut taken) = mpsc::channel(3);
            let leaving = Leaving::new();
            spawn_local(Rc::clone(&leaving).run(way));
            let all: Vec<_> = (0..100).map(|_| spawn_local(leave(Rc::clone(&leaving)))).collect();
            // Some end in between, and are called all the same.
            all.iter().step_by(3).for_each(|connection| connection.abort());
            for _ in 0..66 {
                for _ in 0..20 {
                    yield_now().await;
                }
                assert!(taken.len() <= 3);
                taken.recv().await.unwrap();
            }
            for connection in all {
                assert!(connection.await.unwrap_or(true));
            }
            assert!(taken.try_recv().is_err());
        });
    }

    #[test]
    fn those_that_nobody_takes_are_told() {
        run(async {
            let (way, taken) = mpsc::channel(3);
            let leaving = Leaving::new();
            let running = spawn_local(Rc::clone(&leaving).run(way));
            let all: Vec<_> = (0..10).map(|_| spawn_local(leave(Rc::clone(&leaving)))).collect();
            for _ in 0..100 {
                yield_now().await;
            }
            assert_eq!(taken.len(), 3);
            drop(taken);
            running.await.unwrap();
            let mut gone = 0;
            for connection in all {
                gone += u32::from(connection.await.unwrap());
            }
            assert_eq!((gone, leaving.is_open()), (3, false));
            assert!(!leave(leaving).await);
        });
    }

    #[test]
    fn who_asks_often_waits_once() {
        let leaving = Leaving::new();
        let mut number = 0;
        for _ in 0..10 {
            assert!(leaving.poll_pass(&mut number, &mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(leaving.waiting.borrow().len(), 1);
        assert!(leaving.call() && !leaving.call());
        assert!(leaving.poll_pass(&mut number, &mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(leaving.waiting.borrow().len(), 1);
    }
}
