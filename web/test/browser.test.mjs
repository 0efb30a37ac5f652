import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { newPage, startBrowser, startWorld } from "./world.mjs";

let world, browser, page;

before(async () => {
  world = await startWorld();
  browser = await startBrowser();
  page = await newPage(browser, world);
}, { timeout: 240_000 });

after(async () => {
  await browser?.close();
  await world?.stop();
});

// inPage runs a function in the page, with what the world is.
const inPage = (fn, arg) => page.evaluate(fn, { ...world, stop: undefined, arg });

describe("queries", () => {
  test("by position, by name, and all types there and back", async () => {
    const got = await inPage(async ({ public: url }) => {
      const { open } = await lib();
      const db = await open(url);
      const show = (v) => (v instanceof Uint8Array ? `bytes ${[...v]}` : `${typeof v} ${v}`);
      const values = [null, 1, -(2 ** 53 - 1), 2 ** 53, 12345678901234567n, -(2n ** 63n), 1.5, -0, true, "Grüße 🙂", "", new Uint8Array([0, 255]), new ArrayBuffer(2)];
      const out = {
        kinds: (await db.query("SELECT value FROM kinds ORDER BY id")).rows.map(([v]) => show(v)),
        echo: (await db.query(`SELECT ${values.map(() => "?").join()}`, values)).rows[0].map(show),
        types: (await db.query("SELECT typeof(?), typeof(?), typeof(?)", [1, 1.5, 2 ** 53])).rows[0],
        named: await db.query("SELECT :a AS a, $b AS b, @c AS c", { a: 1, $b: "two", "@c": null }),
        objects: (await db.query("SELECT id, square FROM numbers WHERE id = ?", [111], { rowMode: "object" })).rows,
        date: (await db.query("SELECT ?", [new Date(0)])).rows[0][0],
        empty: await db.query("SELECT id FROM numbers WHERE 0"),
        sum: (await db.query("SELECT count(*), sum(square) FROM numbers")).rows[0],
        many: (await db.query("SELECT id FROM numbers ORDER BY id")).rows.every(([id], i) => id === i + 1),
      };
      await db.close();
      return out;
    });
    assert.deepEqual(got.kinds, ["object null", "number 42", "number -9007199254740991", "bigint 9223372036854775807", "number 1.5", "string Grüße 🙂",
      "string ", "bytes 0,255,16", "bytes "]);
    assert.deepEqual(got.echo, ["object null", "number 1", "number -9007199254740991", "number 9007199254740992", "bigint 12345678901234567",
      "bigint -9223372036854775808", "number 1.5", "number 0", "number 1", "string Grüße 🙂", "string ", "bytes 0,255", "bytes 0,0"]);
    assert.deepEqual(got.types, ["integer", "real", "real"]);
    assert.deepEqual(got.named, { columns: ["a", "b", "c"], rows: [[1, "two", null]] });
    assert.deepEqual(got.objects, [{ id: 111, square: 12321 }]);
    assert.equal(got.date, "1970-01-01T00:00:00.000Z");
    assert.deepEqual(got.empty, { columns: ["id"], rows: [] });
    assert.deepEqual(got.sum, [world.rows, (world.rows * (world.rows + 1) * (2 * world.rows + 1)) / 6]);
    assert.ok(got.many);
  });

  test("what is wrong with a statement is said", async () => {
    const got = await inPage(async ({ public: url }) => {
      const { open, LitefsS3Error } = await lib();
      const db = await open(url);
      const out = {};
      for (const [name, sql, params] of [
        ["syntax", "SELEC 1"], ["table", "SELECT * FROM nothere"], ["two", "SELECT 1; SELECT 2"], ["none", "-- nothing"], ["few", "SELECT ?, ?", [1]],
        ["more", "SELECT ?", [1, 2]], ["name", "SELECT :a", { b: 1 }], ["kind", "SELECT ?", [{}]], ["wide", "SELECT ?", [2n ** 64n]],
        ["write", "DELETE FROM kinds"], ["travel", "PRAGMA litestream_time = 'yesterday'"], ["attach", "ATTACH 'x' AS x"],
      ]) {
        out[name] = await failure(db.query(sql, params));
      }
      out.own = await db.query("SELEC 1").catch((err) => err instanceof LitefsS3Error);
      out.after = (await db.query("SELECT 1; -- and no more")).rows;
      await db.close();
      return out;
    });
    const codes = Object.fromEntries(Object.entries(got).map(([name, err]) => [name, err?.code]));
    assert.deepEqual(codes, {
      syntax: "SQL", table: "SQL", two: "ARGUMENT", none: "ARGUMENT", few: "ARGUMENT", more: "ARGUMENT", name: "ARGUMENT", kind: "ARGUMENT", wide: "ARGUMENT",
      write: "READ_ONLY", travel: "SQL", attach: "SQL", own: undefined, after: undefined,
    });
    assert.match(got.table.message, /no such table: nothere/);
    assert.match(got.travel.message, /at\(\)/);
    assert.equal(got.own, true);
    assert.deepEqual(got.after, [[1]]);
  });

  test("a stream waits for its reader", async () => {
    const got = await inPage(async ({ public: url }) => {
      const { open } = await lib();
      const db = await open(url);
      const stream = db.stream("SELECT id, name FROM numbers ORDER BY id");
      let n = 0, ordered = true;
      for await (const [id] of stream) {
        ordered &&= id === ++n;
      }
      // Endless: whoever does not ask gets nothing, and the memory stays what it was.
      const endless = db.stream("WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n) SELECT i, hex(randomblob(100)) FROM n");
      for (let i = 0; i < 1000; i++) await endless.next();
      const before = (await db.status()).memory;
      await new Promise((resolve) => setTimeout(resolve, 500));
      const after = (await db.status()).memory;
      const beside = (await db.query("SELECT 1")).rows; // while the stream is open
      for await (const [i] of endless) {
        if (i > 2000) break;
      }
      const last = await endless.next();
      // As many as there are connections, all left behind: they come back.
      for (let i = 0; i < 10; i++) {
        for await (const row of db.stream("SELECT id FROM numbers")) break;
      }
      await db.close();
      return { n, ordered, columns: stream.columns, grown: after - before, beside, last };
    });
    assert.deepEqual(got, { n: world.rows, ordered: true, columns: ["id", "name"], grown: 0, beside: [[1]], last: { done: true, value: undefined } });
  });

  test("a statement that needs too much memory is the only one that fails", async () => {
    const got = await inPage(async ({ public: url }) => {
      const { open } = await lib();
      const db = await open(url);
      const out = {
        big: await failure(db.query("SELECT length(hex(zeroblob(100000000)))")),
        sort: await failure(db.query("WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n LIMIT 100) SELECT i FROM n ORDER BY zeroblob(4000000)||i")),
        after: (await db.query("SELECT count(*) FROM numbers")).rows[0][0],
      };
      await db.close();
      return out;
    });
    assert.equal(got.big.code, "TOO_BIG");
    assert.equal(got.sort.code, "OUT_OF_MEMORY");
    assert.equal(got.after, world.rows);
  });
});

describe("time", () => {
  test("follows the writer", async () => {
    const got = await inPage(async ({ public: url }) => {
      const { open } = await lib();
      const db = await open(url, { pollInterval: 200 });
      const ticks = async () => (await db.query("SELECT count(*) FROM ticks")).rows[0][0];
      const first = await ticks(), seen = new Set([first]), began = await db.status();
      while (seen.size < 4) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        seen.add(await ticks());
      }
      let status = await db.status();
      while (status.polls === 0) { // on a busy machine one poll may find all of that before it ends
        await new Promise((resolve) => setTimeout(resolve, 100));
        status = await db.status();
      }
      await db.close();
      return { seen: [...seen], from: began.txid, to: status.txid, health: status.health, files: status.files.length };
    });
    assert.deepEqual(got.seen, got.seen.toSorted((a, b) => a - b));
    assert.ok(got.to > got.from, `${got.from} to ${got.to}`);
    assert.equal(got.health, "ok");
    assert.ok(got.files > 0);
  });

  test("at() is another moment beside this one", async () => {
    const got = await inPage(async ({ public: url }) => {
      const { open } = await lib();
      const db = await open(url);
      const count = async (db) => (await db.query("SELECT count(*) FROM ticks")).rows[0][0];
      const { moments, files } = await db.timeline();
      const byTXID = await db.at({ txid: moments[1].txid });
      const status = await byTXID.status();
      const byTime = await db.at(status.time);
      const byNumber = await db.at(Number(status.time));
      const latest = await byTXID.at("latest");
      const out = {
        moments: moments.length, files: files.length, ordered: moments.every((m, i) => i === 0 || m.txid > moments[i - 1].txid), asked: moments[1].txid, txid: status.txid,
        sameTime: (await byTime.status()).txid === status.txid && (await byNumber.status()).txid === status.txid,
        past: await count(byTXID), again: await count(byTime), now: await count(db), latest: await count(latest),
        before: await failure(db.at(new Date(0))), words: await failure(db.at("quarter past nonsense")), none: await failure(db.at({ txid: "fffffffff" })),
        bad: await failure(db.at({ txid: "xyz" })),
      };
      await db.close(); // the others go on
      out.alone = await count(byTXID);
      const opened = await open(url, { txid: moments[1].txid });
      out.opened = await count(opened);
      out.both = await failure(open(url, { txid: "1", time: "now" }));
      await Promise.all([byTXID, byTime, byNumber, latest, opened].map((db) => db.close()));
      return out;
    });
    assert.equal(got.txid, got.asked);
    assert.ok(got.moments > 3 && got.files > 3 && got.ordered && got.sameTime);
    assert.ok(got.past < got.now && got.latest >= got.now, JSON.stringify(got));
    assert.deepEqual([got.again, got.alone, got.opened], [got.past, got.past, got.past]);
    assert.deepEqual([got.before.code, got.words.code, got.none.code, got.bad.code, got.both.code], ["OUTSIDE", "BAD_TIME", "OUTSIDE", "ARGUMENT", "ARGUMENT"]);
  });
});

describe("cancelling", () => {
  const endless = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n";

  test("a query that computes", async () => {
    const got = await inPage(async ({ public: url, arg }) => {
      const { open } = await lib();
      const db = await open(url);
      const controller = new AbortController();
      const began = performance.now();
      setTimeout(() => controller.abort(new Error("enough")), 200);
      const err = await failure(db.query(arg, [], { signal: controller.signal }));
      const after = (await db.query("SELECT count(*) FROM numbers")).rows[0][0]; // once the Worker is free
      const took = performance.now() - began;
      const already = [await failure(db.query("SELECT 1", [], { signal: AbortSignal.abort() })), await failure(open(url, { signal: AbortSignal.abort() })),
        await failure(db.at("latest", { signal: AbortSignal.abort() }))];
      const stream = db.stream(arg, [], { signal: AbortSignal.timeout(100) });
      const streamed = await failure(stream.next());
      await db.close();
      return { err, after, took, already, streamed };
    }, endless);
    assert.deepEqual(got.err, { name: "AbortError", code: "ABORTED", message: "the signal was aborted", cause: "enough", isError: true });
    assert.equal(got.after, world.rows);
    assert.ok(got.took < 30_000, `${got.took} ms until the next query was answered`);
    assert.deepEqual(got.already.map((err) => err.code), ["ABORTED", "ABORTED", "ABORTED"]);
    assert.equal(got.streamed.code, "ABORTED");
  });

  test("a query that waits for the server", async () => {
    const got = await inPage(async ({ odd }) => {
      const { open } = await lib();
      const db = await open(odd + "/slow/app", { cacheSize: 1 << 16, pollInterval: -1 }); // what has come with the opening is forgotten
      await fetch(odd + "/brake?on=1");
      const began = performance.now();
      const connecting = await failure(db.query("SELECT 1", [], { signal: AbortSignal.timeout(300) }));
      await fetch(odd + "/brake?on=0");
      await db.query("SELECT 1");
      await fetch(odd + "/brake?on=1");
      const err = await failure(db.query("SELECT sum(length(name)) FROM numbers", [], { signal: AbortSignal.timeout(300) }));
      const took = performance.now() - began;
      const one = (await db.query("SELECT 1")).rows;
      await fetch(odd + "/brake?on=0");
      const sum = (await db.query("SELECT count(*) FROM numbers")).rows[0][0];
      await db.close();
      return { connecting, err, one, sum, took };
    });
    assert.deepEqual([got.connecting?.code, got.err?.code], ["ABORTED", "ABORTED"]);
    assert.ok(got.took >= 299, "it has waited");
    assert.deepEqual([got.one, got.sum], [[[1]], world.rows]);
  });

  test("close() ends what is under way", async () => {
    const got = await inPage(async ({ public: url, arg }) => {
      const { open } = await lib();
      const db = await open(url);
      const past = await db.at("latest");
      const running = failure(past.query(arg));
      await new Promise((resolve) => setTimeout(resolve, 100));
      await past.close();
      const out = { running: await running, later: await failure(past.query("SELECT 1")), other: (await db.query("SELECT 1")).rows };
      await past.close(); // twice is no error
      await db.close();
      out.closed = await failure(db.query("SELECT 1"));
      out.status = await failure(db.status());
      return out;
    }, endless);
    assert.deepEqual([got.running.code, got.later.code, got.closed.code, got.status.code], ["ABORTED", "CLOSED", "CLOSED", "CLOSED"]);
    assert.deepEqual(got.other, [[1]]);
  });
});

describe("credentials", () => {
  test("signed, temporary, by a function, by urlFor", async () => {
    const got = await inPage(async ({ private: url, credentials, temporary, odd }) => {
      const { open } = await lib();
      const count = async (options, at = url) => {
        const db = await open(at, options);
        try {
          return (await db.query("SELECT count(*) FROM numbers")).rows[0][0];
        } finally {
          await db.close();
        }
      };
      let asked = 0;
      const requests = [];
      const urlFor = (request) => {
        requests.push(request.type);
        const base = odd + "/right";
        if (request.type === "get") return `${base}/app/${request.key}`;
        return { url: `${base}?list-type=2&prefix=app/${request.prefix}&start-after=${request.startAfter && "app/" + request.startAfter}`, root: "app/" };
      };
      return {
        signed: await count({ credentials }), temporary: await count({ credentials: temporary }),
        asked: await count({ credentials: async () => (asked++, { ...temporary, expiration: new Date(Date.now() + 3600e3) }) }), times: asked,
        urlFor: await count({ urlFor }, undefined), kinds: [...new Set(requests)].sort(),
        none: await failure(open(url)),
        wrong: await failure(open(url, { credentials: { ...credentials, secretAccessKey: "wrong" } })),
        unknown: await failure(open(url, { credentials: { accessKeyId: "nobody", secretAccessKey: "x" } })),
        half: await failure(open(url, { credentials: { accessKeyId: "nobody" } })),
        thrown: await failure(open(url, { credentials: async () => { throw new Error("log in first"); } })),
      };
    });
    assert.deepEqual([got.signed, got.temporary, got.asked, got.urlFor], Array(4).fill(world.rows));
    assert.equal(got.times, 1);
    assert.deepEqual(got.kinds, ["get", "list"]);
    assert.deepEqual([got.none.code, got.wrong.code, got.unknown.code], Array(3).fill("ACCESS_DENIED"));
    assert.match(got.wrong.message, /secretAccessKey/);
    assert.equal(got.half.code, "CREDENTIALS");
    assert.deepEqual([got.thrown.code, got.thrown.cause], ["CREDENTIALS", "log in first"]);
    for (const err of [got.none, got.wrong, got.unknown, got.half, got.thrown]) {
      assert.ok(!err.message.includes(world.credentials.secretAccessKey) && !err.message.includes("X-Amz"), err.message);
    }
  });

  test("expired ones are asked for anew", async () => {
    const got = await inPage(async ({ odd }) => {
      const { open } = await lib();
      const url = `s3://expiring/app?endpoint=${encodeURIComponent(odd)}`;
      const expired = { accessKeyId: "a", secretAccessKey: "b", sessionToken: "old" };
      let asked = 0;
      const db = await open(url, { credentials: () => ({ ...expired, sessionToken: asked++ === 0 ? "old" : "fresh" }) }).catch((err) => err);
      const rows = db instanceof Error ? db.message : (await db.query("SELECT count(*) FROM numbers")).rows[0][0];
      await db.close?.();
      return { rows, asked, always: await failure(open(url, { credentials: expired })) };
    });
    assert.equal(got.rows, world.rows);
    assert.ok(got.asked >= 2 && got.asked < 20, `asked ${got.asked} times`);
    assert.equal(got.always.code, "CREDENTIALS_EXPIRED");
  });
});

describe("servers", () => {
  test("that are not as they should be", async () => {
    const got = await inPage(async ({ odd, missing, empty, credentials, public: url }) => {
      const { open } = await lib();
      const out = {
        nocors: await failure(open(odd + "/nocors/app")), hidden: await failure(open(odd + "/hidden/app")), missing: await failure(open(missing, { credentials })),
        empty: await failure(open(empty)), nobody: await failure(open("http://127.0.0.1:1/app")), page: await failure(open(location.origin + "/demo")),
        url: await failure(open("nonsense")), nothing: await failure(open()), wasm: await failure(open(url, { wasmURL: "/nothere.wasm" })),
      };
      const whole = await open(odd + "/whole/app");
      out.whole = (await whole.query("SELECT count(*) FROM numbers")).rows[0][0];
      await whole.close();
      return out;
    });
    assert.equal(got.nocors.code, "CORS");
    assert.ok(got.nocors.message.includes(world.page), "the message names the page's origin: " + got.nocors.message);
    assert.match(got.nocors.message, /Access-Control-Expose-Headers: Content-Range, ETag/);
    assert.equal(got.hidden.code, "CORS");
    assert.match(got.hidden.message, /Access-Control-Expose-Headers/);
    assert.deepEqual([got.missing.code, got.empty.code, got.nobody.code, got.page.code, got.url.code, got.nothing.code, got.wasm.code],
      ["NO_BUCKET", "NO_REPLICA", "UNREACHABLE", "UNSUPPORTED", "ARGUMENT", "ARGUMENT", "ENGINE"]);
    assert.equal(got.whole, world.rows);
  });

  test("are asked without preflights, and not often", async () => {
    const got = await inPage(async ({ odd }) => {
      const { open } = await lib();
      const counts = async () => (await fetch(odd + "/counts")).json();
      const before = await counts();
      const db = await open(odd + "/right/app", { pollInterval: -1 });
      const opened = await db.status();
      await db.query("SELECT * FROM numbers WHERE id = 12345");
      const point = await db.status();
      await db.query("SELECT sum(length(name)) FROM numbers");
      const scan = await db.status();
      await db.query("SELECT sum(length(name)) FROM numbers");
      const again = await db.status();
      await db.close();
      const after = await counts();
      const requests = (a, b) => b.requests.get + b.requests.list - (a?.requests.get + a?.requests.list || 0);
      return {
        open: requests(null, opened), waves: opened.requests.waves, point: requests(opened, point), scan: requests(point, scan), again: requests(scan, again),
        seen: after.GET - (before?.GET ?? 0), preflights: after.OPTIONS ?? 0, all: requests(null, again),
      };
    });
    assert.equal(got.preflights, 0); // of all tests: by signed requests neither
    assert.ok(got.seen >= got.all, JSON.stringify(got)); // the server sees all of them: nothing comes from a cache of the browser
    assert.ok(got.waves <= 4 && got.point <= 4 && got.again === 0, JSON.stringify(got));
  });
});

test("the demo page opens a replica, queries it, and goes back in time", async () => {
  const demo = await newPage(browser, world);
  const faults = [];
  demo.on("pageerror", (err) => faults.push(err.message));
  await demo.goto(`${world.page}/demo/#${encodeURIComponent(world.public)}`);
  const cell = () => demo.textContent("#result tbody tr:first-child td:first-child");
  await demo.getByRole("region", { name: "Result" }).getByRole("table").waitFor();
  assert.deepEqual(await demo.locator("#schema summary").allTextContents(), ["_litestream_lock", "_litestream_seq", "kinds", "numbers", "ticks"]);
  await demo.getByLabel("SQL statement").fill("SELECT count(*) AS ticks FROM ticks");
  await demo.getByRole("button", { name: "Run" }).click();
  await demo.getByRole("columnheader", { name: "ticks" }).waitFor();
  const now = Number(await cell());
  await demo.getByLabel("Transaction", { exact: true }).press("Home");
  await demo.getByText("in the past").waitFor();
  await demo.waitForFunction((now) => Number(document.querySelector("#result tbody td")?.textContent) < now, now);
  assert.ok(Number(await demo.getByLabel("Transaction", { exact: true }).inputValue()) < Number(await demo.getAttribute("#moment", "max")));
  await demo.getByRole("button", { name: "Live" }).click();
  await demo.getByText("following").waitFor();
  await demo.waitForFunction((now) => Number(document.querySelector("#result tbody td")?.textContent) > now, now);
  await demo.getByLabel("Replica", { exact: true }).fill(world.odd + "/nocors/app");
  await demo.getByRole("button", { name: "Open" }).click();
  await demo.getByRole("alert").getByText("CORS", { exact: true }).waitFor();
  assert.deepEqual(faults, []);
  await demo.close();
});

describe("the demo page", () => {
  // demoAt opens it with what follows # in its address.
  const demoAt = async (fragment) => {
    const demo = await newPage(browser, world);
    await demo.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: world.page });
    demo.faults = [];
    demo.on("pageerror", (err) => demo.faults.push(err.message));
    await demo.goto(`${world.page}/demo/#${fragment}`);
    return demo;
  };
  const query = async (demo, sql) => {
    await demo.getByLabel("SQL statement").fill(sql);
    await demo.getByRole("button", { name: "Run" }).click();
  };

  test("can be handed on as a link: the replica, the moment and the statement", async () => {
    const sql = "SELECT max(id) AS \"a & b\", '50 %' AS share FROM numbers";
    const demo = await demoAt(`${encodeURIComponent(world.public)}&txid=2&sql=${encodeURIComponent(sql)}`);
    await demo.getByRole("columnheader", { name: "a & b" }).waitFor();
    await demo.getByText("in the past").waitFor();
    assert.equal(await demo.getByLabel("Transaction", { exact: true }).inputValue(), "2");
    await query(demo, "SELECT 'another'");
    await demo.getByRole("cell", { name: "another" }).waitFor();
    await demo.getByRole("button", { name: "Copy link" }).click();
    await demo.getByRole("button", { name: "Copied" }).waitFor();
    const link = await demo.evaluate(() => navigator.clipboard.readText());
    assert.equal(link, `${world.page}/demo/#${encodeURIComponent(world.public)}&txid=2&sql=${encodeURIComponent("SELECT 'another'")}`);
    // Another link in the same page, of the newest state; and one that means nothing.
    await demo.evaluate((url) => (location.hash = `${encodeURIComponent(url)}&sql=SELECT%20'third'`), world.public);
    await demo.getByRole("cell", { name: "third" }).waitFor();
    await demo.getByText("following").waitFor();
    // Of two that come at once the last one counts.
    await demo.evaluate((url) => {
      location.hash = `${encodeURIComponent(url)}&sql=SELECT%20'overtaken'`;
      setTimeout(() => (location.hash = `${encodeURIComponent(url)}&sql=SELECT%20'last'`));
    }, world.public);
    await demo.getByRole("cell", { name: "last" }).waitFor();
    assert.equal(await demo.getByLabel("SQL statement").inputValue(), "SELECT 'last'");
    await demo.evaluate(() => (location.hash = "nonsense&sql=%"));
    await demo.getByRole("alert").getByText("ARGUMENT", { exact: true }).waitFor();
    assert.deepEqual(demo.faults, []);
    await demo.close();
  });

  test("shows odd values whole on demand, and hands rows on", async () => {
    const demo = await demoAt(encodeURIComponent(world.public));
    await demo.getByRole("region", { name: "Result" }).getByRole("table").waitFor();
    await query(demo, "SELECT NULL AS n, '' AS e, 'a \"b\",c' AS q, x'00ff' AS blob, printf('%.*c', 5000, 'x') AS long");
    const long = demo.getByRole("cell", { name: /^x{300}/ });
    await long.waitFor();
    assert.equal((await long.textContent()).length, 301);
    await long.click();
    await demo.waitForFunction(() => document.querySelector("#result td.whole")?.textContent.length === 5000);
    const [download] = await Promise.all([demo.waitForEvent("download"), demo.getByRole("button", { name: "Download CSV" }).click()]);
    assert.equal(download.suggestedFilename(), "result.csv");
    const { readFile } = await import("node:fs/promises");
    assert.equal(await readFile(await download.path(), "utf8"), `n,e,q,blob,long\n,"","a ""b"",c",x'00ff',${"x".repeat(5000)}\n`);
    await query(demo, "SELECT 1 AS one, 'a\tb' AS two UNION ALL SELECT 2, NULL");
    await demo.getByRole("columnheader", { name: "two" }).waitFor();
    await demo.getByRole("button", { name: "Copy rows" }).click();
    await demo.getByRole("button", { name: "Copied" }).waitFor();
    assert.equal(await demo.evaluate(() => navigator.clipboard.readText()), "one\ttwo\n1\ta b\n2\t\n");
    await query(demo, "SELECT id FROM numbers WHERE 0");
    await demo.getByText("No rows.").waitFor();
    assert.equal(await demo.getByRole("button", { name: "Download CSV" }).isVisible(), false);
    await query(demo, "SELEC 1");
    await demo.getByText(/^SQL: near "SELEC": syntax error/).waitFor();
    assert.deepEqual(demo.faults, []);
    await demo.close();
  });

  test("survives an address that is malformed", async () => {
    const demo = await demoAt("%");
    await demo.getByRole("button", { name: "Open" }).waitFor();
    await demo.waitForFunction(() => document.getElementById("url").value !== "");
    assert.deepEqual(demo.faults, []);
    await demo.close();
  });
});
