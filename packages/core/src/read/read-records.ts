import { entryHead, formatEntry, isStamp, readEntry } from '../model/entry.ts'
import { digest, entryTail, identityOf, newStamp, stampKey, toldValues } from '../model/keys.ts'
import { type Payloads, refusalOf } from '../model/payload.ts'
import type { LoadRecords, Lookup, LookupAnswer, LookupKey, RecordRow } from '../model/record.ts'
import { decodeRow, encodeRow } from '../model/row-codec.ts'
import { isDue, TIMING_LENGTH, timingOf, withoutTiming, withTiming } from '../model/timing.ts'
import { type Clock, wallNow } from '../ports/clock.ts'
import type { GuardedStore } from '../ports/guarded-store.ts'
import type { Voice } from '../ports/voice.ts'
import { FamiliarKeys } from './familiar-keys.ts'
import type { FillLimit, Limited } from './fill-limit.ts'
import type { FillTokens, Look, Running } from './fill-tokens.ts'
import { Flights } from './flights.ts'
import { stopwatch } from './lives.ts'
import type { Refreshes } from './refreshes.ts'

export interface ReadWith {
  readonly store: GuardedStore
  readonly clock: Clock
  readonly voice: Voice
  readonly payloads: Payloads
  /** Time to live of stamps: at least twice the longest entry's. */
  readonly stampTtlMs: number
  /** True while nothing may be stored, e.g. an invalidation of this process still waits for the store. */
  closed(): boolean
  /** Uniform in [0, 1): spreads times to live, so that entries filled together do not expire together. */
  random(): number
  readonly limit: FillLimit
  readonly refreshes: Refreshes
  readonly tokens: FillTokens
}

/** Longer scopes are hashed in the key; the entry itself always repeats them whole. */
const LONGEST_SCOPE = 64

/** One key of a lookup with everything that is named after it in the store. */
interface Wanted {
  readonly key: LookupKey
  readonly entryKey: string
  readonly stampKey: string
  /** The copy of the table's epoch that lies beside the stamp. */
  readonly epochKey: string
  readonly head: string
  /** For people. */
  readonly label: string
  /** Most characters of a row. */
  readonly maxBytes: number
  /** Values that a row of this source has. */
  readonly width: number
  stamp: string | null
  epoch: string | null
  /** The stamp was minted by this read, so its life has only begun. */
  minted: boolean
  /** The payload of a valid entry that begins with its times. */
  timed: string | undefined
}

/** Whether the store holds a valid entry for one key now; asks without counting. */
export async function peekRecord(
  { store, payloads }: Pick<ReadWith, 'store' | 'payloads'>,
  lookup: Lookup,
  key: LookupKey,
): Promise<'hit' | 'miss' | 'unknown'> {
  const one = name(lookup, key)
  const texts = await store.read([one.entryKey, one.stampKey, one.epochKey])
  if (!texts) return 'unknown'
  one.stamp = texts[1] ?? null
  one.epoch = texts[2] ?? null
  return validRow({ payloads }, texts[0] ?? null, one) === undefined ? 'miss' : 'hit'
}

/**
 * Reads records: look up, and on a miss take the stamps *first*, query, store under those stamps (PROTOCOL 3.5). A write
 * in between removes a stamp, so the stored entry is dead on arrival and no compare-and-set is needed.
 */
export function createRecordReader(given: ReadWith): RecordReader {
  const tools: Tools = {
    ...given,
    flights: new Flights(given.clock),
    familiar: new FamiliarKeys(),
    extended: new Map(),
  }
  return {
    read: (lookup, load) => (lookup.keys.length === 1 ? readOne(tools, lookup, load) : readMany(tools, lookup, load)),
    forget: (stampKeys) => {
      for (const key of stampKeys) tools.familiar.forget(key)
    },
  }
}

export interface RecordReader {
  read(lookup: Lookup, load: LoadRecords): Promise<LookupAnswer>
  /** Stamps that this process has removed: who asks for them next will miss. */
  forget(stampKeys: readonly string[]): void
}

/** What the reads of one reader share. */
interface Tools extends ReadWith {
  readonly flights: Flights<string | null | undefined>
  readonly familiar: FamiliarKeys
  /** When each epoch's time to live was last raised. */
  readonly extended: Map<string, number>
}

/** The path of most reads: one key, one question to the store, and on a hit nothing else. */
async function readOne(tools: Tools, lookup: Lookup, load: LoadRecords): Promise<LookupAnswer> {
  const { source, kind } = lookup
  const one = name(lookup, lookup.keys[0] as LookupKey)
  const keys = [one.entryKey, one.stampKey, one.epochKey]
  // A trip within the process is not worth sparing.
  const strange = !tools.store.processLocal && !tools.familiar.meet(one.stampKey) && !tools.closed()
  const minting = strange ? mintStrange(tools, one) : undefined
  const texts = await tools.store.read(keys)
  const minted = minting && (await minting)
  if (!texts) return { bypass: 'store-failed' }
  one.stamp = texts[1] ?? minted?.[0] ?? null
  one.minted = minted !== undefined
  one.epoch = texts[2] ?? minted?.[1] ?? null
  const row = validRow(tools, texts[0] as string | null, one)
  if (row !== undefined) {
    tools.voice.hit(source.label, kind, row === null)
    if (one.timed !== undefined) refresh(tools, lookup, [one], load)
    return { rows: [row] }
  }
  tools.voice.miss(source.label, kind)
  const filled = await fill(tools, lookup, [one], load)
  return filled === 'ambiguous' ? { bypass: 'records-lost' } : { rows: filled }
}

/**
 * Takes or mints a row's stamp in the trip that looks the entry up, before any query all the same; and its table's where
 * that was not asked for of late: it is nearly always there.
 */
function mintStrange({ store, stampTtlMs, familiar }: Tools, { stampKey, epochKey }: Wanted) {
  const wanted = familiar.meet(epochKey) ? [stampKey] : [stampKey, epochKey]
  const stamps = wanted.map((key) => ({ key, text: newStamp() }))
  return store.mint(stamps, stampTtlMs)
}

async function readMany(tools: Tools, lookup: Lookup, load: LoadRecords): Promise<LookupAnswer> {
  const wanted = lookup.keys.map((key) => name(lookup, key))
  const rows = await lookUp(tools, lookup, wanted)
  if (!rows) return { bypass: 'store-failed' }
  const timed = wanted.filter((one) => one.timed !== undefined)
  const missing = rows.flatMap((row, at) => (row === undefined ? [at] : []))
  if (missing.length > 0) {
    const filled = await fill(
      tools,
      lookup,
      missing.map((at) => wanted[at] as Wanted),
      load,
    )
    if (filled === 'ambiguous') return { bypass: 'records-lost' }
    missing.forEach((at, i) => {
      rows[at] = filled[i] as RecordRow
    })
  }
  // Only now: the query for what is missing has somebody who waits, and comes first.
  if (timed.length > 0) refresh(tools, lookup, timed, load)
  return { rows: rows as RecordRow[] }
}

function name(lookup: Lookup, key: LookupKey): Wanted {
  const { source, scheme, scope } = lookup
  const ownKey = stampKey(scheme, key.tokens)
  const told = toldValues(scheme, key.tokens)
  const bucket = scheme.spread ? (source.keys.bucketOf(ownKey) as number) : 0
  const prefix = source.prefixes.get(scheme.name)?.[bucket] as string
  return {
    key,
    entryKey: prefix + (scope.length <= LONGEST_SCOPE ? scope : `#${digest(scope)}`) + entryTail(told),
    stampKey: ownKey,
    epochKey: source.keys.epochs[bucket] as string,
    head: entryHead(source.fingerprint + scheme.name + scope + identityOf(told)),
    label: source.label,
    maxBytes: source.settings.maxBytes,
    width: source.columns.length,
    stamp: null,
    epoch: null,
    minted: false,
    timed: undefined,
  }
}

/** One read of the store for the whole lookup: each key's entry and stamp, and each copy of the table's epoch once. */
async function lookUp(
  tools: ReadWith,
  lookup: Lookup,
  wanted: readonly Wanted[],
): Promise<(RecordRow | undefined)[] | undefined> {
  const { store, voice } = tools
  const keys: string[] = []
  for (const one of wanted) keys.push(one.entryKey, one.stampKey)
  const epochs = [...new Set(wanted.map(({ epochKey }) => epochKey))]
  const texts = await store.read([...keys, ...epochs])
  if (!texts) return undefined
  return wanted.map((one, at) => {
    one.stamp = texts[2 * at + 1] as string | null
    one.epoch = texts[keys.length + epochs.indexOf(one.epochKey)] as string | null
    const row = validRow(tools, texts[2 * at] as string | null, one)
    if (row === undefined) voice.miss(lookup.source.label, lookup.kind)
    else voice.hit(lookup.source.label, lookup.kind, row === null)
    return row
  })
}

/** The row of an entry whose identity and stamps hold; anything else, damage included, is a miss. */
function validRow(
  { payloads, voice }: Pick<ReadWith, 'payloads'> & Partial<Pick<ReadWith, 'voice'>>,
  entry: string | null,
  one: Wanted,
): RecordRow | undefined {
  if (entry === null || !isStamp(one.stamp) || !isStamp(one.epoch)) return undefined
  const payload = readEntry(entry, one.head, one.stamp, one.epoch)
  if (payload === undefined) return undefined
  const text = payloads.unwrap(payload, aboutRecord(one), one.maxBytes + TIMING_LENGTH)
  const row = rowOf(text, one.width)
  if (row === undefined) voice?.payloadRefused(one.label, refusalOf(text))
  else if (typeof text === 'string' && withoutTiming(text) !== text) one.timed = text
  return row
}

function rowOf(text: ReturnType<Payloads['unwrap']>, width: number): RecordRow | undefined {
  if (text === null) return null
  if (typeof text !== 'string') return undefined
  const body = withoutTiming(text)
  // With its times, "there is no such row" is a payload without a row.
  if (body === '' && text !== '') return null
  const row = decodeRow(body)
  return row?.length === width ? row : undefined
}

/** What a record is bound to. */
const aboutRecord = ({ entryKey, head, stamp, epoch }: Wanted): string => `${entryKey}\n${head}${stamp}${epoch}`

/** Hits are served; those of their entries whose time has come are filled anew behind them, under the stamps they have. */
function refresh(tools: Tools, lookup: Lookup, hits: readonly Wanted[], load: LoadRecords): void {
  const { refresh: settings } = lookup.source.settings
  if (!settings || tools.closed()) return
  const now = wallNow(tools.clock)
  const due = hits.filter((one) => {
    const timing = timingOf(one.timed as string)
    return timing && isDue(timing, settings, now, tools.random()) && !tools.flights.has(flightName(one))
  })
  if (due.length === 0) return
  // Their stamps are as old as they: they need a longer life than they have.
  for (const one of due) one.minted = false
  const names = due.map(flightName)
  tools.refreshes.start(lookup.source.label, () => lead(tools, lookup, { own: due, names, background: true }, load))
}

const flightName = (one: Wanted): string => `${one.entryKey}\n${one.stamp}${one.epoch}${one.head}`

/** Both of its stamps are had: an answer may be stored under them, and shared. */
const isTaken = ({ stamp, epoch }: Wanted): boolean => isStamp(stamp) && isStamp(epoch)

/** Answers the missing keys in order: joined flights where the stamps are the same, one query for all the others. */
async function fill(
  tools: Tools,
  lookup: Lookup,
  missing: readonly Wanted[],
  load: LoadRecords,
): Promise<readonly RecordRow[] | 'ambiguous'> {
  await takeStamps(tools, missing)
  const names = missing.map((one) => (isTaken(one) ? flightName(one) : undefined))
  // Joined only under the very same stamps: a flight begun before a write carries the stamps from before it. And only
  // for the very same row, whatever the hashes in its key say.
  const joined = names.map((flight) => (flight === undefined ? undefined : tools.flights.join(flight)))
  const own = missing.filter((_, at) => !joined[at])
  const ownNames = names.filter((_, at) => !joined[at])
  const loading =
    own.length > 0 ? lead(tools, lookup, { own, names: ownNames, background: false }, load) : Promise.resolve([])
  // Waiting for others starts before our own query ends; a failure of ours is told below.
  loading.catch(() => undefined)
  const shared = await Promise.all(joined.map((flight) => flight && land(tools, lookup, flight)))
  const loaded = await loading
  if (loaded === 'ambiguous') return loaded
  return settle(tools, missing, joined, shared, loaded, load)
}

/** Puts the answers in order; keys whose joined flight gave nothing are asked for once more, by this reader itself. */
async function settle(
  { limit }: Tools,
  missing: readonly Wanted[],
  joined: readonly unknown[],
  shared: readonly (RecordRow | undefined)[],
  loaded: readonly RecordRow[],
  load: LoadRecords,
): Promise<readonly RecordRow[] | 'ambiguous'> {
  const left = missing.filter((_, at) => joined[at] && shared[at] === undefined)
  const late = left.length > 0 ? await limit.run(() => load(left.map(({ key }) => key))).answer : []
  if (late === 'ambiguous') return late
  let nextLoaded = 0
  let nextLate = 0
  return missing.map((_, at) => {
    if (!joined[at]) return loaded[nextLoaded++] as RecordRow
    return shared[at] !== undefined ? (shared[at] as RecordRow) : (late[nextLate++] as RecordRow)
  })
}

/** Another reader's answer, decoded anew so that nothing mutable is shared; undefined when it gave none in time. */
async function land(
  { voice }: ReadWith,
  lookup: Lookup,
  flight: Promise<string | null | undefined>,
): Promise<RecordRow | undefined> {
  voice.joined(lookup.source.label)
  const text = await flight
  return typeof text === 'string' ? decodeRow(text) : text
}

/** Takes the stamps that were seen and mints the missing ones, before the query. Without an epoch nothing is stored. */
async function takeStamps({ store, stampTtlMs, closed }: ReadWith, missing: readonly Wanted[]): Promise<void> {
  if (closed()) {
    for (const one of missing) one.epoch = null
    return
  }
  const absent = missing.filter(({ stamp }) => stamp === null)
  const epochs = new Set(missing.flatMap(({ epoch, epochKey }) => (epoch === null ? [epochKey] : [])))
  const wants = [...absent.map(({ stampKey }) => stampKey), ...epochs].map((key) => ({ key, text: newStamp() }))
  if (wants.length === 0) return
  const minted = await store.mint(wants, stampTtlMs)
  absent.forEach((one, at) => {
    one.stamp = minted?.[at] ?? null
    one.minted = true
  })
  const mintedEpochs = new Map([...epochs].map((key, at) => [key, minted?.[absent.length + at] ?? null]))
  for (const one of missing) one.epoch ??= mintedEpochs.get(one.epochKey) ?? null
}

/** Keys that one query is to be run for. */
interface Leading {
  readonly own: readonly Wanted[]
  /** Their names as flights; undefined where nothing may be stored. */
  readonly names: readonly (string | undefined)[]
  readonly background: boolean
}

interface Loaded {
  readonly rows: readonly RecordRow[] | 'ambiguous'
  /** Another process has filled it meanwhile, under the very stamps that this one holds. */
  readonly found: boolean
}

/** Runs the query for all keys, stores what may be stored, and lets later readers of the same stamps share it. */
async function lead(
  tools: Tools,
  lookup: Lookup,
  leading: Leading,
  load: LoadRecords,
): Promise<readonly RecordRow[] | 'ambiguous'> {
  const { own, names } = leading
  const took = stopwatch(tools.clock)
  const query = () =>
    tools.limit.run(async () => ({ rows: await took.of(() => load(own.map(({ key }) => key))), found: false }))
  const { answer: loading, begun, end } = claim(tools, lookup, leading, query)
  const texts = loading.then(({ rows }) => (rows === 'ambiguous' ? [] : rows.map(encode)))
  texts.catch(() => undefined)
  names.forEach((flight, at) => {
    if (flight === undefined) return
    const text = texts.then((all) => all[at])
    tools.flights.start(flight, text, begun)
  })
  let stored = false
  try {
    const { rows, found } = await loading
    if (rows !== 'ambiguous' && !found && own.some(({ epoch }) => isStamp(epoch)))
      stored = keep(tools, lookup, own, await texts, took.ms)
    return rows
  } finally {
    for (const flight of names) if (flight !== undefined) tools.flights.land(flight)
    end(stored)
  }
}

/** One row at a time is worth a token; a list of keys is asked for at once. */
function claim(
  tools: Tools,
  { source }: Lookup,
  { own, names, background }: Leading,
  query: () => Limited<Loaded>,
): Running<Loaded> {
  const [one, another] = own
  if (!one || another || names[0] === undefined) return { ...query(), end: () => {} }
  const look = (token: string) => lookAgain(tools, one, token)
  const { entryKey, stamp, epoch, head } = one
  return tools.tokens.run({ table: source.label, entryKey, under: `${stamp}${epoch}${head}`, background, look, query })
}

/** What another process may have filled since, valid under the stamps that were taken; or whether it still may. */
async function lookAgain({ store, closed, payloads }: Tools, one: Wanted, tokenKey: string): Promise<Look<Loaded>> {
  const texts = await store.read([one.entryKey, tokenKey, one.stampKey, one.epochKey])
  if (!texts || closed() || texts[2] !== one.stamp || texts[3] !== one.epoch) return 'gone'
  const row = validRow({ payloads }, texts[0] as string | null, one)
  if (row !== undefined) return { found: { rows: [row], found: true } }
  return texts[1] === null ? 'gone' : 'not-yet'
}

const encode = (row: RecordRow): string | null | undefined => (row === null ? null : encodeRow(row))

/** Stores the answers under the stamps taken before the query; true where it stored all. Nobody waits for the store. */
function keep(
  tools: Tools,
  lookup: Lookup,
  own: readonly Wanted[],
  texts: readonly (string | null | undefined)[],
  costMs: number,
): boolean {
  const { source } = lookup
  let stored = true
  own.forEach((one, at) => {
    const text = texts[at]
    const refusal = refuseFill(tools, one, text, source.settings.maxBytes)
    if (refusal) {
      tools.voice.fillRefused(source.label, refusal)
      stored = false
      return
    }
    const ttl = timeToLive(tools, lookup, text === null)
    const timing = source.settings.refresh && { filledAt: wallNow(tools.clock), lifeMs: ttl, costMs }
    const payload = timing ? withTiming(timing, text ?? '') : (text as string | null)
    const wrapped = tools.payloads.wrap(payload, aboutRecord(one))
    const entry = formatEntry(one.head, one.stamp as string, one.epoch as string, wrapped)
    // A call may ask for a longer life than its table's settings give.
    const stampTtl = Math.max(tools.stampTtlMs, 2 * ttl)
    tools.store.write(one.entryKey, entry, ttl, toKeepAlive(tools, one, stampTtl), stampTtl)
    tools.voice.fill(source.label, lookup.kind)
  })
  return stored
}

/** How often, within its life, the life of an epoch is raised; each fill of its table would be far too often. */
const EXTENSIONS = 8

/** The stamps whose life must be raised for this entry to be of use to its end. */
function toKeepAlive({ clock, extended, stampTtlMs }: Tools, one: Wanted, stampTtl: number): string[] {
  const { epochKey: epoch } = one
  // A longer life than usual was asked for: then nothing that was done before is enough.
  if (stampTtl > stampTtlMs) return [one.stampKey, epoch]
  const stamps = one.minted ? [] : [one.stampKey]
  const now = clock.now()
  if (now - (extended.get(epoch) ?? Number.NEGATIVE_INFINITY) < stampTtlMs / EXTENSIONS) return stamps
  extended.set(epoch, now)
  return [...stamps, epoch]
}

function refuseFill({ closed }: ReadWith, one: Wanted, text: string | null | undefined, maxBytes: number) {
  if (!isTaken(one)) return 'stamp-lost'
  if (text === undefined) return 'not-encodable'
  if (text !== null && text.length > maxBytes) return 'too-large'
  return closed() ? 'gate-closed' : undefined
}

function timeToLive({ random }: ReadWith, lookup: Lookup, negative: boolean): number {
  const { jitter, negativeTtlMs } = lookup.source.settings
  const base = negative ? Math.min(negativeTtlMs, lookup.ttlMs) : lookup.ttlMs
  return Math.max(1, Math.round(base * (1 + jitter * (2 * random() - 1))))
}
