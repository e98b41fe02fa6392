import type { HttpCall } from './http-call.ts'

const plainHeaders = new Set(['accept', 'accept-encoding', 'content-type', 'user-agent', 'prefer'])

/** What a server could echo of a call, in the forms it could do so: header values, query values but OData's own, an unnamed path. */
export function secretsOf({ url, name, headers = {} }: HttpCall): string[] {
  const fromHeaders = Object.entries(headers).flatMap(([header, value]) =>
    plainHeaders.has(header.toLowerCase()) ? [] : value.split(/[\s;,=]+/),
  )
  const fromQuery = url.search
    .slice(1)
    .split('&')
    .flatMap((option) => (/^(\$|%24)/.test(option) ? [] : option.replace(/^[^=]*=/, '')))
    .flatMap((raw) => [raw, ...new URLSearchParams(`value=${raw}`).values()])
  const fromPath = name.includes(url.pathname) ? [] : [url.pathname]
  return [...fromHeaders, ...fromQuery, ...fromPath]
    .flatMap((value) => [
      value,
      encodeURIComponent(value),
      encodeURIComponent(encodeURIComponent(value)),
    ])
    .filter((value) => value.length >= 12)
    .sort((a, b) => b.length - a.length)
}
