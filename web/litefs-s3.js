// SQLite databases opened where they lie in object storage, in the browser. litefs-s3.d.ts documents what is exported.
import { decodeRows, encodeParams } from "./pack.js";

export class LitefsS3Error extends Error {
  constructor(code, message, cause) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = code === "ABORTED" ? "AbortError" : "LitefsS3Error";
    this.code = code;
  }
}

// How many bytes of rows the Worker sends at once, and how long it may take to collect them, in milliseconds. A stream's first
// rows should be there soon; a query's are of no use before the last one.
const STREAM_BATCH = [64 << 10, 50];
const QUERY_BATCH = [4 << 20, 60_000];

export async function open(replicaURL, options = {}) {
  const { time, txid, cacheSize, pollInterval, credentials, urlFor, signal, wasmURL } = options;
  refuseAborted(signal);
  const engine = await Engine.start({ credentials, urlFor, wasmURL });
  const settings = {
    url: replicaURL === undefined || replicaURL === null ? "" : String(replicaURL),
    cacheSize,
    pollInterval,
    asksCredentials: credentials !== undefined && credentials !== null,
    asksURLs: urlFor !== undefined,
    ...moment(time, txid),
  };
  const db = new Database(engine, engine.number());
  try {
    await abortable(signal, engine.call("open", db.id, settings));
  } catch (err) {
    engine.end();
    throw err;
  }
  engine.databases.add(db);
  return db;
}

class Database {
  #engine;

  constructor(engine, id) {
    this.#engine = engine;
    Object.defineProperty(this, "id", { value: id });
  }

  async query(sql, params, options = {}) {
    const statement = new Statement(this.#engine, this.id, options, QUERY_BATCH);
    let batch = await statement.start(sql, params);
    let rows = statement.rows(batch);
    while (!batch.done) {
      batch = await statement.next();
      const more = statement.rows(batch);
      rows = rows.concat(more);
    }
    return { columns: statement.columns, rows };
  }

  stream(sql, params, options = {}) {
    return new RowStream(new Statement(this.#engine, this.id, options, STREAM_BATCH), sql, params);
  }

  async status() {
    const { json, memory } = await this.#engine.call("status", this.id);
    const status = JSON.parse(json);
    status.time = new Date(status.time);
    status.files = status.files.map(dated("modified"));
    status.memory = memory;
    return status;
  }

  async timeline() {
    const timeline = JSON.parse(await this.#engine.call("timeline", this.id));
    timeline.files = timeline.files.map(dated("modified"));
    timeline.moments = timeline.moments.map(dated("time"));
    return timeline;
  }

  async at(when, options = {}) {
    refuseAborted(options.signal);
    const db = new Database(this.#engine, this.#engine.number());
    const chosen = typeof when === "object" && when !== null && "txid" in when ? moment(undefined, when.txid) : moment(when);
    // Kept before it is open: the engine must not end meanwhile.
    this.#engine.databases.add(db);
    try {
      await abortable(options.signal, this.#engine.call("at", db.id, this.id, chosen));
    } catch (err) {
      await db.close();
      throw err;
    }
    return db;
  }

  async close() {
    const engine = this.#engine;
    if (!engine.databases.has(this)) {
      return;
    }
    try {
      await engine.call("close", this.id);
    } finally {
      engine.databases.delete(this);
      if (engine.databases.size === 0) {
        engine.end();
      }
    }
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }
}

// moment is how the engine is told when.
function moment(time, txid) {
  if (time instanceof Date || typeof time === "number") {
    time = new Date(time).toISOString();
  }
  return { time: time === undefined || time === null ? "" : String(time), txid: txid === undefined ? "" : String(txid) };
}

const dated = (name) => (o) => ({ ...o, [name]: new Date(o[name]) });

// Statement is one run of SQL in the Worker.
class Statement {
  columns = [];
  #engine;
  #db;
  #id;
  #signal;
  #asObjects;
  #batch;
  #running = false;

  constructor(engine, db, { signal, rowMode = "array" }, batch) {
    if (rowMode !== "array" && rowMode !== "object") {
      throw new LitefsS3Error("ARGUMENT", `rowMode is "array" or "object", not ${JSON.stringify(rowMode)}`);
    }
    this.#engine = engine;
    this.#db = db;
    this.#id = engine.number();
    this.#signal = signal;
    this.#asObjects = rowMode === "object";
    this.#batch = batch;
  }

  async start(sql, params) {
    let packed;
    try {
      packed = encodeParams(params);
    } catch (err) {
      throw new LitefsS3Error("ARGUMENT", err.message, err);
    }
    refuseAborted(this.#signal);
    this.#running = true;
    const first = await this.#call("start", this.#db, String(sql), packed.names, packed.values, ...this.#batch);
    this.columns = first.columns;
    return first;
  }

  next() {
    return this.#call("next", ...this.#batch);
  }

  // call asks for rows. When it is aborted the caller hears so at once, and the Worker as soon as SQLite looks up.
  async #call(op, ...args) {
    try {
      const answer = await abortable(this.#signal, this.#engine.call(op, this.#id, ...args));
      this.#running = !answer.done;
      return answer;
    } catch (err) {
      this.finish();
      throw err;
    }
  }

  rows({ batch }) {
    const rows = decodeRows(batch, this.columns.length);
    return this.#asObjects ? rows.map((row) => Object.fromEntries(row.map((value, i) => [this.columns[i], value]))) : rows;
  }

  finish() {
    if (this.#running) {
      this.#running = false;
      this.#engine.call("cancel", this.#id).catch(() => {});
      this.#engine.call("finish", this.#id).catch(() => {});
    }
  }
}

// RowStream yields rows as somebody asks for them: the Worker is at most one batch ahead.
class RowStream {
  #statement;
  #rows;

  constructor(statement, sql, params) {
    this.#statement = statement;
    this.#rows = stream(statement, sql, params);
  }

  get columns() {
    return this.#statement.columns;
  }

  next() {
    return this.#rows.next();
  }

  async return(value) {
    this.#statement.finish(); // the generator may be waiting, and would not hear of it
    await this.#rows.return();
    return { done: true, value };
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async [Symbol.asyncDispose]() {
    await this.return();
  }
}

async function* stream(statement, sql, params) {
  try {
    let batch = await statement.start(sql, params);
    yield* statement.rows(batch);
    while (!batch.done) {
      batch = await statement.next();
      yield* statement.rows(batch);
    }
  } finally {
    statement.finish();
  }
}

// abortable is a promise that also ends when a signal is aborted.
function abortable(signal, promise) {
  if (!signal) {
    return promise;
  }
  return new Promise((resolve, reject) => {
    const abort = () => reject(aborted(signal));
    if (signal.aborted) {
      promise.catch(() => {});
      abort();
      return;
    }
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function refuseAborted(signal) {
  if (signal?.aborted) {
    throw aborted(signal);
  }
}

const aborted = (signal) => new LitefsS3Error("ABORTED", "the signal was aborted", signal.reason);

// Engine is one Worker with the program in it.
class Engine {
  databases = new Set();
  #worker;
  #calls = new Map(); // number → {resolve, reject}
  #numbers = 0;
  #ended; // why, as an error
  #asks;
  #lastFault; // what a function of the page has thrown last

  static async start({ credentials, urlFor, wasmURL = new URL("./litefs-s3.wasm", import.meta.url) }) {
    const engine = new Engine();
    engine.#asks = { credentials, urlFor };
    engine.#worker = newWorker();
    engine.#worker.onmessage = ({ data }) => engine.#hear(data);
    engine.#worker.onerror = (event) => engine.#fail(`the Worker failed: ${event.message ?? "worker.js did not load"}`);
    try {
      engine.#worker.postMessage({ module: await compile(String(wasmURL)) });
    } catch (err) {
      engine.end();
      throw new LitefsS3Error("ENGINE", `${wasmURL} did not load: ${err.message}`, err);
    }
    return engine;
  }

  number() {
    return ++this.#numbers;
  }

  call(op, ...args) {
    if (this.#ended) {
      return Promise.reject(this.#ended);
    }
    const id = this.number();
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#worker.postMessage({ id, op, args });
    });
  }

  end(why = new LitefsS3Error("CLOSED", "the database is closed")) {
    this.#ended ??= why;
    this.#worker.terminate();
    for (const { reject } of this.#calls.values()) {
      reject(this.#ended);
    }
    this.#calls.clear();
  }

  #fail(message) {
    this.end(new LitefsS3Error("ENGINE", message));
  }

  #hear(data) {
    if (data.question) {
      this.#answer(data);
    } else if (data.ended) {
      this.#fail(`the engine has stopped: ${data.ended}`);
    } else {
      const call = this.#calls.get(data.id);
      this.#calls.delete(data.id);
      if (data.error) {
        call?.reject(this.#error(data.error));
      } else {
        call?.resolve(data.value);
      }
    }
  }

  #error({ code, message, cause }) {
    if (code === "CREDENTIALS" && this.#lastFault) {
      return new LitefsS3Error(code, message, this.#lastFault);
    }
    return new LitefsS3Error(code, message, cause === undefined ? undefined : new Error(cause));
  }

  async #answer({ question, what, request }) {
    let reply;
    try {
      reply = { value: what === "url" ? plain(await this.#asks.urlFor(request)) : await this.#credentials() };
    } catch (err) {
      this.#lastFault = err;
      reply = { error: err?.message ?? String(err) };
    }
    this.#worker.postMessage({ answer: question, ...reply });
  }

  async #credentials() {
    const { credentials } = this.#asks;
    const given = typeof credentials === "function" ? await credentials() : credentials;
    const { accessKeyId, secretAccessKey, sessionToken, expiration } = given ?? {};
    return { accessKeyId, secretAccessKey, sessionToken, expiration: expiration ? Number(new Date(expiration)) : 0 };
  }
}

// plain is a URL, or a listing's URL with its root, as it can be sent to a Worker.
function plain(answer) {
  if (answer === null || answer === undefined || typeof answer === "string" || answer instanceof URL) {
    return answer ? String(answer) : "";
  }
  return { url: String(answer.url), root: answer.root ?? "" };
}

function newWorker() {
  const url = new URL("./worker.js", import.meta.url);
  if (url.origin === globalThis.location?.origin) {
    return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "litefs-s3" });
  }
  // A Worker's script must come from the page's own origin; what it imports need not.
  const script = URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)};`], { type: "text/javascript" }));
  const worker = new Worker(script, { type: "module", name: "litefs-s3" });
  URL.revokeObjectURL(script);
  return worker;
}

const compiled = new Map(); // URL → promise of the module: all databases of a page share the program

function compile(url) {
  if (!compiled.has(url)) {
    const module = load(url);
    module.catch(() => compiled.delete(url)); // so that another attempt can succeed
    compiled.set(url, module);
  }
  return compiled.get(url);
}

async function load(url) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`status ${response.status}`);
  }
  if (response.headers.get("Content-Type")?.startsWith("application/wasm")) {
    return WebAssembly.compileStreaming(response);
  }
  return WebAssembly.compile(await response.arrayBuffer());
}
