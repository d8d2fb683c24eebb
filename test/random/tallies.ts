/** Sums over both wrapped dbs. */
export const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

export function added(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const all: Record<string, number> = {}
  for (const [name, count] of counts.flatMap((each) => Object.entries(each))) all[name] = (all[name] ?? 0) + count
  return all
}
