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

const publicCloud = (region = ''): Cloud => ({
  apiBase: `https://${region}api.security.microsoft.com`,
  authority: 'https://login.microsoftonline.com',
  // Documented for all hosts: with a newer host as audience, tokens have no roles.
  audience: 'https://api.securitycenter.microsoft.com',
  blobSuffix: '.blob.core.windows.net',
})

// No single page documents audience and blob suffix of the government clouds: settings can replace both.
const govCloud = (apiBase: string, authority: string): Cloud => ({
  apiBase,
  authority,
  audience: apiBase,
  blobSuffix: '.blob.core.usgovcloudapi.net',
})

const highCloud = govCloud(
  'https://api-gov.securitycenter.microsoft.us',
  'https://login.microsoftonline.us',
)

/** By the values of the setting `DEFENDER_CLOUD`. https://learn.microsoft.com/defender-endpoint/gov#api */
export const clouds = {
  commercial: publicCloud(),
  us: publicCloud('us.'),
  eu: publicCloud('eu.'),
  uk: publicCloud('uk.'),
  au: publicCloud('au.'),
  swa: publicCloud('swa.'),
  ina: publicCloud('ina.'),
  aea: publicCloud('aea.'),
  gcc: govCloud('https://api-gcc.securitycenter.microsoft.us', 'https://login.microsoftonline.com'),
  'gcc-high': highCloud,
  dod: highCloud,
}

export const cloudNames = Object.keys(clouds) as (keyof typeof clouds)[]

/** The scope of a token request. */
export const scopeOf = ({ audience }: Pick<Cloud, 'audience'>) => `${audience}/.default`
