//! The book: entries in an embedded store, and news of each to whoever listens.
//!
//! All of it blocks on the disk: handlers call it through `ctx.blocking(..)`.

use std::{
    fs,
    ops::Bound,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use cepa::{core::date, prelude::*};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::broadcast;

use crate::{
    entry::{Entry, Words},
    live::Event,
};

/// By id: when, name, message.
const ENTRIES: TableDefinition<'_, u64, (&str, &str, &str)> = TableDefinition::new("entries");
/// News that a slow listener may be behind; one that is further behind reads the book.
const NEWS: usize = 64;

type Stored<T> = Result<T, redb::Error>;

/// A handle to the book; clones are handles to the same.
#[derive(Clone)]
pub(crate) struct Book(Arc<Inner>);

struct Inner {
    database: Database,
    /// Held while an entry is written and told, so that news have the order of the ids.
    pen: Mutex<()>,
    news: broadcast::Sender<Event>,
}

impl Book {
    /// Opens the book that a file keeps, or makes one.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let unusable =
            |error| Error::new(500, format!("{} cannot be opened", path.display())).with_cause(error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| unusable(error.into()))?;
        }
        let database = open(path).map_err(unusable)?;
        let (news, _) = broadcast::channel(NEWS);
        Ok(Self(Arc::new(Inner { database, pen: Mutex::new(()), news })))
    }

    /// Writes an entry into the book, and tells it to those who listen.
    pub(crate) fn sign(&self, words: Words) -> Stored<Entry> {
        // It guards an order, not data: a panic of another thread leaves nothing half done.
        let _pen = self.0.pen.lock().unwrap_or_else(PoisonError::into_inner);
        let at = date::format_iso(SystemTime::now()).unwrap_or_default();
        let Words { name, message } = words;
        let writing = self.0.database.begin_write()?;
        let id = {
            let mut entries = writing.open_table(ENTRIES)?;
            let id = entries.last()?.map_or(0, |(id, _)| id.value()) + 1;
            entries.insert(id, (&*at, &*name, &*message))?;
            id
        };
        writing.commit()?;
        let entry = Entry { id, at, name, message };
        // An error says that nobody listens.
        let _ = self.0.news.send(Event::of(&entry));
        Ok(entry)
    }

    /// News of all entries signed from now on.
    pub(crate) fn news(&self) -> broadcast::Receiver<Event> {
        self.0.news.subscribe()
    }

    /// One entry.
    pub(crate) fn entry(&self, id: u64) -> Stored<Option<Entry>> {
        let entries = self.0.database.begin_read()?.open_table(ENTRIES)?;
        Ok(entries.get_owned(id)?.map(|row| entry(id, row.value())))
    }

    /// The id of the newest entry; 0 in an empty book.
    pub(crate) fn newest(&self) -> Stored<u64> {
        let entries = self.0.database.begin_read()?.open_table(ENTRIES)?;
        Ok(entries.last()?.map_or(0, |(id, _)| id.value()))
    }

    /// At most `most` entries after that of an id, oldest first.
    pub(crate) fn after(&self, id: u64, most: usize) -> Stored<Vec<Entry>> {
        self.range((Bound::Excluded(id), Bound::Unbounded), |rows| rows.take(most).collect())
    }

    /// At most `most` entries before that of an id, newest first.
    pub(crate) fn before(&self, id: u64, most: usize) -> Stored<Vec<Entry>> {
        self.range((Bound::Unbounded, Bound::Excluded(id)), |rows| rows.rev().take(most).collect())
    }

    fn range(
        &self,
        ids: (Bound<u64>, Bound<u64>),
        read: impl FnOnce(&mut dyn DoubleEndedIterator<Item = Stored<Entry>>) -> Stored<Vec<Entry>>,
    ) -> Stored<Vec<Entry>> {
        let entries = self.0.database.begin_read()?.open_table(ENTRIES)?;
        let mut rows = entries.range(ids)?.map(|row| {
            let (id, row) = row?;
            Ok(entry(id.value(), row.value()))
        });
        read(&mut rows)
    }
}

fn open(path: &Path) -> Stored<Database> {
    let database = Database::create(path)?;
    // So that reading needs not ask whether there is a table.
    let writing = database.begin_write()?;
    writing.open_table(ENTRIES)?;
    writing.commit()?;
    Ok(database)
}

fn entry(id: u64, (at, name, message): (&str, &str, &str)) -> Entry {
    Entry { id, at: at.to_owned(), name: name.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(name: &str) -> Words {
        Words { name: name.to_owned(), message: "hello".to_owned() }
    }

    #[test]
    fn entries_are_read_from_both_ends_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/book.redb");
        let book = Book::open(&path).unwrap();
        assert_eq!((book.newest().unwrap(), book.entry(1).unwrap()), (0, None));
        for name in ["Ada", "Grace", "Edith", "Mary"] {
            book.sign(words(name)).unwrap();
        }
        let names = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>();
        assert_eq!(names(book.after(1, 2).unwrap()), ["Grace", "Edith"]);
        assert_eq!(names(book.after(u64::MAX, 2).unwrap()), [""; 0]);
        assert_eq!(names(book.before(u64::MAX, 2).unwrap()), ["Mary", "Edith"]);
        assert_eq!(names(book.before(0, 2).unwrap()), [""; 0]);

        drop(book);
        let book = Book::open(&path).unwrap();
        assert_eq!(book.newest().unwrap(), 4);
        assert_eq!(book.entry(2).unwrap().unwrap().name, "Grace");
    }

    #[test]
    fn news_have_the_order_of_the_ids() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(&folder.path().join("book.redb")).unwrap();
        let mut news = book.news();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..4).for_each(|_| drop(book.sign(words("Ada")).unwrap())));
            }
        });
        let ids: Vec<u64> = std::iter::from_fn(|| news.try_recv().ok()).map(|event| event.id).collect();
        assert_eq!(ids, (1..=16).collect::<Vec<_>>());
    }
}
