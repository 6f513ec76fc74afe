#!/usr/bin/env python3
"""Disconnects one participant with the official SDK (pip install purecloudplatformclientv2), through hangup.

    sdk.py CONVERSATION_ID PARTICIPANT_ID

HANGUP_URL is where hangup is, a path prefix included if your proxy has one; HANGUP_KEY is your caller key. With
HANGUP_KEY_NAME the SDK logs in with name and key first, as it did with client id and secret; without, the key is its
access token. CALL=1 uses the form for calls. Exit: 0 accepted, 1 nobody was disconnected.
"""
import os
import sys
from urllib.parse import urlsplit

import PureCloudPlatformClientV2 as genesys
from PureCloudPlatformClientV2.rest import ApiException

if len(sys.argv) != 3 or not os.environ.get("HANGUP_URL") or not os.environ.get("HANGUP_KEY"):
    sys.exit(__doc__)
gateway = urlsplit(os.environ["HANGUP_URL"].rstrip("/"))
client = genesys.api_client.ApiClient()
client.set_gateway(gateway.hostname, gateway.scheme, gateway.port or -1, gateway.path, gateway.path)


def main(conversation, participant):
    if "HANGUP_KEY_NAME" in os.environ:
        client.get_client_credentials_token(os.environ["HANGUP_KEY_NAME"], os.environ["HANGUP_KEY"])
    else:
        client.access_token = os.environ["HANGUP_KEY"]

    # From here on nothing differs from a program that talks to Genesys Cloud itself.
    conversations = genesys.ConversationsApi(client)
    for somebody in conversations.get_conversation(conversation).participants:
        print(somebody.id, somebody.purpose, somebody.name, "gone" if somebody.end_time else "there")
    body = genesys.MediaParticipantRequest()
    body.state = "disconnected"
    if os.environ.get("CALL"):
        conversations.patch_conversations_call_participant(conversation, participant, body)
    else:
        conversations.patch_conversation_participant(conversation, participant, body)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ApiException as error:
        sys.exit(f"ApiException {error.status}: {error.body}")
