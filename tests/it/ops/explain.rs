//! `explain --server` and `audit --server`: what a service that runs elsewhere can tell, and what it cannot.

use std::io::{BufRead as _, BufReader};
use std::process::Output;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::process::Binary;
use crate::support::until;

const EVERYTHING: (&str, &str) = ("HANGUP__AUTH__ANONYMOUS_PERMISSIONS", "disconnect,read,audit");

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// A server that reads one request a connection, and gives what is to be written to `answer`.
async fn stub<F>(answer: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(connection.read_u8().await.unwrap());
            }
            tokio::spawn(answer(connection));
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_keeps_no_records_is_told_from_one_that_was_never_asked() {
    let binary = Binary::new().await;
    let cid = binary.conference.id.to_string();
    for (target, recording) in [("off", false), ("store", true)] {
        let service = binary.serve(&[], &[EVERYTHING, ("HANGUP__AUDIT__TARGET", target)]).await;
        let explained = binary.run(&["explain", &cid, "--server", &service.url], &[]).await;
        let text = shown(&explained);
        assert_eq!(explained.status.code(), Some(0), "{text}");
        assert_eq!(text.contains("no record that you may read says"), recording, "{target}: {text}");
        assert_eq!(
            text.contains("audit.target of this service does not name the store"),
            !recording,
            "{target}: {text}"
        );
        let listed = binary.run(&["audit", "--server", &service.url], &[]).await;
        let said = String::from_utf8(listed.stderr).unwrap();
        assert_eq!(said.contains("does not name the store"), !recording, "{target}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_hangup_itself_says_that_a_conversation_is_unknown() {
    let binary = Binary::new().await;
    let service = binary.serve(&[], &[EVERYTHING]).await;
    let unknown = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
    let text = shown(&binary.run(&["explain", unknown, "--server", &service.url], &[]).await);
    assert!(text.contains("the upstream does not know it"), "{text}");

    let proxy = stub(|mut connection| async move {
        let body = "<html>404 Not Found</html>";
        let head = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    })
    .await;
    let explained = binary.run(&["explain", unknown, "--server", &proxy], &[]).await;
    let text = shown(&explained);
    assert_eq!(explained.status.code(), Some(1), "{text}");
    assert!(!text.contains("does not know it"), "{text}");
    assert!(text.contains(&format!("{proxy}/api/v2/conversations/{unknown} answered 404")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_service_are_printed_as_they_come() {
    let binary = Binary::new().await;
    let service = binary.serve(&[], &[EVERYTHING]).await;
    assert_eq!(service.post(&binary.disconnect(binary.who("agent")), &[], "").await.0, 200);
    let records = async || service.get_with("/audit", &[("accept", "application/x-ndjson")]).await.1;
    until(async || records().await.contains("accepted")).await;
    let record = records().await.lines().next().unwrap().to_owned();

    // The first record comes, and the rest is a long time coming.
    let slow = stub(move |mut connection| {
        let first = format!("HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n{record}\n");
        async move {
            connection.write_all(first.as_bytes()).await.unwrap();
            let _ = connection.read_u8().await;
        }
    })
    .await;
    let mut command = binary.command(&["audit", "--json", "--server", &slow], &[]);
    let first = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let running = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        (line, running)
    });
    let (line, running) = first.await.unwrap();
    assert!(running, "the list goes on");
    assert!(line.contains("\"outcome\":\"accepted\""), "{line}");
}
