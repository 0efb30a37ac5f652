// Runs the cases on standard input, and writes what comes of each as a line of JSON.
import { text } from 'node:stream/consumers'
import { Replica } from '../replica.mjs'

const { module, cases } = JSON.parse(await text(process.stdin))
for (const { url, txid, timeout, sql, params } of cases) {
  let replica
  try {
    replica = await Replica.open(url, { module, txid })
    replica.timeout = timeout
    const { rows } = await replica.query(sql, params)
    console.log(JSON.stringify({ rows }, (_, v) => (typeof v === 'bigint' ? String(v) : v instanceof Uint8Array ? [...v] : v)))
  } catch (err) {
    console.log(JSON.stringify({ error: `${err.kind}: ${err.message}` }))
  } finally {
    await replica?.close()
  }
}
