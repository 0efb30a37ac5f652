// What the module asks of the store, over HTTP: ranges of objects, and the listing that S3 gives of a bucket that everybody may read.

// fetchObject answers one request. It never fails: what goes wrong is in the reply.
export async function fetchObject(url, request, signal) {
  try {
    return await (request.op === 'list' ? list(url, request, signal) : read(url, request, signal))
  } catch (err) {
    return refuse('temporary', String(err.cause ?? err))
  }
}

const refuse = (code, message) => ({ reply: { code, message }, data: new Uint8Array() })

const ranges = {
  read: ({ off = 0, n }) => `bytes=${off}-${off + n - 1}`,
  prefix: ({ n }) => `bytes=0-${n - 1}`,
  suffix: ({ n }) => `bytes=-${n}`,
}

async function read(url, request, signal) {
  const { op, key, etag, n } = request
  const headers = { Range: ranges[op](request), 'Accept-Encoding': 'identity' }
  if (etag) headers['If-Match'] = `"${etag}"`
  const response = await fetch(url + key.split('/').map(encodeURIComponent).join('/'), { headers, signal })
  if (!response.ok) return refusal(response)
  const data = new Uint8Array(await response.arrayBuffer())
  const [, from, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('Content-Range') ?? '') ?? [0, 0, data.length]
  if (op === 'read' && (response.status !== 206 || data.length < n)) return refuse('short', `${data.length} of ${n} bytes came`)
  if (response.status === 200 && data.length > n) return refuse('unsupported', 'the server does not honour Range')
  return { reply: { off: Number(from), size: Number(size), etag: bare(response.headers.get('ETag')) }, data }
}

// list asks the bucket, which is the first folder of the URL, for the keys below the replica's.
async function list(url, { key, after }, signal) {
  const { origin, pathname } = new URL(url)
  const [, bucket, ...rest] = pathname.split('/')
  const root = rest.join('/')
  const query = new URLSearchParams({ 'list-type': '2', prefix: root + key })
  if (after) query.set('start-after', root + after)
  const response = await fetch(`${origin}/${bucket}?${query}`, { signal })
  if (!response.ok) return refusal(response)
  const xml = await response.text()
  const objects = [...xml.matchAll(/<Contents>(.*?)<\/Contents>/gs)].map(([, item]) => ({
    key: text(item, 'Key').slice(root.length), size: Number(text(item, 'Size')),
    etag: bare(text(item, 'ETag')), modified: Date.parse(text(item, 'LastModified')) || 0,
  }))
  return { reply: { objects, more: text(xml, 'IsTruncated') === 'true' }, data: new Uint8Array() }
}

const entities = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#34;': '"', '&apos;': "'", '&#39;': "'" }

function text(xml, name) {
  const found = new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(xml)
  return found ? found[1].replace(/&[#\w]+;/g, (e) => entities[e] ?? e) : ''
}

const bare = (etag) => (etag ?? '').replaceAll('"', '')

// refusal says what a status means to the module.
async function refusal(response) {
  await response.arrayBuffer() // so that the connection can be used again
  const codes = { 401: 'access', 403: 'access', 404: 'not_found', 412: 'changed', 416: 'short', 405: 'unsupported', 501: 'unsupported' }
  return refuse(codes[response.status] ?? 'temporary', `the server says ${response.status} ${response.statusText}`)
}
