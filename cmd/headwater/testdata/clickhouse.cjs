// node clickhouse.cjs URL TOKEN WAREHOUSE: attaches the catalog to ClickHouse, which
// runs in this process, and prints what it reads of each table: the rows, and of
// each column the MD5 of its values' texts in order.
const { Session } = require('chdb')

const [url, token, warehouse] = process.argv.slice(2)
const s = new Session()
const lines = sql => s.query(sql, 'TabSeparatedRaw').split('\n').filter(line => line)

s.query('SET allow_experimental_database_iceberg = 1')
s.query(`CREATE DATABASE lake ENGINE = DataLakeCatalog('${url}/iceberg/v1') SETTINGS catalog_type = 'rest', warehouse = '${warehouse}', auth_header = 'Authorization: Bearer ${token}'`)
const tables = {}
for (const table of lines('SHOW TABLES FROM lake')) {
  const columns = {}
  const names = lines(`DESCRIBE TABLE lake.\`${table}\``).map(line => line.split('\t')[0])
  const text = n => `lower(hex(MD5(arrayStringConcat(arraySort(groupArray(ifNull(toString(\`${n}\`), 'NULL'))), '\\n'))))`
  const [count, ...sums] = lines(`SELECT count(), ${names.map(text).join(', ')} FROM lake.\`${table}\``)[0].split('\t')
  names.forEach((name, i) => { columns[name] = sums[i] })
  tables[table.slice(table.lastIndexOf('.') + 1)] = { count: Number(count), columns }
}
console.log(JSON.stringify(tables))
process.exit(0)
