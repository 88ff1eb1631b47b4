use std::{cell::RefCell, rc::Rc};

use cepa_core::Ctx;
use serde::Deserialize;
use tokio::{
    runtime::{Builder, LocalOptions},
    time::sleep,
};

use super::*;
use crate::Plugin;

/// What happened, in order.
type Diary = Rc<RefCell<Vec<String>>>;

/// Runs with a clock that goes on by itself when nothing else is to be done.
fn run<F: Future>(future: F) -> F::Output {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build_local(LocalOptions::default()).unwrap().block_on(future)
}

/// A plugin that notes its hooks.
#[derive(Clone, Default)]
struct Noted {
    name: &'static str,
    needs: Vec<&'static str>,
    environments: Vec<&'static str>,
    off: bool,
    defaults: &'static str,
    fails: Option<Stage>,
    takes: Option<(Stage, Duration)>,
    diary: Diary,
}

impl Noted {
    fn new(name: &'static str, diary: &Diary) -> Self {
        Self { name, diary: Rc::clone(diary), ..Self::default() }
    }

    async fn note(&self, stage: Stage) -> Result {
        self.diary.borrow_mut().push(format!("{} {stage}", self.name));
        if let Some((_, time)) = self.takes.filter(|(slow, _)| *slow == stage) {
            sleep(time).await;
            self.diary.borrow_mut().push(format!("{} {stage} done", self.name));
        }
        if self.fails == Some(stage) { Err(Error::new(500, "the moon is full")) } else { Ok(()) }
    }
}

impl Plugin for Noted {
    fn name(&self) -> &str {
        self.name
    }

    fn dependencies(&self) -> &[&str] {
        &self.needs
    }

    fn environments(&self) -> &[&str] {
        &self.environments
    }

    fn is_enabled(&self) -> bool {
        !self.off
    }

    fn defaults(&self) -> &str {
        self.defaults
    }

    async fn config_will_load(&mut self, _: &mut Boot) -> Result {
        self.note(Stage::ConfigWillLoad).await
    }

    async fn config_did_load(&mut self, _: &mut Boot) -> Result {
        self.note(Stage::ConfigDidLoad).await
    }

    async fn did_load(&mut self, _: &mut Boot) -> Result {
        self.note(Stage::DidLoad).await
    }

    async fn will_ready(&mut self, _: &mut Boot) -> Result {
        self.note(Stage::WillReady).await
    }

    async fn did_ready(&mut self, _: &Boot) -> Result {
        self.note(Stage::DidReady).await
    }

    async fn server_did_ready(&mut self, _: &Boot) -> Result {
        self.note(Stage::ServerDidReady).await
    }

    async fn before_close(&mut self, _: &Boot) -> Result {
        self.note(Stage::BeforeClose).await
    }
}

fn boot(settings: &[&str]) -> Boot {
    Boot::load_with("test", settings).unwrap()
}

fn empty(_: &mut Boot) -> Result<App> {
    Ok(App::new())
}

#[test]
fn the_hooks_run_in_order_and_are_closed_in_reverse() {
    let diary = Diary::default();
    let web = Noted { needs: vec!["database"], ..Noted::new("web", &diary) };
    let boot = boot(&[]).plugin(web).plugin(Noted::new("database", &diary));
    let notes = Rc::clone(&diary);
    let app = move |boot: &mut Boot| {
        let note = move |text: &str| -> Result {
            notes.borrow_mut().push(format!("app {text}"));
            Ok(())
        };
        note("made")?;
        let (loaded, ready, served, first, second) =
            (note.clone(), note.clone(), note.clone(), note.clone(), note);
        boot.server_did_ready(async move |_: &Boot| served("server_did_ready"));
        boot.did_load(async move |boot: &mut Boot| {
            loaded("did_load")?;
            boot.will_ready(async move |_: &mut Boot| ready("will_ready"));
            boot.before_close(async move |_: &Boot| second("closes second"));
            boot.before_close(async move |_: &Boot| first("closes first"));
            Ok(())
        });
        Ok(App::new())
    };
    run(async {
        let mut started = boot.start(app).await.unwrap();
        started.serving().await.unwrap();
        started.close().await;
    });
    let expected = "database config_will_load, web config_will_load, database config_did_load, web config_did_load, \
        app made, database did_load, web did_load, app did_load, database will_ready, web will_ready, \
        app will_ready, database did_ready, web did_ready, database server_did_ready, web server_did_ready, \
        app server_did_ready, app closes first, app closes second, web before_close, database before_close";
    assert_eq!(diary.borrow().join(", "), expected);
}

#[test]
fn a_hook_that_fails_is_named_and_what_had_loaded_is_closed() {
    let diary = Diary::default();
    let second = Noted { fails: Some(Stage::DidLoad), ..Noted::new("second", &diary) };
    let all =
        boot(&[]).plugin(Noted::new("first", &diary)).plugin(second).plugin(Noted::new("third", &diary));
    let error = run(all.start(empty)).unwrap_err().to_string();
    assert!(
        error.starts_with("did_load of the plugin `second`: the moon is full\n  at crates/cepa"),
        "{error}"
    );
    let diary = diary.borrow();
    assert_eq!(diary[6..], ["first did_load", "second did_load", "first before_close"]);

    let of_the_app = |boot: &mut Boot| {
        boot.did_ready(async |boot: &Boot| boot.provided::<u8>().map(drop));
        Ok(App::new())
    };
    let error = run(boot(&[]).start(of_the_app)).unwrap_err().to_string();
    assert!(error.starts_with("did_ready of the app (crates/cepa"), "{error}");
    assert!(error.contains("nothing has provided a u8"), "{error}");
}

#[test]
fn a_hook_for_a_stage_that_is_over_is_an_error() {
    let late = |boot: &mut Boot| {
        boot.will_ready(async |boot: &mut Boot| {
            boot.did_load(async |_: &mut Boot| Ok(()));
            Ok(())
        });
        Ok(App::new())
    };
    let error = run(boot(&[]).start(late)).unwrap_err().to_string();
    assert!(error.starts_with("a hook for did_load was added when that was over\n  at crates"), "{error}");
}

#[test]
fn a_plugin_is_on_where_it_is_meant_to_be() {
    let names = |settings: &[&str], plugins: &[Noted]| -> Result<String, String> {
        let mut boot = boot(settings);
        for plugin in plugins {
            boot = boot.plugin(plugin.clone());
        }
        let life = run(Lifecycle::configure(boot)).map_err(|error| error.to_string())?;
        Ok(life.plugins.iter().map(|plugin| plugin.name()).collect::<Vec<_>>().join(" "))
    };
    let diary = Diary::default();
    let plain = Noted::new("plain", &diary);
    let off = Noted { off: true, ..Noted::new("off", &diary) };
    let elsewhere = Noted { environments: vec!["production"], ..Noted::new("elsewhere", &diary) };
    let here = Noted { environments: vec!["production", "test"], ..Noted::new("here", &diary) };
    let all = [plain, off.clone(), elsewhere, here];
    assert_eq!(names(&[], &all).as_deref(), Ok("plain here"));
    assert_eq!(
        names(&["plugins.off.enable=true", "plugins.plain.enable=false"], &all).as_deref(),
        Ok("off here")
    );
    // The environment is no matter of taste.
    assert_eq!(names(&["plugins.elsewhere.enable=true"], &all).as_deref(), Ok("plain here"));

    let needs = Noted { needs: vec!["off"], ..Noted::new("needs", &diary) };
    let pair = [needs, Noted { off: false, ..off }];
    assert_eq!(names(&[], &pair).as_deref(), Ok("off needs"));
    for (setting, fault) in [
        (
            "plugins.off.enable=false",
            "the plugin `needs` needs `off`, which is off: flag --set plugins.off.enable says so",
        ),
        (
            "plugins.of.enable=false",
            "flag --set plugins.of.enable: unknown plugin `plugins.of`; did you mean `off`?",
        ),
        (
            "plugins.off.enabled=false",
            "flag --set plugins.off.enabled: unknown key `plugins.off.enabled`; did you mean `enable`?",
        ),
    ] {
        assert_eq!(names(&[setting], &pair).unwrap_err(), fault);
    }
}

#[test]
fn a_plugin_brings_defaults_and_may_change_the_configuration_until_it_is_settled() {
    struct Changes;

    impl Plugin for Changes {
        fn name(&self) -> &str {
            "changes"
        }

        fn defaults(&self) -> &str {
            "[mail]\nhost = 'default'\nport = 25\nfrom = 'a'\n"
        }

        async fn config_will_load(&mut self, boot: &mut Boot) -> Result {
            boot.set("mail.from=changed")
        }

        async fn config_did_load(&mut self, boot: &mut Boot) -> Result {
            let error = boot.set("mail.from=again").unwrap_err().to_string();
            assert!(error.contains("the configuration is settled"), "{error}");
            Ok(())
        }
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Mail {
        host: String,
        port: u8,
        from: String,
    }

    let started = run(boot(&["mail.host=mx", "changes.any=1"]).plugin(Changes).start(empty)).unwrap();
    let mail: Mail = started.boot().config("mail").unwrap();
    assert_eq!(mail, Mail { host: "mx".to_owned(), port: 25, from: "changed".to_owned() });

    let wrong = boot(&["mail.port=many"]).plugin(Changes);
    let error = run(wrong.start(|boot| boot.config::<Mail>("mail").map(|_| App::new()))).unwrap_err();
    assert!(error.to_string().contains("--set mail.port"), "{error}");
}

#[test]
fn what_is_provided_while_loading_is_found_by_requests() {
    let app = |boot: &mut Boot| {
        boot.provide(1u8);
        boot.did_load(async |boot: &mut Boot| {
            boot.provide(boot.provided::<u8>()? + 1);
            boot.provide(7u16);
            Ok(())
        });
        let handler = async |ctx: &mut Ctx| -> Result<String> {
            Ok(format!("{} {}", ctx.provided::<u8>()?, ctx.provided::<u16>()?))
        };
        Ok(App::new().provide(9u16).get("/", handler))
    };
    run(async {
        let started = boot(&[]).start(app).await.unwrap();
        assert_eq!(started.client().get("/").await.text(), "2 9");
        assert_eq!(started.boot().provided::<u16>().unwrap(), &7);
    });
}

#[test]
fn a_slow_hook_is_waited_for_and_a_slow_end_is_not() {
    let diary = Diary::default();
    let minute = Duration::from_secs(60);
    let slow = Noted { takes: Some((Stage::DidLoad, minute)), ..Noted::new("slow", &diary) };
    let stuck = Noted { takes: Some((Stage::BeforeClose, minute)), ..Noted::new("stuck", &diary) };
    run(async {
        let started = boot(&["lifecycle.close='5s'"]).plugin(slow).plugin(stuck).start(empty).await.unwrap();
        let begun = Instant::now();
        started.close().await;
        assert_eq!(begun.elapsed().as_secs(), 5);
    });
    let diary = diary.borrow().join(", ");
    assert!(diary.contains("slow did_load done"), "{diary}");
    assert!(diary.ends_with("stuck before_close"), "{diary}");
}

#[cfg(feature = "cluster")]
mod schedules {
    use cepa_cluster::{
        JobCtx, Schedule,
        schedule::{Outcome, Schedules},
    };

    use super::*;

    fn app(boot: &mut Boot) -> Result<App> {
        let every = Schedule::every(Duration::from_secs(60))?.environments(&["production"]);
        boot.provide(5u8);
        boot.schedule("clean", every, async |job: &mut JobCtx| match job.provided::<u8>()? {
            5 => Ok(()),
            _ => Err(Error::new(500, "not what was provided")),
        })?;
        Ok(App::new().get("/", async |ctx: &mut Ctx| -> Result<String> {
            let all = ctx.provided::<Schedules>()?.list();
            Ok(all.iter().map(|info| format!("{} {} {}", info.name, info.when, info.is_on)).collect())
        }))
    }

    #[test]
    fn a_schedule_sees_what_is_provided_and_requests_see_it() {
        run(async {
            let started = boot(&[]).start(app).await.unwrap();
            assert_eq!(started.client().get("/").await.text(), "clean every 60s false");
            assert_eq!(started.run_schedule("clean").await, Ok(Outcome::Done));
            assert!(started.run_schedule("cleam").await.is_err());
        });
    }

    #[test]
    fn the_configuration_may_say_otherwise() {
        let told = |settings: &[&str]| {
            run(async {
                let started = boot(settings).start(app).await.map_err(|error| error.to_string())?;
                Ok::<_, String>(started.client().get("/").await.text().to_owned())
            })
        };
        assert_eq!(told(&["schedules.clean.every='5m'"]).as_deref(), Ok("clean every 300s false"));
        let cron = ["schedules.clean.cron='0 3 * * *'", "schedules.clean.zone='Europe/Berlin'"];
        assert_eq!(told(&cron).as_deref(), Ok("clean 0 3 * * * (Europe/Berlin) false"));
        for (setting, fault) in [
            ("schedules.cleam.enable=false", "unknown schedule `schedules.cleam`; did you mean `clean`?"),
            ("schedules.clean.cron='61 * * * *'", "\"61 * * * *\" is no cron pattern"),
            ("schedules.clean.zone='Nowhere'", "no time zone \"Nowhere\""),
            ("schedules.clean.crom='* * * * *'", "unknown key `schedules.clean.crom`"),
        ] {
            let error = told(&[setting]).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
    }
}

#[cfg(feature = "cluster")]
mod jobs {
    use std::sync::Mutex;

    use cepa_cluster::{JobCtx, JobOptions, Jobs};

    use super::*;

    fn app(boot: &mut Boot) -> Result<App> {
        boot.job("double", JobOptions::default(), async |job: &mut JobCtx, number: u32| {
            job.provided::<Mutex<Vec<u32>>>()?.lock().unwrap().push(number * 2);
            Ok(())
        })?;
        boot.did_load(async |boot: &mut Boot| {
            boot.provide(Mutex::new(Vec::<u32>::new()));
            boot.before_close(async |boot: &Boot| {
                boot.provided::<Jobs>()?.add("double", &5).await?;
                Ok(())
            });
            Ok(())
        });
        boot.will_ready(async |boot: &mut Boot| {
            boot.provided::<Jobs>()?.add("double", &4).await?;
            Ok(())
        });
        Ok(App::new().get("/", async |ctx: &mut Ctx| -> Result<String> {
            let done = format!("{:?}", ctx.provided::<Mutex<Vec<u32>>>()?.lock().unwrap());
            ctx.provided::<Jobs>()?.add("double", &3).await?;
            Ok(done)
        }))
    }

    #[test]
    fn hooks_and_requests_add_jobs_and_they_outlive_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("jobs.path={}", folder.path().join("jobs.redb").display());
        tokio::runtime::LocalRuntime::new().unwrap().block_on(async {
            let started = boot(&[&path]).start(app).await.unwrap();
            assert_eq!(started.client().get("/").await.text(), "[]");
            assert_eq!(started.run_jobs().await, Ok(2));
            assert_eq!(started.client().get("/").await.text(), "[8, 6]");
            let error = boot(&[&path]).start(app).await.unwrap_err().to_string();
            assert!(error.ends_with("jobs.redb: another process uses it"), "{error}");
            started.close().await;
            let started = boot(&[&path]).start(app).await.unwrap();
            assert_eq!(started.run_jobs().await, Ok(3));
            assert_eq!(started.client().get("/").await.text(), "[6, 10, 8]");
            let error = boot(&["jobs.kinds.doubel.attempts=1"]).start(app).await.unwrap_err().to_string();
            assert!(error.ends_with("unknown kind `jobs.kinds.doubel`; did you mean `double`?"), "{error}");
        });
    }
}
