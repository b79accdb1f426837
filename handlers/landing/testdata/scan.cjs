// node scan.cjs TABLE...: reads all of each Iceberg table below the working directory
// with ClickHouse, which runs in this process, nine times in turn, and prints the
// median of the processor time that takes, milliseconds, a line each.
const { Session } = require('chdb')

const tables = process.argv.slice(2)
const s = new Session()
const took = tables.map(() => [])
for (let i = 0; i < 9; i++) {
  tables.forEach((table, t) => {
    const before = process.cpuUsage()
    s.query(`SELECT count(), sum(version), sum(amount), sum(length(note)) FROM icebergLocal('${process.cwd()}/${table}/') SETTINGS max_threads = 1`, 'TSV')
    const spent = process.cpuUsage(before)
    took[t].push((spent.user + spent.system) / 1000)
  })
}
for (const all of took) console.log(all.sort((a, b) => a - b)[4])
process.exit(0)
