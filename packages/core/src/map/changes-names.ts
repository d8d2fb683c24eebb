import { isOp, isWord, parseStatements, type SqlNode } from './sql-tokens.ts'

type Nodes = readonly SqlNode[]

/** No text without one of these is any of it; `u&` may spell them otherwise. */
const mayChange = /search_path|role|schema|authorization|set_config|reset|discard|u&/i

/**
 * Whether a text may change what names without a schema mean, or as whom the statements behind it run: the search path and
 * the role. Until the end of the transaction, or of the session, the facts say nothing of either.
 *
 * @example
 * changesNames('set local search_path to tenant_1') // true
 * changesNames("select set_config('app.tenant', $1, true)") // false
 */
export function changesNames(text: string): boolean {
  if (!mayChange.test(text)) return false
  return parseStatements(text)?.some(isChange) ?? true
}

function isChange(nodes: Nodes): boolean {
  const [first, second] = nodes
  if (isWord(first, 'set')) return setsName(nodes.slice(isWord(second, 'local', 'session') ? 2 : 1))
  if (isWord(first, 'reset')) return named(second, 'all', 'session', ...settings)
  if (isWord(first, 'discard')) return isWord(second, 'all')
  return callsSetConfig(nodes)
}

/** `authorization` stands behind SET SESSION; a name with a dot is a setting of the app's. */
const setsName = ([name, next]: Nodes): boolean =>
  !isOp(next, '.') && named(name, 'schema', 'authorization', ...settings)

const settings = ['search_path', 'role', 'session_authorization']

const named = (node: SqlNode | undefined, ...texts: string[]): boolean =>
  (node?.kind === 'word' || node?.kind === 'name') && texts.includes(node.text.toLowerCase())

function callsSetConfig(nodes: Nodes): boolean {
  return nodes.some(
    (node, at) =>
      callsSetConfig(node.nodes) ||
      (named(node, 'set_config') && nodes[at + 1]?.kind === '(' && !setsAnother(nodes[at + 1]?.nodes ?? [])),
  )
}

/** `'app.tenant', …`: the name of a setting in so many letters, and none of those. */
const setsAnother = ([name, next]: Nodes): boolean =>
  name?.kind === 'string' &&
  isOp(next, ',') &&
  /^'[\w.]+'$/.test(name.text) &&
  !settings.includes(name.text.slice(1, -1).toLowerCase())
