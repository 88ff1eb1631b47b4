//! A cluster under those who look after services: what systemd brings to try units and sockets, and a process number
//! space of its own as containers have it.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use cepa_cluster::control::Status;
use cepa_programs::needs;
use cepa_tests::{
    cluster::{is_alive, signal},
    site::{Said, Site},
    stats::eventually,
};
use rustix::process::Signal;

fn site() -> Site {
    Site::new(env!("CARGO_BIN_EXE_clustered"))
}

/// A process that is ended with the test, whatever comes of it.
struct Supervisor(Child);

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_units_of_the_documentation_are_understood() {
    needs!("systemd-analyze", "systemd");
    let site = site();
    let program = site.program_for_all();
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/systemd");
    for kind in ["service", "socket"] {
        let unit = fs::read_to_string(units.join(format!("cepa@.{kind}"))).unwrap();
        // The instance `clustered`, where the program stands for this test.
        let unit = unit.replace("/opt/%i/%i", &program.display().to_string());
        let unit = unit.replace("/opt/%i", &site.path("").display().to_string());
        fs::write(site.path(&format!("cepa@clustered.{kind}")), unit).unwrap();
    }
    for kind in ["service", "socket"] {
        let line = format!("verify --man=no {}", site.path(&format!("cepa@clustered.{kind}")).display());
        let said = Said::from(site.command_of("systemd-analyze", &line).output().unwrap());
        // A key that it does not know is a warning.
        assert_eq!((said.code, &*said.error), (Some(0), ""), "{kind}");
    }
}

fn ask(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

#[test]
fn a_socket_of_systemd_starts_a_cluster_and_outlasts_it() {
    needs!("systemd-socket-activate", "systemd");
    let mut site = site();
    let socket = site.path("app.sock");
    let line = format!(
        "--fdname=web -l {} -- {} start --listen fd:web --set cluster.workers=2",
        socket.display(),
        env!("CARGO_BIN_EXE_clustered")
    );
    let mut activate = site.command_of("systemd-socket-activate", &line);
    let mut supervisor = Supervisor(activate.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    eventually("the socket is there", || UnixStream::connect(&socket).is_ok());
    // Who comes first starts it, as the process that systemd knows, and is served.
    assert!(ask(&socket).unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    let status = site.status();
    assert_eq!(status.master.pid, supervisor.0.id());
    for command in ["reload", "upgrade"] {
        site.run(command).done();
        assert!(ask(&socket).unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    }
    site.run("stop").done();
    assert_eq!(supervisor.0.wait().unwrap().code(), Some(0));
    assert!(socket.exists(), "it is systemd's, who keeps it");
}

/// The children of a process, and what they run.
fn children(of: u32) -> Vec<(u32, String)> {
    let text = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    let pids = text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
    let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    pids.map(|pid| (pid, name(pid).trim_end().to_owned())).collect()
}

#[test]
fn as_the_first_process_of_a_container_it_takes_signals_and_waits_for_orphans() {
    needs!("unshare", "util-linux");
    needs!("nsenter", "util-linux");
    let may = Command::new("unshare").args(["--pid", "--fork", "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        return eprintln!("nobody but root, and not everywhere root, can make such a space");
    }
    // No site: what it takes for the number of a process means another one out here.
    let folder = tempfile::tempdir().unwrap();
    let command = |program: &str, line: &str| {
        let mut command = Command::new(program);
        command.args(line.split_ascii_whitespace()).current_dir(folder.path()).stdin(Stdio::null());
        command
    };
    let program = env!("CARGO_BIN_EXE_clustered");
    let line = format!("--pid --fork --kill-child --mount-proc {program} start --listen 127.0.0.1:0");
    let mut unshare = command("unshare", &(line + " --set cluster.workers=2"));
    let mut supervisor = Supervisor(unshare.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let mut told = String::new();
    eventually("it serves", || {
        let said = Said::from(command(program, "status --json").output().unwrap());
        told = said.out;
        said.code == Some(0)
    });
    let status: Status = serde_json::from_str(&told).unwrap();
    assert_eq!(status.master.pid, 1);
    let (master, _) = children(supervisor.0.id()).remove(0);
    let serves = |pids: &[(u32, String)]| pids.len() == 3;
    eventually("an agent and two workers", || serves(&children(master)));
    let part_of_it = children(master);

    // What somebody leaves to it.
    let mut nsenter = command("nsenter", &format!("--target {master} --pid -- sh -c"));
    assert!(nsenter.arg("sleep 1 &").stdout(Stdio::null()).status().unwrap().success());
    let orphan = || children(master).into_iter().find(|(_, name)| name == "sleep");
    eventually("the orphan is its child", || orphan().is_some());
    eventually("the orphan is waited for", || orphan().is_none());
    assert_eq!(children(master), part_of_it);

    signal(master, Signal::HUP);
    eventually("it has reloaded", || {
        let now = children(master);
        serves(&now) && now.iter().filter(|child| part_of_it.contains(child)).count() == 1
    });
    let processes = children(master);
    signal(master, Signal::TERM);
    assert_eq!(supervisor.0.wait().unwrap().code(), Some(0));
    assert!(!processes.iter().any(|(pid, _)| is_alive(*pid)));
    assert_eq!(fs::read_dir(folder.path().join("run")).unwrap().count(), 0);
}
