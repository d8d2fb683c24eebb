// Says which files differ between `before` and `after`, and fails when it is not db.ts alone.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = (name: string): string => fileURLToPath(new URL(`./${name}/`, import.meta.url))

const read = (name: string): Map<string, string> =>
  new Map(readdirSync(folder(name)).map((file) => [file, readFileSync(`${folder(name)}${file}`, 'utf8')]))

const before = read('before')
const after = read('after')
const files = [...new Set([...before.keys(), ...after.keys()])].sort()
const changed = files.filter((file) => before.get(file) !== after.get(file))

console.log(`${files.length} files, changed: ${changed.join(', ')}`)
if (changed.join() !== 'db.ts') process.exitCode = 1
