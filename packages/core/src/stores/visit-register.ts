import type { MarkedPart, RegisterAnswer, RegisterSight, RegisterVisit } from '../ports/store.ts'

/** A register as this code keeps it in one text, so that it can be lost like any other. */
interface Register {
  version: string
  bornMs: number
  readonly parties: Record<string, { untilMs: number; parts: readonly string[] }>
  marks: Record<string, string>
}

/** What a visit leaves in the store, and what it is answered. */
export interface VisitedRegister {
  /** To be kept under the register's key instead of the text that was given. */
  readonly text: string
  /** How long the text is to be kept, in milliseconds: as long as the party that stays longest. */
  readonly lifeMs: number
  readonly answer: RegisterAnswer
}

/**
 * The five steps of a {@link RegisterVisit} as plain code, for stores that keep the register as one text: read the text,
 * visit, and keep the new one if the store still has the one that was read (compare and swap); else again from the start.
 * `nowMs` is the time of the store's own clock, the same for all processes.
 *
 * @example
 * const { text, lifeMs, answer } = visitRegister(kept, visit, nowMs)
 * if (!(await swap(register, kept, text, lifeMs))) return enter(register, visit)
 * return answer
 */
export function visitRegister(kept: string | null, visit: RegisterVisit, nowMs: number): VisitedRegister {
  const known = readRegister(kept)
  const register = known ?? { version: visit.mint, bornMs: nowMs, parties: {}, marks: {} }
  const before = partsOf(register)
  dropExpired(register, nowMs)
  for (const { part, mark } of visit.settled) if (register.marks[part] === mark) delete register.marks[part]
  enterParty(register, visit, nowMs)
  const parts = partsOf(register)
  if (parts.size !== before.size || [...parts].some((part) => !before.has(part))) register.version = visit.mint
  const untilMs = Math.max(...Object.values(register.parties).map((party) => party.untilMs))
  const answer: RegisterAnswer = {
    ...sightOf(register, nowMs),
    created: !known,
    alone: Object.keys(register.parties).length === 1,
    parts: register.version === visit.known ? undefined : [...parts],
    marked: Object.entries(register.marks).map(([part, mark]): MarkedPart => ({ part, mark })),
  }
  return { text: JSON.stringify(register), lifeMs: untilMs - nowMs, answer }
}

/** What a register says that is kept as {@link visitRegister} left it; `null` where there is none. */
export function lookAtRegister(kept: string | null, nowMs: number): RegisterSight | null {
  const register = readRegister(kept)
  return register ? sightOf(register, nowMs) : null
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

function readRegister(kept: string | null): Register | undefined {
  return kept === null ? undefined : (JSON.parse(kept) as Register)
}
