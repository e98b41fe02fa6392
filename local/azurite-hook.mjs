import module from 'node:module'

// Loaded into the emulator's process before anything else. When the parent is killed, its pipes and its channel close:
// without the first line the emulator ends with EPIPE and loses acknowledged writes. The rest makes it save and end,
// also when the parent ends before the emulator handles signals.
// Its files hold callback URLs and their secrets: only this user may read them.
process.umask(0o077)
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
const leave = () => process.emit('SIGTERM') || setTimeout(leave, 50).unref()
if (process.connected) process.on('disconnect', leave)
else leave()

// Telemetry is off and there is no SQL server: what only they need is half of the work of a start.
const unused = /\/node_modules\/(?:applicationinsights|sequelize)\/.*js$/
module.registerHooks({
  load: (url, context, next) =>
    unused.test(url)
      ? { format: 'commonjs', source: 'exports.Model = class {}', shortCircuit: true }
      : next(url, context),
})
