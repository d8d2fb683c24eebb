import { filledUnder, formatHint, formatResult, isStamp, type LearnedStamp, readResult } from '../model/entry.ts'
import { newStamp } from '../model/keys.ts'
import { type PayloadRefusal, type Payloads, refusalOf } from '../model/payload.ts'
import type { LearnedKeys, LoadRows, ResultAnswer, ResultLookup, ResultRows } from '../model/result.ts'
import { decodeRow, encodeRow } from '../model/row-codec.ts'
import { isDue, type RefreshSettings, TIMING_LENGTH, timingOf, withoutTiming, withTiming } from '../model/timing.ts'
import { type Clock, wallNow } from '../ports/clock.ts'
import type { DropWatch } from '../ports/drop-watch.ts'
import type { GuardedStore } from '../ports/guarded-store.ts'
import type { NewStamp } from '../ports/store.ts'
import type { Voice } from '../ports/voice.ts'
import type { FillLimit, Limited } from './fill-limit.ts'
import type { Bid, Filled, FillTokens, Look } from './fill-tokens.ts'
import { Flights } from './flights.ts'
import { Hints } from './hints.ts'
import { keepCopy } from './keep-copy.ts'
import { KeepAlive, type Stopwatch, spread, stopwatch } from './lives.ts'
import { type NeedlessDrop, needlessDrops } from './needless-drops.ts'
import type { Refreshes } from './refreshes.ts'

export interface ReadResultsWith {
  readonly store: GuardedStore
  readonly clock: Clock
  readonly voice: Voice
  readonly payloads: Payloads
  readonly drops: DropWatch
  /** Time to live of stamps: at least twice the longest entry's. */
  readonly stampTtlMs: number
  /** True while nothing may be stored. */
  closed(): boolean
  /** Uniform in [0, 1). */
  random(): number
  readonly limit: FillLimit
  readonly refreshes: Refreshes
  readonly tokens: FillTokens
}

export interface ResultReader {
  read(lookup: ResultLookup, load: LoadRows): Promise<ResultAnswer>
  /** Whether the store holds a valid answer now; asks without counting. */
  peek(lookup: ResultLookup): Promise<'hit' | 'miss' | 'unknown'>
}

interface Tools extends ReadResultsWith {
  readonly flights: Flights<string | undefined>
  readonly hints: Hints
  readonly keepAlive: KeepAlive
}

/**
 * Reads whole results: look up, and on a miss take the stamps first, query, store under those stamps (PROTOCOL 3.5).
 *
 * Partners that only the rows can name are remembered from fill to fill: their stamps are taken before the next query,
 * together with the others. A fill that finds a partner nobody expected stores what it learned and no rows.
 */
export function createResultReader(given: ReadResultsWith): ResultReader {
  const tools: Tools = {
    ...given,
    flights: new Flights(given.clock),
    hints: new Hints(),
    keepAlive: new KeepAlive(given.clock, given.stampTtlMs),
  }
  return {
    read: (lookup, load) => readThrough(tools, lookup, load),
    async peek(lookup) {
      const found = await lookUp(tools, lookup)
      if (!found) return 'unknown'
      return found.rows ? 'hit' : 'miss'
    },
  }
}

async function readThrough(tools: Tools, lookup: ResultLookup, load: LoadRows): Promise<ResultAnswer> {
  const found = await lookUp(tools, lookup, (reason) => tools.voice.payloadRefused(lookup.label, reason))
  if (!found) return { bypass: 'store-failed' }
  const { voice } = tools
  if (found.rows) {
    voice.hit(lookup.label, lookup.kind, found.rows.length === 0)
    if (found.due) refresh(tools, lookup, found, load)
    return { rows: found.rows }
  }
  voice.miss(lookup.label, lookup.kind)
  const fallen = needlessDrops(tools.drops, lookup, found)
  const taken = await takeStamps(tools, lookup, found)
  return { rows: taken ? await fly(tools, lookup, taken, load, fallen) : await loadOnly(tools, lookup, load) }
}

/** What the store holds of a result: stamps by key, the valid rows, and the partners that a fill should expect. */
interface Found {
  readonly stamps: Map<string, string | null>
  readonly rows: ResultRows | undefined
  readonly expected: readonly string[]
  /** Where there are no rows: the own stamps of the stored answer that is not valid any more. */
  readonly under?: readonly string[] | undefined
  /** Where there are rows: it is time to fill them anew. */
  readonly due?: boolean
}

/** One round trip; a second one where an entry rests on partners that this process did not expect. */
async function lookUp(
  tools: Tools,
  lookup: ResultLookup,
  refused?: (reason: PayloadRefusal) => void,
): Promise<Found | undefined> {
  const hinted = tools.hints.get(lookup.entryKey)
  const keys = [lookup.entryKey, ...lookup.stamps, ...hinted]
  const texts = await tools.store.read(keys)
  if (!texts) return undefined
  const stamps = new Map<string, string | null>()
  for (let at = 1; at < keys.length; at++) stamps.set(keys[at] as string, texts[at] as string | null)
  const entry = texts[0]
  const own = entry ? joined(lookup.stamps, stamps) : undefined
  const stored = entry ? readResult(entry, lookup.head, lookup.stamps.length, own) : undefined
  if (!stored) return { stamps, rows: undefined, expected: hinted }
  const strangers = stored.learned.filter(({ key }) => !stamps.has(key)).map(({ key }) => key)
  if (strangers.length > 0 && !(await readMore(tools, strangers, stamps))) return undefined
  const valid = stored.rows !== undefined && stored.learned.every(({ key, stamp }) => holds(stamps, key, stamp))
  const rest = valid ? textOf(tools, lookup, entry as string, stored.rows as string) : undefined
  const rows = typeof rest === 'string' ? (decodeRow(withoutTiming(rest)) as ResultRows | undefined) : undefined
  if (rest !== undefined && !rows) refused?.(refusalOf(rest))
  const expected = strangers.length > 0 || hinted.length === 0 ? merged(hinted, stored.learned) : hinted
  if (strangers.length > 0) tools.hints.set(lookup.entryKey, expected)
  if (rows) return { stamps, rows, expected, due: isTime(tools, lookup, rest as string) }
  const partnersHold = stored.learned.every(({ key, stamp }) => holds(stamps, key, stamp))
  const under = partnersHold ? filledUnder(entry as string, lookup.head, lookup.stamps.length) : undefined
  return { stamps, rows, expected, under }
}

function isTime({ clock, random }: Tools, { refresh: settings }: ResultLookup, payload: string): boolean {
  const timing = settings && timingOf(payload)
  return timing !== undefined && isDue(timing, settings as RefreshSettings, wallNow(clock), random())
}

/** The hit is served; its entry is filled anew behind it, under the stamps that it was found valid under. */
function refresh(tools: Tools, lookup: ResultLookup, found: Found, load: LoadRows): void {
  const taken = tools.closed() ? undefined : collect(tools, lookup, found, new Set())
  if (!taken || tools.flights.has(flightName(lookup, taken))) return
  tools.refreshes.start(lookup.label, () => fly(tools, lookup, taken, load, 'in-background'))
}

/** What was stored for the rows, as it was before it was wrapped. */
function textOf({ payloads }: Tools, { entryKey, maxBytes }: ResultLookup, entry: string, payload: string) {
  const about = aboutResult(entryKey, entry.slice(0, entry.length - payload.length))
  return payloads.unwrap(payload, about, maxBytes + TIMING_LENGTH)
}

/** What the rows of a result are bound to. */
const aboutResult = (entryKey: string, before: string): string => `${entryKey}\n${before}`

async function readMore(tools: Tools, keys: readonly string[], stamps: Map<string, string | null>): Promise<boolean> {
  const texts = await tools.store.read(keys)
  if (!texts) return false
  keys.forEach((key, at) => {
    stamps.set(key, texts[at] as string | null)
  })
  return true
}

const holds = (stamps: ReadonlyMap<string, string | null>, key: string, stamp: string): boolean =>
  isStamp(stamp) && stamps.get(key) === stamp

function merged(keys: readonly string[], learned: readonly LearnedStamp[]): string[] {
  return [...new Set([...keys, ...learned.map(({ key }) => key)])]
}

/** The stamps of these keys in a row; undefined where one of them is none. */
function joined(keys: readonly string[], stamps: ReadonlyMap<string, string | null>): string | undefined {
  let text = ''
  for (const key of keys) {
    const stamp = stamps.get(key) ?? null
    if (!isStamp(stamp)) return undefined
    text += stamp
  }
  return text
}

interface Taken {
  /** Stamps of the lookup's own keys, in a row. */
  readonly own: string
  readonly all: ReadonlyMap<string, string>
  readonly minted: ReadonlySet<string>
  /** The fill token that was asked for with them. */
  readonly bid: Bid | undefined
}

/** Takes the stamps that were seen and mints the missing ones, before the query. Undefined: nothing may be stored. */
async function takeStamps(tools: Tools, lookup: ResultLookup, found: Found): Promise<Taken | undefined> {
  if (tools.closed()) return undefined
  const wanted = [...lookup.stamps, ...found.expected]
  const absent = wanted.filter((key) => (found.stamps.get(key) ?? null) === null)
  if (absent.length === 0) return collect(tools, lookup, found, new Set())
  const stamps = absent.map((key) => ({ key, text: newStamp() }))
  const minting = tools.store.mint(stamps, tools.stampTtlMs)
  const bid = bidFor(tools, lookup, found, stamps)
  const minted = await minting
  absent.forEach((key, at) => {
    found.stamps.set(key, minted?.[at] ?? null)
  })
  const taken = minted && collect(tools, lookup, found, new Set(absent), bid)
  if (!taken) tools.tokens.leave([bid])
  return taken
}

/** Asks for the token, in the name of the stamps that are had and of those that are being minted. */
function bidFor({ tokens }: Tools, lookup: ResultLookup, found: Found, minted: readonly NewStamp[]): Bid | undefined {
  if (!tokens.areOn) return undefined
  const stamps = joined(
    lookup.stamps,
    new Map([...found.stamps, ...minted.map(({ key, text }) => [key, text] as const)]),
  )
  return tokens.bid([stamps === undefined ? undefined : { ...lookup, stamps }])[0]
}

function collect(
  tools: Tools,
  lookup: ResultLookup,
  found: Found,
  minted: ReadonlySet<string>,
  bid?: Bid,
): Taken | undefined {
  const own = joined(lookup.stamps, found.stamps)
  if (own === undefined) return undefined
  const all = new Map<string, string>()
  for (const key of [...lookup.stamps, ...found.expected]) {
    const stamp = found.stamps.get(key) ?? null
    if (isStamp(stamp)) all.set(key, stamp)
  }
  for (const { key, facet } of lookup.dependencies)
    if (facet !== undefined) tools.drops.taken(key, all.get(key) as string)
  return { own, all, minted, bid }
}

const flightName = ({ entryKey, head }: ResultLookup, { all }: Taken): string =>
  `${entryKey}\n${[...all.values()].join('')}${head}`

/** Joins a query that runs under the very same stamps, or runs it and lets others join. */
async function fly(
  tools: Tools,
  lookup: ResultLookup,
  taken: Taken,
  load: LoadRows,
  behind: readonly NeedlessDrop[] | 'in-background',
): Promise<ResultRows> {
  const name = flightName(lookup, taken)
  const flight = tools.flights.join(name)
  if (flight) {
    tools.voice.joined(lookup.label)
    tools.tokens.leave([taken.bid])
    const text = await flight
    // Decoded anew: nothing mutable is shared.
    const rows = text === undefined ? undefined : (decodeRow(text) as ResultRows | undefined)
    return rows ?? (await loadOnly(tools, lookup, load))
  }
  const background = behind === 'in-background'
  // Told once for each query that they cost.
  if (!background) for (const { table, columns } of behind) tools.voice.needlessDrop(table, columns)
  const { entryKey, head, label } = lookup
  const [fill] = tools.tokens.run<FilledResult>({
    table: label,
    fills: [{ entryKey, stamps: taken.own, head }],
    background,
    look: (_, token) => lookAgain(tools, lookup, taken, token),
    query: () => ask(tools, lookup, taken, () => load(background ? 'in-background' : undefined)),
  })
  tools.tokens.leave([taken.bid])
  const { answer, begun } = fill as Limited<FilledResult>
  tools.flights.start(
    name,
    answer.then(({ text }) => text),
    begun,
  )
  try {
    return (await answer).rows
  } finally {
    tools.flights.land(name)
  }
}

interface FilledResult extends Filled {
  readonly rows: ResultRows
  /** As those who joined get it; undefined: it is nobody else's. */
  readonly text: string | undefined
}

/** Runs the query, and stores what it answers where that may be stored. */
function ask(tools: Tools, lookup: ResultLookup, taken: Taken, load: LoadRows): Limited<readonly FilledResult[]> {
  const took = stopwatch(tools.clock)
  const { answer, begun } = tools.limit.run(() => took.of(load), mayBeStale(lookup))
  const kept = answer.then(({ rows, keep }) => {
    const text = keep ? encodeRow(rows) : undefined
    return [{ rows, text, stored: keep && store(tools, lookup, taken, rows, text, took) }]
  })
  return { answer: kept, begun }
}

/** What another process may have filled since, valid under the stamps that were taken; or whether it still may. */
async function lookAgain(
  { store, closed }: Tools,
  { entryKey, head, stamps }: ResultLookup,
  { own, all }: Taken,
  tokenKey: string,
): Promise<Look<FilledResult>> {
  const texts = await store.read([entryKey, tokenKey, ...all.keys()])
  if (!texts || closed() || [...all.values()].some((stamp, at) => texts[2 + at] !== stamp)) return 'gone'
  const [entry, token] = texts
  const stored = entry ? readResult(entry, head, stamps.length, own) : undefined
  const valid = stored?.rows !== undefined && stored.learned.every(({ key, stamp }) => all.get(key) === stamp)
  const rows = valid ? (decodeRow(withoutTiming(stored.rows as string)) as ResultRows | undefined) : undefined
  if (rows) return { found: { rows, text: encodeRow(rows), stored: true } }
  return token === null ? 'gone' : 'not-yet'
}

/** Nothing of it is stored or shared, and all the same it is the query of a miss. */
const loadOnly = async ({ limit }: Tools, lookup: ResultLookup, load: LoadRows): Promise<ResultRows> =>
  (await limit.run(load, mayBeStale(lookup)).answer).rows

const mayBeStale = ({ maxStaleMs }: ResultLookup): boolean => maxStaleMs !== undefined

const nothingLearned: LearnedKeys = { keys: [], widened: false }

/** Keeps an answer under the stamps taken before its query; true where it did. Nobody waits for the store. */
function store(
  tools: Tools,
  lookup: ResultLookup,
  taken: Taken,
  rows: ResultRows,
  text: string | undefined,
  took: Stopwatch,
): boolean {
  const { keys: learned, widened } = lookup.learn?.(rows) ?? nothingLearned
  const refusal = refuse(tools, lookup, rows, text)
  if (refusal) {
    tools.voice.fillRefused(lookup.label, refusal)
    return false
  }
  const ttlMs = spread(lookup.ttlMs, lookup.jitter, tools.random())
  const stampTtlMs = Math.max(tools.stampTtlMs, 2 * ttlMs)
  if (learned.length > 0) tools.hints.set(lookup.entryKey, learned)
  const unexpected = learned.some((key) => !taken.all.has(key))
  if (unexpected) {
    tools.store.write(lookup.entryKey, formatHint(lookup.head, learned), ttlMs, [], stampTtlMs)
    tools.voice.fillRefused(lookup.label, 'partners-unknown')
    return false
  }
  const stamps = learned.map((key) => ({ key, stamp: taken.all.get(key) as string }))
  const timing = lookup.refresh && { filledAt: wallNow(tools.clock), lifeMs: ttlMs, costMs: took.ms }
  const payload = timing ? withTiming(timing, text as string) : (text as string)
  const before = formatResult(lookup.head, taken.own, stamps, '')
  const entry = before + tools.payloads.wrap(payload, aboutResult(lookup.entryKey, before))
  const alive = tools.keepAlive.of(lookup, learned, taken.minted, stampTtlMs)
  tools.store.write(lookup.entryKey, entry, ttlMs, alive, stampTtlMs)
  tools.voice.fill(lookup.label, lookup.kind, { stamps: lookup.widened === true, learned: widened })
  if (lookup.maxStaleMs !== undefined)
    keepCopy(tools, {
      entryKey: lookup.entryKey,
      ageMs: took.sinceMs,
      maxStaleMs: lookup.maxStaleMs,
      payload: text as string,
      bound: before,
      entry: (copied) => before + copied,
    })
  return true
}

function refuse({ closed }: Tools, { maxRows, maxBytes }: ResultLookup, rows: ResultRows, text: string | undefined) {
  if (text === undefined) return 'not-encodable'
  if (rows.length > maxRows) return 'too-many-rows'
  if (text.length > maxBytes) return 'too-large'
  return closed() ? 'gate-closed' : undefined
}
