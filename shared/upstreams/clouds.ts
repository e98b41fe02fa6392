/** The Defender clouds, by the values of the setting `DEFENDER_CLOUD`. */
export const cloudNames = [
  'commercial',
  'us',
  'eu',
  'uk',
  'au',
  'swa',
  'ina',
  'aea',
  'gcc',
  'gcc-high',
  'dod',
] as const
export type CloudName = (typeof cloudNames)[number]

/** The hosts of one Defender cloud. */
export interface Cloud {
  apiBase: string
  /** The login host. */
  authority: string
  /** The audience of tokens; a wrong one gives 403. */
  audience: string
  /** The end of the host names of export files. */
  blobSuffix: string
}

// The documentation names the audience of the older host, also for the newer hosts; with the newer host as audience,
// tokens have no roles.
const PUBLIC_AUDIENCE = 'https://api.securitycenter.microsoft.com'

const publicCloud = (region = ''): Cloud => ({
  apiBase: `https://${region}api.security.microsoft.com`,
  authority: 'https://login.microsoftonline.com',
  audience: PUBLIC_AUDIENCE,
  blobSuffix: '.blob.core.windows.net',
})

// No single page documents audience and blob suffix of the government clouds: settings can replace both.
const GOV_BASE = 'https://api-gov.securitycenter.microsoft.us'
const GOV_CLOUD: Cloud = {
  apiBase: GOV_BASE,
  authority: 'https://login.microsoftonline.us',
  audience: GOV_BASE,
  blobSuffix: '.blob.core.usgovcloudapi.net',
}

/** https://learn.microsoft.com/defender-endpoint/gov#api */
export const clouds: Record<CloudName, Cloud> = {
  commercial: publicCloud(),
  us: publicCloud('us.'),
  eu: publicCloud('eu.'),
  uk: publicCloud('uk.'),
  au: publicCloud('au.'),
  swa: publicCloud('swa.'),
  ina: publicCloud('ina.'),
  aea: publicCloud('aea.'),
  gcc: {
    ...GOV_CLOUD,
    apiBase: 'https://api-gcc.securitycenter.microsoft.us',
    authority: 'https://login.microsoftonline.com',
    audience: 'https://api-gcc.securitycenter.microsoft.us',
  },
  'gcc-high': GOV_CLOUD,
  dod: GOV_CLOUD,
}

/** The scope of a token request. */
export const scopeOf = ({ audience }: Pick<Cloud, 'audience'>) => `${audience}/.default`
