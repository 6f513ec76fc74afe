//! TLS to PostgreSQL: what the configuration demands, the connection keeps, and no word is sent in the clear.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::shared::certificates::Authority;
use super::super::shared::until;
use super::super::table::Row;
use super::{Fleet, IN_TIME};

/// Asks a PostgreSQL server to speak TLS. It holds nothing of ours.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// First byte of a TLS record that holds a message of the handshake.
const HANDSHAKE: u8 = 0x16;

/// Keeps what each connection to the database sent.
struct Tap {
    addr: SocketAddr,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Tap {
    async fn before(database: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let sent = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let Ok(database) = TcpStream::connect(&database).await else { continue };
                let place = {
                    let mut all = kept.lock().expect("a lock");
                    all.push(Vec::new());
                    all.len() - 1
                };
                let ((mut from, mut to), (mut back_from, mut back_to)) = (caller.into_split(), database.into_split());
                tokio::spawn(async move { tokio::io::copy(&mut back_from, &mut to).await });
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = from.read(&mut buffer).await {
                        kept.lock().expect("a lock")[place].extend_from_slice(&buffer[..count]);
                        if back_to.write_all(&buffer[..count]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { addr, sent }
    }

    /// Whether each connection asked for TLS, and sent nothing but TLS after that. Returns how many there were.
    fn saw_nothing_in_the_clear(&self) -> usize {
        let all = self.sent.lock().expect("a lock");
        for sent in all.iter().filter(|sent| !sent.is_empty()) {
            assert!(sent.starts_with(&SSL_REQUEST), "{:?}", String::from_utf8_lossy(sent));
            assert!(sent.get(8).is_none_or(|first| *first == HANDSHAKE), "{:?}", String::from_utf8_lossy(sent));
        }
        all.iter().filter(|sent| !sent.is_empty()).count()
    }
}

/// A replica with these settings of its store reports `cause`, refuses selectors, and sends nothing in the clear.
async fn refuses(fleet: &mut Fleet, host: &str, mode: &str, ca: Option<&str>, cause: &str) {
    let tap = Tap::before(fleet.cluster.addr()).await;
    let mut plan = fleet.plan();
    if let Some(ca) = ca {
        let file = plan.file("store-ca.pem");
        std::fs::write(&file, ca).expect("a file");
        plan = plan.set("store.ca_file", &file.display().to_string());
    }
    let url = format!("postgres://app:first@{host}:{}/app?sslmode={mode}", tap.addr.port());
    let replica = fleet.stand_in.start(plan.set("store.url", &url)).await;
    fleet.replicas = vec![replica];
    let target = fleet.stand_in.target();
    let answer = fleet.select(&target, None).await;
    assert_eq!((answer.status, answer.word()), (503, "store_unavailable".to_owned()), "{}", answer.text());
    assert!(answer.took < IN_TIME, "{:?}", answer.took);
    assert!(fleet.stand_in.is_live(&target), "a participant was disconnected");
    let replica = &fleet.replicas[0];
    let logged = until(Duration::from_secs(10), async || replica.log().contains(cause)).await;
    assert!(logged.is_some(), "{cause}: {}", replica.log());
    assert!(!replica.log().contains("app:first"), "a password in the log");
    assert!(tap.saw_nothing_in_the_clear() > 0, "it never tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_prove_its_name_gets_nothing() {
    const TEST: &str = "fleet::a_database_that_cannot_prove_its_name_gets_nothing";
    let Some(mut fleet) = Fleet::start(TEST, 0).await else { return };
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    refuses(&mut fleet, "localhost", "require", Some(&ours.pem), "server does not support TLS").await;
    // A CA that is named demands TLS, whatever the URL leaves open.
    refuses(&mut fleet, "localhost", "prefer", Some(&ours.pem), "server does not support TLS").await;

    let shown = ours.issue("database");
    fleet.cluster.speak_tls(&shown.cert, &shown.key);
    refuses(&mut fleet, "localhost", "require", Some(&other.pem), "UnknownIssuer").await;
    refuses(&mut fleet, "127.0.0.1", "require", Some(&ours.pem), "not valid for name").await;
    refuses(&mut fleet, "localhost", "verify-full", None, "invalid peer certificate").await;

    let tap = Tap::before(fleet.cluster.addr()).await;
    let plan = fleet.plan();
    let file = plan.file("store-ca.pem");
    std::fs::write(&file, &ours.pem).expect("a file");
    let url = format!("postgres://app:first@localhost:{}/app?sslmode=verify-full", tap.addr.port());
    let plan = plan.set("store.ca_file", &file.display().to_string()).set("store.url", &url);
    fleet.replicas = vec![fleet.stand_in.start(plan).await];
    let target = fleet.stand_in.target();
    let answer = fleet.select(&target, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let clear = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'app' AND NOT ssl";
    assert_eq!(fleet.cluster.sql("app", clear), "0");
    let connections = tap.saw_nothing_in_the_clear();
    assert!(connections > 0, "it never connected through the tap");
    Row {
        theme: "A fleet and its store",
        fault: "PostgreSQL speaks no TLS, or its certificate is of another CA or for another host",
        callers_see: "Named disconnects: nothing. Selectors and teardowns: 503 `store_unavailable`, `effect` `none`",
        figure: "Nothing is sent in the clear except the request for TLS; the log names the cause; the right `store.ca_file` works",
        measured: format!("{connections} connections by TLS"),
        test: TEST,
        long_half: true,
    }
    .write();
}
