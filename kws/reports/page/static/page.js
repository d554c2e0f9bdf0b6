"use strict";
// The page's script: which runs are drawn, the confusion matrix, and, where the page is live, what has changed since.
// Whatever comes from the registry is set as text, never as HTML, but for what the server has escaped in the page itself.
(() => {
  const MOST_DRAWN = 40;
  const find = (id) => document.getElementById(id);
  const read = (from) => JSON.parse(from.getElementById("data").textContent);
  let data = read(document), drawn = [...data.drawn], chosen = false, address = location.href, waiting, etag = null, busy = false;
  const plain = (values) => Object.assign(Object.create(null), values); // where no name is there before it is set
  const known = { curves: plain(data.curves), confusions: plain(data.confusions), pooled: plain() }, seenAt = plain(), slots = new Map();
  document.documentElement.classList.add("scripted");

  // What the file has inside it, the live page fetches once it is asked for.
  async function need(kind, ids) {
    const missing = data.live ? ids.filter((id) => !(id in known[kind])) : [];
    for (let i = 0; i < missing.length; i += MOST_DRAWN) {
      const asked = missing.slice(i, i + MOST_DRAWN).map((id) => `run=${encodeURIComponent(id)}`).join("&");
      const answer = await fetch(`/${kind}.json?${asked}`, { cache: "no-store" });
      if (answer.ok) Object.assign(known[kind], await answer.json());
    }
    return ids.map((id) => [id, known[kind][id]]).filter(([, value]) => value);
  }

  // Curves

  const chart = new Chart(find("chart"), {
    onCursor: tell,
    onZoom: (enlarged) => { find("whole").disabled = !enlarged; },
  });

  async function drawCurves() {
    settle();
    const runs = (await need("curves", drawn)).map(([id, curve]) => ({ ...curve, id, slot: slots.get(id) ?? 0 }));
    const sides = ["train", "validation"].filter((side) => find(side).checked);
    chart.show(runs, find("quantity").value, sides);
  }

  // A run keeps its colour for as long as it is drawn; the next one takes the first that is free.
  function settle() {
    for (const id of slots.keys()) if (!drawn.includes(id)) slots.delete(id);
    for (const id of drawn) {
      let slot = 0;
      while (!slots.has(id) && [...slots.values()].includes(slot)) slot++;
      if (!slots.has(id)) slots.set(id, slot);
    }
  }

  function tell(epoch) {
    const quantity = find("quantity").value, [first, last] = chart.range();
    const box = find("chart"), table = find("reading");
    for (const [name, value] of Object.entries({ valuemin: first, valuemax: last, valuenow: epoch, valuetext: `epoch ${epoch}` }))
      box.setAttribute(`aria-${name}`, value);
    if (!chart.runs.length) return table.replaceChildren(tag("caption", "No run is drawn."));
    const body = document.createElement("tbody");
    for (const run of chart.runs) {
      const at = run.epochs.indexOf(epoch), name = tag("th", "", { scope: "row" });
      const swatch = element("svg", { viewBox: "0 0 30 10", class: look(run.slot), "aria-hidden": "true" });
      swatch.append(element("line", { x1: 0, x2: 30, y1: 5, y2: 5 }));
      name.append(swatch, tag("bdi", run.name));
      body.append(row(name, ...["train", "validation"].map((side) => number(shown(run[`${side}_${quantity}`][at], quantity)))));
    }
    const head = document.createElement("thead");
    head.append(row(column("run"), column("training", "number"), column("validation", "number")));
    table.replaceChildren(tag("caption", `${quantity === "loss" ? "Loss in nats" : "Accuracy"} at epoch ${epoch}`), head, body);
  }

  function shown(value, quantity) {
    if (value === undefined || value === null) return "-";
    return quantity === "loss" ? value.toFixed(4) : `${(100 * value).toFixed(2)} %`;
  }

  // Confusion matrices

  function offer() {
    const select = find("whose");
    if (!select) return;
    const before = select.value, options = data.cells.map((cell) => [cell.group, JSON.stringify(cell), cell.label]);
    for (const id of drawn) options.push(["Runs drawn below", JSON.stringify({ runs: [id] }), known.curves[id]?.name ?? id]);
    const groups = new Map();
    for (const [group, value, label] of options) {
      if (!groups.has(group)) groups.set(group, tag("optgroup", "", { label: group }));
      groups.get(group).append(tag("option", label, { value }));
    }
    select.replaceChildren(...groups.values());
    if (options.some(([, value]) => value === before)) select.value = before;
    drawMatrix();
  }

  // The file pools the runs of a cell here; of the live page, where they may be 100,000, the server does.
  async function matrices({ group, label, runs }) {
    if (runs) return (await need("confusions", runs)).map(([, each]) => each);
    const key = `${group}\n${label}`;
    if (!(key in known.pooled)) {
      const answer = await fetch(`/pooled.json?${new URLSearchParams({ group, label })}`, { cache: "no-store" });
      if (!answer.ok) return [];
      known.pooled[key] = await answer.json();
    }
    return known.pooled[key] ? [known.pooled[key]] : [];
  }

  async function drawMatrix() {
    const table = find("matrix"), value = find("whose").value;
    const found = value ? await matrices(JSON.parse(value)) : [];
    if (value !== find("whose").value) return;
    find("unmatched").hidden = found.length > 0;
    table.hidden = found.length === 0;
    if (!found.length) return;
    const { classes } = found[0];
    const counts = classes.map((_, i) => classes.map((_, j) => found.reduce((sum, each) => sum + each.counts[i][j], 0)));
    const head = document.createElement("thead"), body = document.createElement("tbody");
    head.append(row(column("said"), ...classes.map((name) => column(name, "number")), column("recall", "number")));
    counts.forEach((cells, i) => {
      const clips = cells.reduce((a, b) => a + b, 0), name = tag("th", "", { scope: "row" });
      name.append(tag("bdi", classes[i]));
      const shades = cells.map((n) => number(n.toLocaleString("en-GB"), `shade${clips ? Math.round((9 * n) / clips) : 0}`));
      body.append(row(name, ...shades, number(clips ? `${((100 * cells[i]) / clips).toFixed(2)} %` : "-")));
    });
    const runs = found[0].runs ?? found.length, many = runs > 1 ? `${runs.toLocaleString("en-GB")} runs together. ` : "";
    table.replaceChildren(tag("caption", `${many}A row is what was said, a column what was heard, in clips.`), head, body);
  }

  // The list of runs

  function tick() {
    for (const each of document.querySelectorAll("#rows tr")) each.querySelector(".draw").checked = drawn.includes(each.dataset.run);
  }

  function choose(ids) {
    drawn = ids.slice(-MOST_DRAWN);
    tick();
    drawCurves().then(offer);
  }

  // The file has every run in its list; the live page asks for those with these words among all there are.
  function filter() {
    if (data.live) {
      address = `/?show=${encodeURIComponent(find("filter").value)}`;
      clearTimeout(waiting);
      waiting = setTimeout(refresh, 150);
      return;
    }
    const words = find("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const each of document.querySelectorAll("#rows tr")) {
      const text = each.textContent.toLowerCase();
      each.hidden = words.length > 0 && !words.every((word) => text.includes(word));
    }
  }

  // A run's box opens in sight, and the keyboard goes on from it, however often the same run is chosen.
  function openNamed() {
    let id = "";
    try { id = decodeURIComponent(location.hash.slice(1)); } catch { return false; }
    const named = document.getElementById(id);
    if (!named?.matches("details")) return false;
    named.open = true;
    named.querySelector("summary").focus({ preventScroll: true });
    named.scrollIntoView({ block: "start" });
    return true;
  }

  // What has changed, where the page is live

  async function lookAgain() {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch("/state.json", { cache: "no-store", headers: etag ? { "If-None-Match": etag } : {} });
      if (answer.status !== 304) {
        const { state, error } = await answer.json();
        if (!answer.ok) return say(error, true);
        if (state !== data.state) await refresh();
        etag = answer.headers.get("ETag");
      }
      say("Live: this page follows the registry.", false);
    } catch {
      say("kws ui does not answer; what is here may be old.", true);
    } finally {
      busy = false;
    }
  }

  async function refresh() {
    const asked = address;
    const answer = await fetch(asked, { cache: "no-store" });
    if (!answer.ok || asked !== address) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const old = find(part.id);
      if (old && !old.isEqualNode(part)) old.replaceChildren(...part.childNodes);
    }
    if (find("rows")) renew(find("rows"), fresh.getElementById("rows"));
    document.title = fresh.title;
    data = read(fresh);
    known.pooled = plain();
    for (const id of Object.keys(known.curves)) {
      const [now] = [...document.querySelectorAll("#rows tr")].filter((each) => each.dataset.run === id);
      if (!now || now.dataset.seen !== seenAt[id]) { delete known.curves[id]; delete known.confusions[id]; }
    }
    remember();
    choose(chosen ? drawn : [...data.drawn]);
  }

  // Rows that are as they were stay the same elements, so that focus and scrolling do not jump.
  function renew(body, fresh) {
    const old = new Map([...body.children].map((each) => [each.dataset.run, each]));
    const rows = [...fresh.children].map((each) => {
      const there = old.get(each.dataset.run);
      if (!there) return each;
      return there.isEqualNode(each) ? there : each;
    });
    body.replaceChildren(...rows);
  }

  function remember() {
    for (const id of Object.keys(seenAt)) delete seenAt[id];
    for (const each of document.querySelectorAll("#rows tr")) seenAt[each.dataset.run] = each.dataset.seen;
  }

  function say(text, away) {
    const line = find("connection");
    if (line.textContent !== text) line.textContent = text;
    line.classList.toggle("away", away);
  }

  // Small elements

  function tag(name, text, attributes = {}) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }
  function row(...cells) { const made = document.createElement("tr"); made.append(...cells); return made; }
  function column(text, kind = "") { return tag("th", text, { scope: "col", class: kind }); }
  function number(text, kind = "") { return tag("td", text, { class: `number ${kind}` }); }

  for (const id of ["quantity", "train", "validation"]) find(id).addEventListener("change", drawCurves);
  find("whole").addEventListener("click", () => chart.zoomTo(null));
  find("whose")?.addEventListener("change", drawMatrix);
  find("filter")?.addEventListener("input", filter);
  find("suggested")?.addEventListener("click", () => { chosen = false; choose([...data.drawn]); });
  find("none")?.addEventListener("click", () => { chosen = true; choose([]); });
  find("rows")?.addEventListener("change", (event) => {
    if (!event.target.matches(".draw")) return;
    const id = event.target.closest("tr").dataset.run;
    chosen = true;
    choose(event.target.checked ? [...drawn, id] : drawn.filter((each) => each !== id));
  });
  window.addEventListener("hashchange", openNamed);
  document.addEventListener("click", (event) => {
    // No hashchange tells that the same run is chosen again, and the browser would take the focus away.
    if (event.target.closest("a")?.hash === location.hash && openNamed()) event.preventDefault();
  });
  remember();
  tick();
  drawCurves().then(offer);
  openNamed();
  if (data.live) setInterval(lookAgain, data.live);
})();
