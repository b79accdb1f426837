// node readers.mjs URL TOKEN WAREHOUSE NPM READERS: finds the tables by iceberg-js,
// reads them by icebird from the S3 endpoint, signed by aws4fetch, and looks at the
// same files by MinIO's client. Prints what clickhouse.cjs does. The last two are
// the folders of the packages.
import crypto from 'node:crypto'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [url, token, warehouse, npm, readers] = process.argv.slice(2)
const load = async file => import(pathToFileURL(file))
const { icebergRead } = await load(npm + '/icebird/src/index.js')
const { IcebergRestCatalog } = await load(readers + '/iceberg-js/dist/index.mjs')
const { AwsClient } = await load(readers + '/aws4fetch/dist/aws4fetch.esm.mjs')
const { Client } = createRequire(readers + '/')('minio')

const config = await (await fetch(`${url}/iceberg/v1/config?warehouse=${warehouse}`, { headers: { Authorization: 'Bearer ' + token } })).json()
const catalog = new IcebergRestCatalog({
  baseUrl: url + '/iceberg', catalogName: config.overrides.prefix, auth: { type: 'bearer', token }, accessDelegation: ['vended-credentials'],
})
// The bodies of answers are what the catalog has besides the metadata.
const plain = globalThis.fetch
const loaded = async id => (await plain(
  `${url}/iceberg/v1/${encodeURIComponent(config.overrides.prefix)}/namespaces/${encodeURIComponent(id.namespace[0])}/tables/${encodeURIComponent(id.name)}`,
  { headers: { Authorization: 'Bearer ' + token, 'X-Iceberg-Access-Delegation': 'vended-credentials' } })).json()

const text = v => v === null || v === undefined ? 'NULL' : String(v)
const md5 = values => crypto.createHash('md5').update(values.map(text).map(t => Buffer.from(t)).sort(Buffer.compare).map(b => b.toString()).join('\n')).digest('hex')
const fail = why => { throw new Error(why) }

const tables = {}
for (const namespace of (await catalog.listNamespaces()).namespaces) {
  const ns = namespace.namespace ?? namespace
  for (const id of (await catalog.listTables({ namespace: ns })).identifiers) {
    const metadata = await catalog.loadTable({ namespace: ns, name: id.name })
    const keys = (await loaded({ namespace: ns, name: id.name })).config
    const aws = new AwsClient({
      accessKeyId: keys['s3.access-key-id'], secretAccessKey: keys['s3.secret-access-key'], sessionToken: keys['s3.session-token'],
      service: 's3', region: keys['s3.region'], retries: 0,
    })
    globalThis.fetch = async (at, init = {}) => {
      const [, bucket, key] = /^https:\/\/([^/]+)\.s3\.amazonaws\.com\/(.*)$/.exec(String(at)) ?? fail('not a file of the lake: ' + at)
      const answer = await plain(await aws.sign(`${keys['s3.endpoint']}/${bucket}/${key}`, init))
      return answer.ok ? answer : fail(`${answer.status} ${await answer.text()}`)
    }
    const rows = await icebergRead({ tableUrl: metadata.location, metadata })
    globalThis.fetch = plain
    const columns = {}
    const schema = metadata.schemas.find(s => s['schema-id'] === metadata['current-schema-id'])
    for (const f of schema.fields) columns[f.name] = md5(rows.map(r => r[f.name]))
    tables[id.name] = { count: rows.length, columns }
    await minio(keys, metadata.location)
  }
}

// minio lists a table's files and reads some bytes of each: as many as it was told.
async function minio(keys, location) {
  const endpoint = new URL(keys['s3.endpoint'])
  const client = new Client({
    endPoint: endpoint.hostname, port: Number(endpoint.port), useSSL: false, pathStyle: true, region: keys['s3.region'],
    accessKey: keys['s3.access-key-id'], secretKey: keys['s3.secret-access-key'], sessionToken: keys['s3.session-token'],
  })
  const [bucket, ...folder] = location.replace('s3://', '').split('/')
  let files = 0
  for await (const o of client.listObjectsV2(bucket, folder.join('/') + '/', true)) {
    const { size } = await client.statObject(bucket, o.name)
    let bytes = 0
    for await (const chunk of await client.getPartialObject(bucket, o.name, 4)) bytes += chunk.length
    if (size !== o.size || bytes !== size - 4) fail(`${o.name}: listed ${o.size}, has ${size}, sent ${bytes} behind the first 4`)
    files++
  }
  if (files < 3) fail(`${files} files of ${location}`)
}
console.log(JSON.stringify(tables))
