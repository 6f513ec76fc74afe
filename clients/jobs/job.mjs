#!/usr/bin/env node
// Queues disconnects as a job, and waits until the job is done. Needs nothing but Node 18.
//
//     job.mjs CONVERSATION_ID PARTICIPANT_ID      one disconnect, by Prefer: respond-async
//     job.mjs --file ITEMS [QUERY]                a file ending in .csv, .ndjson or .json; QUERY as in "after=30m&dryRun=true"
//
// HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 3600) how long to wait: the job
// goes on without us. What did not succeed is printed, one JSON line an item. Exit: 0 every item is gone, 1 there is no job,
// 2 some items failed, or the job is not done.
import { randomUUID } from 'node:crypto';
import { access, constants, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

const TYPES = { csv: 'text/csv', ndjson: 'application/x-ndjson', json: 'application/json' };
const ENDED = ['done', 'cancelled', 'paused', 'held'];
const GOOD = ['disconnected', 'already_disconnected', 'conversation_ended', 'would_disconnect'];
const { HANGUP_URL = '', HANGUP_KEY = '', HANGUP_WAIT = '3600' } = process.env;

const request = (path, { headers, ...more } = {}) =>
  fetch(HANGUP_URL.replace(/\/+$/, '') + path, { headers: { 'X-API-Key': HANGUP_KEY, ...headers }, signal: AbortSignal.timeout(120_000), ...more });

/** The JSON members, after one retry if the answer says when and that is soon. Rejects when nothing answers. */
async function members(path, options) {
  for (const last of [false, true]) {
    const response = await request(path, options);
    const answer = await response.json().catch(() => ({}));
    if (answer.ok === undefined) throw new Error(`HTTP ${response.status} of something other than hangup: check the address`);
    const pause = answer.retryAfterSeconds ?? 99;
    if (last || !answer.retryable || pause > 30) return answer;
    await sleep(pause * 1000);
  }
}

/** What POST answers; a repeat with the same Idempotency-Key never makes a second job. */
async function queue([first, second, query = '']) {
  const headers = { 'Idempotency-Key': randomUUID() };
  if (first === '--file') {
    headers['Content-Type'] = TYPES[second.split('.').pop()];
    return members(`/jobs${query && `?${query}`}`, { method: 'POST', headers, body: await readFile(second) });
  }
  const path = `/conversations/${encodeURIComponent(first)}/participants/${encodeURIComponent(second)}/disconnect`;
  return members(path, { method: 'POST', headers: { ...headers, Prefer: 'respond-async' } });
}

/** The job when it has ended or the time is up. A service that is away for a while loses nothing: ask again. */
async function wait(path) {
  const end = Date.now() + HANGUP_WAIT * 1000;
  for (let pause = 500; ; pause = Math.min(pause * 1.5, 10_000)) {
    const job = await members(path).catch(error => ({ ok: false, retryable: true, detail: reason(error) }));
    if (job.ok) console.error(`${job.state}: ${job.total - job.pending} of ${job.total}`);
    if (job.ok ? ENDED.includes(job.state) : !job.retryable) return job;
    if (Date.now() > end) return job;
    await sleep(pause);
  }
}

/** Prints the items that did not succeed, and answers how many those are. */
async function report(path) {
  let failed = 0;
  const response = await request(`${path}/items`, { headers: { Accept: 'application/x-ndjson' } });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  for await (const line of createInterface({ input: Readable.fromWeb(response.body) })) {
    if (GOOD.includes(JSON.parse(line).outcome)) continue;
    failed += 1;
    console.log(line);
  }
  return failed;
}

const reason = error => error.cause?.message ?? error.message;

async function main(given) {
  const fits = given[0] === '--file' ? [2, 3].includes(given.length) && given[1].split('.').pop() in TYPES : given.length === 2;
  if (!fits || !HANGUP_URL || !HANGUP_KEY) {
    console.error('usage: job.mjs CONVERSATION_ID PARTICIPANT_ID, or --file ITEMS [QUERY] (.csv, .ndjson, .json), with HANGUP_URL and HANGUP_KEY set');
    return 1;
  }
  if (given[0] === '--file' && !(await access(given[1], constants.R_OK).then(() => true, () => false))) {
    console.error(`cannot read ${given[1]}`);
    return 1;
  }
  try {
    const queued = await queue(given);
    if (!queued.ok) {
      console.error(`${queued.code}: ${queued.detail}`);
      return 1;
    }
    console.error(`queued: ${queued.jobUrl}`);
    const job = await wait(queued.jobUrl);
    const failed = await report(queued.jobUrl);
    if (job.state !== 'done') {
      const held = job.state === 'held' ? `start it with POST ${queued.jobUrl}/start` : null;
      console.error(`not done, ${job.state ?? 'state unknown'}: ${held ?? job.pausedBecause ?? job.detail ?? 'ask again later'}`);
      return 2;
    }
    console.error(Object.entries(job.counts).map(([name, number]) => `${name}=${number}`).join(' '));
    return failed ? 2 : 0;
  } catch (error) {
    console.error(`no answer: ${reason(error)}`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
