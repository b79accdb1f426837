// node iceberg.mjs BUCKETS METADATA-LOCATION: reads a table with icebird, an
// Iceberg reader for JavaScript, and prints its rows as sorted lines "id|text"
// and the names of all files that any of its snapshots needs. s3://bucket/key is
// the file BUCKETS/bucket/key, where the server under test keeps it; file:// is
// the file itself.
import fs from 'node:fs'
import { pathToFileURL } from 'node:url'
import zlib from 'node:zlib'

const [buckets, location] = process.argv.slice(2)
const load = async name => import(pathToFileURL(process.env.NODE_PATH + '/' + name))
const { icebergRead, icebergManifests } = await load('icebird/src/index.js')

function path(url) {
  const s3 = /^https:\/\/([^/]+)\.s3\.amazonaws\.com\/(.*)$/.exec(url)
  if (s3) return buckets + '/' + s3[1] + '/' + s3[2]
  return url.startsWith('file://') ? decodeURIComponent(url.slice(7)) : buckets + '/' + url.replace('s3://', '')
}

// plain inflates the blocks of an Avro file, which the reader does not do for
// every block that is one.
function plain(file) {
  let at = 4
  const long = () => {
    let n = 0n, shift = 0n, b
    do { b = file[at++]; n |= BigInt(b & 127) << shift; shift += 7n } while (b & 128)
    return Number((n >> 1n) ^ -(n & 1n))
  }
  const put = n => {
    const out = []
    let z = BigInt(n) << 1n
    do { out.push(Number(z & 127n) | (z > 127n ? 128 : 0)); z >>= 7n } while (z)
    return Buffer.from(out)
  }
  const bytes = () => { const n = long(); at += n; return file.subarray(at - n, at) }
  const out = [file.subarray(0, 4)], entries = []
  for (let n = long(); n; n = long()) while (n--) entries.push([bytes(), bytes()])
  let deflated = false
  out.push(put(entries.length))
  for (let [key, value] of entries) {
    if (key.toString() === 'avro.codec') {
      deflated = value.toString() === 'deflate'
      value = Buffer.from('null')
    }
    out.push(put(key.length), key, put(value.length), value)
  }
  const sync = file.subarray(at, at += 16)
  out.push(put(0), sync)
  while (at < file.length) {
    const count = long(), block = bytes(), content = deflated ? zlib.inflateRawSync(block) : block
    at += 16
    out.push(put(count), put(content.length), content, sync)
  }
  return Buffer.concat(out)
}

globalThis.fetch = async (url, init = {}) => {
  let content = fs.readFileSync(path(String(url)))
  if (content.subarray(0, 3).toString() === 'Obj') content = plain(content)
  const headers = new Headers(init.headers)
  const range = /^bytes=(\d+)-(\d*)$/.exec(headers.get('Range') ?? '')
  if (init.method === 'HEAD') return new Response(null, { headers: { 'Content-Length': String(content.length) } })
  if (!range) return new Response(content)
  return new Response(content.subarray(Number(range[1]), range[2] ? Number(range[2]) + 1 : undefined), { status: 206 })
}

const metadata = JSON.parse(fs.readFileSync(path(location), 'utf8'))
const files = [location, ...(metadata['metadata-log'] ?? []).map(m => m['metadata-file'])]
for (const s of metadata.snapshots ?? []) {
  files.push(s['manifest-list'])
  for (const m of await icebergManifests({ ...metadata, 'current-snapshot-id': s['snapshot-id'] })) {
    files.push(m.url, ...m.entries.map(e => e.data_file.file_path))
  }
}
const rows = await icebergRead({ tableUrl: metadata.location, metadata })
const lines = rows.map(r => r.id + '|' + r.note).sort()
console.log(JSON.stringify({ lines, files: [...new Set(files)].map(f => f.split('/').pop()) }))
