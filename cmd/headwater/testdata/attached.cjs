// node attached.cjs STATEMENT...: has ClickHouse, which runs in this process, carry
// the statements out, and prints what the last one answers, as a JSON text.
const { Session } = require('chdb')

const s = new Session()
let answer = ''
for (const statement of process.argv.slice(2)) answer = s.query(statement, 'TabSeparatedRaw')
console.log(JSON.stringify(answer))
process.exit(0)
