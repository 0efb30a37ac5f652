// The thread that the module runs in. Everything here is synchronous but the beginning.
import { parentPort, workerData, receiveMessageOnPort } from 'node:worker_threads'
import { WASI } from 'node:wasi'

const { wasm, port, stop } = workerData
const answers = new Map() // by the number of the request
const utf8 = { encode: (s) => new TextEncoder().encode(s), decode: (b) => new TextDecoder().decode(b) }
let last = 0

const bytes = (ptr, size) => new Uint8Array(module.memory.buffer, ptr >>> 0, size >>> 0)

// answer is a reply as the module reads it: the length of the JSON, the JSON, the bytes.
function answer({ reply, data }) {
  const text = utf8.encode(JSON.stringify(reply))
  const b = new Uint8Array(4 + text.length + data.length)
  new DataView(b.buffer).setUint32(0, text.length, true)
  b.set(text, 4)
  b.set(data, 4 + text.length)
  return b
}

const litefs_s3 = {
  begin(ptr, size) {
    const id = ++last
    port.postMessage({ id, request: JSON.parse(utf8.decode(bytes(ptr, size).slice())) })
    return id
  },
  poll() {
    const received = receiveMessageOnPort(port)
    if (!received) return 0n
    const b = answer(received.message)
    answers.set(received.message.id, b)
    return (BigInt(received.message.id) << 32n) | BigInt(b.length)
  },
  take(id, ptr) {
    bytes(ptr, answers.get(id).length).set(answers.get(id))
    answers.delete(id)
  },
  cancel(id) {
    answers.delete(id)
    port.postMessage({ id, cancel: true })
  },
  stop: () => Atomics.load(stop, 0),
  tick() {
    if (Atomics.load(stop, 0) > 1) throw new Error('the module did not stop when it was asked to')
  },
}

const wasi = new WASI({ version: 'preview1', args: [], env: {}, preopens: {} })
const instance = await WebAssembly.instantiate(wasm, { litefs_s3, wasi_snapshot_preview1: wasi.wasiImport })
const module = instance.exports
wasi.initialize(instance)

// call calls an export with a message, and returns the state and the rest of what it answers.
function call(name, message) {
  if (message) bytes(module.alloc(message.length), message.length).set(message)
  const at = BigInt.asUintN(64, message ? module[name](message.length) : module[name]())
  const b = bytes(Number(at >> 32n), Number(at & 0xffffffffn)).slice()
  if (b[0] === 2) throw JSON.parse(utf8.decode(b.subarray(1)))
  return { end: b[0] === 1, body: b.subarray(1) }
}

// Message writes what the module reads.
class Message {
  parts = []
  add(size, fill) {
    const b = new Uint8Array(size)
    fill(new DataView(b.buffer))
    this.parts.push(b)
    return this
  }
  uint32 = (n) => this.add(4, (v) => v.setUint32(0, n, true))
  kind = (n) => this.add(1, (v) => v.setUint8(0, n))
  block(b) {
    this.uint32(b.length).parts.push(b)
    return this
  }
  value(v) {
    if (v === null || v === undefined) return this.kind(0)
    if (typeof v === 'boolean') v = v ? 1n : 0n
    if (typeof v === 'number' && Number.isSafeInteger(v)) v = BigInt(v)
    if (typeof v === 'bigint') return this.kind(1).add(8, (d) => d.setBigInt64(0, v, true))
    if (typeof v === 'number') return this.kind(2).add(8, (d) => d.setFloat64(0, v, true))
    if (typeof v === 'string') return this.kind(3).block(utf8.encode(v))
    return this.kind(4).block(v)
  }
  bytes = () => Buffer.concat(this.parts)
}

// Reader reads what the module writes.
class Reader {
  at = 0
  constructor(b) {
    this.b = b
    this.view = new DataView(b.buffer, b.byteOffset, b.length)
  }
  skip(n) {
    this.at += n
    return this.at - n
  }
  uint32 = () => this.view.getUint32(this.skip(4), true)
  block() {
    const n = this.uint32()
    const from = this.skip(n)
    return this.b.slice(from, from + n)
  }
  value() {
    switch (this.view.getUint8(this.skip(1))) {
      case 0: return null
      case 1: {
        const n = this.view.getBigInt64(this.skip(8), true)
        return Number.isSafeInteger(Number(n)) ? Number(n) : n
      }
      case 2: return this.view.getFloat64(this.skip(8), true)
      case 3: return utf8.decode(this.block())
      case 4: return this.block()
    }
    throw new Error('a value of no known kind')
  }
}

const operations = {
  open: (options) => JSON.parse(utf8.decode(call('open', utf8.encode(JSON.stringify(options))).body)),
  query({ sql, params }) {
    const named = Array.isArray(params) ? params.map((v) => ['', v]) : Object.entries(params)
    const message = new Message().block(utf8.encode(sql)).uint32(named.length)
    for (const [name, value] of named) message.block(utf8.encode(name)).value(value)
    const head = new Reader(call('query', message.bytes()).body)
    const columns = Array.from({ length: head.uint32() }, () => utf8.decode(head.block()))
    const rows = []
    for (let end = false; !end;) {
      const batch = call('next')
      end = batch.end
      const r = new Reader(batch.body)
      for (let n = r.uint32(); n > 0; n--) rows.push(columns.map(() => r.value()))
    }
    return { columns, rows }
  },
}

parentPort.on('message', ({ id, name, argument }) => {
  try {
    parentPort.postMessage({ id, value: operations[name](argument) })
  } catch (err) {
    parentPort.postMessage({ id, error: { kind: err.kind ?? 'ended', message: err.message } })
    if (!err.kind) process.exit(1) // a trap: the module is of no use any more
  }
})
