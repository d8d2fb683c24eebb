import { type NotAsked, storeConformance } from './conformance.ts'
import type { StoreSubject } from './subject.ts'

/** What the suite uses of a test runner: `node:test`, vitest, jest and mocha all have it. */
export interface Runner {
  describe(name: string, body: () => void): unknown
  it(name: string, run: () => Promise<void>): unknown
}

/** Options of {@link describeStore}. */
export interface DescribeOptions {
  /** Receives, line by line, what the store is not asked. Default: the standard output. */
  readonly print?: (line: string) => void
}

/**
 * Declares one test per promise of the store contract. What the store is not asked, because it lacks something, is
 * printed with the reason, promise by promise.
 *
 * @example
 * import { describe, it } from 'node:test'
 * describeStore({ describe, it }, { name: 'my store', open: async () => ({ store, second, prefix, advance, close }) })
 *
 * @throws AsideError `ASIDE_BAD_OPTION` when `lacks` names no capability or gives no reason.
 */
export function describeStore(runner: Runner, subject: StoreSubject, options: DescribeOptions = {}): void {
  const { print = (line) => void process.stdout.write(`${line}\n`) } = options
  const { cases, notAsked } = storeConformance(subject)
  for (const line of linesOf(subject.name, notAsked)) print(line)
  runner.describe(`${subject.name} keeps the store contract`, () => {
    for (const { name, run } of cases) runner.it(name, run)
  })
}

function linesOf(subject: string, notAsked: readonly NotAsked[]): string[] {
  const lacking = [...new Set(notAsked.map(({ lacks }) => lacks))]
  return lacking.flatMap((capability) => {
    const promises = notAsked.filter(({ lacks }) => lacks === capability)
    const reason = promises[0]?.reason
    return [
      `${subject}: not asked, for there is no ${capability} (${reason}):`,
      ...promises.map(({ name }) => `  ${name}`),
    ]
  })
}
