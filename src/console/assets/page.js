// The page: its views, refreshing, the dialog, problems, and times in the browser's time zone.
"use strict";

(() => {
  const EVERY = 2000; // milliseconds between two refreshes
  const UNWATCHED = 600000; // milliseconds without a key press or a click after which refreshing stops
  const at = (id) => document.getElementById(id);
  const tell = (name) => htmx.trigger(document.body, name);

  // --- Views: the part of the address after "#" names one. It never leaves the browser.
  let stale = false;

  function show() {
    if (!session.isIn()) return;
    const wanted = location.hash.slice(1);
    const path = /^[a-z]+(\/[\w.-]+)*$/.test(wanted) ? wanted : "search";
    for (const link of document.querySelectorAll("[data-view]")) {
      const own = link.dataset.view;
      const here = own ? wanted.startsWith(own) : path === "search" || wanted.startsWith("conversations/");
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    at("problem").replaceChildren();
    stale = false;
    htmx.ajax("GET", `console/${path}`, { target: "#view", swap: "innerHTML" });
  }

  window.addEventListener("hashchange", show);
  document.body.addEventListener("signed-in", show);
  document.body.addEventListener("go", (event) => {
    const to = `#${event.detail.value}`;
    if (location.hash === to) show();
    else location.hash = to;
  });

  // --- Refreshing: one "tick" every two seconds while the page is in use.
  let until = Date.now() + UNWATCHED;
  let lost = false;

  function tick() {
    if (!session.isIn() || document.hidden) return;
    if (Date.now() > until) return say("This page has not been used for ten minutes and is no longer kept fresh. Press a key or click to go on.");
    if (stale) show();
    else tell("tick");
  }

  function used() {
    const paused = Date.now() > until;
    until = Date.now() + UNWATCHED;
    if (paused) {
      say("");
      tick();
    }
  }

  function say(text) {
    const line = at("connection");
    if (line.textContent !== text) line.textContent = text;
  }

  setInterval(tick, EVERY);
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, used, { capture: true, passive: true });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { used(); tick(); } });

  // --- The connection.
  function gone(event) {
    lost = true;
    say("The service cannot be reached. Trying again…");
    const asker = event.detail.requestConfig?.elt;
    if (event.detail.requestConfig?.verb !== "get" && asker) {
      problem(asker, "The connection was lost before the answer came. Whether it was done is not known: look at the list before you ask again.");
    } else if (event.detail.target?.id === "view") {
      stale = true;
    }
  }

  for (const kind of ["htmx:sendError", "htmx:timeout"]) document.body.addEventListener(kind, gone);
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (lost && event.detail.xhr?.status > 0) {
      lost = false;
      say("");
    }
  });

  // --- Problems are shown where they belong: in the dialog, or at the top of the page.
  const place = (asker) => at((asker.closest("[data-problems]") ?? document.body).dataset.problems.slice(1));

  function problem(asker, text) {
    const note = document.createElement("div");
    note.className = "notice";
    note.dataset.tone = "bad";
    note.textContent = text;
    place(asker)?.replaceChildren(note);
  }

  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, requestConfig } = event.detail;
    if (xhr.status === 401) {
      event.detail.shouldSwap = false;
      session.leave(xhr.responseText);
    } else if (xhr.status >= 400) {
      const where = place(requestConfig.elt);
      event.detail.shouldSwap = where !== null && !where.innerHTML.includes(xhr.responseText);
      event.detail.target = where;
      event.detail.swapOverride = "innerHTML";
      event.detail.isError = false;
      if (where) where.dataset.by = requestConfig.path.split("?")[0];
    } else {
      // The request that failed before has succeeded now.
      const where = place(requestConfig.elt);
      if (where?.dataset.by === requestConfig.path.split("?")[0]) where.replaceChildren();
    }
  });

  // --- The dialog. It returns the focus to the element that opened it, even if that was redrawn meanwhile.
  const dialog = at("dialog");
  let opener = "";

  // After settling, because htmx handles the dialog's form only then.
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target?.id !== "dialog-body" || dialog.open) return;
    opener = event.detail.requestConfig?.elt?.id ?? "";
    at("dialog-problem").replaceChildren();
    dialog.showModal();
  });
  dialog.addEventListener("close", () => {
    at("dialog-body").replaceChildren();
    at("dialog-problem").replaceChildren();
    at(opener)?.focus();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) dialog.close();
    if (event.target.closest("[data-skip]")) {
      event.preventDefault();
      at("view")?.focus();
    }
  });
  document.body.addEventListener("done", () => {
    opener = "result";
    if (dialog.open) dialog.close();
    else at("result")?.focus();
    tell("changed");
  });

  // --- Times.
  const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

  function span(seconds) {
    const [d, h, m, s] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60, seconds % 60].map(Math.floor);
    if (d > 0) return `${d} d ${h} h`;
    if (h > 0) return `${h} h ${m} min`;
    return m > 0 ? `${m} min ${s} s` : `${s} s`;
  }

  function draw(times) {
    for (const time of times) {
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      if (time.dataset.show === "age") {
        time.textContent = span(Math.max(0, (Date.now() - moment) / 1000));
      } else {
        time.textContent = moments.format(moment);
      }
      time.title = moments.format(moment);
    }
  }

  setInterval(() => draw(document.querySelectorAll("time[data-show=age]")), 1000);
  htmx.onLoad((part) => draw(part.querySelectorAll("time[data-show]")));
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target?.id !== "view" || event.detail.requestConfig?.elt?.id === "found") return;
    const head = at("view").querySelector("h1");
    if (!head) return;
    document.title = `${head.textContent} · hangup console`;
    head.focus();
  });
})();
