import { setFlagsFromString } from 'node:v8'

// The heap grows by need, not by what the machine has: an import takes about 140 instead of 250 MB. The limits
// `--max-semi-space-size` and `--max-old-space-size` are read only when a process starts; these flags at any time.
setFlagsFromString('--semi-space-growth-factor=1')
setFlagsFromString('--heap-growing-percent=60')
