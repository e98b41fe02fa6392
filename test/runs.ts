/** How many generated cases: few in `npm test`, which runs often, and many in `npm run test:property`. */
export const runs = (few: number, many: number): number =>
  Number(process.env.PROPERTY_RUNS ?? (process.env.MODE === 'property' ? many : few))
