/**
 * The same random steps on a plain Drizzle db and on wrapped ones; the first difference ends the run. Free of vitest, so
 * that it can be bundled with a core that has a planted fault.
 */
import { isDeepStrictEqual } from 'node:util'
import { drawMembers, membersLabel, runMembers } from './members.ts'
import { Difference, type Outcome, outcomeOf, same, spoil } from './outcome.ts'
import { Random } from './random.ts'
import type { RunOptions } from './run-in-world.ts'
import {
  type Db,
  drawFall,
  drawMove,
  drawRead,
  drawSchemaChange,
  drawWrite,
  drawWriteAt,
  type Hands,
  readKey,
  readKeys,
  type Step,
} from './steps.ts'
import { drawValues, type Subject, subjects, type Values } from './subjects.ts'
import { tick } from './tables.ts'
import { added, sum } from './tallies.ts'
import { timed } from './timed.ts'
import type { World, Wrapped } from './world.ts'

export type HitClass = 'key' | 'in-list' | 'unique' | 'negative'

export interface Report {
  readonly seed: number
  readonly steps: number
  readonly reads: number
  readonly writes: number
  readonly failures: number
  readonly races: number
  readonly swept: number
  /** Hits and look-ups by class; `negative` are single keys of which there is no row. */
  readonly hits: Readonly<Record<HitClass, { readonly hits: number; readonly asked: number }>>
  readonly bypassed: Readonly<Record<string, number>>
  /** Whole tables that fell, by reason. */
  readonly epochs: Readonly<Record<string, number>>
  readonly milliseconds: number
}

/** Throws a {@link Difference} that names the seed and the step. */
export async function runDifferential(world: World, options: RunOptions): Promise<Report> {
  const run = new Run(world, options)
  return run.report(await timed(run, options.seed))
}

type Way =
  | 'read'
  | 'together'
  | 'write'
  | 'move'
  | 'fall'
  | 'transaction'
  | 'hold-reader'
  | 'hold-commit'
  | 'invalidate'
  | 'schema'

class Run {
  readonly #world: World
  readonly #options: RunOptions
  readonly #random: Random
  readonly #asked = new Map<string, { subject: Subject; values: Values }>()
  readonly #negative = { hits: 0, asked: 0 }
  readonly #count = { reads: 0, writes: 0, failures: 0, races: 0, swept: 0 }
  at = 0

  constructor(world: World, options: RunOptions) {
    this.#world = world
    this.#options = options
    this.#random = new Random(options.seed)
  }

  async steps(): Promise<void> {
    for (this.at = 0; this.at < this.#options.steps; this.at++) {
      tick.now = this.at
      await this.#step()
    }
  }

  get #one(): Wrapped {
    return this.#random.pick(this.#world.wrapped)
  }

  #step(): Promise<void> {
    const held = this.#world.hold !== undefined
    const way = this.#random.weighted<Way>([
      [80, 'read'],
      [3, 'together'],
      [10, 'write'],
      [2, 'move'],
      [0.6, 'fall'],
      [3, 'transaction'],
      [held ? 2 : 0, 'hold-reader'],
      [held && this.#world.driver === 'node-postgres' ? 1 : 0, 'hold-commit'],
      [0.3, 'invalidate'],
      [0.06, 'schema'],
    ])
    if (way === 'read') return this.#read(drawRead(this.#random), this.#one)
    if (way === 'together') return this.#together()
    if (way === 'write') return this.#write(drawWrite(this.#random))
    if (way === 'move') return this.#move()
    if (way === 'fall') return this.#fall()
    if (way === 'transaction') return this.#transaction()
    if (way === 'hold-reader') return this.#holdReader()
    if (way === 'hold-commit') return this.#holdCommit()
    return way === 'invalidate' ? this.#invalidate() : this.#changeSchema()
  }

  #tell(label: string): void {
    this.#options.trace?.(this.at, label)
  }

  #compare(label: string, plain: Outcome, wrapped: Outcome, ordered = false): void {
    if ('failed' in plain) this.#count.failures++
    same(label, plain, wrapped, ordered)
    if ('ok' in wrapped) spoil(wrapped.ok)
  }

  async #read(step: Step, one: Wrapped): Promise<void> {
    this.#tell(step.label)
    this.#remember(step)
    this.#count.reads++
    const plain = await outcomeOf(() => step.run(this.#world.plain))
    const before = totals(one)
    const wrapped = await outcomeOf(() => step.run(one))
    this.#countNegative(step, plain, before, totals(one))
    this.#compare(step.label, plain, wrapped, step.ordered)
  }

  #remember({ asks }: Step): void {
    if (!asks || Object.values(asks.values).includes(null)) return
    this.#asked.set(nameOf(asks.subject, asks.values), asks)
  }

  #countNegative({ asks }: Step, plain: Outcome, before: Totals, after: Totals): void {
    if (!asks || !('ok' in plain)) return
    const none = plain.ok === undefined || (Array.isArray(plain.ok) && plain.ok.length === 0)
    if (!none || after.asked - before.asked !== 1) return
    this.#negative.asked++
    this.#negative.hits += after.hits - before.hits
  }

  /** Several readers at once, on both wrapped dbs: they share queries, and nothing else. */
  async #together(): Promise<void> {
    const steps = Array.from({ length: 2 + this.#random.below(4) }, () => drawRead(this.#random))
    const twice = this.#random.chance(0.6) ? [...steps, ...steps] : steps
    const ones = twice.map(() => this.#one)
    const label = twice.map((step) => step.label).join('\n  ')
    this.#tell(label)
    for (const step of steps) this.#remember(step)
    this.#count.reads += twice.length
    const plain = await Promise.all(twice.map((step) => outcomeOf(() => step.run(this.#world.plain))))
    const wrapped = await Promise.all(twice.map((step, at) => outcomeOf(() => step.run(ones[at] as Wrapped))))
    twice.forEach((step, at) => {
      this.#compare(`together: ${step.label}`, plain[at] as Outcome, wrapped[at] as Outcome, step.ordered)
    })
  }

  async #write(step: Step): Promise<void> {
    const one = this.#one
    this.#tell(step.label)
    this.#count.writes++
    const plain = await outcomeOf(() => step.run(this.#world.plain))
    const wrapped = await outcomeOf(() => step.run(one))
    this.#compare(step.label, plain, wrapped)
  }

  /** A row leaves one place of a unique key for another: what was there, and what was not, is known on both sides. */
  async #move(): Promise<void> {
    const move = await drawMove(this.#world.plain.db, this.#random)
    if (!move) return
    await this.#readTwice(move.reads)
    await this.#write(move.write)
    await this.#readTwice(move.reads)
  }

  /** A write to a parent takes children and grandchildren along. */
  async #fall(): Promise<void> {
    const { raise, reads, write } = drawFall(this.#random)
    for (const step of raise) await this.#write(step)
    await this.#readTwice(reads)
    await this.#write(write)
    await this.#readTwice(reads)
  }

  /** What was not known is known the second time, to either db. */
  async #readTwice(reads: readonly Step[]): Promise<void> {
    for (const one of this.#world.wrapped) for (const read of reads) await this.#read(read, one)
  }

  /** One row is read before and after; a member of the transaction, or of a savepoint in it, often writes it. */
  async #transaction(): Promise<void> {
    const { subject, values } = this.#drawKey()
    const read = readKey(subject, values)
    await this.#readTwice([read])
    await this.#runTransaction(this.#random.chance(0.7) ? drawWriteAt(subject, values, this.#random) : undefined)
    await this.#readTwice([read])
  }

  async #runTransaction(write: Step | undefined): Promise<void> {
    const steps = { read: () => drawRead(this.#random), write: () => drawWrite(this.#random, true) }
    const members = drawMembers(this.#random, steps, write)
    const fails = this.#random.chance(0.2)
    const one = this.#one
    const label = `transaction${fails ? ' that fails' : ''}${membersLabel(members)}`
    this.#tell(label)
    this.#count.writes++
    const plain = await outcomeOf(() => runMembers(this.#world.plain, members, fails))
    const wrapped = await outcomeOf(() => runMembers(one, members, fails))
    this.#compare(label, plain, wrapped, true)
  }

  /**
   * A reader that has its row from the database and has not stored it yet; a write to that row resolves; a second reader
   * comes, then the first goes on. Whatever it stores, or shares, may not be what later readers get.
   */
  async #holdReader(): Promise<void> {
    const { subject, values } = this.#drawKey()
    const read = readKey(subject, values)
    const write = drawWriteAt(subject, values, this.#random)
    const [first, writer, last] = [this.#one, this.#one, this.#one]
    const label = `reader held while: ${write.label}; read by ${Object.keys(values)}`
    this.#tell(label)
    this.#remember(read)
    await first.aside.invalidate(subject.table, surelyKey(subject, values) ? (values as never) : undefined)
    const old = await outcomeOf(() => read.run(this.#world.plain))
    const held = this.#hold('after', selects)
    const early = outcomeOf(() => read.run(first))
    await Promise.race([held.arrived, early])
    this.#compare(label, await outcomeOf(() => write.run(this.#world.plain)), await outcomeOf(() => write.run(writer)))
    const now = await outcomeOf(() => read.run(this.#world.plain))
    const joined = first.counts.joined
    const late = outcomeOf(() => read.run(first))
    await eitherOr(late, () => first.counts.joined > joined)
    held.open()
    this.#count.races++
    const [before, after] = await Promise.all([early, late])
    this.#compare(`second reader; ${label}`, now, after)
    if (!isDeepStrictEqual(before, old)) this.#compare(`first reader; ${label}`, now, before)
    this.#compare(`reader afterwards; ${label}`, now, await outcomeOf(() => read.run(last)))
  }

  /** A writer whose COMMIT has not been sent: readers see the row as it was, and may store it; then it commits. */
  async #holdCommit(): Promise<void> {
    const { subject, values } = this.#drawKey()
    const read = readKey(subject, values)
    const write = drawWriteAt(subject, values, this.#random)
    const [reader, writer, last] = [this.#one, this.#one, this.#one]
    const label = `commit held: ${write.label}; read by ${Object.keys(values)}`
    this.#tell(label)
    this.#remember(read)
    const within = (hands: Hands) =>
      outcomeOf(() => hands.db.transaction((tx) => write.run({ ...hands, db: tx as unknown as Db })))
    await read.run(reader)
    const held = this.#hold('before', (sql) => sql === 'commit')
    const writing = within(writer)
    await Promise.race([held.arrived, writing])
    const old = await outcomeOf(() => read.run(this.#world.plain))
    this.#compare(`reader before the commit; ${label}`, old, await outcomeOf(() => read.run(reader)))
    const plain = await within(this.#world.plain)
    held.open()
    this.#count.races++
    this.#compare(label, plain, await writing)
    const now = await outcomeOf(() => read.run(this.#world.plain))
    this.#compare(`reader after the commit; ${label}`, now, await outcomeOf(() => read.run(last)))
  }

  /** One gate at a time: a hold that was not reached is given up with the next one. */
  #hold(at: 'before' | 'after', fits: (sql: string) => boolean) {
    const hold = this.#world.hold as NonNullable<World['hold']>
    return hold(at, fits)
  }

  /** A key by which rows are read and that the write can move: primary or unique. */
  #drawKey(): { subject: Subject; values: Values } {
    const subject = this.#random.pick(subjects)
    const keys =
      this.#random.chance(0.4) && subject.uniques.length > 0 ? this.#random.pick(subject.uniques) : subject.key
    let values = drawValues(subject, keys, this.#random)
    while (Object.values(values).includes(null)) values = drawValues(subject, keys, this.#random)
    return { subject, values }
  }

  async #invalidate(): Promise<void> {
    const subject = this.#random.pick(subjects)
    this.#tell(`invalidate ${subject.name}`)
    const key = drawValues(subject, subject.key, this.#random)
    if (this.#random.chance(0.1)) await this.#one.aside.flush()
    else await this.#one.aside.invalidate(subject.table, this.#random.chance(0.5) ? (key as never) : undefined)
  }

  async #changeSchema(): Promise<void> {
    const step = drawSchemaChange(this.#random, this.at)
    const [one, other] = this.#world.wrapped
    this.#tell(step.label)
    const plain = await outcomeOf(() => step.run(this.#world.plain))
    const wrapped = await outcomeOf(() => step.run(one))
    this.#compare(step.label, plain, wrapped)
    await other.aside.ready({ reload: true })
  }

  /** Asks for every key that was ever asked for, of rows that are there and that are not, on each wrapped db. */
  async sweep(): Promise<void> {
    for (const { subject, values } of this.#asked.values()) {
      const step = readKey(subject, values)
      this.#tell(`sweep: ${step.label}`)
      const plain = await outcomeOf(() => step.run(this.#world.plain))
      for (const one of this.#world.wrapped) {
        same(`sweep: ${step.label}`, plain, await outcomeOf(() => step.run(one)))
        this.#count.swept++
      }
    }
    for (const subject of subjects) await this.#sweepList(subject)
    const trouble = this.#world.wrapped.flatMap(({ counts }) => counts.trouble)
    if (trouble.length > 0) throw new Difference(`events that may not happen here: ${trouble.slice(0, 5).join(' ')}`)
  }

  async #sweepList(subject: Subject): Promise<void> {
    const keys = [...this.#asked.values()].filter(
      (asked) => asked.subject === subject && isPrimary(subject, asked.values),
    )
    if (keys.length === 0) return
    const step = readKeys(
      subject,
      keys.map(({ values }) => values),
    )
    const plain = await outcomeOf(() => step.run(this.#world.plain))
    for (const one of this.#world.wrapped) same(`sweep: ${step.label}`, plain, await outcomeOf(() => step.run(one)))
  }

  report(milliseconds: number): Report {
    const { seed, steps } = this.#options
    const of = (kind: 'key' | 'in-list' | 'unique') => {
      const hits = sum(this.#world.wrapped.map(({ counts }) => counts.hits[kind]))
      return { hits, asked: hits + sum(this.#world.wrapped.map(({ counts }) => counts.misses[kind])) }
    }
    const stats = this.#world.wrapped.map(({ aside }) => aside.stats())
    const bypassed = added(stats.map((each) => each.bypassed))
    const epochs = added(stats.map((each) => each.epochsReplaced))
    const hits = { key: of('key'), 'in-list': of('in-list'), unique: of('unique'), negative: this.#negative }
    return { seed, steps, ...this.#count, hits, bypassed, epochs, milliseconds }
  }
}

interface Totals {
  readonly hits: number
  readonly asked: number
}

function totals({ counts }: Wrapped): Totals {
  const hits = sum(Object.values(counts.hits))
  return { hits, asked: hits + sum(Object.values(counts.misses)) }
}

const nameOf = (subject: Subject, values: Values): string =>
  `${subject.name} ${Object.entries(values).map(([key, value]) => `${key}=${typeof value}:${value}`)}`

const isPrimary = (subject: Subject, values: Values): boolean =>
  Object.keys(values).length === subject.key.length && subject.key.every((key) => key in values)

/** The unique key of annex.people comes and goes with the changes of the schema. */
const surelyKey = (subject: Subject, values: Values): boolean =>
  isPrimary(subject, values) || subject.name !== 'annexPeople'

const selects = (sql: string): boolean => /^select "/.test(sql)

/** Resolves when the promise has settled or the condition holds; looks again in each turn of the event loop. */
async function eitherOr(promise: Promise<unknown>, holds: () => boolean): Promise<void> {
  let settled = false
  const settle = () => {
    settled = true
  }
  promise.then(settle, settle)
  while (!settled && !holds()) await new Promise((resolve) => setImmediate(resolve))
}
