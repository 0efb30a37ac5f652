// Compiled, never run: litefs-s3.d.ts says what people will write.
import { open, LitefsS3Error, type Database, type ErrorCode, type Row, type RowObject, type Value } from "../litefs-s3.js";

export async function use(): Promise<void> {
  await using db: Database = await open("s3://bucket/app", {
    time: new Date(), cacheSize: 1, pollInterval: -1, signal: AbortSignal.timeout(1),
    credentials: async () => ({ accessKeyId: "a", secretAccessKey: "b", sessionToken: "c", expiration: new Date() }),
  });
  const { columns, rows }: { columns: string[]; rows: Row[] } = await db.query("SELECT ?", [1n, null, new Uint8Array(), true]);
  const objects: { rows: RowObject[] } = await db.query("SELECT :a", { a: "x" }, { rowMode: "object" });
  const value: Value = rows[0]![0]!;
  for await (const [first] of db.stream("SELECT 1")) {
    console.log(first, columns, objects, value);
  }
  for await (const row of db.stream("SELECT 1 AS one", undefined, { rowMode: "object" })) {
    console.log(row["one"]);
  }
  const past = await db.at({ txid: "1f" });
  const text: string = (await past.status()).files[0]!.max + (await past.timeline()).moments[0]!.time.toISOString();
  await open(undefined, { urlFor: (r) => (r.type === "get" ? `https://host/${r.key}` : { url: "https://host/?" + r.prefix, root: "app/" }) });
  try {
    await past.close();
  } catch (err) {
    if (err instanceof LitefsS3Error) {
      const code: ErrorCode = err.code;
      console.log(code, text);
    }
  }
  // @ts-expect-error: a function is nothing that SQLite can hold
  await db.query("SELECT ?", [() => 1]);
  // @ts-expect-error: there is no such setting
  await open("s3://bucket/app", { cachesize: 1 });
}
