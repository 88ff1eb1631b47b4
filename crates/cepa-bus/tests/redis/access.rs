//! Who may use a server, what they see of it, and what it refuses.

use std::env;

use cepa_bus::{BackendError, Bus, BusConfig, QueueError, ShareError};
use cepa_programs::needs;
use tokio::time::timeout;

use crate::{
    numbers::{SHORT, config, connect, eventually, next, number, numbers},
    redis_server::Redis,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_lets_in_and_is_shown_to_nobody() {
    needs!("redis-server");
    let server = Redis::start(&["--requirepass", "open sesame"]);
    let path = env::temp_dir().join(format!("cepa-bus-redis-{}", std::process::id()));
    std::fs::write(&path, "open sesame\n").unwrap();
    let port = server.port();
    for url in [
        format!("redis://:open%20sesame@127.0.0.1:{port}/1"),
        format!("redis://127.0.0.1:{port}/2?password_file={}", path.display()),
    ] {
        let bus = connect(url.parse().unwrap());
        bus.ready().await.unwrap();
        assert_eq!(bus.counter("c").unwrap().add(1).await, Ok(1));
        let shown = format!("{bus:?} {:?}", config(url.parse().unwrap()));
        assert!(!shown.contains("sesame"), "{shown}");
    }
    std::fs::remove_file(&path).unwrap();
    // One who may do no more than the guide says.
    let command = "AUTH \"open sesame\"\r\nACL SETUSER cepa on >sesame ~shop:* &shop:* +@read +@write +@scripting \
                   +@pubsub +@connection +info +time +config|get";
    assert!(server.command(command).contains("+OK\r\n+OK"));
    let backend = format!("redis://cepa:sesame@127.0.0.1:{port}").parse().unwrap();
    let bus = Bus::connect(&BusConfig { prefix: "shop:".to_owned(), ..config(backend) }).unwrap();
    let queue = numbers(&bus);
    let mut reader = queue.subscribe().unwrap().named("ada").unwrap();
    queue.notify(&1).await.unwrap();
    assert_eq!(next(&mut reader).await, Ok(1));
    assert_eq!(queue.present().await.unwrap(), [("ada".into(), 1)]);
    let mut listener = bus.messenger().on::<u8>("x").unwrap();
    assert!(bus.messenger().send_random("x", &1).await.unwrap());
    assert_eq!(listener.next().await.unwrap(), 1);
    number(&bus).update(|n| *n += 1).await.unwrap();
    bus.counter("c").unwrap().set(1).await.unwrap();
    let map = bus.map::<u8>("m").unwrap();
    map.insert("x", 1).await.unwrap();
    assert_eq!(map.entries().await.unwrap().len(), 1);
    map.clear().await.unwrap();
    queue.stop().await.unwrap();
    let wrong = format!("redis://:open%20wheat@127.0.0.1:{port}").parse().unwrap();
    let bus = Bus::connect(&BusConfig { wait: 5 * SHORT, ..config(wrong) }).unwrap();
    let error = bus.ready().await.unwrap_err().to_string();
    assert!(error.contains("out of reach") && !error.contains("wheat"), "{error}");
    let error = Bus::connect(&config("rediss://:secret@host".parse().unwrap())).unwrap_err().to_string();
    assert!(error.contains("not encrypted") && !error.contains("secret"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_and_prefixes_are_apart() {
    needs!("redis-server");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis");
    let server = Redis::start(&["--unixsocket", socket.to_str().unwrap()]);
    let other = BusConfig { prefix: "other:".to_owned(), ..config(server.backend()) };
    let buses = [
        connect(server.backend()),
        connect(format!("unix://{}?db=1", socket.display()).parse().unwrap()),
        Bus::connect(&other).unwrap(),
    ];
    let mut readers: Vec<_> = buses.iter().map(|bus| numbers(bus).subscribe().unwrap()).collect();
    let mut listeners: Vec<_> = buses.iter().map(|bus| bus.messenger().on::<u64>("x").unwrap()).collect();
    for (n, bus) in (0..).zip(&buses) {
        assert_eq!(bus.counter("c").unwrap().add(1).await, Ok(1));
        numbers(bus).notify(&n).await.unwrap();
        assert_eq!(bus.messenger().broadcast("x", &n).await.unwrap(), 1);
    }
    for (n, (reader, listener)) in (0..).zip(readers.iter_mut().zip(&mut listeners)) {
        assert_eq!(next(reader).await, Ok(n));
        assert_eq!(listener.next().await.unwrap(), n);
        assert!(timeout(SHORT, reader.next()).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_refuses_is_said_and_ends_when_it_does_not() {
    needs!("redis-server");
    let server = Redis::start(&[]);
    let bus = connect(server.backend());
    let queue = numbers(&bus);
    let mut reader = queue.subscribe().unwrap();
    queue.notify(&1).await.unwrap();
    assert!(server.command("CONFIG SET maxmemory 1").contains("+OK"));
    let refused = queue.notify(&2).await;
    assert!(matches!(refused, Err(QueueError::Backend(BackendError::Refused(_)))), "{refused:?}");
    let refused = number(&bus).set(1).await;
    assert!(matches!(refused, Err(ShareError::Backend(BackendError::Refused(_)))), "{refused:?}");
    assert!(server.command("CONFIG SET maxmemory 0").contains("+OK"));
    queue.notify(&3).await.unwrap();
    number(&bus).set(1).await.unwrap();
    assert_eq!((next(&mut reader).await, next(&mut reader).await), (Ok(1), Ok(3)));
    // What somebody else has put there is no reason to fall.
    server.command("SET cepa:app:share:odd x");
    server.command("SET cepa:app:queue:odd x");
    server.command("HSET cepa:app:map:odd a b");
    assert!(bus.share("odd", || 0u8).unwrap().read().await.is_err());
    let odd = bus.queue::<u8>("odd").unwrap();
    assert!(odd.notify(&1).await.is_err());
    let mut lame = odd.subscribe().unwrap();
    assert!(bus.map::<u8>("odd").unwrap().entries().await.is_err());
    assert!(timeout(SHORT, lame.next()).await.is_err());
    server.command("DEL cepa:app:queue:odd");
    eventually(async || {
        odd.notify(&7).await.is_ok() && timeout(SHORT, lame.next()).await.is_ok_and(|next| next.is_some())
    })
    .await;
}
