import { entryHead, formatEntry, isStamp, readEntry } from '../model/entry.ts'
import { digest, entryTail, identityOf, newStamp, stampKey, toldValues } from '../model/keys.ts'
import { type Payloads, refusalOf } from '../model/payload.ts'
import type { LoadRecords, Lookup, LookupAnswer, LookupKey, RecordRow } from '../model/record.ts'
import { decodeRow, encodeRow } from '../model/row-codec.ts'
import { isDue, TIMING_LENGTH, timingOf, withoutTiming, withTiming } from '../model/timing.ts'
import { type Clock, wallNow } from '../ports/clock.ts'
import type { GuardedStore } from '../ports/guarded-store.ts'
import type { NewStamp } from '../ports/store.ts'
import type { Voice } from '../ports/voice.ts'
import { FamiliarKeys } from './familiar-keys.ts'
import type { FillLimit, Limited } from './fill-limit.ts'
import type { Bid, Fill, Filled, FillTokens, Look } from './fill-tokens.ts'
import { Flights } from './flights.ts'
import { keepCopy } from './keep-copy.ts'
import { type Stopwatch, stopwatch } from './lives.ts'
import { isNotNow, type Refreshes } from './refreshes.ts'

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
export interface Wanted {
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
  /** A fill token that was asked for with the stamps. */
  bid: Bid | undefined
}

/** Whether the store holds a valid entry for one key now; asks without counting. */
export async function peekRecord(
  { store, payloads }: Pick<ReadWith, 'store' | 'payloads'>,
  lookup: Lookup,
  key: LookupKey,
): Promise<'hit' | 'miss' | 'unknown'> {
  const one = nameKey(lookup, key)
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
    epochs: new Map(),
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
  /** What each epoch was at the last miss, where there are fill tokens: most likely it still is. */
  readonly epochs: Map<string, string>
}

/** The path of most reads: one key, one question to the store, and on a hit nothing else. */
async function readOne(tools: Tools, lookup: Lookup, load: LoadRecords): Promise<LookupAnswer> {
  const { source, kind } = lookup
  const one = nameKey(lookup, lookup.keys[0] as LookupKey)
  const keys = [one.entryKey, one.stampKey, one.epochKey]
  // A trip within the process is not worth sparing.
  const strange = !tools.store.processLocal && !tools.familiar.meet(one.stampKey) && !tools.closed()
  const minting = strange ? mintStrange(tools, one) : undefined
  const texts = await tools.store.read(keys)
  const minted = minting && (await minting)
  if (!texts) {
    tools.tokens.leave([one.bid])
    return { bypass: 'store-failed' }
  }
  one.stamp = texts[1] ?? minted?.[0] ?? null
  one.minted = minted !== undefined
  one.epoch = texts[2] ?? minted?.[1] ?? null
  const row = validRow(tools, texts[0] as string | null, one)
  if (row !== undefined) {
    tools.voice.hit(source.label, kind, row === null)
    // It was filled under other stamps than those that were sent to be minted.
    if (one.bid) tools.tokens.leave([one.bid], 'to-lapse')
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
function mintStrange(tools: Tools, one: Wanted) {
  const { store, stampTtlMs, familiar, epochs } = tools
  const { stampKey, epochKey } = one
  const wanted = familiar.meet(epochKey) ? [stampKey] : [stampKey, epochKey]
  const stamps = wanted.map((key) => ({ key, text: newStamp() }))
  const minting = store.mint(stamps, stampTtlMs)
  const epoch = epochs.get(epochKey)
  bidFor(tools, [one], epoch === undefined ? stamps : [...stamps, { key: epochKey, text: epoch }])
  return minting
}

/** Asks for their tokens, in the name of the stamps that they have and of those that are expected to be theirs. */
function bidFor({ tokens, flights }: Tools, missing: readonly Wanted[], expected: readonly NewStamp[]): void {
  if (!tokens.areOn) return
  const texts = new Map(expected.map(({ key, text }) => [key, text]))
  const fills = missing.map((one): Fill | undefined => {
    const stamp = one.stamp ?? texts.get(one.stampKey) ?? null
    const epoch = one.epoch ?? texts.get(one.epochKey) ?? null
    // What is on its way in this process has its token, and is joined.
    if (!isStamp(stamp) || !isStamp(epoch) || flights.has(flightName(one))) return undefined
    return { entryKey: one.entryKey, stamps: stamp + epoch, head: one.head }
  })
  tokens.bid(fills).forEach((bid, at) => {
    ;(missing[at] as Wanted).bid = bid
  })
}

async function readMany(tools: Tools, lookup: Lookup, load: LoadRecords): Promise<LookupAnswer> {
  const wanted = lookup.keys.map((key) => nameKey(lookup, key))
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

/** What a key of a lookup, its entry and its stamp are called. */
export function nameKey(lookup: Lookup, key: LookupKey): Wanted {
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
    bid: undefined,
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

export function rowOf(text: ReturnType<Payloads['unwrap']>, width: number): RecordRow | undefined {
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
  if (tools.tokens.areOn) settleTokens(tools, missing)
  // Waiting for others starts before our own query ends; a failure of ours is told below.
  loading.catch(() => undefined)
  const shared = await Promise.all(joined.map((flight) => flight && land(tools, lookup, flight)))
  const loaded = await loading
  if (loaded === 'ambiguous') return loaded
  return settle(tools, lookup, missing, joined, shared, loaded, load)
}

/** Leaves the tokens that no fill has taken, and remembers the epochs for the next one's token. */
function settleTokens({ tokens, epochs }: Tools, missing: readonly Wanted[]): void {
  tokens.leave(missing.map(({ bid }) => bid))
  for (const { epochKey, epoch } of missing) if (isStamp(epoch)) epochs.set(epochKey, epoch)
}

const mayBeStale = ({ source }: Lookup): boolean => source.settings.maxStaleMs !== undefined

/** Puts the answers in order; keys whose joined flight gave nothing are asked for once more, by this reader itself. */
async function settle(
  { limit }: Tools,
  lookup: Lookup,
  missing: readonly Wanted[],
  joined: readonly unknown[],
  shared: readonly (RecordRow | undefined)[],
  loaded: readonly RecordRow[],
  load: LoadRecords,
): Promise<readonly RecordRow[] | 'ambiguous'> {
  const left = missing.filter((_, at) => joined[at] && shared[at] === undefined)
  const late = left.length > 0 ? await limit.run(() => load(left.map(({ key }) => key)), mayBeStale(lookup)).answer : []
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
async function takeStamps(tools: Tools, missing: readonly Wanted[]): Promise<void> {
  const { store, stampTtlMs, closed } = tools
  if (closed()) {
    for (const one of missing) one.epoch = null
    return
  }
  const absent = missing.filter(({ stamp }) => stamp === null)
  const epochs = new Set(missing.flatMap(({ epoch, epochKey }) => (epoch === null ? [epochKey] : [])))
  const wants = [...absent.map(({ stampKey }) => stampKey), ...epochs].map((key) => ({ key, text: newStamp() }))
  if (wants.length === 0) return
  const minting = store.mint(wants, stampTtlMs)
  bidFor(tools, missing, wants)
  const minted = await minting
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

/** The answer to one key. */
interface FilledRecord extends Filled {
  readonly row: RecordRow | 'ambiguous'
  /** As those who joined get it. */
  readonly text: string | null | undefined
}

/** Asks for all keys, stores what may be stored, and lets later readers of the same stamps share it. */
async function lead(
  tools: Tools,
  lookup: Lookup,
  { own, names, background }: Leading,
  load: LoadRecords,
): Promise<readonly RecordRow[] | 'ambiguous'> {
  const fills = tools.tokens.run<FilledRecord>({
    table: lookup.source.label,
    fills: own.map((one, at) => (names[at] === undefined ? undefined : fillOf(one))),
    background,
    look: (at, token) => lookAgain(tools, own[at] as Wanted, token),
    query: (which) =>
      ask(
        tools,
        lookup,
        which.map((at) => own[at] as Wanted),
        load,
      ),
  })
  fills.forEach(({ answer, begun }, at) => {
    const flight = names[at]
    if (flight === undefined) return
    tools.flights.start(
      flight,
      answer.then(({ text }) => text),
      begun,
    )
    const land = () => tools.flights.land(flight)
    answer.then(land, land)
  })
  const answers = fills.map(({ answer }) => answer)
  const rows = (await (background ? ofThoseFilled(answers) : Promise.all(answers))).map(({ row }) => row)
  return rows.includes('ambiguous') ? 'ambiguous' : (rows as RecordRow[])
}

const fillOf = ({ entryKey, stamp, epoch, head }: Wanted): Fill => ({
  entryKey,
  stamps: (stamp as string) + epoch,
  head,
})

/** Where nobody waits, some that others have in hand are no failure of the rest. */
async function ofThoseFilled<T>(answers: readonly Promise<T>[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(answers)
  const filled = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  const reasons = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  const failed = reasons.find((reason) => !isNotNow(reason)) ?? (filled.length === 0 ? reasons[0] : undefined)
  if (failed !== undefined) throw failed
  return filled
}

/** Runs one query for these keys, and stores what may be stored. */
function ask(
  tools: Tools,
  lookup: Lookup,
  own: readonly Wanted[],
  load: LoadRecords,
): Limited<readonly FilledRecord[]> {
  const took = stopwatch(tools.clock)
  const query = () => took.of(() => load(own.map(({ key }) => key)))
  const { answer, begun } = tools.limit.run(query, mayBeStale(lookup))
  const kept = answer.then((rows) => {
    if (rows === 'ambiguous') return own.map(() => ({ row: rows, text: undefined, stored: false }))
    const texts = rows.map(encode)
    const mayStore = own.some(({ epoch }) => isStamp(epoch))
    const stored = mayStore ? keep(tools, lookup, own, texts, took) : []
    return rows.map((row, at) => ({ row, text: texts[at], stored: stored[at] ?? false }))
  })
  return { answer: kept, begun }
}

/** What another process may have filled since, valid under the stamps that were taken; or whether it still may. */
async function lookAgain(
  { store, closed, payloads }: Tools,
  one: Wanted,
  tokenKey: string,
): Promise<Look<FilledRecord>> {
  const texts = await store.read([one.entryKey, tokenKey, one.stampKey, one.epochKey])
  if (!texts || closed() || texts[2] !== one.stamp || texts[3] !== one.epoch) return 'gone'
  const row = validRow({ payloads }, texts[0] as string | null, one)
  if (row !== undefined) return { found: { row, text: encode(row), stored: true } }
  return texts[1] === null ? 'gone' : 'not-yet'
}

const encode = (row: RecordRow): string | null | undefined => (row === null ? null : encodeRow(row))

/** Stores the answers under the stamps taken before the query; true for each that it stored. Nobody waits for the store. */
function keep(
  tools: Tools,
  lookup: Lookup,
  own: readonly Wanted[],
  texts: readonly (string | null | undefined)[],
  took: Stopwatch,
): boolean[] {
  const { source } = lookup
  return own.map((one, at) => {
    const text = texts[at]
    const refusal = refuseFill(tools, one, text, source.settings.maxBytes)
    if (refusal) {
      tools.voice.fillRefused(source.label, refusal)
      return false
    }
    const ttl = timeToLive(tools, lookup, text === null)
    const timing = source.settings.refresh && { filledAt: wallNow(tools.clock), lifeMs: ttl, costMs: took.ms }
    const payload = timing ? withTiming(timing, text ?? '') : (text as string | null)
    const wrapped = tools.payloads.wrap(payload, aboutRecord(one))
    const entry = formatEntry(one.head, one.stamp as string, one.epoch as string, wrapped)
    // A call may ask for a longer life than its table's settings give.
    const stampTtl = Math.max(tools.stampTtlMs, 2 * ttl)
    tools.store.write(one.entryKey, entry, ttl, toKeepAlive(tools, one, stampTtl), stampTtl)
    tools.voice.fill(source.label, lookup.kind)
    const { maxStaleMs } = source.settings
    if (maxStaleMs === undefined) return true
    const [head, stamp, epoch] = [one.head, one.stamp as string, one.epoch as string]
    keepCopy(tools, {
      entryKey: one.entryKey,
      ageMs: took.sinceMs,
      maxStaleMs,
      payload: text as string | null,
      bound: head + stamp + epoch,
      entry: (copied) => formatEntry(head, stamp, epoch, copied),
    })
    return true
  })
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
