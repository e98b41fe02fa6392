// Loaded into the emulator's process before anything else. A parent that was killed closes its pipes and the channel:
// without the first line the emulator dies of EPIPE and forgets what it had acknowledged; the second makes it save and leave.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
process.on('disconnect', () => process.emit('SIGTERM'))
