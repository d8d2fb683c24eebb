/** A store that remembers which keys were removed, told in words: `posts 5`, `posts[author_id=1] main`, `posts[] main`. */
import { memoryStore, type Store } from 'drizzle-aside'

export interface RemovingStore {
  readonly store: Store
  /** What was removed since it was last asked, sorted. */
  removed(): string[]
}

export function removingStore(): RemovingStore {
  const inner = memoryStore()
  let keys: string[] = []
  const store: Store = {
    ...inner,
    remove: (removed) => {
      keys.push(...removed)
      return inner.remove(removed)
    },
  }
  return {
    store,
    removed: () => {
      const told = keys.map(tellKey).sort()
      keys = []
      return told
    },
  }
}

/** Reads a stamp key (PROTOCOL 3.1) of a table in `public` whose names and values are short. */
function tellKey(key: string): string {
  const [, letter, length, rest = ''] = /^da1:[^:]+:\d+:[^:]+:(.)\{[^}]+\}6:public(\d+):(.*)$/.exec(key) ?? []
  const table = rest.slice(0, Number(length))
  const tail = rest.slice(table.length)
  if (letter === 'A') return `${table} epoch`
  if (letter === 'T') return `${table}[] ${tellFacet(tail)}`
  const values = [...tail.matchAll(/\d+:(\w+)=(?:n|v(\d+):)/g)]
  const last = values.at(-1)
  const end = last ? last.index + last[0].length + Number(last[2] ?? 0) : 0
  const told = values.map((value) => `${value[1]}=${valueAfter(tail, value)}`).join(',')
  return letter === 'R' ? `${table} ${told}` : `${table}[${told}] ${tellFacet(tail.slice(end))}`
}

function valueAfter(tail: string, value: RegExpMatchArray): string {
  const start = (value.index ?? 0) + value[0].length
  return value[2] === undefined ? 'null' : tail.slice(start, start + Number(value[2]))
}

const tellFacet = (facet: string): string =>
  facet === 'm' ? 'main' : [...facet.matchAll(/\d+:(\w+?)(?=\d+:|$)/g)].map((name) => name[1]).join('+')
