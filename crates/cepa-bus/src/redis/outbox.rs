//! What this process publishes: in order, in batches, each once.

use std::{collections::VecDeque, sync::Arc};

use ::redis::{Cmd, Value};
use bytes::Bytes;
use tokio::{
    sync::{mpsc::UnboundedSender, oneshot},
    task::spawn_local,
};

use super::{
    BATCH_MEMORY, Permit, Settings,
    answer::{Answer, nonsense},
    connection::{Connection, Session, millis},
    jobs::Event,
    keys::name,
    mirrors::{call_about, keys_of},
    scripts,
};
use crate::{BackendError, EventId, NameError, QueueError, QueueOptions, names::Key};

/// A message that is to be published, and who waits for its id.
pub(super) struct Publication {
    pub(super) queue: Key,
    pub(super) options: QueueOptions,
    pub(super) event: Option<Box<str>>,
    pub(super) json: Bytes,
    pub(super) reply: oneshot::Sender<Result<EventId, QueueError>>,
    pub(super) permit: Permit,
}

/// What this process publishes.
///
/// One batch is under way at a time, and what comes meanwhile is the next one: so messages are in order, and cost the fewer
/// calls the more there are. A batch has a number, by which Redis knows one that is sent again.
pub(super) struct Outbox {
    settings: Arc<Settings>,
    events: UnboundedSender<Event>,
    waiting: VecDeque<Publication>,
    batch: Option<Batch>,
    /// The number of the last batch.
    last: u64,
}

struct Batch {
    number: u64,
    messages: Vec<Publication>,
    /// The era in which Redis may have got it first.
    era: Arc<str>,
    /// How often it was sent without an answer that nothing was done.
    sent: u32,
}

/// Most messages of a batch: Redis does nothing else meanwhile.
const MOST: usize = 256;
/// Most bytes of a batch, but for its last message.
const MOST_BYTES: usize = 1 << 20;

impl Publication {
    pub(super) fn fail(self, error: &BackendError) {
        self.answer(Err(error.clone().into()));
    }

    fn answer(self, answer: Result<EventId, QueueError>) {
        // Nobody may wait for it any more.
        let _ = self.reply.send(answer);
        drop(self.permit);
    }
}

impl Outbox {
    pub(super) fn new(settings: Arc<Settings>, events: UnboundedSender<Event>) -> Self {
        Self { settings, events, waiting: VecDeque::new(), batch: None, last: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.batch.is_none()
    }

    pub(super) fn push(&mut self, publication: Publication, connection: Option<&Connection>) {
        self.waiting.push_back(publication);
        self.go_on(connection);
    }

    /// There is a new connection.
    pub(super) fn up(&mut self, connection: &Connection) {
        match &mut self.batch {
            // Whether it was done may be forgotten, or that was remembered and the messages are not.
            Some(batch) if batch.sent > 0 && *batch.era != *connection.session.era => {
                self.settle(&Err(BackendError::Unanswered));
            }
            Some(_) => self.send(connection),
            None => {}
        }
        self.go_on(Some(connection));
    }

    /// Nothing is kept while there is no connection.
    pub(super) fn refuse(&mut self, error: &BackendError) {
        self.settle(&Err(BackendError::Unanswered));
        self.waiting.drain(..).for_each(|publication| publication.fail(error));
    }

    /// Sends the next batch if none is under way.
    fn go_on(&mut self, connection: Option<&Connection>) {
        let Some(connection) = connection.filter(|_| self.batch.is_none() && !self.waiting.is_empty()) else {
            return;
        };
        let mut bytes = 0;
        let is_in = |publication: &Publication| {
            let has_room = bytes < MOST_BYTES;
            bytes += publication.json.len();
            has_room
        };
        let count = self.waiting.iter().take(MOST).map(is_in).take_while(|is_in| *is_in).count();
        let messages = self.waiting.drain(..count).collect();
        self.last += 1;
        let era = Arc::clone(&connection.session.era);
        self.batch = Some(Batch { number: self.last, messages, era, sent: 0 });
        self.send(connection);
    }

    fn send(&mut self, connection: &Connection) {
        let Some(batch) = &mut self.batch else { return };
        if batch.sent == 0 {
            batch.era = Arc::clone(&connection.session.era);
        }
        let answer = connection.ask(batch.call(&self.settings, &connection.session));
        batch.sent += 1;
        let (events, batch) = (self.events.clone(), batch.number);
        spawn_local(async move {
            // Nobody hears it when the bus is dropped.
            let _ = events.send(Event::Published { batch, answer: answer.await });
        });
    }

    /// A batch was answered, on whatever connection.
    pub(super) fn answered(
        &mut self,
        number: u64,
        answer: Result<Value, BackendError>,
        connection: Option<&Connection>,
    ) {
        let Some(batch) = self.batch.as_mut().filter(|batch| batch.number == number) else { return };
        match answer {
            // It is sent again when there is another connection.
            Err(BackendError::Unanswered) => return,
            Err(BackendError::Away(_)) => {
                batch.sent -= 1;
                return;
            }
            Err(error) if batch.sent == 1 => {
                // Redis has not taken this number.
                self.last -= 1;
                self.settle(&Err(error));
            }
            // It may have done it the first time.
            Err(_) => self.settle(&Err(BackendError::Unanswered)),
            Ok(value) => self.settle(&Answer::new(value).text()),
        }
        self.go_on(connection);
    }

    /// Answers all of the batch that was under way.
    fn settle(&mut self, answer: &Result<String, BackendError>) {
        let messages = self.batch.take().map(|batch| batch.messages).unwrap_or_default();
        let lines = match answer {
            Err(error) => return messages.into_iter().for_each(|message| message.fail(error)),
            Ok(text) if text == "lost" => {
                return messages.into_iter().for_each(|message| message.fail(&BackendError::Unanswered));
            }
            Ok(text) => text,
        };
        let mut lines = lines.split('\n');
        for message in messages {
            let line = lines.next().unwrap_or_default();
            message.answer(match (line, line.strip_prefix('!')) {
                ("names", _) => Err(NameError::TooMany(self.settings.limits.names).into()),
                (_, Some(why)) => Err(BackendError::Refused(why.into()).into()),
                (id, None) => id.parse().map_err(|_| nonsense().into()),
            });
        }
    }
}

impl Batch {
    fn call(&self, settings: &Settings, session: &Session) -> Cmd {
        let mut keys = Vec::with_capacity(1 + 2 * self.messages.len());
        keys.push(settings.keys.batch(&settings.publisher));
        keys.extend(self.messages.iter().flat_map(|message| keys_of(settings, &message.queue)));
        let mut call = call_about(settings, &scripts::PUBLISH, &keys, session);
        call.arg(self.number).arg(u8::from(self.sent > 0)).arg(millis(BATCH_MEMORY));
        for message in &self.messages {
            call.arg(name(&message.queue)).arg(&*settings.keys.channel(&message.queue));
            call.arg(message.options.keep).arg(message.options.keep_bytes);
            call.arg(message.event.as_deref().unwrap_or_default()).arg(&*message.json);
        }
        call
    }
}
