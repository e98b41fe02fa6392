import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
const [rows, files, flags] = process.argv.slice(2)
const C = '/sys/fs/cgroup/memory/engine2'
const dir = 'node_modules/.cache/defender-relay-bench/bench'
const tables = fork(`${dir}/table-server.js`, [JSON.stringify({ latencyMs: 0, account: 0, partition: 0, files: {} })])
const [port] = await once(tables, 'message')
const opts = JSON.stringify({ what: 'fleet', rows: Number(rows), files: Number(files), origin: `http://127.0.0.1:${port}` })
writeFileSync(`${C}/memory.max_usage_in_bytes`, '0')
const child = spawn('sh', ['-c', `echo $$ > ${C}/cgroup.procs; exec ${process.execPath} ${flags ?? ''} ${dir}/cases.js '${opts}'`], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
const timer = setInterval(() => {
  for (const pid of readFileSync(`${C}/cgroup.procs`, 'utf8').trim().split('\n'))
    if (pid && Number(pid) !== child.pid) try { writeFileSync('/sys/fs/cgroup/memory/cgroup.procs', pid) } catch {}
}, 10)
const [result] = await Promise.race([once(child, 'message'), once(child, 'exit')])
console.log(rows, files, flags, JSON.stringify(result), 'cgroup max MB', Number(readFileSync(`${C}/memory.max_usage_in_bytes`, 'utf8')) / 1e6, 'failcnt', readFileSync(`${C}/memory.failcnt`, 'utf8').trim())
clearInterval(timer)
if (child.connected) child.disconnect()
tables.disconnect()
