//! The program that the tests of lifecycles run: an app and a plugin that write down each of their hooks, and of whose
//! hooks one may fail.

use std::{fs, future::pending, io::Write, process, time::Duration};

use cepa::{
    Plugin, Program,
    bus::{Bus, BusConfig},
    prelude::*,
};

/// Writes a line to the diary of all processes, and does what the file `how` says of this hook.
async fn note(who: &str, hook: &str) -> Result {
    // First: who finds the entry may write another file.
    let how = fs::read_to_string("how").unwrap_or_default();
    let mut diary = fs::OpenOptions::new().create(true).append(true).open("diary")?;
    // In one piece, because others write as well.
    diary.write_all(format!("{} {who} {hook}\n", process::id()).as_bytes())?;
    match how.trim().strip_prefix(hook).map(str::trim) {
        Some(fault) if who == "app" => commit(fault).await,
        _ => Ok(()),
    }
}

async fn commit(fault: &str) -> Result {
    match fault {
        "fails" => Err(Error::new(500, "the moon is full")),
        "panics" => panic!("at the moon"),
        "hangs" => pending().await,
        "fails late" => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Err(Error::new(500, "the moon is full"))
        }
        slow => {
            let ms = slow.parse().unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(())
        }
    }
}

struct Store;

impl Plugin for Store {
    fn name(&self) -> &str {
        "store"
    }

    async fn config_will_load(&mut self, _: &mut Boot) -> Result {
        note("store", "config_will_load").await
    }

    async fn config_did_load(&mut self, _: &mut Boot) -> Result {
        note("store", "config_did_load").await
    }

    async fn did_load(&mut self, _: &mut Boot) -> Result {
        note("store", "did_load").await
    }

    async fn will_ready(&mut self, _: &mut Boot) -> Result {
        note("store", "will_ready").await
    }

    async fn did_ready(&mut self, _: &Boot) -> Result {
        note("store", "did_ready").await
    }

    async fn server_did_ready(&mut self, _: &Boot) -> Result {
        note("store", "server_did_ready").await
    }

    async fn before_close(&mut self, _: &Boot) -> Result {
        note("store", "before_close").await
    }
}

#[expect(clippy::disallowed_methods, reason = "a process that ends like this is what is to be seen")]
async fn exit(ctx: &mut Ctx) -> Result<&'static str> {
    process::exit(ctx.params()?)
}

fn app(boot: &mut Boot) -> Result<App> {
    boot.did_load(async |_: &mut Boot| note("app", "did_load").await);
    boot.will_ready(async |_: &mut Boot| note("app", "will_ready").await);
    boot.did_ready(async |_: &Boot| note("app", "did_ready").await);
    boot.server_did_ready(async |_: &Boot| note("app", "server_did_ready").await);
    boot.before_close(async |_: &Boot| note("app", "before_close").await);
    assert!(fs::read_to_string("how").unwrap_or_default() != "app panics", "at the moon");
    let bus: BusConfig = boot.config("bus")?;
    Ok(App::new()
        .provide(Bus::connect(&bus)?)
        .get("/", async |_: &mut Ctx| process::id().to_string())
        .get("/slow/{ms}", async |ctx: &mut Ctx| -> Result<String> {
            tokio::time::sleep(Duration::from_millis(ctx.params()?)).await;
            Ok(process::id().to_string())
        })
        .get("/exit/{code}", exit)
        // One more of what is kept by the agent: on disk, and in memory.
        .get("/count", async |ctx: &mut Ctx| -> Result<String> {
            let bus = ctx.provided::<Bus>()?;
            let (written, held) = (bus.share("written", || 0_u32)?.durable(), bus.share("held", || 0_u32)?);
            let mut counts = [0; 2];
            for (count, share) in counts.iter_mut().zip([written, held]) {
                *count = share
                    .update(|count| {
                        *count += 1;
                        *count
                    })
                    .await?;
            }
            Ok(format!("{} {}", counts[0], counts[1]))
        }))
}

fn main() -> ExitCode {
    Program::new("living", "1.0.0").plugin(Store).run(app)
}
