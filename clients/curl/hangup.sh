#!/bin/sh
# Disconnects one participant:  hangup.sh CONVERSATION_ID PARTICIPANT_ID [REASON]
# HANGUP_URL is where the service is, HANGUP_KEY your caller key. HANGUP_WAIT (seconds, default 5) is how long to wait
# until the participant is seen gone; 0 does not look. Exit: 0 gone or going, 1 nobody was disconnected, 2 still there.
set -u
if [ $# -lt 2 ] || [ -z "${HANGUP_URL:-}" ] || [ -z "${HANGUP_KEY:-}" ]; then
  echo "usage: hangup.sh CONVERSATION_ID PARTICIPANT_ID [REASON], with HANGUP_URL and HANGUP_KEY set" >&2
  exit 1
fi
conversation=$1 participant=$2 reason=${3:-user_request}

ask() { # The key comes by standard input: arguments can be read by everybody on the machine.
  printf 'header = "X-API-Key: %s"\n' "$HANGUP_KEY" | curl --config - --silent --show-error --max-time 90 --path-as-is \
    --request POST --header 'Accept: application/json' --header "Prefer: wait=${HANGUP_WAIT:-5}" \
    --data-urlencode "reason=$reason" "${HANGUP_URL%/}/conversations/$conversation/participants/$participant/disconnect"
}

for try in 1 2; do
  body=$(ask) || { echo "no answer from $HANGUP_URL" >&2; exit 1; }
  # Busy: retry once, if the answer says when and that is soon.
  case "$try $body" in 1*'"retryable":true'*) ;; *) break ;; esac
  pause=$(printf '%s' "$body" | sed -n 's/.*"retryAfterSeconds":\([0-9][0-9]*\).*/\1/p')
  [ "${pause:-99}" -le 30 ] || break
  sleep "$pause"
done

printf '%s\n' "$body"
# `gone`, then `outcome` or `code`, say how it went; the HTTP status says less.
case "$body" in
  *'"outcome":"would_disconnect"'*) echo "observe mode: nobody was disconnected" >&2; exit 1 ;;
  '{"ok":true,'*'"gone":false'*) echo "accepted, but still there when last seen" >&2; exit 2 ;;
  '{"ok":true,'*) exit 0 ;; # disconnected, accepted, already_disconnected, conversation_ended
  *'"effect":"unknown"'*) echo "the participant may be gone anyway: look before you retry" >&2; exit 1 ;;
  *'"code":"participant_not_found"'* | *'"code":"conversation_not_found"'*)
    echo "no such participant or conversation: take current ids from Genesys Cloud" >&2; exit 1 ;;
  *'"code":"upstream_conflict"'*) echo "Genesys Cloud refuses, and the participant is still there" >&2; exit 1 ;;
  '{"ok":false,'*) echo "failed: see detail" >&2; exit 1 ;;
  *) echo "no answer: something other than hangup is at $HANGUP_URL" >&2; exit 1 ;;
esac
