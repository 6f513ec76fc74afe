#!/bin/sh
# Queues disconnects as a job, and waits until the job is done. Needs nothing but curl.
#
#     job.sh CONVERSATION_ID PARTICIPANT_ID      one disconnect, by Prefer: respond-async
#     job.sh --file ITEMS [QUERY]                a file ending in .csv, .ndjson or .json; QUERY as in "after=30m&dryRun=true"
#
# HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 3600) how long to wait: the job
# goes on without us. What did not succeed is printed, one JSON line an item. Exit: 0 every item is gone, 1 there is no job,
# 2 some items failed, or the job is not done.
set -u
usage() {
  echo "usage: job.sh CONVERSATION_ID PARTICIPANT_ID, or --file ITEMS [QUERY] (.csv, .ndjson, .json), with HANGUP_URL and HANGUP_KEY set" >&2
  exit 1
}
[ $# -ge 2 ] && [ $# -le 3 ] && [ -n "${HANGUP_URL:-}" ] && [ -n "${HANGUP_KEY:-}" ] || usage
url=${HANGUP_URL%/}
if [ "$1" = --file ]; then
  case "$2" in *.csv) kind=text/csv ;; *.ndjson) kind=application/x-ndjson ;; *.json) kind=application/json ;; *) usage ;; esac
  [ -r "$2" ] || { echo "cannot read $2" >&2; exit 1; }
elif [ $# -ne 2 ]; then
  usage
fi

ask() { # The key comes by standard input: arguments can be read by everybody on the machine.
  printf 'header = "X-API-Key: %s"\n' "$HANGUP_KEY" | curl --config - --silent --show-error --max-time 120 --path-as-is "$@"
}
number() { printf '%s' "$2" | sed -n "s/.*\"$1\":\([0-9][0-9]*\).*/\1/p"; }
text() { printf '%s' "$2" | sed -nE "s/.*\"$1\":\"(([^\"\\\\]|\\\\.)*)\".*/\1/p"; }

# A repeat with the same Idempotency-Key never makes a second job.
once=$(od -An -N16 -tx1 /dev/urandom | tr -d " \n")
queue() {
  if [ "$1" = --file ]; then
    ask --request POST --header "Idempotency-Key: $once" --header "Content-Type: $kind" --data-binary "@$2" "$url/jobs${3:+?$3}"
  else
    ask --request POST --header "Idempotency-Key: $once" --header 'Prefer: respond-async' "$url/conversations/$1/participants/$2/disconnect"
  fi
}

for try in 1 2; do
  queued=$(queue "$@") || { echo "no answer from $HANGUP_URL" >&2; exit 1; }
  # Busy: retry once, if the answer says when and that is soon.
  case "$try $queued" in 1*'"retryable":true'*) ;; *) break ;; esac
  pause=$(number retryAfterSeconds "$queued")
  [ "${pause:-99}" -le 30 ] || break
  sleep "$pause"
done
case "$queued" in
  '{"ok":true,'*) ;;
  '{"ok":false,'*) echo "$(text code "$queued"): $(text detail "$queued")" >&2; exit 1 ;;
  *) echo "no answer: something other than hangup is at $HANGUP_URL" >&2; exit 1 ;;
esac
job=$(text jobUrl "$queued")
echo "queued: $job" >&2

# A service that is away for a while loses nothing: ask again.
end=$(($(date +%s) + ${HANGUP_WAIT:-3600}))
state=
while :; do
  answer=$(ask "$url$job") || answer='"retryable":true'
  case "$answer" in
    '{"ok":true,'*)
      state=$(text state "$answer")
      echo "$state: $(number pending "$answer") left of $(number total "$answer")" >&2
      case "$state" in done | cancelled | paused | held) break ;; esac ;;
    *'"retryable":true'*) ;;
    *) break ;;
  esac
  [ "$(date +%s)" -lt "$end" ] || break
  sleep 1
done

items=$(mktemp)
trap 'rm -f "$items"' EXIT
ask --fail --header 'Accept: application/x-ndjson' "$url$job/items" >"$items" || { echo "no answer from $HANGUP_URL" >&2; exit 1; }
grep -vE '"outcome":"(disconnected|already_disconnected|conversation_ended|would_disconnect)"' "$items"
succeeded=$? # grep found nothing else
if [ "$state" != done ]; then
  [ "$state" = held ] && why="start it with POST $job/start" || why=$(text pausedBecause "$answer")$(text detail "$answer")
  echo "not done, ${state:-state unknown}: ${why:-ask again later}" >&2
  exit 2
fi
printf '%s\n' "$answer" | sed 's/.*"counts":{\([^}]*\)}.*/\1/' >&2
[ "$succeeded" -eq 1 ] || exit 2
