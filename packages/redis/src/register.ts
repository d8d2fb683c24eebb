import type { MarkedPart, RegisterAnswer, RegisterSight, RegisterVisit } from 'drizzle-aside/store'
import type { Command, Connection } from './connection.ts'
import { wholeMs } from './expiry.ts'

/**
 * A register is one hash: `v` its version, `b` when it was born, `i` the incarnation of the server in which it was; `p…` per party its time and the digest of its parts,
 * `c…` per digest the parts themselves (once for all processes of one configuration), `n…` per new part its mark.
 *
 * Answers `need parts` where the digest is not known yet: a visit brings the parts only when they are asked for.
 *
 * Its first write is a removal, of nothing: a Redis that is full refuses a write that takes room, but not behind another one
 * of the same script. So heartbeats go on while nothing new is kept.
 *
 * @see https://redis.io/docs/latest/develop/programmability/eval-intro/ (executing under low memory conditions)
 */
const ENTER = `
local key, party, digest, mint, known = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local life, settled, parts, incarnation = tonumber(ARGV[5]), cjson.decode(ARGV[6]), ARGV[7], ARGV[8]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- First of all, see above.
redis.call('HDEL', key, '')

local version, born, within
local parties, configs, marks = {}, {}, {}
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local kind, name, value = string.sub(fields[i], 1, 1), string.sub(fields[i], 2), fields[i + 1]
  if kind == 'v' then version = value
  elseif kind == 'b' then born = value
  elseif kind == 'i' then within = value
  elseif kind == 'p' then
    local space = string.find(value, ' ', 1, true)
    parties[name] = { till = tonumber(string.sub(value, 1, space - 1)), digest = string.sub(value, space + 1) }
  elseif kind == 'c' then configs[name] = value
  elseif kind == 'n' then marks[name] = value
  end
end
-- Out of another incarnation it is not all that was registered: as good as lost.
if within ~= incarnation then
  redis.call('DEL', key)
  version, parties, configs, marks = nil, {}, {}, {}
end
if not configs[digest] then
  if parts == '' then return 'need parts' end
  configs[digest] = parts
  redis.call('HSET', key, 'c' .. digest, parts)
end

local function digests()
  local set = {}
  for _, each in pairs(parties) do set[each.digest] = true end
  return set
end
local function union(set)
  local all = {}
  for name in pairs(set) do
    for _, part in ipairs(cjson.decode(configs[name])) do all[part] = true end
  end
  return all
end
local function holds(a, b)
  for name in pairs(b) do if not a[name] then return false end end
  return true
end
local function same(a, b) return holds(a, b) and holds(b, a) end
local function unmark(part)
  marks[part] = nil
  redis.call('HDEL', key, 'n' .. part)
end

local created = version == nil
if created then
  version, born = mint, string.format('%.0f', now)
  redis.call('HSET', key, 'v', version, 'b', born, 'i', incarnation)
end
local before = digests()
local alone = '1'
for name, each in pairs(parties) do
  if each.till <= now then
    parties[name] = nil
    redis.call('HDEL', key, 'p' .. name)
  elseif name ~= party then alone = '0'
  end
end
local left = digests()
local had
if not same(before, left) then
  had = union(left)
  for part in pairs(marks) do if not had[part] then unmark(part) end end
end
for i = 1, #settled, 2 do
  if marks[settled[i]] == settled[i + 1] then unmark(settled[i]) end
end
parties[party] = { till = now + life, digest = digest }
redis.call('HSET', key, 'p' .. party, string.format('%.0f %s', now + life, digest))
local after = digests()
if not same(left, after) then
  had = had or union(left)
  local all = union(after)
  for part in pairs(all) do
    if not had[part] then
      marks[part] = mint
      redis.call('HSET', key, 'n' .. part, mint)
    end
  end
  for part in pairs(marks) do if not all[part] then unmark(part) end end
end
if not same(before, after) then
  if not same(union(before), union(after)) then
    version = mint
    redis.call('HSET', key, 'v', version)
  end
  for name in pairs(configs) do if not after[name] then redis.call('HDEL', key, 'c' .. name) end end
end
if redis.call('PTTL', key) < life then redis.call('PEXPIRE', key, string.format('%.0f', life)) end

local shown, flat = {}, {}
if version ~= known then for name in pairs(after) do shown[#shown + 1] = configs[name] end end
for part, mark in pairs(marks) do
  flat[#flat + 1] = part
  flat[#flat + 1] = mark
end
return { version, born, string.format('%.0f', now), created and '1' or '0', alone, shown, flat }
`

const NEED_PARTS = 'need parts'

type Answer = [
  version: string,
  born: string,
  now: string,
  created: string,
  alone: string,
  configs: string[],
  marks: string[],
]

/** Enters a process in a register: one trip, or two for the first process of a configuration. */
export async function enterRegister(
  connection: Connection,
  register: string,
  visit: RegisterVisit,
  incarnation: string,
): Promise<RegisterAnswer> {
  const enter = (parts: string) => connection.run(enterCommand(register, visit, [parts, incarnation]))
  const first = await enter('')
  const answer = first === NEED_PARTS ? await enter(partsText(visit)) : first
  return answerOf(answer as Answer, visit)
}

const partsText = ({ parts }: RegisterVisit): string => JSON.stringify(parts)

function enterCommand(register: string, visit: RegisterVisit, more: readonly string[]): Command {
  const { party, digest, mint, known, lifeMs, settled } = visit
  const marks = JSON.stringify(settled.flatMap(({ part, mark }) => [part, mark]))
  const args = [party, digest, mint, known ?? '', wholeMs(lifeMs), marks, ...more]
  return { name: 'EVAL', before: [ENTER, '1'], keys: [register], args }
}

function answerOf(
  [version, born, now, created, alone, configs, flat]: Answer,
  { known }: RegisterVisit,
): RegisterAnswer {
  const marked: MarkedPart[] = []
  for (let at = 0; at < flat.length; at += 2) marked.push({ part: flat[at] as string, mark: flat[at + 1] as string })
  return {
    version,
    bornMs: Number(born),
    nowMs: Number(now),
    created: created === '1',
    alone: alone === '1',
    parts: version === known ? undefined : configs.flatMap((text) => JSON.parse(text) as string[]),
    marked,
  }
}

/** So old that no clock needs to be asked any more whether it is young. */
const GROWN_MS = 60_000

/**
 * Looks at registers, together with the removals of a write: no script, so it works on a Redis that is full. What changes from
 * look to look is the version; a register that was seen a minute old only grows older, so TIME is asked for young ones.
 */
export class RegisterLooks {
  /** Of registers that have grown: when they were born, and when they were seen. */
  readonly #grown = new Map<string, { readonly born: string; readonly nowMs: number }>()

  /** The commands of one look, to be sent behind others; and what their answers say. */
  at(registers: readonly string[]): {
    readonly commands: readonly Command[]
    read(answers: readonly unknown[], incarnationOf: (register: string) => string | undefined): (RegisterSight | null)[]
  } {
    const asksTime = registers.some((register) => !this.#grown.has(register))
    const looks = registers.map((register) => ({ name: 'HMGET', keys: [register], args: ['v', 'b', 'i'] }))
    return {
      // By the clock of the node that has a register it was born.
      commands: asksTime ? [...looks, ...registers.map((near) => ({ name: 'TIME', keys: [], near }))] : looks,
      read: (answers, incarnationOf) =>
        registers.map((register, at) => {
          const nowMs = asksTime ? timeOf(answers[registers.length + at]) : undefined
          return this.#sightOf(register, answers[at] as Fields, incarnationOf(register), nowMs)
        }),
    }
  }

  /** A register out of another incarnation says nothing. */
  #sightOf(
    register: string,
    [version, born, within]: Fields,
    incarnation: string | undefined,
    nowMs: number | undefined,
  ): RegisterSight | null {
    if (version === null || born === null || within !== incarnation) {
      this.#grown.delete(register)
      return null
    }
    const bornMs = Number(born)
    const known = this.#grown.get(register)
    // Another one than was known, and nobody was asked for the time: it may have been born just now.
    const seenMs = nowMs ?? (known?.born === born ? known.nowMs : bornMs)
    if (seenMs - bornMs >= GROWN_MS) this.#grown.set(register, { born, nowMs: seenMs })
    else this.#grown.delete(register)
    return { version, bornMs, nowMs: seenMs }
  }
}

type Fields = readonly [version: string | null, born: string | null, within: string | null]

function timeOf(answer: unknown): number {
  const [seconds, micros] = answer as [string, string]
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
}
