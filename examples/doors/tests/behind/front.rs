//! Front servers, each started on a free port in a folder of its own, and ended with its test.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use cepa_tests::{Served, stats::pause};

/// The page that the configurations are on.
const PAGE: &str = include_str!("../../../../docs/doors.md");

/// The block of this language on the page that has such a word in it.
pub(crate) fn block(language: &str, word: &str) -> String {
    let blocks = PAGE.split("```").skip(1).step_by(2);
    let mut blocks = blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    blocks
        .find(|block| block.contains(word))
        .unwrap_or_else(|| panic!("no block of {language} with {word}"))
        .to_owned()
}

/// A front server.
pub(crate) struct Front {
    process: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The configuration with the addresses of the app.
fn with_doors(text: &str, app: &Served) -> String {
    let [http, fastcgi, scgi, _] = app.addresses() else { panic!("the app has four doors") };
    let text =
        text.replace("127.0.0.1:3000", &http.to_string()).replace("127.0.0.1:9000", &fastcgi.to_string());
    let text = text.replace("127.0.0.1:4000", &scgi.to_string());
    let port = |word: &str, port: u16| format!("\"port\" => {port}{word}");
    text.replace(&port("", 9000), &port("", fastcgi.port())).replace(&port("", 4000), &port("", scgi.port()))
}

impl Front {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn nginx(block: &str, app: &Served) -> Self {
        let (folder, address) = (tempfile::tempdir().unwrap(), free_port());
        let dir = folder.path().display();
        let servers = with_doors(block, app).replace("127.0.0.1:80;", &format!("{address};"));
        let temp: String = ["client_body", "proxy", "fastcgi", "scgi", "uwsgi"]
            .map(|what| format!("{what}_temp_path {dir}/{what};\n"))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/error.log;\n\
             events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{temp}{servers}\n}}\n"
        );
        fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .arg("-e")
            .arg(folder.path().join("error.log"));
        Self::start(command, address, folder)
    }

    pub(crate) fn apache(block: &str, app: &Served) -> Self {
        Self::apache_with(&with_doors(block, app))
    }

    pub(crate) fn apache_cgi(block: &str, program: &str) -> Self {
        let folder = Path::new(program).parent().unwrap().display().to_string();
        Self::apache_with(&block.replace("/usr/local/bin/app", program).replace("/usr/local/bin", &folder))
    }

    pub(crate) fn apache_with(block: &str) -> Self {
        let (folder, address) = (tempfile::tempdir().unwrap(), free_port());
        let dir = folder.path().display();
        let modules: String = [
            "mpm_event",
            "authz_core",
            "alias",
            "env",
            "setenvif",
            "proxy",
            "proxy_fcgi",
            "proxy_scgi",
            "cgi",
        ]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
        let config = format!(
            "{modules}User www-data\nGroup www-data\nServerRoot {dir}\nServerName front.test\nPidFile {dir}/httpd.pid\nDefaultRuntimeDir {dir}\n\
             Listen {address}\nErrorLog {dir}/error.log\nLogLevel info\nDocumentRoot {dir}\n\
             <Directory />\nRequire all granted\n</Directory>\n{block}"
        );
        fs::write(folder.path().join("httpd.conf"), config).unwrap();
        let mut command = Command::new("apache2");
        command.arg("-X").arg("-f").arg(folder.path().join("httpd.conf"));
        Self::start(command, address, folder)
    }

    pub(crate) fn lighttpd(block: &str, app: &Served) -> Self {
        let (folder, address) = (tempfile::tempdir().unwrap(), free_port());
        let dir = folder.path().display();
        let config = format!(
            "server.document-root = \"{dir}\"\nserver.bind = \"127.0.0.1\"\nserver.port = {}\n\
             server.errorlog = \"{dir}/error.log\"\n{}",
            address.port(),
            with_doors(block, app)
        );
        fs::write(folder.path().join("lighttpd.conf"), config).unwrap();
        let mut command = Command::new("lighttpd");
        command.arg("-D").arg("-f").arg(folder.path().join("lighttpd.conf"));
        Self::start(command, address, folder)
    }

    pub(crate) fn start(mut command: Command, address: SocketAddr, folder: tempfile::TempDir) -> Self {
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut front = Self { process, address, folder };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            if front.process.try_wait().unwrap().is_some() || Instant::now() > until {
                let log = fs::read_to_string(front.folder.path().join("error.log")).unwrap_or_default();
                panic!("the front server does not start: {log}");
            }
            pause(Duration::from_millis(20));
        }
        front
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default();
            eprintln!("{}", &log[log.len().saturating_sub(3000)..]);
        }
        // It may have ended by itself, if the test fails because of that.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
