//! The certificates of a cluster: its agent gets them, and hears from workers when others may be wanted.

use std::{panic::resume_unwind, rc::Rc, time::Duration};

use cepa_bus::{Bus, NameError, Queue};
use tokio::{
    sync::Notify,
    task::{JoinError, JoinSet},
    time::timeout,
};
use tracing::{error, warn};

use super::{Certificates, CertificatesError, Wanted};
use crate::{
    boot::{Boot, Surroundings},
    program::{Failure, Own},
};

/// How long the agent waits at its start for a worker that answers the authority. That some serve already, as after the
/// end of another agent, nobody tells it.
const FIRST: Duration = Duration::from_secs(60);

/// The queue on which workers say that they serve, in a namespace that no app has.
fn served(bus: &Bus) -> Result<Queue<()>, NameError> {
    bus.namespace("cepa")?.queue("certificates")
}

/// Tells the agent that a worker serves: what its configuration wants is wanted from now on.
pub(crate) async fn tell(bus: &Bus) {
    let told = async { served(bus)?.notify(&()).await.map_err(cepa_core::Error::from) };
    if let Err(error) = told.await {
        warn!(target: "cepa::acme", %error, "names that are new may be got after a restart only");
    }
}

/// The certificates of a cluster, in its agent.
pub(crate) struct Keeping {
    surroundings: Surroundings,
    wanted: Wanted,
    certificates: Certificates,
    served: Queue<()>,
}

impl Keeping {
    /// What the configuration wants.
    ///
    /// # Errors
    /// It cannot be used.
    pub(crate) fn new(surroundings: Surroundings, bus: &Bus) -> Result<Self, Failure> {
        let wanted = read(&surroundings)?;
        let certificates = wanted.certificates()?;
        let served = served(bus).map_err(CertificatesError::from)?;
        Ok(Self { surroundings, wanted, certificates, served })
    }

    /// Looks after them. The configuration is read anew when a worker serves, so that what a reload has brought is got, and
    /// what somebody has only written down is not.
    pub(crate) async fn keep(self) {
        let Self { surroundings, mut wanted, certificates, served } = self;
        let (answered, mut keeping) = (Rc::new(Notify::new()), JoinSet::new());
        let first = Rc::clone(&answered);
        keeping.spawn_local(async move {
            let _ = timeout(FIRST, first.notified()).await;
            certificates.keep().await;
        });
        match served.subscribe() {
            Ok(mut served) => {
                loop {
                    tokio::select! {
                        told = served.next() => if told.is_none() { break },
                        Some(ended) = keeping.join_next() => {
                            pass_on(ended);
                            continue;
                        }
                    }
                    answered.notify_one();
                    let changed = match read(&surroundings) {
                        Ok(now) if now == wanted => continue,
                        Ok(now) => {
                            now.certificates().map(|certificates| (now, certificates)).map_err(Failure::from)
                        }
                        Err(failure) => Err(failure),
                    };
                    match changed {
                        Ok((now, certificates)) => {
                            // What it holds is let go of before another takes it.
                            keeping.shutdown().await;
                            wanted = now;
                            keeping.spawn_local(certificates.keep());
                        }
                        Err(error) => {
                            error!(target: "cepa::acme", %error, "certificates are looked after as before");
                        }
                    }
                }
            }
            Err(error) => {
                error!(target: "cepa::acme", %error, "names that are new are got after a restart only");
            }
        }
        while let Some(ended) = keeping.join_next().await {
            pass_on(ended);
        }
    }
}

/// A panic is the agent's: another one takes its place, and looks after the certificates.
fn pass_on(ended: Result<(), JoinError>) {
    if let Err(Ok(panic)) = ended.map_err(JoinError::try_into_panic) {
        resume_unwind(panic);
    }
}

fn read(surroundings: &Surroundings) -> Result<Wanted, Failure> {
    let boot = Boot::new(surroundings.clone())?;
    let own = Own::of(&boot)?;
    Ok(Wanted::of(&boot, &own.server)?)
}
