//! Decides what is built, started and ended when something has happened.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    ffi::OsString,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use cepa_server::{ListenConfig, ServerConfig};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet, spawn_blocking, spawn_local},
};

use super::{
    DevError, Start,
    build::{self, Built},
    config::DevConfig,
    line::{Order, State, Trouble},
    process::{News, Process},
    project::{Project, Wanted},
    sockets::Sockets,
    stand_in::StandIn,
    terminal::{plain, say},
    watch::{Change, Layout},
};
use crate::program::{scheme, url};

/// What can happen.
#[derive(Debug)]
pub(super) enum Event {
    /// These files have changed, which calls for that.
    Files(Vec<PathBuf>, Option<Change>),
    /// That is what the program is made of.
    Looked(Box<Project>, BTreeSet<PathBuf>),
    Changed(Change),
    /// Of the build with this number.
    Built(u64, io::Result<Built>),
    /// Of the program with this id.
    News(u64, News),
    /// A program that was told to end has ended.
    Left,
    /// `dev` was told to end.
    Told,
}

/// A build under way.
struct Build {
    id: u64,
    task: AbortHandle,
    begun: Instant,
}

impl Drop for Build {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) struct Supervisor {
    start: Start,
    layout: Rc<RefCell<Layout>>,
    /// Arguments for `cargo build`.
    cargo: Vec<OsString>,
    events: mpsc::UnboundedSender<Event>,
    server: ServerConfig,
    sockets: Sockets,
    /// What pages are told.
    state: watch::Sender<State>,
    /// When `dev` was started, so that its pages are not those of another.
    since: u128,
    /// How many builds, programs and pages there were.
    count: u64,
    build: Option<Build>,
    /// What was built last.
    program: Option<PathBuf>,
    /// Whether there is a program to be started when those that are ending have.
    waiting: bool,
    /// Whether the configuration has changed since a program was started.
    outdated: bool,
    /// Whether there was trouble since a program was started.
    failed: bool,
    /// The program that serves.
    current: Option<Process>,
    /// The program that is starting.
    next: Option<Process>,
    leaving: JoinSet<()>,
    stand_in: Option<StandIn>,
}

impl Supervisor {
    pub(super) fn new(
        start: Start,
        layout: Rc<RefCell<Layout>>,
        cargo: Vec<OsString>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Self, DevError> {
        let (server, _) = start.config()?;
        let mut sockets = Sockets::default();
        sockets.bind(&server)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let this = Self {
            start,
            layout,
            cargo,
            events,
            server,
            sockets,
            state: watch::channel(State::default()).0,
            since,
            count: 0,
            build: None,
            program: None,
            waiting: false,
            outdated: false,
            failed: false,
            current: None,
            next: None,
            leaving: JoinSet::new(),
            stand_in: None,
        };
        say(&format!("{}; Ctrl-C stops", this.urls()));
        Ok(this)
    }

    pub(super) fn handle(&mut self, event: Event) {
        match event {
            Event::Changed(Change::Rebuild) => self.build(),
            Event::Changed(Change::Restart) if self.build.is_some() => self.outdated = true,
            Event::Changed(Change::Restart) => self.restart("the configuration has changed"),
            Event::Changed(Change::Reload) => self.reload(),
            Event::Built(id, built) => self.built(id, built),
            Event::Looked(project, files) => {
                let mut layout = self.layout.borrow_mut();
                (layout.project, layout.files) = (*project, files);
            }
            Event::News(id, news) => self.news(id, news),
            Event::Left => self.left(),
            // What is watched is not decided here, nor when to end.
            Event::Files(..) | Event::Told => {}
        }
    }

    fn config(&self) -> DevConfig {
        self.layout.borrow().config.clone()
    }

    /// Changes what pages are told.
    fn tell(&mut self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
        if let Some(current) = &self.current {
            current.order(Order::State(self.state.borrow().clone()));
        }
    }

    /// A number for what is new.
    fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// The name of what pages are made of from now on.
    fn next_page(&mut self) -> String {
        let number = self.number();
        format!("{}-{number}", self.since)
    }

    fn reload(&mut self) {
        say("pages are loaded again");
        let page = self.next_page();
        self.tell(|state| state.page = page);
    }

    /// Builds anew; a build under way is of what is no more.
    fn build(&mut self) {
        drop(self.build.take());
        say("building");
        self.tell(|state| state.building = true);
        let (project, cargo) = (self.layout.borrow().project.clone(), self.cargo.clone());
        let (id, events) = (self.number(), self.events.clone());
        let task = spawn_local(async move {
            let built = build::build(&project, &cargo).await;
            // At the end nobody is interested.
            let _ = events.send(Event::Built(id, built));
        });
        self.build = Some(Build { id, task: task.abort_handle(), begun: Instant::now() });
    }

    fn built(&mut self, id: u64, built: io::Result<Built>) {
        // One that was given up may have ended just then.
        let Some(build) = self.build.take_if(|build| build.id == id) else { return };
        let took = build.begun.elapsed();
        match built {
            Ok(Built::Program { path, is_old }) => {
                self.look_at(path.clone());
                self.program = Some(path);
                // After trouble nobody knows which program it is that serves.
                let is_served =
                    self.current.is_some() && self.next.is_none() && self.state.borrow().trouble.is_none();
                if is_old && is_served && !self.outdated {
                    say("nothing has changed");
                    self.tell(|state| state.building = false);
                } else {
                    self.restart(&format!("built in {:.1} s", took.as_secs_f64()));
                }
            }
            Ok(Built::Failed(text)) => self.fail("The build has failed", &text),
            Err(error) => self.fail("The build has failed", &format!("cargo cannot be run: {error}")),
        }
    }

    /// Looks at what the program was made from, which may be other files than before.
    fn look_at(&self, program: PathBuf) {
        let (mut project, events) = (self.layout.borrow().project.clone(), self.events.clone());
        // Cargo takes its time, and nothing waits for it.
        spawn_blocking(move || {
            let wanted = Wanted {
                package: Some(project.package.clone()),
                program: Some(project.program.clone()),
                own: None,
            };
            // What cargo said before is still good if it cannot say it now.
            project = Project::find(&wanted, &project.folder).unwrap_or(project);
            let mut files = build::made_from(&program);
            files.retain(|file| !project.is_built(file));
            let _ = events.send(Event::Looked(Box::new(project), files));
        });
    }

    /// Starts the program that was built last, in the place of the one that serves.
    fn restart(&mut self, why: &str) {
        let Some(program) = self.program.clone() else { return };
        say(&format!("{why}; starting"));
        self.outdated = false;
        if let Some(next) = self.next.take() {
            self.leave(next);
        }
        let (server, config) = match self.start.config() {
            Ok(configs) => configs,
            Err(error) => return self.fail("The configuration cannot be used", &error.to_string()),
        };
        if let Err(error) = self.sockets.bind(&server) {
            return self.fail("The app cannot listen", &error.to_string());
        }
        self.server = server;
        self.layout.borrow_mut().config = config;
        if !self.config().overlap {
            if let Some(current) = self.current.take() {
                self.leave(current);
            }
            self.waiting = !self.leaving.is_empty();
            if self.waiting {
                return;
            }
        }
        self.start(&program);
    }

    fn start(&mut self, program: &Path) {
        self.failed = false;
        let (id, events) = (self.number(), self.events.clone());
        let state = State { page: format!("{}-{id}", self.since), building: false, trouble: None };
        let begin = Order::Begin { sockets: self.sockets.numbers(), state };
        let command = self.start.command(program);
        let news = move |news| drop(events.send(Event::News(id, news)));
        match Process::start(id, command, &self.sockets, begin, news) {
            Ok(process) => self.next = Some(process),
            Err(error) => self.fail("The app cannot be started", &error.to_string()),
        }
    }

    fn news(&mut self, id: u64, news: News) {
        let is = |process: &&mut Process| process.id == id;
        match news {
            News::Ready => {
                let Some(next) = self.next.take_if(|next| next.id == id) else { return };
                self.take_over(next);
            }
            News::Ended { how } if self.next.as_mut().filter(is).is_some() => {
                self.next = None;
                let hint = match &self.current {
                    Some(_) => {
                        "\n\nThe one before serves on. If it holds what this one needs, such as a file that only \
                        one process can open, set dev.overlap = false."
                    }
                    None => "",
                };
                self.fail("The app does not start", &format!("{how}{hint}"));
            }
            News::Ended { how } if self.current.as_mut().filter(is).is_some() => {
                self.current = None;
                self.fail("The app has ended", &how);
            }
            News::Ended { .. } => {}
        }
    }

    /// The new program serves; the old one is to finish.
    fn take_over(&mut self, next: Process) {
        say(&format!("serving on {}", self.urls()));
        let grace = self.config().grace;
        if let Some(current) = self.current.replace(next) {
            self.leave(current);
        }
        if let Some(stand_in) = self.stand_in.take() {
            stand_in.end(grace);
        }
        let (page, building, failed) = (self.next_page(), self.build.is_some(), self.failed);
        self.tell(|state| {
            // What has failed since is newer than this program.
            let trouble = state.trouble.take().filter(|_| failed);
            *state = State { page, building, trouble };
        });
    }

    fn leave(&mut self, process: Process) {
        let (grace, events) = (self.config().grace, self.events.clone());
        self.leaving.spawn_local(async move {
            process.end(grace).await;
            let _ = events.send(Event::Left);
        });
    }

    fn left(&mut self) {
        while self.leaving.try_join_next().is_some() {}
        if self.waiting && self.leaving.is_empty() {
            self.waiting = false;
            if let Some(program) = self.program.clone() {
                self.start(&program);
            }
        }
    }

    /// Tells what is wrong, by whatever still answers.
    fn fail(&mut self, title: &str, text: &str) {
        let mut line = title.to_lowercase();
        if !title.contains("build") {
            // What the compiler has said stands there already.
            let _ = write!(line, ": {}", plain(text));
        }
        self.failed = true;
        let page = self.next_page();
        let trouble = Some(Trouble::new(title, text));
        let answers = self.current.is_some();
        self.tell(|state| {
            (state.building, state.trouble) = (false, trouble);
            if !answers {
                state.page = page;
            }
        });
        if !answers && self.stand_in.is_none() {
            match StandIn::start(self.server.clone(), &self.sockets, self.state.subscribe()) {
                Ok(stand_in) => self.stand_in = Some(stand_in),
                Err(error) => say(&format!("pages cannot be told: {error}")),
            }
        }
        // Last: who reads it finds the page that says so.
        say(&line);
    }

    fn urls(&self) -> String {
        let bound = |listen: &ListenConfig| {
            Some(url(scheme(listen), self.sockets.get(&listen.address)?.local_addr()))
        };
        self.server.listen.iter().filter_map(bound).collect::<Vec<_>>().join(", ")
    }

    /// Ends all that was started: in order, and at once when it is told so again.
    pub(super) async fn end(mut self, force: impl Future<Output = ()>) {
        drop(self.build.take());
        let grace = self.config().grace;
        if let Some(stand_in) = self.stand_in.take() {
            stand_in.end(grace);
        }
        for process in [self.next.take(), self.current.take()].into_iter().flatten() {
            self.leave(process);
        }
        tokio::select! {
            () = async { while self.leaving.join_next().await.is_some() {} } => return,
            () = force => say("ended by force"),
        }
        // It drops them.
        self.leaving.shutdown().await;
    }
}
