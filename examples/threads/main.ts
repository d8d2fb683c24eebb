// A forum over HTTP, twice over one database: with the cache and without. Every answer of the first has to be the other's.
import { openForum } from './forum.ts'
import { restsOn, showChanges } from './picture.ts'
import { compareAll, walk } from './walk.ts'

const REQUESTS = Number(process.argv[2] ?? 3000)

const forum = await openForum()
try {
  process.exitCode = await run()
} finally {
  await forum.close()
}

async function run(): Promise<number> {
  console.log(`What the pages rest on:\n\n${await restsOn(forum)}\n`)
  console.log('What a change drops, and what stays:\n')
  const differences = await showChanges(forum)

  const before = [forum.cached.statements(), forum.plain.statements()] as const
  const result = await walk(forum, REQUESTS, 1)
  differences.push(...result.differences)
  const sent = [forum.cached.statements() - before[0], forum.plain.statements() - before[1]] as const

  console.log(`A walk of ${result.requests} requests, ${result.changes} of them changes:\n`)
  console.log(hitTable())
  console.log(`\n  SQL statements: ${sent[0]} with the cache, writes included; ${sent[1]} without, for the reads alone`)
  differences.push(...(await compareAll(forum, result.lastComment)))
  if (differences.length === 0) {
    console.log("  every answer, and then every page once more, equals the uncached one's")
    return 0
  }
  console.log(`\n${differences.length} answers DIFFER. Please report this.\n${differences.slice(0, 5).join('\n')}`)
  return 1
}

function hitTable(): string {
  const { byKind } = forum.db.$aside.stats()
  return Object.entries(byKind)
    .filter(([, { hits, misses }]) => hits + misses > 0)
    .map(([kind, { hits, misses }]) => {
      const share = ((hits / (hits + misses)) * 100).toFixed(0)
      return `  ${kind.padEnd(16)}${String(hits).padStart(6)} hits${String(misses).padStart(6)} misses${share.padStart(5)} %`
    })
    .join('\n')
}
