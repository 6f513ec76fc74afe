#!/bin/sh
# Hangs up one participant:  hangup.sh CONVERSATION_ID PARTICIPANT_ID [REASON]
# HANGUP_URL is where the service is, HANGUP_KEY your caller key. HANGUP_WAIT (seconds, default 5) is how long to wait
# until the participant is seen gone; 0 does not look. Exit: 0 gone or going, 1 nobody was hung up, 2 still there.
set -u
: "${HANGUP_URL:?set it to the address of the service}" "${HANGUP_KEY:?set it to your caller key}"
conversation=${1:?conversation id missing} participant=${2:?participant id missing} reason=${3:-user_request}

ask() { # The key comes by standard input: arguments can be read by everybody on the machine.
  printf 'header = "X-API-Key: %s"\n' "$HANGUP_KEY" | curl --config - --silent --show-error --max-time 90 \
    --request POST --header 'Accept: application/json' --header "Prefer: wait=${HANGUP_WAIT:-5}" \
    --data-urlencode "reason=$reason" --write-out '\n%{http_code} %header{retry-after}' \
    "$HANGUP_URL/conversations/$conversation/participants/$participant/disconnect"
}

for try in 1 2; do
  answer=$(ask) || { echo "no answer from $HANGUP_URL" >&2; exit 1; }
  body=${answer%
*} told=${answer##*
}
  status=${told%% *} pause=${told#* }
  # Busy, and worth repeating: once, when it says so and not for long.
  case "$try $status $body" in 1\ 429*'"retryable":true'* | 1\ 503*'"retryable":true'*) ;; *) break ;; esac
  [ "${pause:-99}" -le 30 ] || break
  sleep "$pause"
done

printf '%s\n' "$body"
case "$status $body" in
  200*'"outcome":"would_disconnect"'*) echo "observe mode: nobody was hung up" >&2; exit 1 ;;
  200*) exit 0 ;;
  202*) echo "taken over, but still there when last seen" >&2; exit 2 ;;
  404*) echo "no such participant or conversation: are the ids fresh, and Genesys Cloud's?" >&2; exit 1 ;;
  409*) echo "Genesys Cloud refuses, and the participant is still there" >&2; exit 1 ;;
  *'"effect":"unknown"'*) echo "failed ($status); the participant may be gone all the same: look before you repeat" >&2; exit 1 ;;
  *) echo "failed ($status): see detail" >&2; exit 1 ;;
esac
