/** A transaction of random steps, with savepoints in it. */
import { canonical, type Outcome, outcomeOf } from './outcome.ts'
import type { Random } from './random.ts'
import type { Db, Hands, Step } from './steps.ts'

export type Member =
  | { readonly kind: 'step' | 'outer'; readonly step: Step }
  | { readonly kind: 'savepoint'; readonly members: readonly Member[]; readonly fails: boolean }

/** What members are drawn from. */
export interface MemberSteps {
  read(): Step
  write(): Step
}

/**
 * `write` is done by one of the members, or by a member of a savepoint among them. Where one of them locks readers out,
 * nothing is read outside the transaction: it would wait for an end that waits for it.
 */
export function drawMembers(random: Random, steps: MemberSteps, write?: Step): Member[] {
  const members = drawAt(0, random, steps, write)
  return locksOut(members) ? members.map(inside) : members
}

const locksOut = (members: readonly Member[]): boolean =>
  members.some((member) => (member.kind === 'savepoint' ? locksOut(member.members) : member.step.locksOut === true))

const inside = (member: Member): Member =>
  member.kind === 'savepoint' ? { ...member, members: member.members.map(inside) } : { kind: 'step', step: member.step }

function drawAt(depth: number, random: Random, steps: MemberSteps, write?: Step): Member[] {
  const members = drawAnyMembers(random, steps, depth)
  if (!write) return members
  const inner = depth < 2 && random.chance(0.5)
  const own: Member = inner
    ? { kind: 'savepoint', members: drawAt(depth + 1, random, steps, write), fails: random.chance(0.3) }
    : { kind: 'step', step: write }
  // In front: a statement that fails ends what comes after it.
  return [own, ...members]
}

function drawAnyMembers(random: Random, steps: MemberSteps, depth: number): Member[] {
  return Array.from({ length: 1 + random.below(5) }, () => {
    const kind = random.weighted([
      [4, 'write'],
      [3, 'read'],
      [1, 'outer'],
      [depth < 2 ? 2 : 0, 'savepoint'],
    ] as const)
    if (kind === 'write') return { kind: 'step', step: steps.write() }
    if (kind === 'savepoint') {
      return { kind, members: drawAt(depth + 1, random, steps), fails: random.chance(0.4) }
    }
    return { kind: kind === 'read' ? 'step' : kind, step: steps.read() }
  })
}

export const membersLabel = (members: readonly Member[]): string =>
  members
    .map((member) =>
      member.kind === 'savepoint'
        ? `\n  savepoint${member.fails ? ' that fails' : ''}${membersLabel(member.members)}`
        : `\n  ${member.kind} ${member.step.label}`,
    )
    .join('')

class GiveUp extends Error {}

/** Runs a transaction, or a savepoint of one; answers what each of its members came to. */
export async function runMembers(hands: Hands, members: readonly Member[], fails: boolean): Promise<unknown> {
  const outcomes: Outcome[] = []
  const ended = await outcomeOf(() =>
    hands.db.transaction(async (tx) => {
      const inside: Hands = { ...hands, db: tx as unknown as Db, aside: (tx as { $aside?: Hands['aside'] }).$aside }
      for (const member of members) outcomes.push(await outcomeOf(() => runMember(inside, member)))
      if (fails) throw new GiveUp('as was said')
      return 'done'
    }),
  )
  return [...outcomes, ended]
}

async function runMember(hands: Hands, member: Member): Promise<unknown> {
  if (member.kind === 'savepoint') return runMembers(hands, member.members, member.fails)
  if (member.kind === 'step') return sortedRows(await member.step.run(hands), member.step)
  return hands.outer ? sortedRows(await member.step.run({ ...hands, db: hands.outer }), member.step) : undefined
}

/** Within a list of outcomes rows are put in order here: only the outermost result is sorted by the comparison. */
function sortedRows(value: unknown, step: Step): unknown {
  return canonical({ ok: value }, step.ordered ?? false)
}
