// Loaded into the emulator's process before anything else. A parent that was killed closes its pipes and the channel:
// without the first line the emulator dies of EPIPE and forgets what it had acknowledged; the rest makes it save and leave,
// also when the parent goes before the emulator listens to signals.
// What it keeps holds callback URLs and their secrets: for this user alone.
process.umask(0o077)
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
const leave = () => process.emit('SIGTERM') || setTimeout(leave, 50).unref()
if (process.connected) process.on('disconnect', leave)
else leave()
