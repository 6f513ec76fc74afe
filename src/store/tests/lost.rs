//! A database that closes connections without an answer.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::engine::Engine as _;
use super::*;

/// Speaks enough of PostgreSQL's protocol to let clients log in, and closes each connection when the first statement comes.
async fn ending_at_the_first_statement() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut sent = [0; 4096];
            assert_ne!(connection.read(&mut sent).await.unwrap(), 0, "it logs in");
            // Logged in; ready for a statement.
            connection.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await.unwrap();
            assert_ne!(connection.read(&mut sent).await.unwrap(), 0, "it sends a statement");
        }
    });
    format!("postgres://hangup@127.0.0.1:{port}/hangup?sslmode=disable")
}

#[tokio::test]
async fn a_write_whose_connection_ends_may_have_happened_and_a_read_has_not() {
    let postgres = super::super::postgres::Postgres::new(&settings(&ending_at_the_first_statement().await)).unwrap();
    let (write, read) = (Batch::write([sql("DELETE FROM claims")]), Batch::read([sql("SELECT 1")]));
    let (write, read) = (postgres.run(write).await.unwrap_err(), postgres.run(read).await.unwrap_err());
    assert!(matches!(write, StoreError::Lost(_)) && write.may_have_happened(), "{write:?}");
    assert!(matches!(read, StoreError::OutOfReach(_)) && !read.may_have_happened(), "{read:?}");
}
