//! What is bounded: time, sizes, numbers; and the drain.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use cepa_bus::Bus;
use cepa_server::tora::{
    client::{Client, Said},
    wire::{self, Code},
};
use cepa_tests::{stats::pause, wire::idle};

use crate::{answer, block_on, call, direct, front, get, messages, open, rest, said, with_limits};

#[test]
fn limits_of_time() {
    let served = with_limits(|limits| {
        limits.first_byte = Duration::from_secs(1);
        limits.header_time = Duration::from_secs(1);
        limits.request_time = Duration::from_secs(1);
        limits.write_stall = Duration::from_secs(1);
    });
    let request = get("/");
    let mut silent = open(&served, b"");
    let mut in_header = open(&served, &request[..3]);
    let mut half = open(&served, &request[..request.len() - 2]);
    let mut never = open(&served, &get("/never"));
    let mut stalled = open(&served, &get("/endless"));
    assert_eq!(rest(&mut silent), (Vec::new(), true));
    assert_eq!(rest(&mut in_header), (Vec::new(), true));
    assert!(said(&rest(&mut half).0).unwrap().contains(&Said::Status(408)));
    assert!(said(&rest(&mut never).0).unwrap().contains(&Said::Status(503)));
    pause(Duration::from_secs(4));
    assert!(!rest(&mut stalled).1, "what nobody takes is cut off");
}

#[test]
fn bodies_are_bounded_before_they_come() {
    let served = with_limits(|limits| limits.body = 1000);
    let body = |length: usize| {
        let mut bytes = messages(&[(Code::Uri, "/length"), (Code::HttpMethod, "POST")]);
        wire::push(&mut bytes, Code::PostData, &vec![b'x'; length]);
        wire::push(&mut bytes, Code::Execute, b"");
        answer(&served, &bytes)
    };
    assert_eq!(body(1000), (200, "1000".to_owned()));
    assert_eq!(body(1001).0, 413);
}

#[test]
fn a_flood_of_messages_ends_with_the_time_for_a_head_and_holds_up_nobody() {
    let served = with_limits(|limits| limits.header_time = Duration::from_secs(1));
    let mut flood = messages(&[(Code::ParamKey, ""), (Code::ParamValue, "")].repeat(2_000));
    wire::push(&mut flood, Code::File, &vec![b'x'; 100_000]);
    let mut flooding = open(&served, b"");
    flooding.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    let (started, mut asked) = (Instant::now(), Duration::ZERO);
    while flooding.write_all(&flood).is_ok() {
        if asked.is_zero() {
            let begun = Instant::now();
            assert_eq!(answer(&served, &get("/")).0, 200);
            asked = begun.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(90), "it goes on and on");
    }
    assert!(asked < Duration::from_secs(2), "{asked:?}");
}

#[test]
fn ten_thousand_idle_connections_hold_up_nobody() {
    let served = front();
    let request = get("/");
    let _idle = idle(served.address(), &request);
    let started = Instant::now();
    assert_eq!(answer(&served, &request).0, 200);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_drain_lets_requests_finish_and_tells_who_listens() {
    let bus = Bus::new();
    let served = direct(&bus);
    let mut slow = open(&served, &{
        let mut bytes = Vec::new();
        call("/slow").encode(&mut bytes);
        bytes
    });
    block_on(async {
        let mut client = Client::connect(served.address()).await.unwrap();
        assert!(client.call(&call("/listen")).await.unwrap().listening);
        pause(Duration::from_millis(50));
        served.stopper().drain();
        let mut heard = String::new();
        loop {
            match client.next().await.unwrap() {
                Said::Print(text) => heard.push_str(&String::from_utf8_lossy(&text)),
                Said::Done => break,
                said => panic!("{said:?}"),
            }
        }
        assert!(heard.starts_with("retry: "));
    });
    assert!(said(&rest(&mut slow).0).unwrap().contains(&Said::Print(b"slow".to_vec())));
    served.join().unwrap();
}
