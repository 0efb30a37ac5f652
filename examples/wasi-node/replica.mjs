// A replica that Litestream writes, read where it lies by Node and nothing else: SQLite and the engine are the WASI module that "make
// sandbox" builds, and what the module wants to read is fetched here.
//
//	const replica = await Replica.open('http://127.0.0.1:9000/bucket/app', { module: 'litefs-s3.wasm.gz' })
//	const { columns, rows } = await replica.query('SELECT id, title FROM posts WHERE id > ?', [7])
//	await replica.close()
//
// The module runs in a worker, because its imports are synchronous and fetch is not: the worker posts requests here and looks for
// answers while the module sleeps. docs/wasi-abi.md says what the two call of each other.
import { Worker, MessageChannel } from 'node:worker_threads'
import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { fetchObject } from './store.mjs'

const GRACE = 500 // milliseconds for the module to stop when it is asked to, before it is made to

const compiled = new Map() // modules by path: all replicas of a process share one

function compile(path) {
  if (!compiled.has(path)) {
    compiled.set(path, readFile(path).then((b) => WebAssembly.compile(b[0] === 0x1f ? gunzipSync(b) : b)))
  }
  return compiled.get(path)
}

export class Replica {
  #url
  #worker
  #stop = new Int32Array(new SharedArrayBuffer(4))
  #requests = new Map() // AbortControllers by number
  #calls = new Map() // promises by number
  #turn = Promise.resolve() // the end of the call before: the module does one thing at a time
  #last = 0

  // open opens the replica at url. Options: module is the path of litefs-s3.wasm.gz; time or txid choose a moment; timeout is what one
  // call may take, in milliseconds; sqlMemory and cacheSize are bytes.
  static async open(url, { module, time, txid, timeout = 30_000, sqlMemory = 32 << 20, cacheSize = 16 << 20 }) {
    const replica = new Replica(url, await compile(module), timeout)
    try {
      replica.opened = await replica.#call('open', {
        version: 1, time, txid, memory: 0, sql_memory: sqlMemory, cache_size: cacheSize, poll_interval: 1000,
      })
    } catch (err) {
      await replica.close()
      throw err
    }
    return replica
  }

  constructor(url, wasm, timeout) {
    this.#url = url.replace(/\/+$/, '') + '/'
    this.timeout = timeout
    const { port1, port2 } = new MessageChannel()
    port1.on('message', (m) => this.#serve(port1, m))
    this.#worker = new Worker(new URL('./worker.mjs', import.meta.url), {
      workerData: { wasm, port: port2, stop: this.#stop }, transferList: [port2],
    })
    this.#worker.on('message', ({ id, error, value }) => this.#answer(id, error, value))
    this.#worker.on('error', (err) => this.#fail(err))
    this.#worker.on('exit', () => this.#fail(new Error('the module has ended: open the replica again')))
  }

  // query runs one statement. params are in order, or an object of names.
  query(sql, params = []) {
    return this.#call('query', { sql, params })
  }

  // close ends the replica, whatever it does.
  async close() {
    for (const controller of this.#requests.values()) controller.abort()
    await this.#worker.terminate()
  }

  // serve makes a request of the module's, or forgets one.
  async #serve(port, { id, request, cancel }) {
    if (cancel) {
      this.#requests.get(id)?.abort()
      return
    }
    const controller = new AbortController()
    this.#requests.set(id, controller)
    const { reply, data } = await fetchObject(this.#url, request, controller.signal)
    this.#requests.delete(id)
    port.postMessage({ id, reply, data })
  }

  // call has the worker do something, after what it does now.
  #call(name, argument) {
    const run = () => this.#send(name, argument)
    const result = this.#turn.then(run, run)
    this.#turn = result.catch(() => {})
    return result
  }

  async #send(name, argument) {
    const id = ++this.#last
    Atomics.store(this.#stop, 0, 0)
    const timer = setTimeout(() => Atomics.store(this.#stop, 0, 1), this.timeout)
    const last = setTimeout(() => Atomics.store(this.#stop, 0, 2), this.timeout + GRACE)
    try {
      return await new Promise((resolve, reject) => {
        this.#calls.set(id, { resolve, reject })
        this.#worker.postMessage({ id, name, argument })
      })
    } finally {
      clearTimeout(timer)
      clearTimeout(last)
      this.#calls.delete(id)
    }
  }

  #answer(id, error, value) {
    const call = this.#calls.get(id)
    if (error) call?.reject(Object.assign(new Error(error.message), { kind: error.kind }))
    else call?.resolve(value)
  }

  #fail(err) {
    for (const { reject } of this.#calls.values()) reject(err)
  }
}
