// How values cross between the page and the engine: package engine documents the bytes.

const NULL = 0;
const INT32 = 1;
const INT64 = 2;
const FLOAT = 3;
const TEXT = 4;
const BLOB = 5;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

// decodeRows returns the rows of a batch. Integers that a number cannot hold are BigInts.
export function decodeRows(batch, columns) {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const rows = new Array(view.getUint32(0, true));
  let at = 4;
  for (let r = 0; r < rows.length; r++) {
    const row = new Array(columns);
    for (let c = 0; c < columns; c++) {
      switch (batch[at++]) {
        case NULL:
          row[c] = null;
          break;
        case INT32:
          row[c] = view.getInt32(at, true);
          at += 4;
          break;
        case INT64:
          row[c] = integer(view.getBigInt64(at, true));
          at += 8;
          break;
        case FLOAT:
          row[c] = view.getFloat64(at, true);
          at += 8;
          break;
        case TEXT: {
          const end = at + 4 + view.getUint32(at, true);
          row[c] = decoder.decode(batch.subarray(at + 4, end));
          at = end;
          break;
        }
        default: { // BLOB
          const end = at + 4 + view.getUint32(at, true);
          row[c] = batch.slice(at + 4, end);
          at = end;
        }
      }
    }
    rows[r] = row;
  }
  return rows;
}

function integer(n) {
  return n >= Number.MIN_SAFE_INTEGER && n <= Number.MAX_SAFE_INTEGER ? Number(n) : n;
}

// encodeParams packs parameters: an array goes by position, any other object by name.
export function encodeParams(params) {
  if (params === undefined || params === null) {
    return { names: null, values: new Uint8Array() };
  }
  if (typeof params !== "object" || ArrayBuffer.isView(params)) {
    throw new TypeError("parameters are an array, or an object with a property for each name");
  }
  const names = Array.isArray(params) ? null : Object.keys(params);
  const values = names ? names.map((name) => params[name]) : params;
  const parts = Array.from(values, (value, i) => encodeValue(value, names ? names[i] : i + 1));
  const packed = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    packed.set(part, at);
    at += part.length;
  }
  return { names, values: packed };
}

function encodeValue(value, name) {
  if (value === null || value === undefined) {
    return Uint8Array.of(NULL);
  }
  switch (typeof value) {
    case "boolean":
      return encodeInteger(BigInt(value));
    case "bigint":
      if (value !== BigInt.asIntN(64, value)) {
        throw new RangeError(`parameter ${name} needs more than the 64 bits of SQLite's integers`);
      }
      return encodeInteger(value);
    case "number":
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? encodeInteger(BigInt(value)) : encodeFloat(value);
    case "string":
      return encodeBytes(TEXT, encoder.encode(value));
  }
  if (value instanceof Date) {
    return encodeBytes(TEXT, encoder.encode(value.toISOString()));
  }
  if (value instanceof ArrayBuffer) {
    return encodeBytes(BLOB, new Uint8Array(value));
  }
  if (ArrayBuffer.isView(value)) {
    return encodeBytes(BLOB, new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  }
  throw new TypeError(`parameter ${name} is of a kind that SQLite has no place for: give null, a number, a bigint, a boolean, a string, a Date or bytes`);
}

function encodeInteger(n) {
  const bytes = new Uint8Array(9);
  bytes[0] = INT64;
  new DataView(bytes.buffer).setBigInt64(1, n, true);
  return bytes;
}

function encodeFloat(n) {
  const bytes = new Uint8Array(9);
  bytes[0] = FLOAT;
  new DataView(bytes.buffer).setFloat64(1, n, true);
  return bytes;
}

function encodeBytes(tag, data) {
  const bytes = new Uint8Array(5 + data.length);
  bytes[0] = tag;
  new DataView(bytes.buffer).setUint32(1, data.length, true);
  bytes.set(data, 5);
  return bytes;
}
