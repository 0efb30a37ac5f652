/**
 * SQLite databases opened where they lie in object storage: replicas that Litestream v0.5 writes, read from a bucket or a web server,
 * page by page, in the browser.
 *
 *     import { open } from "litefs-s3";
 *     const db = await open("s3://bucket/app?region=eu-central-1", { credentials });
 *     const { rows } = await db.query("SELECT * FROM orders WHERE id = ?", [42]);
 *     const yesterday = await db.at("yesterday 14:00");
 */

/** What a column holds. Integers beyond 2^53 are bigints, blobs are bytes. */
export type Value = null | number | bigint | string | Uint8Array;

/** What a parameter may be: false and true are 0 and 1, a Date is its ISO 8601 text, undefined is NULL. */
export type Parameter = Value | undefined | boolean | Date | ArrayBuffer | ArrayBufferView;

/** Parameters by position (?), or by name (:name, $name, @name), with or without the sign. */
export type Parameters = readonly Parameter[] | { readonly [name: string]: Parameter };

export type Row = Value[];
export type RowObject = { [column: string]: Value };

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  /** When they end. A function that returns credentials is asked again a minute earlier. */
  expiration?: Date | string | number;
}

/** What a URL is needed for: an object, or a listing as ListObjectsV2 answers it. Keys are those below the replica's path. */
export type URLRequest = { type: "get"; key: string } | { type: "list"; prefix: string; startAfter: string };

/** The URL of a listing, and what the keys in its answer begin with before the replica's own do: "app/". */
export interface ListingURL {
  url: string | URL;
  root?: string;
}

export interface OpenOptions {
  /** A moment instead of the newest state: a Date, milliseconds, or words like "5 minutes ago". */
  time?: Date | number | string;
  /** A transaction instead of the newest state, in hexadecimal. */
  txid?: string;
  /** Bytes of memory for pages; 32 MiB if not given. */
  cacheSize?: number;
  /** Milliseconds between two looks for news, each of which is a request; 1000 if not given, negative for none. */
  pollInterval?: number;
  /** With what requests are signed; a function is asked again when they expire. Without, the bucket has to be public. */
  credentials?: Credentials | (() => Credentials | Promise<Credentials>);
  /** Makes the URL of each request, signed elsewhere; replicaURL is then not used. */
  urlFor?: (request: URLRequest) => string | URL | ListingURL | Promise<string | URL | ListingURL>;
  signal?: AbortSignal;
  /** Where litefs-s3.wasm is; beside this module if not given. */
  wasmURL?: string | URL;
}

/**
 * Opens a replica: s3://bucket/path, with endpoint, region and force-path-style in its query for what is not AWS, or https://host/path.
 */
export function open(replicaURL: string | URL | undefined, options?: OpenOptions): Promise<Database>;

export interface QueryOptions {
  signal?: AbortSignal;
  /** What a row is: "array" if not given. Of two columns with one name an object has the second. */
  rowMode?: "array" | "object";
}

/**
 * The database at one moment, or its newest state. Each statement sees one state of it, and may run on another connection of SQLite
 * than the last: settings, temporary tables and transactions last for one statement.
 */
export interface Database extends AsyncDisposable {
  /** Runs one statement and resolves to all its rows. */
  query(sql: string, params?: Parameters, options?: QueryOptions & { rowMode?: "array" }): Promise<{ columns: string[]; rows: Row[] }>;
  query(sql: string, params: Parameters | undefined, options: QueryOptions & { rowMode: "object" }): Promise<{ columns: string[]; rows: RowObject[] }>;
  /** Runs one statement and yields its rows as they are asked for. Leaving the loop ends it. */
  stream(sql: string, params?: Parameters, options?: QueryOptions & { rowMode?: "array" }): RowStream<Row>;
  stream(sql: string, params: Parameters | undefined, options: QueryOptions & { rowMode: "object" }): RowStream<RowObject>;
  /** Another moment of the same replica, beside this one. They share what was fetched. "latest" follows the writer. */
  at(moment: Date | number | string | { txid: string }, options?: { signal?: AbortSignal }): Promise<Database>;
  /** How things are. It asks nothing of the server. */
  status(): Promise<Status>;
  /** Every file and every moment that can be opened: one listing of the replica. */
  timeline(): Promise<Timeline>;
  /** Ends what is under way. With its last database the Worker ends. */
  close(): Promise<void>;
}

export interface RowStream<R> extends AsyncIterableIterator<R>, AsyncDisposable {
  /** The names of the columns, once the first row has come. */
  readonly columns: string[];
}

export interface Status {
  /** The transaction that is read, and its time by the writer's clock. */
  txid: string;
  time: Date;
  /** The moment as it was asked for; not there when following. */
  asked?: string;
  /** Size of a page and of the database. */
  pageSize: number;
  pages: number;
  bytes: number;
  /** The files that the database is read from. */
  files: File[];
  /** How well the writer is followed, and why not well. */
  health: "ok" | "unreachable" | "gap" | "corrupt" | "replaced";
  error?: string;
  /** The newest transaction that is known, how many this one is behind, seconds since the last good look, and the age of the data. */
  newest: string;
  behind: number;
  lag: number;
  dataAge: number;
  polls: number;
  /** Seconds between two looks. */
  pollInterval: number;
  /** What was asked of the server so far, by all moments. notFound is how a follower hears that there is no news. */
  requests: { get: number; list: number; notFound: number; errors: number; bytes: number; waves: number; inFlight: number };
  cache: { budget: number; used: number; hits: number; misses: number; fetches: number };
  /** Bytes of memory that the engine has. */
  memory: number;
}

/** One LTX file: a level, and the transactions from min to max. */
export interface File {
  level: number;
  min: string;
  max: string;
  bytes: number;
  modified: Date;
}

export interface Timeline {
  files: File[];
  /** Ascending. The time is roughly when it was stored, except where the writer's own is known. */
  moments: { txid: string; time: Date }[];
  /** Which transactions are missing, if some are. */
  gap?: string;
}

export type ErrorCode =
  /** The signal was aborted, or the database closed under the statement; the name is AbortError, the cause the signal's reason. */
  | "ABORTED" | "TIMEOUT" | "CLOSED"
  /** The caller's mistakes. */
  | "ARGUMENT" | "BAD_TIME" | "SQL" | "READ_ONLY"
  /** More than the engine can hold; the database goes on. */
  | "OUT_OF_MEMORY" | "TOO_BIG"
  /** The way to the replica. CORS says which headers the server has to send. */
  | "CORS" | "UNREACHABLE" | "ACCESS_DENIED" | "CREDENTIALS" | "CREDENTIALS_EXPIRED" | "NO_BUCKET" | "NO_REPLICA" | "NOT_FOUND" | "UNSUPPORTED"
  /** What is in the replica. OUTSIDE: it does not hold the moment asked for. VIEW_EXPIRED: it does not any more. */
  | "OUTSIDE" | "VIEW_EXPIRED" | "CORRUPT" | "GAP" | "REPLACED"
  /** The Worker or its program did not load, or has ended. Open the replica again. */
  | "ENGINE" | "OTHER";

export class LitefsS3Error extends Error {
  readonly name: "LitefsS3Error" | "AbortError";
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, cause?: unknown);
}
