/** The cells of `npm test`: each kind of fault, and the steps that most depends on. */
export const quick: string[] = []
