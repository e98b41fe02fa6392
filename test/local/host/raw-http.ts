import { connect } from 'node:net'

/** Sends exactly these bytes and returns the answer as text; fetch would normalise both. */
export function sendRaw(url: string, request: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(request))
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
  })
}

/** A raw GET of a path, the connection closed after it. */
export function getRaw(url: string, path: string): Promise<string> {
  return sendRaw(
    url,
    `GET ${path} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nConnection: close\r\n\r\n`,
  )
}
