#!/usr/bin/env node
// Hangs up one participant. Needs nothing but Node 18.
//
//     hangup.mjs CONVERSATION_ID PARTICIPANT_ID [REASON]
//
// HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 5) how long to wait until
// the participant is seen gone. Exit: 0 gone or going, 1 nobody was hung up, 2 still there when last seen.
import { setTimeout as sleep } from 'node:timers/promises';

/** Answers the HTTP status and the JSON members. Rejects when the service does not answer. */
export async function hangUp(url, key, conversation, participant, { reason = 'user_request', wait = 5 } = {}) {
  const path = `/conversations/${encodeURIComponent(conversation)}/participants/${encodeURIComponent(participant)}/disconnect`;
  for (const last of [false, true]) {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'X-API-Key': key, 'Content-Type': 'application/json', Prefer: `wait=${wait}` },
      body: JSON.stringify({ reason }),
      signal: AbortSignal.timeout(90_000),
    });
    const answer = await response.json();
    const pause = Number(response.headers.get('retry-after') ?? 99);
    // Busy, and worth repeating: once, when it says so and not for long.
    if (last || ![429, 503].includes(response.status) || !answer.retryable || pause > 30) {
      return { status: response.status, answer };
    }
    await sleep(pause * 1000);
  }
}

const [conversation, participant, reason] = process.argv.slice(2);
const { HANGUP_URL, HANGUP_KEY, HANGUP_WAIT = '5' } = process.env;
try {
  const { status, answer } = await hangUp(HANGUP_URL, HANGUP_KEY, conversation, participant, { reason, wait: HANGUP_WAIT });
  console.log(JSON.stringify(answer));
  if (status === 200 && answer.outcome !== 'would_disconnect') {
    process.exitCode = 0; // disconnected, accepted, already_disconnected, conversation_ended
  } else if (status === 202) {
    console.error('taken over, but still there when last seen');
    process.exitCode = 2;
  } else {
    process.exitCode = 1;
    if (status === 200) console.error('observe mode: nobody was hung up');
    else if (status === 404) console.error("no such participant or conversation: are the ids fresh, and Genesys Cloud's?");
    else if (status === 409) console.error('Genesys Cloud refuses, and the participant is still there');
    else if (answer.effect === 'unknown') console.error('the participant may be gone all the same: look before you repeat');
    else console.error(answer.detail);
  }
} catch (error) {
  console.error(`no answer: ${error.cause?.message ?? error.message}`);
  process.exitCode = 1;
}
