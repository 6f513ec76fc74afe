// Signs in with the issuer by authorization code with PKCE (RFC 7636), in a separate window. The verifier and the token stay in the
// memory of this page.
"use strict";

(() => {
  const at = (id) => document.getElementById(id);
  const base64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const random = () => base64(crypto.getRandomValues(new Uint8Array(32)));

  function tell(text) {
    const note = document.createElement("div");
    note.className = "notice";
    note.dataset.tone = "bad";
    note.textContent = text;
    at("sign-in-problem")?.replaceChildren(note);
  }

  /** Waits for the code that the issuer returns for this state. */
  function answerFor(state) {
    return new Promise((resolve) => {
      const channel = new BroadcastChannel("hangup-sign-in");
      channel.onmessage = ({ data }) => {
        if (data?.state !== state) return;
        channel.close();
        resolve(data);
      };
    });
  }

  async function begin({ issuer, client, audience, scope }) {
    if (!crypto.subtle) return tell("Signing in with the issuer needs https. Open the console by https, or sign in with a key.");
    // Opened at once: later the browser would block it as a pop-up.
    const shown = window.open("", "_blank", "popup,width=520,height=680");
    const [verifier, state] = [random(), random()];
    const redirect = new URL("console/signed-in", location.href).href;
    try {
      const found = await fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, { credentials: "omit" });
      const known = await found.json();
      const ours = new URL(issuer).origin;
      if (known.issuer !== issuer || new URL(known.token_endpoint).origin !== ours) {
        throw new Error("the issuer's own description is of another issuer, or of a token endpoint on another host");
      }
      const challenge = base64(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
      const to = new URL(known.authorization_endpoint);
      const asked = {
        response_type: "code", client_id: client, redirect_uri: redirect, scope, audience, state,
        code_challenge: challenge, code_challenge_method: "S256",
      };
      for (const [name, value] of Object.entries(asked)) if (value) to.searchParams.set(name, value);
      const answer = answerFor(state);
      if (shown) shown.location = to.href;
      else throw new Error("the browser did not open a window; allow windows for this page");
      const { code, error, error_description: why, iss } = await answer;
      if (!code) throw new Error(`the issuer says: ${why ?? error ?? "no"}`);
      if (iss && iss !== issuer) throw new Error("the answer is another issuer's");
      const body = new URLSearchParams({ grant_type: "authorization_code", code, redirect_uri: redirect, client_id: client, code_verifier: verifier });
      const granted = await fetch(known.token_endpoint, { method: "POST", body, credentials: "omit" });
      const token = await granted.json();
      if (!token.access_token) throw new Error(`the issuer says: ${token.error_description ?? token.error ?? "no"}`);
      session.useToken(token.access_token);
    } catch (error) {
      shown?.close();
      tell(`Signing in did not work: ${error.message}.`);
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("#issuer");
    if (button) begin(button.dataset);
  });
})();
