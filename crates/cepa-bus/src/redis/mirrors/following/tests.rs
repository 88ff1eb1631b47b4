//! A queue that is followed through pages and a channel, in whatever order they come.

use std::{cell::RefCell, collections::VecDeque};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// A queue as Redis has it, and what it has said that has not come yet.
#[derive(Default)]
struct Remote {
    at: Found,
    stopped: u64,
    kept: VecDeque<Heard>,
    channel: VecDeque<Spoken>,
}

impl Default for Found {
    fn default() -> Self {
        Self { life: 1, number: 0, stops: 0 }
    }
}

/// What a mirror was told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Begins { life: u64, after: u64 },
    Message { life: u64, number: u64 },
    Stop,
}

#[derive(Default)]
struct Script(RefCell<Vec<Line>>);

impl Told for Script {
    fn followed(&self, followed: Followed) {
        let EventId { life, number: after } = followed.after;
        self.0.borrow_mut().push(Line::Begins { life, after });
    }

    fn receive(&self, id: EventId, _: Option<&str>, _: &[u8]) {
        self.0.borrow_mut().push(Line::Message { life: id.life, number: id.number });
    }

    fn stopped(&self, _: u64) {
        self.0.borrow_mut().push(Line::Stop);
    }
}

impl Remote {
    const KEEP: usize = 6;

    fn publish(&mut self) {
        self.at.number += 1;
        let heard = Heard { number: self.at.number, event: None, json: Bytes::from_static(b"1") };
        self.kept.push_back(heard.clone());
        if self.kept.len() > Self::KEEP {
            self.kept.pop_front();
        }
        self.channel.push_back(Spoken::Message { life: self.at.life, heard });
    }

    fn stop(&mut self) {
        (self.at.stops, self.stopped) = (self.at.stops + 1, self.at.number);
        let Found { life, number, stops } = self.at;
        self.channel.push_back(Spoken::Stop { life, stops, after: number });
    }

    fn forget(&mut self) {
        self.at = Found { life: self.at.life + 1, ..Found::default() };
        (self.stopped, self.kept) = (0, VecDeque::new());
    }

    /// What comes after a message, a few at a time.
    fn page(&self, after: EventId) -> Page {
        let after = if after.life == self.at.life { after.number } else { 0 };
        let some = self.kept.iter().filter(|heard| heard.number > after).take(2).cloned().collect();
        Page { at: self.at, stopped: self.stopped, messages: some }
    }
}

fn following() -> Following {
    let key = Key { app: "app".into(), name: "queue".into() };
    let follow = Follow { queue: key, options: QueueOptions::default(), mirror: Weak::new(), last: None };
    Following::new(follow)
}

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Act {
    Publish,
    Stop,
    Forget,
    /// What is first in the channel comes.
    Hear,
    /// It is lost, as in a connection that breaks without a word.
    Drop,
    /// An answer is made in Redis, and comes later.
    Answer,
    Come,
    /// The connection is made again.
    Again,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        12 => Just(Act::Publish),
        1 => Just(Act::Stop),
        1 => Just(Act::Forget),
        12 => Just(Act::Hear),
        2 => Just(Act::Drop),
        8 => Just(Act::Answer),
        8 => Just(Act::Come),
        1 => Just(Act::Again),
    ];
    prop::collection::vec(act, 0..200)
}

/// An answer on its way.
enum Way {
    /// It is to be found.
    Find,
    Found(Found),
    /// It wants what comes after its last message.
    Want,
    Page(Page),
    Nothing,
}

impl Way {
    fn after(then: Then) -> Self {
        match then {
            Then::Wait => Self::Nothing,
            Then::CatchUp => Self::Want,
        }
    }
}

fn play(acts: &[Act]) -> (Remote, Vec<Line>) {
    let (mut remote, mut following, script) = (Remote::default(), following(), Script::default());
    following.begin(1);
    let mut way = Way::Find;
    // In the end all comes that is on its way.
    let rest = [Act::Hear, Act::Answer, Act::Come];
    let mut rest = rest.iter().cycle();
    let mut all = acts.iter();
    loop {
        let act = match all.next() {
            Some(act) => *act,
            None if remote.channel.is_empty() && matches!(way, Way::Nothing) => break,
            None => *rest.next().expect("it has no end"),
        };
        match (act, &mut way) {
            (Act::Publish, _) => remote.publish(),
            (Act::Stop, _) => remote.stop(),
            (Act::Forget, _) => remote.forget(),
            (Act::Hear, way) => {
                if let Some(spoken) = remote.channel.pop_front()
                    && following.hear(spoken, &script) == Then::CatchUp
                {
                    assert!(matches!(way, Way::Nothing), "it asks one thing at a time");
                    *way = Way::Want;
                }
            }
            (Act::Drop, _) => drop(remote.channel.pop_front()),
            // It hears nothing from before.
            (Act::Answer, way @ Way::Find) => *way = Way::Found(remote.at),
            (Act::Answer, way @ Way::Want) => *way = Way::Page(remote.page(following.last())),
            (Act::Come, way @ (Way::Found(_) | Way::Page(_))) => {
                *way = match std::mem::replace(way, Way::Nothing) {
                    Way::Found(found) => Way::after(following.found(found)),
                    Way::Page(page) => Way::after(following.page(page, &script)),
                    other => other,
                };
            }
            (Act::Again, way) => {
                following.fail();
                following.begin(1);
                remote.channel = VecDeque::new();
                *way = Way::Find;
            }
            (Act::Answer | Act::Come, _) => {}
        }
    }
    (remote, script.0.into_inner())
}

proptest! {
    #[test]
    fn messages_are_one_line_whatever_comes_when(acts in acts()) {
        let (_, script) = play(&acts);
        let mut place: Option<(u64, u64)> = None;
        for line in script {
            match line {
                Line::Begins { life, after } => {
                    let is_back = place.is_some_and(|place| (life, after) < place);
                    prop_assert!(!is_back, "{after} of {life} after {place:?}");
                    place = Some((life, after));
                }
                Line::Message { life, number } => {
                    prop_assert_eq!(place, Some((life, number - 1)));
                    place = Some((life, number));
                }
                Line::Stop => {}
            }
        }
    }

    #[test]
    fn what_is_kept_comes_in_the_end(mut acts in acts()) {
        // What is lost on the way is noticed by what comes after it.
        acts.push(Act::Again);
        acts.push(Act::Stop);
        let (remote, script) = play(&acts);
        let last = script.iter().rev().find_map(|line| match line {
            Line::Begins { life, after } => Some((*life, *after)),
            Line::Message { life, number } => Some((*life, *number)),
            Line::Stop => None,
        });
        prop_assert_eq!(last, Some((remote.at.life, remote.at.number)));
    }
}

#[test]
fn a_stop_is_between_the_messages_between_which_it_was() {
    use Act::{Again, Answer, Come, Hear, Publish, Stop};
    let stop_at = |acts: &[Act]| {
        let script = play(acts).1;
        let at = script.iter().position(|line| *line == Line::Stop).expect("it is told");
        (
            script[..at].iter().filter(|line| matches!(line, Line::Message { .. })).count(),
            script.len() - at - 1,
        )
    };
    let live = [Answer, Come, Answer, Come];
    assert_eq!(stop_at(&[&live[..], &[Publish, Hear, Stop, Publish, Hear, Hear]].concat()), (1, 1));
    // Heard while it catches up; and not heard at all, because there was no connection.
    assert_eq!(stop_at(&[Answer, Come, Answer, Publish, Stop, Publish, Hear, Hear, Hear, Come]), (1, 1));
    assert_eq!(stop_at(&[&live[..], &[Publish, Hear, Publish, Stop, Publish, Again]].concat()), (2, 1));
    assert!(!play(&[Stop]).1.contains(&Line::Stop), "nobody was there");
}

#[test]
fn what_is_heard_too_early_is_bounded() {
    let (mut remote, mut following, script) = (Remote::default(), following(), Script::default());
    following.begin(1);
    for _ in 0..5000 {
        remote.publish();
        let spoken = remote.channel.pop_front().expect("it was just said");
        assert_eq!(following.hear(spoken, &script), Then::Wait);
        assert!(following.ahead.spoken.len() <= 1024);
    }
    assert_eq!(following.found(remote.at), Then::CatchUp);
    while following.page(remote.page(following.last()), &script) == Then::CatchUp {}
    assert_eq!(following.last().number, 5000);
}
