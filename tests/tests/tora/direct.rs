//! Direct clients: their answers, their streams, and what they are not believed.

use std::io::{Read, Write};

use cepa_bus::Bus;
use cepa_server::tora::{
    client::{Answers, Call, Client, ClientError, Said},
    wire::Code,
};
use cepa_tests::stats::eventually;

use crate::{answer, ask, block_on, call, count, direct, front, messages, news, open, rest, said};

#[test]
fn direct_clients_are_answered_and_believed_nothing() {
    let served = direct(&Bus::new());
    block_on(async {
        let who = call("/who").param("a b", "1&2").header("X-Forwarded-For", "10.0.0.1");
        let answer = ask(&served, &who).await.unwrap();
        assert_eq!((answer.status, answer.listening), (200, false));
        assert_eq!(String::from_utf8(answer.body).unwrap(), "tora-direct 127.0.0.1 localhost a+b=1%262");
        assert_eq!(ask(&served, &call("/none")).await.unwrap().status, 404);
        let broken = ask(&served, &call("/broken")).await.unwrap();
        assert_eq!((broken.status, &*broken.body), (500, &b"Internal Server Error"[..]));
        for url in ["http://other/", "http://LOCALHOST.evil/"] {
            let refused = ask(&served, &Call::to(url).unwrap()).await;
            assert!(matches!(refused, Err(ClientError::Server(why)) if why.contains("host")));
        }
        let bad = ask(&served, &call("/").header("a b", "c")).await;
        assert!(matches!(bad, Err(ClientError::Server(_))));
    });
    let lies = messages(&[
        (Code::File, "/etc/passwd"),
        (Code::ClientIp, "10.0.0.1"),
        (Code::HostResolve, "localhost"),
        (Code::Uri, "/who"),
        (Code::Execute, ""),
    ]);
    assert_eq!(answer(&served, &lies), (200, "tora-direct 127.0.0.1 localhost ".to_owned()));
}

#[test]
fn a_client_that_listens_may_ask_again() {
    let bus = Bus::new();
    let served = direct(&bus);
    block_on(async {
        let mut client = Client::connect(served.address()).await.unwrap();
        let answer = client.call(&call("/listen")).await.unwrap();
        assert!(answer.listening && answer.body.ends_with(b"retry: 3000\n\n"), "{answer:?}");
        for round in 0..3 {
            for path in ["/", "/slow", "/ticks"] {
                let answer = client.call(&call(path)).await.unwrap();
                assert!(answer.listening, "{round} {path}");
            }
            // What it says it hears itself, beside the answer or behind it.
            let answer = client.call(&call("/say").param("n", round.to_string())).await.unwrap();
            let mut heard = answer.body;
            while !String::from_utf8_lossy(&heard).contains(&format!("data: \"n={round}\"")) {
                if let Said::Print(text) = client.next().await.unwrap() {
                    heard.extend_from_slice(&text);
                }
            }
            assert!(String::from_utf8_lossy(&heard).contains("said"));
        }
        // It listens to one more, and hears all twice; then the queue ends, and with it the connection.
        let answer = client.call(&call("/listen")).await.unwrap();
        assert!(answer.listening);
        assert_eq!(count(&bus), 2);
        news(&bus).notify(&"twice".to_owned()).await.unwrap();
        let mut heard = String::new();
        while heard.matches("twice").count() < 2 {
            if let Said::Print(text) = client.next().await.unwrap() {
                heard.push_str(&String::from_utf8_lossy(&text));
            }
        }
        news(&bus).stop().await.unwrap();
        while client.next().await.unwrap() != Said::Done {}
    });
    eventually("nobody listens", || count(&bus) == 0);
}

#[test]
fn a_request_that_comes_too_early_waits_for_its_turn() {
    let bus = Bus::new();
    let served = direct(&bus);
    let mut early = Vec::new();
    for path in ["/listen", "/slow", "/large", "/none", "/"] {
        call(path).encode(&mut early);
    }
    let mut wire = open(&served, &early);
    let (mut answers, mut listens, mut text) = (Answers::default(), 0, Vec::new());
    while listens < 5 {
        let mut some = [0; 4096];
        let length = wire.read(&mut some).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&text));
        let mut at = 0;
        while at < length {
            let (used, said) = answers.decode(&some[at..length]).unwrap();
            at += used;
            match said {
                Some(Said::Listening) => listens += 1,
                Some(Said::Print(print)) => text.extend_from_slice(&print),
                _ => {}
            }
        }
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.ends_with(&format!("slow{}Not FoundHello, World!", "x".repeat(300_000))));
    // Half a request does not keep the others waiting for ever, and one that is none ends the connection.
    wire.write_all(&[2, 1, 0, 0, b'/', 15, 0, 0, 0]).unwrap();
    assert!(said(&rest(&mut wire).0).is_err());
    eventually("nobody listens", || count(&bus) == 0);
}

#[test]
fn one_that_listens_too_often_is_let_go() {
    let bus = Bus::new();
    let served = direct(&bus);
    block_on(async {
        let mut client = Client::connect(served.address()).await.unwrap();
        let mut listens = 0;
        while client.call(&call("/listen")).await.is_ok() {
            listens += 1;
            assert!(listens < 50);
        }
        assert_eq!(listens, 17);
    });
    eventually("nobody listens", || count(&bus) == 0);
}

#[test]
fn a_flash_player_is_told_the_hosts_and_nothing_else() {
    let served = direct(&Bus::new());
    let expected = format!(
        "<cross-domain-policy><allow-access-from domain=\"localhost\" to-ports=\"{}\"/></cross-domain-policy>\0",
        served.address().port()
    );
    let (bytes, clean) = rest(&mut open(&served, b"<policy-file-request/>\0"));
    assert_eq!((String::from_utf8(bytes).unwrap(), clean), (expected, true));
    let (bytes, _) = rest(&mut open(&front(), b"<policy-file-request/>\0"));
    assert_eq!(bytes, b"<cross-domain-policy></cross-domain-policy>\0");
}
