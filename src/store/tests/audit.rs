//! Records of the audit.

use super::*;

pub(super) fn record(n: i64) -> AuditRow {
    AuditRow {
        id: format!("{n:04}"),
        time: 1_700_000_000_000 + n / 2,
        event: "disconnect".to_owned(),
        caller: Some(if n % 3 == 0 { "key:ivr" } else { "key:app" }.to_owned()),
        job: None,
        conversation: Some(format!("c{}", n % 5)),
        participant: (n % 4 != 0).then(|| "p".to_owned()),
        outcome: "failed".to_owned(),
        code: Some("upstream_timeout".to_owned()),
        record: format!("{{\"n\":{n}}}"),
    }
}

#[tokio::test]
async fn audit_records_are_written_once_and_read_back_in_pages_newest_first() {
    on_each(async |place| {
        let store = place.open().await;
        let rows: Vec<_> = (0..450).map(record).collect();
        store.append_audit(rows.clone()).await.unwrap();
        store.append_audit(rows[100..300].to_vec()).await.unwrap();
        let mut query = AuditQuery { limit: 100, ..AuditQuery::default() };
        let mut all = Vec::new();
        loop {
            let page = store.read_audit(&query).await.unwrap();
            query.after = page.records.last().map(|entry| entry.place.clone());
            all.extend(page.records.into_iter().map(|entry| entry.record));
            if !page.more {
                break;
            }
        }
        let expected: Vec<String> = (0..450).rev().map(|n| format!("{{\"n\":{n}}}")).collect();
        assert_eq!(all, expected);
    })
    .await;
}

#[tokio::test]
async fn each_condition_of_an_audit_query_picks_its_records() {
    on_each(async |place| {
        let store = place.open().await;
        store.append_audit((0..60).map(record).collect()).await.unwrap();
        let all = || AuditQuery { limit: 1000, ..AuditQuery::default() };
        let text = |text: &str| Some(text.to_owned());
        let counted = async |query: AuditQuery| store.read_audit(&query).await.unwrap().records.len();
        assert_eq!(counted(all()).await, 60);
        assert_eq!(counted(AuditQuery { conversation: text("c1"), ..all() }).await, 12);
        assert_eq!(counted(AuditQuery { callers: vec!["key:ivr".to_owned()], ..all() }).await, 20);
        let either = ["key:ivr", "key:app", "key:none"].map(str::to_owned).to_vec();
        assert_eq!(counted(AuditQuery { callers: either, conversation: text("c1"), ..all() }).await, 12);
        assert_eq!(
            counted(AuditQuery { participant: text("p"), ..all() }).await,
            60,
            "whole conversations concern everybody"
        );
        assert_eq!(counted(AuditQuery { participant: text("q"), ..all() }).await, 0, "those of others do not");
        let of_one = AuditQuery { participant: text("q"), conversation: text("c1"), ..all() };
        assert_eq!(counted(of_one).await, 3, "but those of the conversation that is named");
        assert_eq!(counted(AuditQuery { outcome: text("upstream_timeout"), ..all() }).await, 60);
        assert_eq!(counted(AuditQuery { outcome: text("disconnected"), ..all() }).await, 0);
        assert_eq!(counted(AuditQuery { since: Some(1_700_000_000_020), ..all() }).await, 20);
        assert_eq!(
            counted(AuditQuery { until: Some(1_700_000_000_009), callers: vec!["key:ivr".to_owned()], ..all() }).await,
            7
        );
        assert_eq!(counted(AuditQuery { job: text("j"), ..all() }).await, 0);
    })
    .await;
}

#[tokio::test]
async fn only_records_older_than_the_retention_time_are_deleted() {
    on_each(async |place| {
        let store = place.open().await;
        let now = time::OffsetDateTime::now_utc().unix_timestamp() * 1000;
        let rows: Vec<_> = (0..10).map(|n| AuditRow { time: now - n * 3_600_000, ..record(n) }).collect();
        store.append_audit(rows.clone()).await.unwrap();
        assert!(!store.purge_audit(Duration::from_secs(3600 * 4 + 1800)).await.unwrap());
        let left = store.read_audit(&AuditQuery { limit: 100, ..AuditQuery::default() }).await.unwrap();
        assert_eq!(left.records.len(), 5);
    })
    .await;
}
