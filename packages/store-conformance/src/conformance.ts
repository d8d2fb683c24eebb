import { equal, ok } from 'node:assert/strict'
import { AsideError } from 'drizzle-aside/store'
import { bound } from './cases/bound.ts'
import { closing } from './cases/closing.ts'
import { entries } from './cases/entries.ts'
import { incarnations } from './cases/incarnations.ts'
import { lives } from './cases/lives.ts'
import { register } from './cases/register.ts'
import { removals } from './cases/removals.ts'
import { stamps } from './cases/stamps.ts'
import { type Bench, BOUND, type Rule } from './rule.ts'
import type { Capability, OpenedStore, StoreSubject } from './subject.ts'

/** One promise of the contract, for a runner: it is kept when `run` resolves. */
export interface ConformanceCase {
  /** The promise as a sentence. */
  readonly name: string
  run(): Promise<void>
}

/** A promise that the store is not asked to keep. */
export interface NotAsked {
  readonly name: string
  /** What the store, or its test, has declared to do without. */
  readonly lacks: Capability
  /** Why, in the words of the declaration. */
  readonly reason: string
}

/** All promises of the contract: those to run, and those that are not asked. */
export interface Conformance {
  readonly cases: readonly ConformanceCase[]
  readonly notAsked: readonly NotAsked[]
}

const capabilities: readonly Capability[] = ['second', 'clock', 'register', 'bound']

/**
 * What every store must do, as named cases that any runner can run, in any order and at once. Each case opens the store
 * anew. {@link describeStore} hands them to a runner.
 *
 * @example
 * const { cases, notAsked } = storeConformance({ name: 'my store', open })
 * for (const { name, run } of cases) test(name, run)
 *
 * @throws AsideError `ASIDE_BAD_OPTION` when `lacks` names no capability or gives no reason.
 */
export function storeConformance(subject: StoreSubject): Conformance {
  checkLacks(subject)
  const rules = [...entries, ...stamps, ...removals, ...lives, ...register, ...incarnations, ...bound, ...closing]
  const asked = rules.filter((rule) => !lackOf(rule, subject))
  return {
    cases: [...asked.map((rule) => caseOf(rule, subject)), declarations(subject)],
    notAsked: rules.flatMap((rule) => notAskedOf(rule, subject)),
  }
}

function checkLacks({ name, lacks = {} }: StoreSubject): void {
  for (const [lacking, reason] of Object.entries(lacks)) {
    if (capabilities.some((capability) => capability === lacking) && reason.trim() !== '') continue
    const known = capabilities.join(', ')
    const message = `lacks.${lacking} of "${name}" must be one of ${known}, with a reason as text.`
    throw new AsideError('ASIDE_BAD_OPTION', message)
  }
}

const lackOf = ({ needs = [] }: Rule, { lacks = {} }: StoreSubject): Capability | undefined =>
  needs.find((need) => lacks[need] !== undefined)

function notAskedOf(rule: Rule, subject: StoreSubject): NotAsked[] {
  const { lacks = {} } = subject
  const lacking = lackOf(rule, subject)
  if (lacking) return [{ name: rule.promise, lacks: lacking, reason: lacks[lacking] ?? '' }]
  if (!rule.between || lacks.second === undefined) return []
  return [{ name: `${rule.promise} (between two instances)`, lacks: 'second', reason: lacks.second }]
}

function caseOf(rule: Rule, subject: StoreSubject): ConformanceCase {
  const isBounded = rule.needs?.includes('bound') ?? false
  return {
    name: rule.promise,
    run: () =>
      withStore(
        () => (isBounded ? openBounded(subject) : subject.open()),
        (opened) => rule.check(benchOf(opened, rule, subject)),
      ),
  }
}

function openBounded(subject: StoreSubject): Promise<OpenedStore> {
  if (subject.openBounded) return subject.openBounded(BOUND)
  throw missing('the subject has no openBounded(maxBytes)', 'bound')
}

function benchOf({ store, second, prefix, advance }: OpenedStore, rule: Rule, { lacks = {} }: StoreSubject): Bench {
  if (!second && lacks.second === undefined) throw missing('open() gives no second', 'second')
  const needsClock = rule.needs?.includes('clock')
  if (needsClock && !advance) throw missing('open() gives no advance(ms)', 'clock')
  if (rule.needs?.includes('register') && !hasRegister(store)) throw missing('the store has no register', 'register')
  return {
    store,
    second: second ?? store,
    prefix,
    advance: needsClock && advance ? advance : () => Promise.reject(new Error('The case has not asked for a clock.')),
    pass: advance ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms))),
  }
}

const hasRegister = ({ enter, removeAndLook }: OpenedStore['store']): boolean => Boolean(enter && removeAndLook)

const missing = (what: string, capability: Capability): Error =>
  new Error(`${what}. Give one, or declare why there is none: lacks: { ${capability}: 'the reason' }.`)

/** A declaration that is no longer true would leave promises unasked for nothing. */
function declarations(subject: StoreSubject): ConformanceCase {
  const { lacks = {} } = subject
  const check = async ({ store, second, advance }: OpenedStore) => {
    const has = { second, clock: advance, register: hasRegister(store), bound: subject.openBounded }
    for (const capability of capabilities) {
      const isDeclared = lacks[capability] !== undefined
      equal(isDeclared && Boolean(has[capability]), false, `declared as lacking, and there: ${capability}`)
      equal(isDeclared || Boolean(has[capability]), true, `neither there nor declared as lacking: ${capability}`)
    }
    ok(store.processLocal || hasRegister(store), 'a store that several processes share keeps a register')
  }
  return { name: 'lacks what it declares, and nothing else', run: () => withStore(() => subject.open(), check) }
}

/** What has failed in the case is the news, not what the closing says after it. */
async function withStore(
  open: () => Promise<OpenedStore>,
  check: (opened: OpenedStore) => Promise<void>,
): Promise<void> {
  const opened = await open()
  const outcome = await outcomeOf(() => check(opened))
  const closed = await outcomeOf(() => opened.close())
  if (outcome.status === 'rejected') throw outcome.reason
  if (closed.status === 'rejected') throw closed.reason
}

async function outcomeOf(step: () => Promise<void>): Promise<PromiseSettledResult<void>> {
  const [outcome] = await Promise.allSettled([(async () => step())()])
  return outcome
}
