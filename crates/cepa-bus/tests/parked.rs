//! What a parked stream costs. Alone in its process, whose memory it measures.

use std::time::Duration;

use cepa_bus::{Bus, Live};
use cepa_core::{App, Ctx, Request, Result};
use http::Method;

/// Enough for what the allocator takes at once not to count.
const COUNT: usize = 20_000;

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    statm.split(' ').nth(1).expect("a second number").parse::<usize>().expect("a number of pages") * 4096
}

#[tokio::test(start_paused = true)]
async fn a_parked_stream_costs_less_than_a_kilobyte() {
    let bus = Bus::new();
    let queue = bus.queue::<String>("news").expect("a name");
    let handler = async |ctx: &mut Ctx| -> Result {
        let queue = ctx.provided::<Bus>()?.queue::<String>("news")?;
        ctx.sse(&queue)
    };
    let onion = App::new().provide(bus.clone()).get("/", handler).build().expect("it builds");
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let before = resident();
            for _ in 0..COUNT {
                let response = onion.handle(Request::new(Method::GET, "/")).await;
                let mut body = response.into_parts().3;
                tokio::task::spawn_local(async move { while body.chunk().await.is_some() {} });
            }
            // Paused time goes on once each of them waits.
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(queue.count().await.expect("in memory"), COUNT);
            let each = (resident() - before) / COUNT;
            println!("{each} bytes for each parked stream");
            assert!(each <= 1024, "{each}");
        })
        .await;
}
