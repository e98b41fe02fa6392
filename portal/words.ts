import { now } from './api.ts'

// A fixed language: the browser's own may be one that Intl refuses.
const counts = new Intl.NumberFormat('en-US')
const clockTimes = new Intl.DateTimeFormat('en-GB', {
  day: '2-digit',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  timeZone: 'UTC',
})
const years = new Intl.DateTimeFormat('en-GB', { year: 'numeric', timeZone: 'UTC' })

export const count = (value: number) => counts.format(value)

/** `1 device`, `2 devices`. */
export const plural = (value: number, one: string, more = `${one}s`) =>
  `${count(value)} ${value === 1 ? one : more}`

/** `12 %`; what is there never looks like none, nor a part like all. */
export function share(value: number, whole: number): string {
  const percent = Math.round((100 * value) / Math.max(whole, 1))
  if (value > 0 && percent === 0) return '< 1 %'
  return value < whole && percent === 100 ? '> 99 %' : `${percent} %`
}

const units = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
] as const

/** A time span in its largest unit, the two largest below two days: `4 d`, `1 d 3 h`, `12 s`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const index = units.findIndex(([size]) => whole >= size)
  const unit = units[index]
  if (!unit) return `${whole} s`
  const [size, name] = unit
  const smaller = units[index + 1]
  const rest = smaller && whole < 2 * size ? Math.floor((whole % size) / smaller[0]) : 0
  return `${Math.floor(whole / size)} ${name}${smaller && rest > 0 ? ` ${rest} ${smaller[1]}` : ''}`
}

/** `3 min ago`, `in 2 h`; a time that can't be read stays as it is. */
export function relative(time: string): string {
  const seconds = (now() - Date.parse(time)) / 1000
  if (Number.isNaN(seconds)) return time
  if (Math.abs(seconds) < 5) return 'now'
  return seconds > 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`
}

/** `30 Nov, 08:12 UTC`, with the year where it is another one. */
export function exact(time: string): string {
  const date = new Date(time)
  if (Number.isNaN(date.getTime())) return ''
  const year = years.format(date)
  const day = clockTimes.format(date)
  return `${year === years.format(now()) ? day : day.replace(',', ` ${year},`)} UTC`
}

/** A text of the app with its times as the page writes them. */
export const withTimes = (text: string): string =>
  text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (time) => exact(time) || time)

/** `WindowsServer2012R2` → `Windows Server 2012 R2`; other systems stay as they are. */
export const systemName = (os: string): string =>
  os.replace(/^Windows(Server)?(\d+)(R2)?$/, (_, ...parts: unknown[]) =>
    ['Windows', ...parts.slice(0, 3)].filter(Boolean).join(' '),
  )

export const secondsSince = (time: string) => (now() - Date.parse(time)) / 1000

/** `machine-actions` → `Machine actions`, `RunAntiVirusScan` → `Run antivirus scan`. */
export function spell(name: string): string {
  const known = name.replaceAll('-', ' ').replace('AntiVirus', 'Antivirus')
  const words = known.replace(/([a-z])([A-Z])/g, '$1 $2')
  const lower = words.replace(/\B[A-Z](?=[a-z])| [A-Z](?=[a-z])/g, (part) => part.toLowerCase())
  return lower.charAt(0).toUpperCase() + lower.slice(1)
}
