import { RequestError } from './errors.ts'

/** Most problems that an answer names: it should not outgrow the request. */
const MOST_ERRORS = 50

/** The refusal of a request that is wrong in itself; each message is the rest of a sentence that begins with its path. */
export function invalidRequest(wrong: { path: string; message: string }[]): RequestError {
  const errors = wrong.slice(0, MOST_ERRORS)
  return new RequestError({
    status: 400,
    problem: 'invalid-request',
    title: 'The request is not valid',
    detail: errors.map(({ path, message }) => `${path} ${message}`).join('; '),
    remedy: 'Mend what errors names and send the request again.',
    errors,
  })
}
