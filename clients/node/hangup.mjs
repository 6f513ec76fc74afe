#!/usr/bin/env node
// Disconnects one participant. Needs nothing but Node 18. Can be imported as well: importing does nothing by itself.
//
//     hangup.mjs CONVERSATION_ID PARTICIPANT_ID [REASON]
//
// HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 5) how long to wait until
// the participant is seen gone. Exit: 0 gone or going, 1 nobody was disconnected, 2 still there when last seen.
import { realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Answers the JSON members. Rejects when the service does not answer. */
export async function disconnect(url, key, conversation, participant, { reason = 'user_request', wait = 5 } = {}) {
  const path = `/conversations/${encodeURIComponent(conversation)}/participants/${encodeURIComponent(participant)}/disconnect`;
  for (const last of [false, true]) {
    const response = await fetch(url.replace(/\/+$/, '') + path, {
      method: 'POST',
      headers: { 'X-API-Key': key, 'Content-Type': 'application/json', Prefer: `wait=${wait}` },
      body: JSON.stringify({ reason }),
      signal: AbortSignal.timeout(90_000),
    });
    const answer = await response.json().catch(() => ({}));
    if (answer.ok === undefined) throw new Error(`HTTP ${response.status} of something other than hangup: check the address`);
    // Busy: retry once, if the answer says when and that is soon.
    const pause = answer.retryAfterSeconds ?? 99;
    if (last || !answer.retryable || pause > 30) return answer;
    await sleep(pause * 1000);
  }
}

const UNKNOWN = "no such participant or conversation: take current ids from Genesys Cloud";
const REMARKS = {
  participant_not_found: UNKNOWN,
  conversation_not_found: UNKNOWN,
  upstream_conflict: 'Genesys Cloud refuses, and the participant is still there',
};

/** The exit code, and what to tell a person. `gone`, then `outcome` or `code`, say it; the HTTP status says less. */
export function verdict(answer) {
  if (answer.outcome === 'would_disconnect') return [1, 'observe mode: nobody was disconnected'];
  if (answer.ok && answer.gone === false) return [2, 'accepted, but still there when last seen'];
  if (answer.ok) return [0]; // disconnected, accepted, already_disconnected, conversation_ended
  if (answer.effect === 'unknown') return [1, 'the participant may be gone anyway: look before you retry'];
  return [1, REMARKS[answer.code] ?? answer.detail];
}

async function main() {
  const [conversation, participant, reason] = process.argv.slice(2);
  const { HANGUP_URL, HANGUP_KEY, HANGUP_WAIT = '5' } = process.env;
  if (!conversation || !participant || !HANGUP_URL || !HANGUP_KEY) {
    console.error('usage: hangup.mjs CONVERSATION_ID PARTICIPANT_ID [REASON], with HANGUP_URL and HANGUP_KEY set');
    return 1;
  }
  try {
    const answer = await disconnect(HANGUP_URL, HANGUP_KEY, conversation, participant, { reason, wait: HANGUP_WAIT });
    console.log(JSON.stringify(answer));
    const [code, remark] = verdict(answer);
    if (remark) console.error(remark);
    return code;
  } catch (error) {
    console.error(`no answer: ${error.cause?.message ?? error.message}`);
    return 1;
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) process.exitCode = await main();
