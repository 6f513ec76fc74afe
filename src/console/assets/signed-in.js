// The issuer has redirected its window here. Gives the code to the page that opened it, the only one that can redeem it, and removes
// it from the address.
"use strict";

const answer = Object.fromEntries(new URLSearchParams(location.search));
history.replaceState(null, "", location.pathname);
new BroadcastChannel("hangup-sign-in").postMessage(answer);
window.close();
