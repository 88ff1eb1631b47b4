//! Tests of the Redis store, against a server that each of them starts for itself.

use cepa_programs::needs;
use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    rc::Rc,
    time::Instant,
};

use cepa_core::{Ctx, Result, test::Client as TestClient};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::{
    runtime::LocalRuntime,
    task::{JoinHandle, spawn_local},
    time::sleep,
};

use super::*;
use crate::session::{
    self, Ids, Options, SessionExt as _,
    data::Life,
    tests::{app, store_cookie},
};

/// A server on a port of its own, whose data survive its end.
struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Between here and there another program may take the port.
        for _ in 0..5 {
            let port = free_port();
            let mut child = spawn(port, &folder);
            if is_ready(port, &mut child).await {
                return Self { child, port, folder };
            }
        }
        panic!("redis-server does not start");
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn start_again(&mut self) {
        self.child = spawn(self.port, &self.folder);
        assert!(is_ready(self.port, &mut self.child).await);
    }

    fn store(&self) -> Redis {
        store(self.port, Duration::from_secs(10))
    }

    async fn connection(&self) -> MultiplexedConnection {
        Client::open(url(self.port)).unwrap().get_multiplexed_async_connection().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, folder: &TempDir) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"]).arg(folder.path());
    command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    child.expect("these tests need the program redis-server (in Debian the package of that name)")
}

async fn is_ready(port: u16, child: &mut Child) -> bool {
    let client = Client::open(url(port)).unwrap();
    for _ in 0..500 {
        if let Ok(mut connection) = client.get_multiplexed_async_connection().await
            && redis::cmd("PING").exec_async(&mut connection).await.is_ok()
        {
            return child.try_wait().unwrap().is_none();
        }
        sleep(Duration::from_millis(20)).await;
    }
    false
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

fn store(port: u16, timeout: Duration) -> Redis {
    Redis::new(RedisOptions { url: url(port), timeout, ..RedisOptions::default() }).unwrap()
}

fn client(store: Redis) -> TestClient {
    let layer = session::session(Options::default()).unwrap().store(store);
    let visit = async |ctx: &mut Ctx| -> Result<&'static str> {
        ctx.session()?.update("n", |n: Option<u64>| Some(n.unwrap_or(0) + 1))?;
        Ok("counted")
    };
    app(layer).get("/visit", visit).test()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    LocalRuntime::new().unwrap().block_on(test)
}

fn a_write(new: Option<Json>) -> Write {
    let new = new.map(|new| new.as_object().unwrap().clone());
    let now = as_millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap());
    Write {
        new,
        changes: Vec::new(),
        life: None,
        default_life: Life::For(60_000),
        now,
        created: None,
        max_bytes: usize::MAX,
    }
}

#[test]
fn sessions_are_kept_under_hashes_and_expire() {
    needs!("redis-server");
    run(async {
        let server = Server::start().await;
        let client = client(server.store());
        client.get("/set/a/1").await;
        client.get("/set/b/2").await;
        assert_eq!(client.get("/get").await.json::<Json>(), json!({"a": "1", "b": "2"}));

        let mut connection = server.connection().await;
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        let [key] = keys.as_slice() else { panic!("{keys:?}") };
        assert!(key.starts_with("cepa:session:") && key.len() == "cepa:session:".len() + 43, "{key}");
        assert!(!key.contains(&client.cookie("cepa.sess").unwrap()));
        let left: u64 = redis::cmd("PTTL").arg(key).query_async(&mut connection).await.unwrap();
        let day = 24 * 60 * 60 * 1000;
        assert!((day..=day + 10_000).contains(&left), "{left}");

        client.get("/logout").await;
        let left: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
        assert_eq!(left, 0);
    });
}

#[test]
fn a_destroyed_session_stays_so_and_another_writer_is_not_overwritten() {
    needs!("redis-server");
    run(async {
        let server = Server::start().await;
        let (store, id) = (server.store(), SessionId::random(Ids::Random).unwrap());
        assert!(!store.save(&id, a_write(None)).await.unwrap(), "there was none");
        assert!(store.save(&id, a_write(Some(json!({"a": 1})))).await.unwrap());
        assert!(store.save(&id, a_write(None)).await.unwrap());
        let json = store.load(&id).await.unwrap().unwrap();
        assert!(json.starts_with(br#"{"a":1,"#), "{}", json.escape_ascii());
        let too_large = Write { max_bytes: json.len() - 1, ..a_write(None) };
        let error = store.save(&id, too_large).await.unwrap_err();
        assert_eq!(session::store_error(error).status(), 500, "the app's fault, not the store's");
        assert_eq!(store.remove(&id).await.unwrap(), Some(json));
        assert_eq!(store.remove(&id).await.unwrap(), None);
        assert!(!store.save(&id, a_write(None)).await.unwrap());
        assert_eq!(store.load(&id).await.unwrap(), None);

        // What somebody else keeps under the name is no session, and is not touched.
        let key = store.key(&id).name;
        let mut connection = server.connection().await;
        redis::cmd("SET").arg(&key).arg("foreign").exec_async(&mut connection).await.unwrap();
        assert!(!store.save(&id, a_write(None)).await.unwrap());
        let there: String = redis::cmd("GET").arg(&key).query_async(&mut connection).await.unwrap();
        assert_eq!(there, "foreign");
    });
}

#[test]
fn workers_lose_none_of_each_others_updates() {
    needs!("redis-server");
    const EACH: usize = 150;
    const WORKERS: usize = 3;
    run(async {
        let server = Server::start().await;
        let first = client(server.store());
        first.get("/set/a/1").await;
        let cookie = store_cookie(&first);

        let store = server.store();
        let work = |store: Redis, cookie: String| {
            move || {
                run(async move {
                    let client = Rc::new(client(store));
                    let all: Vec<JoinHandle<_>> = (0..EACH)
                        .map(|_| {
                            let (client, cookie) = (Rc::clone(&client), cookie.clone());
                            let one = async move { client.get("/visit").header("cookie", &cookie).await };
                            spawn_local(async move { one.await.status().as_u16() })
                        })
                        .collect();
                    for one in all {
                        assert_eq!(one.await.unwrap(), 200);
                    }
                });
            }
        };
        let workers: Vec<_> =
            (0..WORKERS).map(|_| std::thread::spawn(work(store.clone(), cookie.clone()))).collect();
        for worker in workers {
            worker.join().unwrap();
        }
        let values: Json = first.get("/get").await.json();
        assert_eq!(values, json!({"a": "1", "n": EACH * WORKERS}));
    });
}

#[test]
fn a_server_may_start_late_and_again() {
    needs!("redis-server");
    run(async {
        let mut server = Server::start().await;
        server.kill();
        let store = server.store();
        let (newcomer, client) = (client(store.clone()), client(store));
        assert_eq!(client.get("/set/a/1").await.status(), 503, "it is not there yet");
        server.start_again().await;
        assert_eq!(client.get("/visit").await.status(), 200);
        for _ in 0..2 {
            server.kill();
            let started = Instant::now();
            assert_eq!(client.get("/visit").await.status(), 503);
            assert!(started.elapsed() < Duration::from_secs(5), "refused at once, not after the timeout");
            assert_eq!(client.get("/none").await.status(), 503);
            server.start_again().await;
            assert_eq!(client.get("/visit").await.status(), 200);
        }
        // Without a request in between: the loss of the connection is noticed by the next one, or before.
        server.kill();
        server.start_again().await;
        assert_eq!(client.get("/visit").await.status(), 200);
        assert_eq!(client.get("/get").await.json::<Json>(), json!({"n": 4}));
        // Nor by one that has nothing to load, and writes at once.
        server.kill();
        server.start_again().await;
        assert_eq!(newcomer.get("/visit").await.status(), 200);
    });
}

#[test]
fn a_server_that_says_nothing_holds_nobody_up() {
    needs!("redis-server");
    run(async {
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let timeout = Duration::from_millis(200);
        let store = store(silent.local_addr().unwrap().port(), timeout);
        let client = Rc::new(client(store));
        let started = Instant::now();
        let all: Vec<JoinHandle<_>> = (0..20)
            .map(|_| {
                let client = Rc::clone(&client);
                spawn_local(async move { client.get("/set/a/1").await.status().as_u16() })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap(), 503);
        }
        let took = started.elapsed();
        assert!((timeout..10 * timeout).contains(&took), "{took:?}");
    });
}

#[test]
fn options_are_checked_at_start_and_hide_the_password() {
    needs!("redis-server");
    let with = |url: &str| RedisOptions { url: url.to_owned(), ..RedisOptions::default() };
    for url in ["", "localhost", "http://localhost", "rediss://localhost", "redis://localhost/x"] {
        assert!(matches!(Redis::new(with(url)), Err(RedisOptionsError::Url(_))), "{url}");
    }
    for seconds in [0, 3601] {
        let options = RedisOptions { timeout: Duration::from_secs(seconds), ..RedisOptions::default() };
        assert!(matches!(Redis::new(options), Err(RedisOptionsError::Timeout(_))));
    }
    let store = Redis::new(with("redis://me:sesame@localhost/1")).unwrap();
    assert!(!format!("{store:?}").contains("sesame"));
    let error = Redis::new(with("redis://me:sesame@localhost:x/1")).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("sesame"), "{error:?}");
    let options: RedisOptions =
        toml::from_str("url = 'unix:///run/redis.sock'\nprefix = 'a:'\ntimeout = '500ms'").unwrap();
    assert_eq!((options.prefix.as_str(), options.timeout), ("a:", Duration::from_millis(500)));
    assert!(toml::from_str::<RedisOptions>("host = 'x'").is_err());
    assert!(Redis::new(options).is_ok());
}
