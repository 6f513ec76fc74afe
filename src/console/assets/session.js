// Who is signed in. The key is kept in this closure only: not in a cookie, in storage or in the address.
"use strict";

const session = (() => {
  let credential = null; // ["X-API-Key", key] or ["Authorization", "Bearer …"]
  let signedIn = false;
  const at = (id) => document.getElementById(id);

  const headers = () => (credential ? { [credential[0]]: credential[1] } : {});

  /** Loads the frame; `quietly` if the user did not ask for it. */
  async function enter(quietly) {
    let answer;
    try {
      answer = await fetch("console/session", { headers: headers(), cache: "no-store" });
    } catch {
      at("sign-in").hidden = false;
      at("sign-in-problem").textContent = "The service cannot be reached. Try again.";
      return;
    }
    const text = await answer.text();
    if (answer.ok) {
      signedIn = true;
      htmx.swap("#frame", text, { swapStyle: "innerHTML" });
      document.body.dispatchEvent(new Event("signed-in"));
      return;
    }
    credential = null;
    at("sign-in").hidden = false;
    at("key").focus();
    if (!quietly || answer.status !== 401) htmx.swap("#sign-in-problem", text, { swapStyle: "innerHTML" });
  }

  /** Forgets the key, and shows the sign-in form; says why, if the user did not ask for it. */
  function leave(why) {
    credential = null;
    signedIn = false;
    document.body.dispatchEvent(new Event("signed-out"));
    if (at("dialog").open) at("dialog").close();
    const page = new DOMParser().parseFromString(start, "text/html");
    at("frame").replaceChildren(...page.body.childNodes);
    at("sign-in").hidden = false;
    if (why) htmx.swap("#sign-in-problem", why, { swapStyle: "innerHTML" });
    at("key").focus();
  }

  let start = "";
  document.addEventListener("DOMContentLoaded", () => {
    start = at("frame").innerHTML;
    enter(true);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "sign-in") return;
    event.preventDefault();
    credential = ["X-API-Key", at("key").value.trim()];
    at("key").value = "";
    at("sign-in-problem").replaceChildren();
    enter(false);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("#sign-out")) leave("");
  });
  document.addEventListener("htmx:configRequest", (event) => Object.assign(event.detail.headers, headers()));

  /** Signs in with a token of the issuer. */
  function useToken(token) {
    credential = ["Authorization", `Bearer ${token}`];
    at("sign-in-problem").replaceChildren();
    enter(false);
  }

  return { headers, leave, useToken, isIn: () => signedIn };
})();
