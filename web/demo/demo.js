// The demo page: one replica, one moment of it, one query at a time.
import { open } from "../litefs-s3.js";
import { Grid } from "./grid.js";
import { formatLink, parseLink } from "./link.js";
import { showSchema } from "./schema.js";
import { Timeline, element, short } from "./timeline.js";
import { ago, bytes, clock, count, duration } from "./words.js";

const $ = (id) => document.getElementById(id);
const SAMPLE = new URL("../sample/shop", location.href).href;
const PAGE = 500; // rows shown at once

const EXAMPLES = {
  "Revenue by city": "SELECT city, count(*) AS orders, sum(pieces) AS pieces, round(sum(total), 2) AS revenue\nFROM orders JOIN shops ON shops.id = orders.shop\nGROUP BY city ORDER BY revenue DESC",
  "Best sellers": "SELECT name, price, sum(pieces) AS sold, round(sum(total), 2) AS revenue\nFROM orders JOIN products ON products.id = orders.product\nGROUP BY name ORDER BY revenue DESC",
  "Newest orders": "SELECT orders.id, city, name, pieces, total, at\nFROM orders JOIN shops ON shops.id = shop JOIN products ON products.id = product\nORDER BY orders.id DESC LIMIT 50",
  "A million numbers": "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n LIMIT 1000000)\nSELECT count(*) AS numbers, sum(i) AS sum FROM n",
};

const timeline = new Timeline($("levels"));
const grid = new Grid($("result"));
const state = {
  url: "", // of the replica
  db: undefined, // follows the writer
  view: undefined, // what is looked at: db, or an earlier moment
  moments: [],
  at: 0, // which of them is looked at
  started: false, // the first query has ended, and the page may follow
  files: [],
  costs: [], // requests of the last queries
  running: undefined, // AbortController of the query
  rows: undefined, // stream of the query, when there are more rows
};

// Opening.

let openings = 0; // only the last one counts

async function openReplica({ url, txid, sql }, credentials) {
  const turn = ++openings;
  await closeReplica();
  problem();
  $("main").hidden = true;
  $("welcome").hidden = false;
  $("doing").textContent = "Opening…";
  try {
    const began = performance.now();
    const db = await open(url, { credentials });
    if (turn !== openings) {
      return await db.close();
    }
    state.db = state.view = db;
    const took = performance.now() - began;
    $("main").hidden = false;
    $("welcome").hidden = true;
    state.url = url;
    await refreshTimeline();
    await start(url, took, txid, sql);
  } catch (err) {
    if (turn === openings) {
      $("doing").textContent = "Paste a replica's URL, or look at the sample.";
      problem(err);
    }
  }
}

async function closeReplica() {
  abandon();
  const { db, view } = state;
  state.db = state.view = undefined;
  state.started = false;
  state.costs = [];
  await Promise.allSettled([view !== db && view?.close(), db?.close()]);
}

// start shows what is there: what the link asks for, else the sample's examples, or the first table.
async function start(url, took, txid, sql) {
  const isSample = url === SAMPLE;
  const examples = isSample ? EXAMPLES : { "A million numbers": EXAMPLES["A million numbers"] };
  $("examples").replaceChildren(...Object.entries(examples).map(([name, sql]) => button(name, () => runSQL(sql))));
  await showSchema($("schema"), state.view, lookInside);
  const first = $("schema").querySelector("details");
  if (first) {
    first.open = true;
  }
  $("sql").value = sql ?? "";
  if (txid) {
    await goTo(txid);
  }
  await runSQL(sql ? sql : isSample ? EXAMPLES["Revenue by city"] : first ? lookSQL(first.dataset.name) : "SELECT * FROM sqlite_schema");
  state.started = true;
  console.info(`opened in ${duration(took)}`);
}

// goTo looks at a transaction that a link names.
async function goTo(txid) {
  const index = state.moments.findIndex((m) => short(m.txid) === short(txid.toLowerCase()));
  if (index >= 0) {
    await travel(index);
  } else {
    problem({ code: "OUTSIDE", message: `Transaction ${txid} of the link is not there any more; this is the newest state.` });
  }
}

// updateLink puts what is looked at into the page's address.
function updateLink() {
  const txid = isLive() ? "" : short(state.moments[state.at].txid);
  history.replaceState(null, "", formatLink({ url: state.url, txid, sql: $("sql").value.trim() }));
}

function button(text, onclick) {
  const b = document.createElement("button");
  b.type = "button";
  b.textContent = text;
  b.onclick = onclick;
  return b;
}

const lookSQL = (table) => `SELECT * FROM "${table.replaceAll('"', '""')}" LIMIT 200`;
const lookInside = (table) => runSQL(lookSQL(table));

// HINTS say what to do next, where the message does not.
const HINTS = {
  UNREACHABLE: "Does the server run, and is its name in the URL right?",
  ACCESS_DENIED: "Open Credentials and enter a key that may read it, or let everybody read the bucket.",
  CREDENTIALS_EXPIRED: "Enter new ones.",
  NO_REPLICA: "The URL has to name the folder that holds the folders 0000, 0001 and so on.",
  OUTSIDE: "The slider shows what is still there.",
};

function problem(err) {
  const p = $("problem");
  p.hidden = !err;
  if (err) {
    const code = document.createElement("b");
    code.textContent = err.code ?? err.name;
    p.replaceChildren(code, err.message, HINTS[err.code] ? ` — ${HINTS[err.code]}` : "");
  }
}

// Time.

async function refreshTimeline() {
  const { db } = state;
  const { moments, files } = await db.timeline();
  if (db !== state.db) {
    return; // another replica was opened meanwhile
  }
  Object.assign(state, { moments, files });
  const slider = $("moment");
  slider.min = number(moments[0].txid);
  slider.max = number(moments.at(-1).txid);
  if (isLive()) {
    state.at = moments.length - 1;
    slider.value = slider.max;
  }
  await refreshStatus();
}

async function refreshStatus() {
  const { view } = state;
  const status = await view.status();
  if (view !== state.view) {
    return status;
  }
  timeline.show(state.files, state.moments.at(-1)?.txid ?? status.txid, status.txid, status.files);
  $("health").textContent = status.health === "ok" ? (isLive() ? "following" : "in the past") : status.health;
  $("health").classList.toggle("bad", status.health !== "ok");
  $("size").textContent = `${bytes(status.bytes)} in ${count(status.pages, "page")}`;
  $("files").textContent = `${status.files.length} of ${state.files.length}`;
  $("requests").textContent = (status.requests.get + status.requests.list).toLocaleString("en");
  $("bytes").textContent = bytes(status.requests.bytes);
  const when = document.createElement("b");
  when.textContent = clock(status.time);
  $("when").replaceChildren(when, ` · ${ago(status.time)} · transaction ${short(status.txid)}`);
  $("live").setAttribute("aria-pressed", isLive());
  $("earlier").disabled = state.at === 0;
  $("later").disabled = isLive();
  $("moment").setAttribute("aria-valuetext", `transaction ${short(status.txid)}, ${clock(status.time)}`);
  return status;
}

const isLive = () => state.view === state.db;

const number = (txid) => Number("0x" + txid);

// slide goes where the slider was moved to. Not every transaction can be opened any more: it goes on to the next one that can, in the
// direction in which it was moved.
function slide(to) {
  const { moments, at } = state;
  const up = to > number(moments[at].txid);
  travel(up ? moments.findIndex((m) => number(m.txid) >= to) : moments.findLastIndex((m) => number(m.txid) <= to));
}

// The slider may move faster than moments open: only the last one counts.
let wanted, travelling;

function travel(index) {
  wanted = index;
  abandon();
  travelling ??= travelOn().finally(() => (travelling = undefined));
  return travelling;
}

async function travelOn() {
  while (wanted !== undefined) {
    const index = wanted;
    wanted = undefined;
    try {
      await travelTo(index);
    } catch (err) {
      problem(err);
    }
  }
}

async function travelTo(index) {
  const { db, view: before, moments } = state;
  const last = moments.length - 1;
  state.at = Math.max(0, Math.min(index, last));
  const { txid } = moments[state.at];
  const view = state.at === last ? db : await db.at({ txid });
  $("moment").value = number(txid);
  state.view = view;
  problem();
  await refreshStatus();
  await showSchema($("schema"), view, lookInside);
  run(); // not waited for: the slider may have gone on
  if (before !== db && before !== view) {
    await before.close();
  }
}

// Queries.

function runSQL(sql) {
  $("sql").value = sql;
  return run();
}

// abandon ends a query whose result nobody wants any more. What is on the screen stays until there is something better.
function abandon() {
  const { running, rows } = state;
  state.running = state.rows = undefined;
  running?.abort();
  return rows?.return();
}

async function run({ quiet = false } = {}) {
  const sql = $("sql").value;
  if (!sql.trim() || !state.view) {
    return;
  }
  await abandon();
  if (!quiet) {
    updateLink();
  }
  const controller = (state.running = new AbortController());
  const { view } = state;
  const before = await view.status().catch(() => undefined);
  if (!before || state.running !== controller) {
    return; // the moment was left, or another query has come
  }
  const began = performance.now();
  $("stop").disabled = false;
  const meter = quiet ? undefined : setInterval(() => showCost(view, before, began, undefined), 100);
  try {
    await showRows(view.stream(sql, [], { signal: controller.signal }), controller, { quiet });
  } catch (err) {
    if (state.running === controller) {
      grid.fail(err.code === "ABORTED" ? "Stopped." : `${err.code ?? err.name}: ${err.message}`);
      $("more").hidden = true;
      $("tools").hidden = true;
    }
  } finally {
    clearInterval(meter);
    if (state.running === controller) {
      state.running = undefined;
      $("stop").disabled = true;
      if (!quiet) {
        await showCost(view, before, began, performance.now() - began);
      }
    }
  }
}

// showRows shows the next rows of a stream. It stops asking when there are enough, and so the query stops as well.
async function showRows(stream, controller, { shown = 0, quiet = false } = {}) {
  state.rows = stream;
  let batch = [];
  const flush = () => {
    if (shown === 0) {
      grid.start(stream.columns, batch[0]);
    }
    if (batch.length > 0) {
      grid.add(batch);
    }
    shown += batch.length;
    batch = [];
  };
  const most = shown + PAGE;
  let more = true;
  while (shown + batch.length < most && more) {
    const { value, done } = await stream.next();
    more = !done;
    if (more) {
      batch.push(value);
    }
  }
  if ((state.running !== controller && shown === 0) || (quiet && grid.studied)) {
    return;
  }
  flush();
  $("more").hidden = !more;
  $("tools").hidden = shown === 0;
  $("more").onclick = () => showRows(stream, controller, { shown }).catch((err) => {
    $("more").hidden = true;
    grid.end(err.code === "ABORTED" ? "Stopped." : `${err.code ?? err.name}: ${err.message}`);
  });
}

async function showCost(view, before, began, took) {
  const status = await view.status().catch(() => undefined);
  if (!status || view !== state.view) {
    return;
  }
  const requests = status.requests.get - status.requests.notFound + status.requests.list - before.requests.get + before.requests.notFound - before.requests.list;
  const read = status.requests.bytes - before.requests.bytes;
  const strong = (text) => Object.assign(document.createElement("b"), { textContent: text });
  $("cost").replaceChildren(strong(duration(took ?? performance.now() - began)), " · ", strong(count(requests, "request")), ` · ${bytes(read)} read`);
  if (took !== undefined) {
    $("said").textContent = `${count(grid.rows, "row")}, ${$("cost").textContent}`;
    state.costs = [...state.costs.slice(-59), { requests, read }];
    drawHistory();
  }
}

// drawHistory draws a bar for each of the last queries: how much it has read.
function drawHistory() {
  const svg = $("history");
  const width = $("query").clientWidth, height = 34, bar = 8;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const most = Math.max(...state.costs.map((c) => c.read));
  svg.toggleAttribute("hidden", most === 0 || state.costs.length < 3); // else there is little to compare
  svg.replaceChildren(...state.costs.slice(-Math.floor(width / (bar + 3))).map((c, i, all) => {
    const h = 2 + (height - 2) * Math.sqrt(c.read / Math.max(most, 1));
    const rect = element("rect", { x: i * (bar + 3), y: height - h, width: bar, height: h, rx: 2, class: i === all.length - 1 ? "last" : "" });
    rect.append(Object.assign(element("title", {}), { textContent: `${count(c.requests, "request")}, ${bytes(c.read)}` }));
    return rect;
  }));
  svg.setAttribute("aria-label", `What the last ${state.costs.length} queries have read; the last one ${bytes(state.costs.at(-1).read)}`);
}

// Following.

let seen;

async function follow() {
  const { db, view, started } = state;
  if (!db || !started || document.hidden || state.running || travelling) {
    return;
  }
  const status = await db.status();
  if (status.txid === seen || db !== state.db) {
    if (view === state.view) await refreshStatus();
    return;
  }
  seen = status.txid;
  await refreshTimeline();
  if (isLive() && !state.running && $("more").hidden) {
    await showSchema($("schema"), state.view, lookInside);
    if (!state.running && !travelling && !grid.studied && !/\brandom|RECURSIVE/i.test($("sql").value)) {
      await run({ quiet: true });
    }
  }
}

// What the page does.

$("open").onsubmit = (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const given = Object.fromEntries(["accessKeyId", "secretAccessKey", "sessionToken"].map((name) => [name, form.get(name) || undefined]));
  event.target.querySelector("details").open = false;
  openReplica({ url: form.get("url").trim() }, given.accessKeyId ? given : undefined);
};
$("open").onkeydown = (event) => {
  const box = event.currentTarget.querySelector("details");
  if (event.key === "Escape" && box.open) { // it lies over the page
    box.open = false;
    box.querySelector("summary").focus();
  }
};
$("sample").onclick = () => {
  $("url").value = SAMPLE;
  openReplica({ url: SAMPLE });
};
$("moment").oninput = (event) => slide(Number(event.target.value));
$("earlier").onclick = () => travel(state.at - 1);
$("later").onclick = () => travel(state.at + 1);
$("live").onclick = () => travel(state.moments.length - 1);
$("query").onsubmit = (event) => {
  event.preventDefault();
  run();
};
$("stop").onclick = () => state.running?.abort();
$("sql").onkeydown = (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run();
  }
};
// tell says that something was done, in place of the button's words for a moment, and to screen readers.
function tell(button, text) {
  const before = (button.dataset.words ??= button.textContent);
  button.textContent = $("said").textContent = text;
  setTimeout(() => (button.textContent = before), 1500);
}

const copy = (button, text) =>
  navigator.clipboard.writeText(text).then(() => tell(button, "Copied"), () => tell(button, "The browser forbids it"));

$("copy").onclick = (event) => copy(event.currentTarget, grid.tabs());
$("link").onclick = (event) => {
  updateLink();
  copy(event.currentTarget, location.href);
};
$("download").onclick = () => {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob([grid.csv()], { type: "text/csv" }));
  a.download = "result.csv";
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
};
setInterval(() => follow().catch(problem), 1000);

// openLinked opens what the page's address names.
function openLinked() {
  const link = parseLink(location.hash);
  $("url").value = link.url || SAMPLE;
  if (link.url) {
    openReplica(link);
  }
}

addEventListener("hashchange", openLinked); // another link, pasted into the same page
openLinked();
