//! Who looks after the certificates: asks for those that are missing, and for others before those that are there end.

use std::{
    fmt, fs, io,
    time::{Duration, SystemTime},
};

use cepa_core::date;
use cepa_server::{blocking, tls::TlsFolder};
use instant_acme::{Account, Error as Protocol};
use tokio::time::{sleep, timeout};

use crate::{
    AcmeConfig, AcmeError,
    account::{self, Opening},
    answer,
    client::Client,
    error::OrderError,
    kept::Kept,
    ledger::Ledger,
    lock::Lock,
    order::Order,
    plan,
};

/// How often the files are looked at at least, and the clock, which may have been set.
const LOOK: Duration = Duration::from_secs(3600);

/// The shortest time between two looks.
const BREATH: Duration = Duration::from_secs(1);

/// How long to wait while another process asks for certificates.
const BUSY: Duration = Duration::from_secs(10);

/// The longest time for which a limit that one name has met holds up all others.
const LIMITED: Duration = Duration::from_secs(3600);

/// How often the authority is asked when it wants a certificate renewed, at most and at least.
const SUGGESTED: (Duration, Duration) = (Duration::from_secs(6 * 3600), Duration::from_secs(86_400));

/// Looks after the certificates of some names; one process of a machine does.
pub struct Keeper {
    config: AcmeConfig,
    directory: String,
    folder: TlsFolder,
    client: Client,
    external: Option<(String, Vec<u8>)>,
    names: Vec<Name>,
    /// There once it was needed.
    account: Option<Account>,
    /// Whether the authority says when it wants certificates renewed.
    suggests: Option<bool>,
    /// Until when it is not asked again, because it has not said it.
    silent: SystemTime,
    /// Failures in a row that were of no name in particular, and until when nothing is asked for that.
    failures: u32,
    paused: SystemTime,
}

/// A name, and when something is to be done for it.
struct Name {
    name: Box<str>,
    /// Its share in what is left to chance, the same for as long as this lives.
    chance: f64,
    kept: Option<Kept>,
    due: SystemTime,
    failures: u32,
    /// When to ask what the authority suggests.
    ask: SystemTime,
}

impl Name {
    fn new(name: Box<str>) -> Result<Self, getrandom::Error> {
        let (due, ask) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH);
        Ok(Self { name, chance: plan::chance()?, kept: None, due, failures: 0, ask })
    }

    /// Hears what is kept: whether that has changed says if it is still due.
    fn hear(&mut self, kept: Option<Kept>, directory: &str) {
        if kept == self.kept {
            return;
        }
        self.due = match &kept {
            Some(kept) if kept.directory == directory => kept.validity.renewal(self.chance),
            _ => SystemTime::UNIX_EPOCH,
        };
        (self.kept, self.failures, self.ask) = (kept, 0, SystemTime::UNIX_EPOCH);
    }
}

impl Keeper {
    /// One for these names, in the environment `env`, which says what the default directory is. It has not begun.
    ///
    /// # Errors
    /// What keeps it from asking: the terms of service that are not agreed to, first of all.
    pub fn new(
        config: AcmeConfig,
        env: &str,
        names: Vec<Box<str>>,
        folder: TlsFolder,
    ) -> Result<Self, AcmeError> {
        config.check().map_err(|fault| AcmeError::Config(fault.to_string()))?;
        let directory = config.directory(env);
        if !config.agree_to_terms {
            return Err(AcmeError::Terms { directory, names: names.join(", ") });
        }
        for name in &names {
            folder.certificate(name)?;
        }
        let names = names.into_iter().map(Name::new).collect::<Result<_, _>>();
        let names = names.map_err(|error| AcmeError::Random(io::Error::other(error)))?;
        let (client, external) = (Client::new(&config)?, account::external_key(&config)?);
        let (account, suggests, failures) = (None, None, 0);
        let (silent, paused) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH);
        Ok(Self {
            config,
            directory,
            folder,
            client,
            external,
            names,
            account,
            suggests,
            silent,
            failures,
            paused,
        })
    }

    /// Looks after them for as long as it is polled. What fails is logged, and tried again.
    pub async fn keep(mut self) {
        tracing::info!(
            target: "cepa::acme",
            directory = self.directory,
            names = self.names.len(),
            "certificates are looked after"
        );
        loop {
            let pause = self.turn().await;
            sleep(pause).await;
        }
    }

    /// Does what is due, and says when to come again.
    async fn turn(&mut self) -> Duration {
        // Those that fail come last: they take from nobody what time, and what limits, leave.
        self.names.sort_by_key(|name| name.failures);
        for at in 0..self.names.len() {
            self.look(at).await;
            self.ask(at).await;
            let now = SystemTime::now();
            if self.names[at].due <= now && self.paused <= now {
                self.attend(at).await;
            }
        }
        let next = self.names.iter().map(|name| name.due).min();
        let next = next.map_or(SystemTime::now() + LOOK, |due| due.max(self.paused));
        next.duration_since(SystemTime::now()).unwrap_or_default().clamp(BREATH, LOOK)
    }

    /// Reads what is kept, which another process, or a person, may have changed.
    async fn look(&mut self, at: usize) {
        let name = &mut self.names[at];
        let Ok(path) = self.folder.certificate(&name.name) else { return };
        let of = name.name.clone();
        let (path, read) = blocking(move || (path.clone(), Kept::read(&path, &of))).await;
        let kept = read.unwrap_or_else(|error| {
            let file = path.display();
            tracing::error!(target: "cepa::acme", %file, error, "what is kept cannot be used, another is got");
            None
        });
        name.hear(kept, &self.directory);
    }

    /// Asks the authority when it wants the certificate renewed (RFC 9773); if it does not say, time does.
    async fn ask(&mut self, at: usize) {
        let (name, now) = (&self.names[at], SystemTime::now());
        let id = name.kept.as_ref().filter(|kept| kept.directory == self.directory);
        let Some(id) = id.and_then(|kept| kept.id.clone()).filter(|_| name.ask <= now) else { return };
        if self.suggests == Some(false) || self.silent.max(self.paused) > now {
            return;
        }
        let said = match self.account().await {
            Ok(account) => account.renewal_info(&id).await.map_err(OrderError::from),
            Err(error) => Err(error),
        };
        let (shortest, longest) = SUGGESTED;
        let name = &mut self.names[at];
        name.ask = now + shortest;
        match said {
            Ok((info, again)) => {
                self.suggests = Some(true);
                name.ask = now + again.clamp(shortest, longest);
                let window = (info.suggested_window.start.into(), info.suggested_window.end.into());
                // While it fails, when to try again is not the authority's to say.
                if let (Some(kept), 0) = (&name.kept, name.failures) {
                    name.due = kept.validity.suggested(window, name.chance);
                }
            }
            Err(OrderError::Protocol(Protocol::Unsupported(_))) => self.suggests = Some(false),
            Err(error) => {
                tracing::debug!(target: "cepa::acme", name = %name.name, %error, "no renewal was suggested");
                // An authority that does not answer is not waited for once for each name.
                self.silent = now + LOOK;
            }
        }
    }

    /// Gets a certificate that is due, unless another process does so.
    async fn attend(&mut self, at: usize) {
        let folder = self.folder.clone();
        let locked = blocking(move || {
            let lock = Lock::take(&folder.acme());
            let lock = lock.map_err(|source| OrderError::File { path: folder.acme(), source })?;
            if lock.is_some() {
                answer::clear(&folder)?;
            }
            Ok(lock)
        });
        let _lock = match locked.await {
            Ok(Some(lock)) => lock,
            Ok(None) => return self.names[at].due = SystemTime::now() + BUSY,
            Err(error) => return self.failed(at, &error),
        };
        // Whoever has had the lock may have got it.
        self.look(at).await;
        if self.names[at].due > SystemTime::now() {
            return;
        }
        match self.note(at).await {
            Ok(None) => {}
            Ok(Some(until)) => {
                let name = &mut self.names[at];
                name.due = until;
                let until = date::format_iso(until).unwrap_or_default();
                let name = &name.name;
                return tracing::warn!(
                    target: "cepa::acme", %name, until, "too many orders within an hour; this one waits"
                );
            }
            Err(error) => return self.failed(at, &error),
        }
        match timeout(self.config.order_timeout, self.order(at)).await {
            Ok(Ok(kept)) => self.got(at, kept),
            Ok(Err(error)) => self.failed(at, &error),
            Err(_) => self.failed(at, &OrderError::Late),
        }
    }

    /// Notes that a certificate is asked for; until when it may not be, if so.
    async fn note(&self, at: usize) -> Result<Option<SystemTime>, OrderError> {
        let (path, name) = (self.folder.acme().join("orders"), self.names[at].name.clone());
        let most = self.config.orders_per_hour as usize;
        blocking(move || {
            let text = match fs::read_to_string(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                text => text.map_err(|source| OrderError::File { path: path.clone(), source })?,
            };
            let now = SystemTime::now();
            let mut ledger = Ledger::read(&text, now);
            if let Err(until) = ledger.note(&name, now, most) {
                return Ok(Some(until));
            }
            TlsFolder::write(&path, ledger.text().as_bytes())?;
            Ok(None)
        })
        .await
    }

    async fn order(&mut self, at: usize) -> Result<Kept, OrderError> {
        let (text, kept) = match self.get(at).await {
            Err(error) if error.kind() == Some("accountDoesNotExist") => {
                tracing::warn!(target: "cepa::acme", %error, "a new account is made");
                self.account = None;
                let file = account::file(&self.folder, &self.directory);
                let path = file.clone();
                let removed = blocking(move || fs::remove_file(file)).await;
                removed.map_err(|source| OrderError::File { path, source })?;
                self.get(at).await?
            }
            got => got?,
        };
        let path = self.folder.certificate(&self.names[at].name)?;
        blocking(move || TlsFolder::write(&path, text.as_bytes())).await?;
        Ok(kept)
    }

    async fn get(&mut self, at: usize) -> Result<(String, Kept), OrderError> {
        let account = self.account().await?;
        let name = &self.names[at];
        let replaced = name.kept.as_ref().filter(|kept| kept.directory == self.directory);
        let replaces = replaced.and_then(|kept| kept.id.clone()).filter(|_| self.suggests == Some(true));
        let (config, directory, folder) = (&self.config, &*self.directory, &self.folder);
        Order { account: &account, config, directory, folder, name: &name.name, replaces }.get().await
    }

    async fn account(&mut self) -> Result<Account, OrderError> {
        if let Some(account) = &self.account {
            return Ok(account.clone());
        }
        let (config, directory, folder) = (&self.config, &*self.directory, &self.folder);
        let opening =
            Opening { config, directory, folder, client: &self.client, external: self.external.as_ref() };
        let account = opening.open().await?;
        self.account = Some(account.clone());
        Ok(account)
    }

    fn got(&mut self, at: usize, kept: Kept) {
        let name = &mut self.names[at];
        let until = date::format_iso(kept.validity.to).unwrap_or_default();
        name.hear(Some(kept), &self.directory);
        self.failures = 0;
        tracing::info!(target: "cepa::acme", name = %name.name, until, "a certificate was got");
    }

    fn failed(&mut self, at: usize, error: &OrderError) {
        let now = SystemTime::now();
        let name = &mut self.names[at];
        let wait = |failures| plan::wait(failures, self.config.retry, self.config.retry_most, name.chance);
        name.failures = name.failures.saturating_add(1);
        let told = self.client.pause().take();
        name.due = told.into_iter().fold(now + wait(name.failures), SystemTime::max);
        if error.is_of_all() {
            self.failures = self.failures.saturating_add(1);
            // A limit that is this name's only may last for days: after an hour another is tried.
            let told = if error.is_limit() { told.map(|until| until.min(now + LIMITED)) } else { told };
            self.paused = told.into_iter().fold(now + wait(self.failures), SystemTime::max);
            name.due = name.due.max(self.paused);
        }
        let again = date::format_iso(name.due).unwrap_or_default();
        let ends = name.kept.as_ref().and_then(|kept| date::format_iso(kept.validity.to));
        tracing::error!(
            target: "cepa::acme",
            name = %name.name,
            %error,
            again,
            served_until = ends,
            "no certificate was got"
        );
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.iter().map(|name| &name.name);
        f.debug_struct("Keeper")
            .field("directory", &self.directory)
            .field("names", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
