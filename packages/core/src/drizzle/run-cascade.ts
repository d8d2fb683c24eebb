import { sql } from 'drizzle-orm'
import type { CascadedRows, CascadeImages, RowImages } from '../model/write.ts'
import type { ClientState } from './client-state.ts'
import { type Session, type SQL, type Transaction, transactionOfOurs } from './internals.ts'
import type { StatementContext } from './statement-context.ts'
import { quote, tableName, type WriteForms } from './write-forms.ts'

/**
 * Rows that follow a parent by foreign-key actions come back from no statement. So, in one transaction (DESIGN 3.4,
 * HOOKS 3.6): the parents are locked, which keeps new children away; then the children are locked and read, with a
 * snapshot that sees all that came before; then the statement runs; then children that stay are read again.
 */
export interface CascadeRun {
  readonly context: StatementContext
  readonly forms: WriteForms
  readonly steps: readonly CascadeImages[]
  readonly placeholders: Record<string, unknown> | undefined
  /** Runs the user's statement on a session. */
  statement(session: Session): Promise<unknown>
  /** In a transaction of its own: the last thing before its COMMIT. */
  beforeCommit?(outcome: CascadeOutcome, session: Session): Promise<void>
}

export interface CascadeOutcome {
  readonly raw: unknown
  /** Undefined where the statement ran alone. */
  readonly rows: CascadedRows | undefined
}

/** The COMMIT around an autocommit statement failed; whether it took place only the server's own word can tell. */
export class CommitFailure extends Error {
  constructor(override readonly cause: unknown) {
    super('The commit of a write failed.', { cause })
  }
}

/**
 * Whether an autocommit statement may be put into a transaction of its own. Not on one connection that others use
 * meanwhile: their statements would fall into the transaction, and be rolled back with it.
 */
export function mayOpenTransaction({ client }: Session, { kind, single }: ClientState): boolean {
  if (kind === 'pglite') return true
  if (kind === 'postgres-js') return typeof (client as { begin?: unknown }).begin === 'function'
  // As Drizzle knows a pool; what it takes for a single connection gets its BEGIN on any connection of a pool.
  return !single && Object.getPrototypeOf(client).constructor.name.includes('Pool')
}

/** Inside a transaction that is there already. */
export async function runInPlace(run: CascadeRun): Promise<CascadeOutcome> {
  const { session } = run.context
  const before = await readBefore(run, session)
  const raw = await run.statement(session)
  return { raw, rows: await readAfter(run, session, before) }
}

/**
 * In a short transaction around the statement: a BEGIN, the locks, one read for each foreign key, and a COMMIT more. If
 * anything of ours fails, nothing has happened yet, and the statement runs alone as the user wrote it.
 */
export async function runInTransaction(run: CascadeRun): Promise<CascadeOutcome> {
  let failure: { readonly error: unknown } | undefined
  let finished = false
  const within = async (session: Session): Promise<CascadeOutcome> => {
    const before = run.steps.length > 0 ? await readBefore(run, session) : undefined
    const raw = await run.statement(session).catch((error: unknown) => {
      failure = { error }
      throw error
    })
    const outcome = { raw, rows: before && (await readAfter(run, session, before)) }
    await run.beforeCommit?.(outcome, session)
    finished = true
    return outcome
  }
  try {
    return (await begin(run.context, (tx) => within(tx.session))) as CascadeOutcome
  } catch (error) {
    // The driver's own error on the way back (a ROLLBACK that could not be sent) says nothing to the caller.
    if (failure) throw failure.error
    if (finished) throw new CommitFailure(error)
    return { raw: await run.statement(run.context.session), rows: undefined }
  }
}

const begin = ({ session, client }: StatementContext, run: (tx: Transaction) => Promise<unknown>): Promise<unknown> =>
  client.kind === 'node-postgres' ? transactionOfOurs(session, run) : session.transaction(run)

async function readBefore(run: CascadeRun, session: Session): Promise<CascadedRows> {
  const parents = (await ask(run, session, lockParents(run.forms))).length
  const steps: (readonly RowImages[] | 'unknown' | 'none')[] = []
  for (const step of run.steps) {
    const above = step.holder === undefined ? parents > 0 : (steps[step.holder]?.length ?? 0) > 0
    steps.push(above ? await readStep(run, session, step, steps) : 'none')
  }
  return { parents, steps }
}

async function readStep(
  run: CascadeRun,
  session: Session,
  step: CascadeImages,
  above: CascadedRows['steps'],
): Promise<readonly RowImages[] | 'unknown' | 'none'> {
  const held = step.holder === undefined ? [] : (above[step.holder] ?? 'none')
  if (held === 'none') return 'none'
  if (!step.exact || held === 'unknown') return 'unknown'
  const rows = await ask(run, session, readChildren(run, step))
  if (rows.length >= step.limit) return 'unknown'
  return rows.map((before) => ({ before, after: undefined }))
}

/** Children that stay have a new image; they are locked, so it is what the statement made of them. */
async function readAfter(run: CascadeRun, session: Session, before: CascadedRows): Promise<CascadedRows> {
  const steps: (readonly RowImages[] | 'unknown' | 'none')[] = []
  for (const [at, images] of before.steps.entries()) {
    const step = run.steps[at] as CascadeImages
    const again = typeof images !== 'string' && images.length > 0 && step.op === 'update' && step.columns.length > 0
    steps.push(again ? await readAgain(session, step, images) : images)
  }
  return { ...before, steps }
}

async function readAgain(session: Session, step: CascadeImages, images: readonly RowImages[]): Promise<RowImages[]> {
  const width = step.child.primaryKey?.length ?? 0
  const keyOf = (image: Image | undefined): string => JSON.stringify(image?.slice(0, width))
  const params = images.flatMap(({ before }) => before?.slice(0, width) ?? [])
  const rows = await rowsOf(session, { sql: againText(step, images.length, width), params })
  const now = new Map(rows.map((row) => [keyOf(row), row]))
  // A row that another foreign key took away has none.
  return images.map(({ before }) => ({ before, after: now.get(keyOf(before)) }))
}

type Image = readonly (string | null)[]

async function ask({ context, placeholders }: CascadeRun, session: Session, query: SQL): Promise<Image[]> {
  return rowsOf(session, context.dialect.sqlToQuery(query), placeholders)
}

async function rowsOf(
  session: Session,
  query: { sql: string; params: unknown[] },
  placeholders?: Record<string, unknown>,
): Promise<Image[]> {
  const prepared = session.prepareQuery(query, undefined, undefined, true, (rows) => rows)
  return (await prepared.execute(placeholders)) as Image[]
}

// ---- texts

const childName = '"__c"'
const grandchildName = '"__g"'

/** The condition is all that decides which rows are touched, and is understood whole, so asking it again is the same. */
function parentsWhere({ config, shape }: WriteForms, also: string): SQL {
  return sql`${tableName(config, shape)} where (${config.where as SQL})${sql.raw(also)}`
}

function lockParents(forms: WriteForms): SQL {
  return sql`select 1 from ${parentsWhere(forms, '')} for update of ${sql.raw(quote(forms.shape.alias))}`
}

/** The rows of a step that refer to rows above, found through the same condition: no value has to travel. */
function readChildren({ forms, steps }: CascadeRun, step: CascadeImages): SQL {
  const holder = step.holder === undefined ? undefined : steps[step.holder]
  const own = holder ? grandchildName : childName
  const columns = step.columns.map((name) => `${own}.${quote(name)}::text`)
  const above = holder
    ? sql`${relation(holder)} as ${sql.raw(childName)} where ${sql.raw(refers(step, own, childName))} and exists (select 1 from ${parentsWhere(forms, ` and ${refers(holder, childName, quote(forms.shape.alias))}`)})`
    : parentsWhere(forms, ` and ${refers(step, own, quote(forms.shape.alias))}`)
  const tail = ` limit ${step.limit} for ${step.lock} of ${own}`
  return sql`select ${sql.raw(columns.join(', ') || '1')} from ${relation(step)} as ${sql.raw(own)} where exists (select 1 from ${above})${sql.raw(tail)}`
}

const relation = ({ child }: CascadeImages): SQL => sql.raw(`${quote(child.schema)}.${quote(child.name)}`)

const refers = ({ key }: CascadeImages, child: string, parent: string): string =>
  key.childColumns
    .map((name, at) => `${child}.${quote(name)} = ${parent}.${quote(key.columns[at] as string)}`)
    .join(' and ')

/** Values go as text, which no driver's serializer changes, and become what the column is in the database. */
function againText({ child, columns }: CascadeImages, count: number, width: number): string {
  const own = columns.slice(0, width)
  const types = own.map((name) => child.columns.get(name)?.sqlType)
  const tuple = (row: number): string =>
    `(${own.map((_, at) => `$${row * width + at + 1}::text::${types[at]}`).join(', ')})`
  const list = Array.from({ length: count }, (_, row) => tuple(row)).join(', ')
  const shown = columns.map((name) => `${quote(name)}::text`).join(', ')
  return `select ${shown} from ${quote(child.schema)}.${quote(child.name)} where (${own.map(quote).join(', ')}) in (${list})`
}
