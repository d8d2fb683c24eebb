/** Faults that the random tests must find, each as a change of the core's text. */
import type { Edit } from './bundle.ts'

export interface Mutant {
  readonly name: string
  readonly edits: readonly Edit[]
}

const stampsAfterQuery: Mutant = {
  name: 'a fill that takes its stamps after the query',
  edits: [
    {
      file: 'read/read-records.ts',
      find: 'await takeStamps(tools, missing)',
      put: `const given = await load(missing.map(({ key }) => key))
  if (given === 'ambiguous') return given
  load = async (keys) => keys.map((key) => given[missing.findIndex((one) => one.key === key)] as RecordRow)
  for (const one of missing) one.stamp = one.epoch = null
  await takeStamps(tools, missing)`,
    },
  ],
}

const joinByKey: Mutant = {
  name: 'a joined flight with other stamps',
  edits: [
    {
      file: 'read/read-records.ts',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the core's text
      find: '\\n${one.stamp}${one.epoch}',
      put: '\\n',
    },
  ],
}

const beforeCommit: Mutant = {
  name: 'a transaction that drops before its commit',
  edits: [
    {
      file: 'drizzle/wrap-database.ts',
      find: 'finished = true\n      return value',
      put: 'finished = true\n      await write.committed(scope)\n      return value',
    },
    { file: 'drizzle/wrap-database.ts', find: 'await write.committed(scope)\n    return result', put: 'return result' },
  ],
}

/** Races: found where readers and writers are held at gates, and by two processes. */
export const races = { stampsAfterQuery, joinByKey, beforeCommit }

/** What only those do who wait for the fill of another process. */
export const waits: readonly Mutant[] = [
  {
    name: 'a waiting reader that takes what was filled under other stamps',
    edits: [
      {
        file: 'read/read-records.ts',
        find: 'const row = validRow({ payloads }, texts[0] as string | null, one)',
        put: `const under = texts[0]?.slice(one.head.length + 1) ?? ''
  const any = { ...one, stamp: under.slice(0, 24), epoch: under.slice(24, 48) }
  const row = validRow({ payloads }, texts[0] as string | null, any)`,
      },
    ],
  },
]

export const mutants: readonly Mutant[] = [
  {
    name: 'a write that drops no key',
    edits: [{ file: 'write/derive-keys.ts', find: 'return { keys: [...keys] }', put: 'return { keys: [] }' }],
  },
  {
    name: 'a write that drops by the new image only',
    edits: [
      {
        file: 'write/derive-keys.ts',
        find: 'addRow(keys, given, before && read(before), after && read(after))',
        put: 'addRow(keys, given, undefined, after && read(after))',
      },
    ],
  },
  {
    name: 'a write that drops by the old image only',
    edits: [
      {
        file: 'write/derive-keys.ts',
        find: 'addRow(keys, given, before && read(before), after && read(after))',
        put: 'addRow(keys, given, before && read(before), before ? undefined : after && read(after))',
      },
    ],
  },
  beforeCommit,
  {
    name: 'a write that skips a cascade',
    edits: [
      {
        file: 'map/reach.ts',
        find: "for (const next of stepsOf(key, step)) arrive(walk, next, 'cascade')",
        put: 'stepsOf(key, step)',
      },
    ],
  },
  {
    name: 'a write that trusts an undeclared trigger',
    edits: [
      {
        file: 'map/reach.ts',
        find: 'if (!affected) walk.undeclared.set(',
        put: 'if (walk.open.length < 0) walk.undeclared.set(',
      },
    ],
  },
  {
    name: 'a write that forgets a declared trigger',
    edits: [
      { file: 'map/reach.ts', find: "arrive(walk, { id, op: 'any', changed: 'all' }, 'trigger')", put: 'String(id)' },
    ],
  },
  {
    name: 'an update that trusts a trigger before it',
    edits: [
      {
        file: 'write/plan-write.ts',
        find: "const before = hasBefore(relation, 'update') || (op ===",
        put: 'const before = (op ===',
      },
    ],
  },
  {
    name: 'an update that forgets generated columns',
    edits: [
      {
        file: 'write/plan-write.ts',
        find: 'generated.length === 0 ? changed',
        put: 'generated.length >= 0 ? changed',
      },
    ],
  },
  stampsAfterQuery,
  joinByKey,
  {
    name: 'a "not found" that an insert spares',
    edits: [
      {
        file: 'drizzle/prepared-write.ts',
        find: 'const to = intent ? destinations(context, scope) : noDestinations',
        put: "const to = intent && this.call.origin.kind !== 'insert' ? destinations(context, scope) : noDestinations",
      },
    ],
  },
  {
    name: 'a record filled under a further conjunct',
    edits: [
      {
        file: 'drizzle/prepared-read.ts',
        find: `if (context.client.begun !== begun) throw fellIntoTransaction
    return rows`,
        put: `const { accepts } = plan.match
    return rows === 'ambiguous' || !accepts
      ? rows
      : rows.map((row) => (row && accepts((at) => row[source.slots[at] as number]) ? row : null))`,
      },
    ],
  },
  {
    name: 'a projection that shares a mutable value',
    edits: [
      {
        file: 'read/read-records.ts',
        find: 'const row = decodeRow(body)',
        put: `const rows = ((globalThis as unknown as { rows?: Map<string, unknown[]> }).rows ??= new Map())
  const row = rows.get(body) ?? (decodeRow(body) as unknown[])
  rows.set(body, row)`,
      },
    ],
  },
  {
    name: 'a rolled-back savepoint that takes the changes of its transaction along',
    edits: [{ file: 'drizzle/wrap-database.ts', find: 'scope.absorb(child)', put: 'child.child()' }],
  },
]
