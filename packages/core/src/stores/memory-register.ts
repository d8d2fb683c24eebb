import type { MarkedPart, RegisterAnswer, RegisterSight, RegisterVisit } from '../ports/store.ts'
import type { BoundedTexts } from './bounded-texts.ts'

/**
 * The register as plain code: what every other store does is this. It is kept as one text, so that it can be lost like
 * any other. A memory store serves one process, whose configurations all know each other, so nothing but tests needs it.
 */
interface Register {
  version: string
  bornMs: number
  readonly parties: Record<string, { untilMs: number; parts: readonly string[] }>
  marks: Record<string, string>
}

export function enterRegister(texts: BoundedTexts, key: string, visit: RegisterVisit): RegisterAnswer {
  const nowMs = texts.clock.now()
  const known = readRegister(texts, key)
  const register = known ?? { version: visit.mint, bornMs: nowMs, parties: {}, marks: {} }
  const before = partsOf(register)
  dropExpired(register, nowMs)
  for (const { part, mark } of visit.settled) if (register.marks[part] === mark) delete register.marks[part]
  enterParty(register, visit, nowMs)
  const parts = partsOf(register)
  if (parts.size !== before.size || [...parts].some((part) => !before.has(part))) register.version = visit.mint
  const untilMs = Math.max(...Object.values(register.parties).map((party) => party.untilMs))
  texts.set(key, JSON.stringify(register), untilMs - nowMs)
  return {
    ...sightOf(register, nowMs),
    created: !known,
    alone: Object.keys(register.parties).length === 1,
    parts: register.version === visit.known ? undefined : [...parts],
    marked: Object.entries(register.marks).map(([part, mark]): MarkedPart => ({ part, mark })),
  }
}

export function lookAtRegister(texts: BoundedTexts, key: string): RegisterSight | null {
  const register = readRegister(texts, key)
  return register ? sightOf(register, texts.clock.now()) : null
}

function dropExpired(register: Register, nowMs: number): void {
  for (const [party, { untilMs }] of Object.entries(register.parties)) {
    if (untilMs <= nowMs) delete register.parties[party]
  }
  dropMarks(register)
}

function enterParty(register: Register, { party, parts, lifeMs, mint }: RegisterVisit, nowMs: number): void {
  const had = partsOf(register)
  register.parties[party] = { untilMs: nowMs + lifeMs, parts }
  for (const part of parts) if (!had.has(part)) register.marks[part] = mint
  dropMarks(register)
}

/** A part that nobody has is gone; when it comes back, it is new. */
function dropMarks(register: Register): void {
  const parts = partsOf(register)
  register.marks = Object.fromEntries(Object.entries(register.marks).filter(([part]) => parts.has(part)))
}

const partsOf = ({ parties }: Register): Set<string> => new Set(Object.values(parties).flatMap(({ parts }) => parts))

const sightOf = ({ version, bornMs }: Register, nowMs: number): RegisterSight => ({ version, bornMs, nowMs })

function readRegister(texts: BoundedTexts, key: string): Register | undefined {
  const text = texts.get(key)
  return text === null ? undefined : (JSON.parse(text) as Register)
}
