//! PostgreSQL servers for the metadata database: one that the tests of a process share, and ones that a
//! test stops and starts.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Name of the user that owns everything.
const USER: &str = "owner";
/// Its password: what no output may show.
pub const PASSWORD: &str = "swordfish-9c1";
/// What the server is started with: little memory, nothing written through to the disk.
const OPTIONS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off \
    -c max_connections=300 -c shared_buffers=16MB -c full_page_writes=off";

/// A PostgreSQL server in a temporary folder. It ends with this process, however that ends.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    /// Ends the server and removes its folder when its standard input ends.
    warden: Child,
}

impl Cluster {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("postgres-").tempdir();
        let folder = folder.expect("a temporary folder").keep();
        fs::write(folder.join("password"), PASSWORD).expect("the password is written");
        let (key, certificate) = (folder.join("key"), folder.join("certificate"));
        let mut openssl = Command::new("openssl");
        openssl
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
            ])
            .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout".as_ref(), key.as_os_str(), "-out".as_ref()])
            .arg(&certificate);
        done("openssl", openssl.output());
        if is_root() {
            let mut chown = Command::new("chown");
            done(
                "chown",
                chown.args(["-R", "postgres"]).arg(&folder).output(),
            );
        }
        let data = folder.join("data");
        let password = format!("--pwfile={}", folder.join("password").display());
        let mut initdb = as_owner(&programs.join("initdb"));
        initdb
            .args(["--username", USER, "--auth=scram-sha-256", "--no-sync"])
            .args([
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                password.as_str(),
                "-D",
            ])
            .arg(&data);
        done("initdb", initdb.output());
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let mut warden = Command::new("sh");
        let end = "cat >/dev/null; shift; \"$@\" >/dev/null 2>&1; rm -rf \"$0\"";
        let stop = as_owner(&programs.join("pg_ctl"));
        warden
            .args(["-c", end])
            .args([folder.as_os_str(), "--".as_ref(), stop.get_program()])
            .args(stop.get_args())
            .args(["stop", "-m", "immediate", "-D"])
            .arg(&data)
            .stdin(Stdio::piped());
        let cluster = Self {
            programs,
            port: free.expect("a free port").port(),
            warden: warden.spawn().expect("sh starts"),
            folder,
        };
        cluster.resume();
        cluster
    }

    /// Starts it again.
    pub fn resume(&self) {
        let log = self.folder.join("log");
        let folder = self.folder.display();
        let options = format!(
            "{OPTIONS} -c ssl=on -c ssl_key_file={folder}/key -c ssl_cert_file={folder}/certificate -p {}",
            self.port
        );
        let mut start = self.control("start");
        start
            .args(["-w", "-t", "60", "-o", &options, "-l"])
            .arg(log);
        // Its own standard streams would keep a pipe open for as long as the server runs.
        let started = start.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        assert!(started.expect("pg_ctl starts").success(), "{log}");
    }

    /// Ends it: its clients lose their connections, and find nobody.
    pub fn stop(&self) {
        let mut stop = self.control("stop");
        done("pg_ctl", stop.args(["-m", "fast", "-w"]).output());
    }

    fn control(&self, action: &str) -> Command {
        let mut control = as_owner(&self.programs.join("pg_ctl"));
        control.arg(action).arg("-D").arg(self.folder.join("data"));
        control
    }

    /// A new database, empty; its address, with the password.
    pub fn database(&self) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("meta{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let created = self.psql("postgres", &format!("create database {name}"));
        assert!(created.is_empty(), "{created}");
        self.url(&name)
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// What a statement gives in one of its databases, as psql prints it: rows in lines, values between
    /// bars.
    pub fn psql(&self, url: &str, statement: &str) -> String {
        let name = url.rsplit_once('/').map_or(url, |(_, name)| name);
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement])
            .arg(self.url(name));
        done("psql", psql.output())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.warden.stdin.take());
        // It may have ended already.
        drop(self.warden.wait());
    }
}

/// The server that the tests of this process share.
fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}

/// Address of a new, empty database on the server that the tests of this process share.
pub fn database() -> String {
    shared().database()
}

/// Certificate of the server that the tests of this process share: its own authority, for `localhost`.
pub fn certificate() -> PathBuf {
    shared().folder.join("certificate")
}

/// What a statement gives in a database of [`database`], as [`Cluster::psql`].
pub fn psql(url: &str, statement: &str) -> String {
    shared().psql(url, statement)
}

fn programs() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    let folders = found.into_iter().rev().map(|(_, path)| path).chain(on_path);
    let all = |folder: &PathBuf| {
        let programs = ["initdb", "pg_ctl", "postgres"];
        programs
            .iter()
            .all(|program| folder.join(program).is_file())
    };
    folders.into_iter().find(all).unwrap_or_else(|| {
        panic!("no PostgreSQL server is installed: run tests/services/install.sh, or install the package `postgresql`")
    })
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// A program of the server, which refuses to run as root.
fn as_owner(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    // A folder that the other user may enter.
    command.current_dir("/");
    command
}

fn done(what: &str, output: std::io::Result<Output>) -> String {
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}
