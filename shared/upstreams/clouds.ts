/** The Defender clouds by the name that the setting `DEFENDER_CLOUD` takes. */
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

/** Where one Defender cloud lives. */
export interface Cloud {
  apiBase: string
  /** Whom to sign in with. */
  authority: string
  /** Whom tokens are for; the wrong one gives 403. */
  audience: string
  /** What the host names of its export files end in. */
  blobSuffix: string
}

// The audience of the older name is the one that the pages ask for, on the newer hosts too; that of the host called
// gives tokens without the roles.
const PUBLIC_AUDIENCE = 'https://api.securitycenter.microsoft.com'

const publicCloud = (apiHost: string): Cloud => ({
  apiBase: `https://${apiHost}`,
  authority: 'https://login.microsoftonline.com',
  audience: PUBLIC_AUDIENCE,
  blobSuffix: '.blob.core.windows.net',
})

// Audience and blob suffix of the government clouds are not published in one place: both can be set by hand.
const GOV_BASE = 'https://api-gov.securitycenter.microsoft.us'
const GOV_CLOUD: Cloud = {
  apiBase: GOV_BASE,
  authority: 'https://login.microsoftonline.us',
  audience: GOV_BASE,
  blobSuffix: '.blob.core.usgovcloudapi.net',
}

/** Every cloud. https://learn.microsoft.com/defender-endpoint/gov#api */
export const clouds: Record<CloudName, Cloud> = {
  commercial: publicCloud('api.security.microsoft.com'),
  us: publicCloud('us.api.security.microsoft.com'),
  eu: publicCloud('eu.api.security.microsoft.com'),
  uk: publicCloud('uk.api.security.microsoft.com'),
  au: publicCloud('au.api.security.microsoft.com'),
  swa: publicCloud('swa.api.security.microsoft.com'),
  ina: publicCloud('ina.api.security.microsoft.com'),
  aea: publicCloud('aea.api.security.microsoft.com'),
  gcc: {
    ...GOV_CLOUD,
    apiBase: 'https://api-gcc.securitycenter.microsoft.us',
    authority: 'https://login.microsoftonline.com',
    audience: 'https://api-gcc.securitycenter.microsoft.us',
  },
  'gcc-high': GOV_CLOUD,
  dod: GOV_CLOUD,
}

/** The scope to ask a token for. */
export const scopeOf = ({ audience }: Pick<Cloud, 'audience'>) => `${audience}/.default`
