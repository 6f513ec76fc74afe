// The issuer's window is back: the code goes to the page that asked, which alone can redeem it. Then the address forgets it.
"use strict";

const answer = Object.fromEntries(new URLSearchParams(location.search));
history.replaceState(null, "", location.pathname);
new BroadcastChannel("hangup-sign-in").postMessage(answer);
window.close();
