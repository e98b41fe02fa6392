// Plain CommonJS, so that any Node can run it and say what is wrong instead of failing on syntax.
const major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  console.error(
    `defender-relay runs on Node 24 and this is Node ${process.versions.node}: run "npm ci" again so that the pinned Node is installed (with optional dependencies), or put Node 24 first on PATH.`,
  )
  process.exit(1)
}
