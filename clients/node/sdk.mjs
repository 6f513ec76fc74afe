#!/usr/bin/env node
// Disconnects one participant with the official SDK (npm install purecloud-platform-client-v2), through hangup.
//
//     sdk.mjs CONVERSATION_ID PARTICIPANT_ID
//
// HANGUP_URL is where hangup is, a path prefix included if your proxy has one; HANGUP_KEY is your caller key. With
// HANGUP_KEY_NAME the SDK logs in with name and key first, as it did with client id and secret; without, the key is its
// access token. CALL=1 uses the form for calls. Exit: 0 accepted, 1 nobody was disconnected.
import genesys from 'purecloud-platform-client-v2';

const { HANGUP_URL, HANGUP_KEY, HANGUP_KEY_NAME, CALL } = process.env;
const [conversation, participant] = process.argv.slice(2);
if (!conversation || !participant || !HANGUP_URL || !HANGUP_KEY) {
  console.error('usage: sdk.mjs CONVERSATION_ID PARTICIPANT_ID, with HANGUP_URL and HANGUP_KEY set');
  process.exit(1);
}
const gateway = new URL(HANGUP_URL);
const path = gateway.pathname.replace(/\/+$/, '');

const client = genesys.ApiClient.instance;
client.setGateway({
  host: gateway.hostname,
  protocol: gateway.protocol.slice(0, -1),
  port: gateway.port ? Number(gateway.port) : -1,
  path_params_login: path,
  path_params_api: path,
});

try {
  if (HANGUP_KEY_NAME) await client.loginClientCredentialsGrant(HANGUP_KEY_NAME, HANGUP_KEY);
  else client.setAccessToken(HANGUP_KEY);

  // From here on nothing differs from a program that talks to Genesys Cloud itself.
  const conversations = new genesys.ConversationsApi();
  for (const { id, purpose, name, endTime } of (await conversations.getConversation(conversation)).participants) {
    console.log(id, purpose, name, endTime ? 'gone' : 'there');
  }
  const body = { state: 'disconnected' };
  if (CALL) await conversations.patchConversationsCallParticipant(conversation, participant, body);
  else await conversations.patchConversationParticipant(conversation, participant, body);
  process.exit(0); // The SDK watches its configuration file, which would keep the process alive.
} catch (error) {
  // The SDK rejects API calls with the error body, and the login with an error that has a response.
  console.error(`SDK error ${error.status ?? error.response?.status ?? ''}: ${error.code ?? ''} ${error.message ?? error}`);
  process.exit(1);
}
