// Plain CommonJS: it runs on any Node, after `npm ci`. The Node of the lock file is a package for each system, all with a
// command `node`. npm 10 removes that command again together with the packages for other systems.
const { spawnSync } = require('node:child_process')
const { existsSync } = require('node:fs')
const { join } = require('node:path')

const modules = join(__dirname, '..', 'node_modules')
const system = process.platform === 'win32' ? 'win' : process.platform
const names = ['node', 'node-bin'].map((prefix) => `${prefix}-${system}-${process.arch}`)
const name = names.find((one) => existsSync(join(modules, one)))
const { npm_execpath: npm } = process.env
if (name && npm && !existsSync(join(modules, '.bin', 'node')))
  spawnSync(process.execPath, [npm, 'rebuild', name, '--ignore-scripts'], { stdio: 'ignore' })
