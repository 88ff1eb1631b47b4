//! A file that is rolled, with the old ones beside it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use flate2::{Compression, write::GzEncoder};

use super::{Fault, Sink, complain};
use crate::{
    queue::{Batch, Line},
    roll::{Rotation, Step},
    time::{Moment, Zone},
};

/// Seconds by which a line can be late: it has waited in a queue, or on a thread that was not running.
const LATEST: i64 = 3600;

/// Where a file is, and how it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) rotation: Arc<Rotation>,
    pub(crate) zone: Zone,
    /// The permissions of new files.
    pub(crate) mode: u32,
}

/// A file that is written to.
pub(crate) struct RollingFile {
    place: Place,
    file: File,
    size: u64,
    /// The date that the lines in the file are of.
    period: Option<String>,
    /// The second up to which it is known that the period lasts.
    checked: i64,
    /// The last second in which the file could not be rolled.
    failed: i64,
    /// What compresses the old files.
    packing: Option<JoinHandle<()>>,
}

impl RollingFile {
    /// Opens or makes the file, and the folder it is in.
    pub(crate) fn open(place: Place, now: SystemTime) -> io::Result<Self> {
        fs::create_dir_all(&place.folder)?;
        let rotation = &place.rotation;
        let mut period = rotation.period(&place.zone.at(now));
        if !rotation.names.always_date
            && let Ok(found) = fs::metadata(place.path(&rotation.live(None)))
            && found.len() > 0
        {
            // What is in it was written then, and may have to be rolled.
            period = rotation.period(&place.zone.at(found.modified()?));
        }
        let (file, size) = place.append_to(&rotation.live(period.as_deref()))?;
        let (checked, failed) = (i64::MIN, i64::MIN);
        let mut opened = Self { place, file, size, period, checked, failed, packing: None };
        let packs = opened.arrange(opened.place.zone.at(now), Rotation::tidy)?;
        opened.pack(packs);
        Ok(opened)
    }

    /// Writes those of the lines of a batch that begin at `start`.
    pub(crate) fn write_lines(&mut self, bytes: &str, start: usize, lines: &[Line]) -> Result<(), Fault> {
        let (mut from, mut to) = (start, start);
        let mut rolled = Ok(());
        let mut unwritten = lines;
        for (at, line) in lines.iter().enumerate() {
            if self.is_due(line.second, (to - from) as u64) {
                self.put(&bytes[from..to], unwritten)?;
                (from, unwritten) = (to, &lines[at..]);
                if let Err(error) = self.roll(line.second) {
                    // Lines go on into the file that there is.
                    self.failed = line.second;
                    rolled = Err(self.fault("cannot be rolled", error, 0));
                }
            }
            to = line.end;
        }
        self.put(&bytes[from..to], unwritten)?;
        rolled
    }

    /// Opens the file of that name anew; whoever has moved the old one has it complete.
    pub(crate) fn reopen(&mut self) -> Result<(), Fault> {
        let name = self.place.rotation.live(self.period.as_deref());
        fs::create_dir_all(&self.place.folder)
            .and_then(|()| self.place.append_to(&name))
            .map(|(file, size)| (self.file, self.size) = (file, size))
            .map_err(|error| self.fault("cannot be opened", error, 0))
    }

    /// Whether the file is to be rolled before a line of that second, when so many bytes are still to be written.
    fn is_due(&mut self, second: i64, unwritten: u64) -> bool {
        if self.failed == second {
            return false;
        }
        if self.place.rotation.is_full(self.size + unwritten) {
            return true;
        }
        // A line that was late is of the period of those before it; one that is later than any was set back by a clock.
        let behind = self.checked.saturating_sub(second);
        if self.period.is_none() || (0..LATEST).contains(&behind) {
            return false;
        }
        self.checked = second;
        self.place.rotation.period(&self.place.moment(second)) != self.period
    }

    /// Writes bytes; if that fails, these lines are lost.
    fn put(&mut self, bytes: &str, lines: &[Line]) -> Result<(), Fault> {
        self.size += bytes.len() as u64;
        let written = self.file.write_all(bytes.as_bytes());
        written.map_err(|error| self.fault("cannot be written", error, lines.len() as u64))
    }

    /// Rolls the file, and opens the one of that second.
    fn roll(&mut self, second: i64) -> io::Result<()> {
        let now = self.place.moment(second);
        let packs = self.arrange(now, Rotation::roll)?;
        let period = self.place.rotation.period(&now);
        (self.file, self.size) = self.place.append_to(&self.place.rotation.live(period.as_deref()))?;
        self.period = period;
        // Only now: if there had been no new file, lines would go on into one of these.
        self.pack(packs);
        Ok(())
    }

    /// Does what the rotation says with what is in the folder; answers what is to be compressed, and into what.
    fn arrange(
        &mut self,
        now: Moment,
        steps: fn(&Rotation, Option<&str>, &[String], &Moment) -> Vec<Step>,
    ) -> io::Result<Vec<(String, String)>> {
        // What it works on may be moved.
        self.wait_for_packing();
        let found = self.place.names()?;
        let mut packs = Vec::new();
        for step in steps(&self.place.rotation, self.period.as_deref(), &found, &now) {
            match step {
                Step::Delete(name) => fs::remove_file(self.place.path(&name))?,
                Step::Move(from, to) => self.place.move_behind(&from, &to)?,
                Step::Pack(from, to) => packs.push((from, to)),
            }
        }
        Ok(packs)
    }

    /// Compresses old files, on a thread of their own. One that cannot be is found again at the next roll.
    fn pack(&mut self, packs: Vec<(String, String)>) {
        if packs.is_empty() {
            return;
        }
        let place = self.place.clone();
        let work = move || {
            for (from, to) in &packs {
                if let Err(error) = place.pack(from, to) {
                    complain(&format!("{} cannot be compressed: {error}", place.path(from).display()));
                }
            }
        };
        match thread::Builder::new().name("log-gzip".to_owned()).spawn(work) {
            Ok(packing) => self.packing = Some(packing),
            Err(error) => complain(&format!("a thread to compress old files cannot be made: {error}")),
        }
    }

    fn wait_for_packing(&mut self) {
        if let Some(packing) = self.packing.take() {
            // A panic in it has been told by itself.
            let _ = packing.join();
        }
    }

    fn fault(&self, what: &str, error: io::Error, lost: u64) -> Fault {
        let path = self.place.path(&self.place.rotation.live(self.period.as_deref()));
        Fault { what: format!("{} {what}", path.display()), error, lost }
    }
}

impl Sink for RollingFile {
    fn write(&mut self, batch: &Batch) -> Result<(), Fault> {
        self.write_lines(&batch.bytes, 0, &batch.lines)
    }

    fn reopen(&mut self) -> Result<(), Fault> {
        self.reopen()
    }
}

impl Drop for RollingFile {
    /// What is being compressed may be opened again under the same name.
    fn drop(&mut self) {
        self.wait_for_packing();
    }
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn moment(&self, second: i64) -> Moment {
        self.zone.at(UNIX_EPOCH + Duration::from_secs(second.try_into().unwrap_or(0)))
    }

    /// Opens a file to write at its end, and says where that is.
    fn append_to(&self, name: &str) -> io::Result<(File, u64)> {
        let file = OpenOptions::new().append(true).create(true).mode(self.mode).open(self.path(name))?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    /// The names in the folder that may be of this file.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            names.extend(
                name.to_str().filter(|name| name.starts_with(&self.rotation.names.stem)).map(str::to_owned),
            );
        }
        Ok(names)
    }

    /// Gives a file another name, or adds it to the file that has that name.
    fn move_behind(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path(from), self.path(to));
        if !to.try_exists()? {
            return fs::rename(from, to);
        }
        let mut file = OpenOptions::new().append(true).open(to)?;
        io::copy(&mut File::open(&from)?, &mut file)?;
        fs::remove_file(from)
    }

    /// Compresses a file. What is compressed already comes first, since files of gzip may follow each other.
    fn pack(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path(from), self.path(to));
        // If this is cut short, the next start finds the file as it was.
        let part = with_suffix(&to, ".part");
        let mut out =
            OpenOptions::new().write(true).create(true).truncate(true).mode(self.mode).open(&part)?;
        match File::open(&to) {
            Ok(mut before) => drop(io::copy(&mut before, &mut out)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut packer = GzEncoder::new(out, Compression::default());
        io::copy(&mut BufReader::new(File::open(&from)?), &mut packer)?;
        // Before the original goes, or a power cut could leave neither.
        packer.finish()?.sync_all()?;
        fs::rename(part, to)?;
        fs::remove_file(from)
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
