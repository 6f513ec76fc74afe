// Jobs: the list goes straight to POST /jobs, and the report comes from GET /jobs/{id}/items, both with the caller's header.
"use strict";

(() => {
  const at = (id) => document.getElementById(id);
  let last = null; // the list of the last preview, so that it need not be chosen again: { id, body, kind, query }

  function tell(place, text) {
    const note = document.createElement("div");
    note.className = "notice";
    note.dataset.tone = "bad";
    note.textContent = text;
    place?.replaceChildren(note);
  }

  /** A repeat of the same request gets the same job, so a lost connection never makes a second one. */
  const fresh = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  async function queue(list, place) {
    let answer;
    try {
      const query = new URLSearchParams(list.query);
      const headers = { ...session.headers(), "Content-Type": list.kind, "Idempotency-Key": list.key, Accept: "application/json" };
      answer = await fetch(`jobs?${query}`, { method: "POST", headers, body: list.body });
    } catch {
      tell(place, "The service cannot be reached. Try again: the same list is not queued twice.");
      return null;
    }
    const reply = await answer.json().catch(() => ({ detail: "The answer cannot be read. Look at the list of jobs." }));
    if (answer.status === 401) session.leave("");
    if (!answer.ok) {
      tell(place, reply.detail);
      return null;
    }
    place?.replaceChildren();
    return reply.jobId;
  }

  let key = "";
  document.addEventListener("submit", async (event) => {
    if (event.target.id !== "new-job") return;
    event.preventDefault();
    const preview = event.submitter?.value !== "hold";
    const file = at("list-file").files[0];
    const body = file ? await file.text() : at("list-text").value.trim();
    if (!body) return tell(at("new-problem"), "Choose a file, or paste a list.");
    const kind = /\.(ndjson|jsonl)$/i.test(file?.name ?? "") || body.startsWith("{") ? "application/x-ndjson" : "text/csv";
    const query = preview ? { dryRun: "true" } : { hold: "true" };
    if (at("job-name").value.trim()) query.name = at("job-name").value.trim();
    if (at("job-reason").value.trim()) query.reason = at("job-reason").value.trim();
    if (at("job-skip").checked) query.skipIf = '{"agent":true}';
    const asked = JSON.stringify([kind, query, body]);
    if (last?.asked !== asked || !key) key = fresh();
    last = { id: "", body, kind, query, key, asked };
    const id = await queue(last, at("new-problem"));
    if (!id) return;
    last = preview ? { ...last, id } : null;
    key = "";
    location.hash = `jobs/${id}`;
  });

  // A preview whose list is still at hand can be queued for real; it is held until it is started.
  function offer() {
    const button = at("for-real");
    if (button) button.hidden = !last?.id || button.closest("[data-job]").dataset.job !== last.id;
  }

  htmx.onLoad(offer);
  document.addEventListener("click", async (event) => {
    if (event.target.closest("#for-real") && last?.id) {
      const { dryRun, ...query } = last.query;
      last.realKey ??= fresh();
      const id = await queue({ ...last, query: { ...query, hold: "true" }, key: last.realKey }, at("problem"));
      if (!id) return;
      last = null;
      location.hash = `jobs/${id}`;
    }
    const report = event.target.closest("[data-report]");
    if (report) download(report.dataset.report);
  });

  async function download(id) {
    try {
      const answer = await fetch(`jobs/${id}/items`, { headers: { ...session.headers(), Accept: "text/csv" } });
      if (!answer.ok) return tell(at("problem"), (await answer.json()).detail);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = `job-${id}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    } catch {
      tell(at("problem"), "The report could not be read to its end. Try again.");
    }
  }

  document.body.addEventListener("signed-out", () => { last = null; });
})();
