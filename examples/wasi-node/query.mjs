// node query.mjs MODULE URL SQL [PARAMETER...]: runs a statement on a replica, and writes a line of JSON for each row.
import { Replica } from './replica.mjs'

const [module, url, sql, ...params] = process.argv.slice(2)
if (!sql) {
  console.error('usage: node query.mjs litefs-s3.wasm.gz http://host/bucket/replica "SELECT …" [parameter…]')
  process.exit(2)
}
const json = (_, v) => (typeof v === 'bigint' ? String(v) : v instanceof Uint8Array ? { base64: Buffer.from(v).toString('base64') } : v)
let replica
try {
  replica = await Replica.open(url, { module, timeout: Number(process.env.TIMEOUT ?? 30_000), txid: process.env.TXID, time: process.env.TIME })
  const { columns, rows } = await replica.query(sql, params)
  for (const row of rows) console.log(JSON.stringify(Object.fromEntries(columns.map((c, i) => [c, row[i]])), json))
} catch (err) {
  console.error(`${err.kind ?? 'error'}: ${err.message}`)
  process.exitCode = 1
} finally {
  await replica?.close()
}
