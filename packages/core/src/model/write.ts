import type { Condition } from './condition.ts'
import type { Facet } from './facets.ts'
import type { IncomingKey, RelationFacts, RelationId } from './facts.ts'
import type { Scheme, TableKeys } from './keys.ts'
import type { EpochReason } from './reasons.ts'

/** What a statement will do to its target table, as far as the builder's state tells. */
export interface WriteQuestion {
  readonly op: 'insert' | 'update' | 'delete'
  readonly relation: RelationFacts
  /** Database names of the columns in SET or in DO UPDATE SET, on-update columns included; 'all' when not known. */
  readonly changed: ReadonlySet<string> | 'all'
  /** Of those, the columns of an update that are set to expressions: their values may differ from row to row. */
  readonly computed: ReadonlySet<string>
  readonly conflict: 'none' | 'nothing' | 'update'
  /** UPDATE … FROM or joins. */
  readonly from: boolean
  /** Rows that can be touched at most, when a key, a key list or VALUES bounds it. */
  readonly atMost: number | undefined
  /** The user asked for rows back, so they travel anyway. */
  readonly returning: boolean
  /** RETURNING can name the old and the new row: the user's own text in it does not stand in the way. */
  readonly nameable: boolean
  /** The driver's own answer with rows is wanted (`db.execute(builder)`): nothing may be added to it. */
  readonly native: boolean
}

/**
 * How the touched rows are learned (DESIGN 3.4):
 * - `none`: nothing is learned; the statement runs untouched
 * - `new`: hidden RETURNING of the new row (of the old one for a delete)
 * - `old-new`: hidden RETURNING of both, PostgreSQL 18
 * - `locked`: old image from a locked CTE joined by primary key, before PostgreSQL 18
 * - `upsert`: new row and whether it was inserted, before PostgreSQL 18
 */
export type ImageForm = 'none' | 'new' | 'old-new' | 'locked' | 'upsert'

export interface WritePlan {
  readonly form: ImageForm
  /** Why nothing is learned, when `form` is `none`. */
  readonly reason: EpochReason | undefined
  /** Database names of the hidden columns, in order. */
  readonly columns: readonly string[]
  readonly schemes: readonly Scheme[]
  /** Columns that a touched row may have changed; `'all'` under a BEFORE trigger, and where it is not known. */
  readonly changes: readonly string[] | 'all'
  /** Facets that a class loses of which a row was updated and stayed in it: of the columns that may have changed. */
  readonly stays: readonly Facet[]
  /** False where no updated row can have left or entered a class: its old image is then its new one. */
  readonly moves: boolean
  /** Primary key columns: the locked form joins by them. */
  readonly key: readonly string[]
  /** Row limit of the bounded form, one above `maxTouched`; undefined: the rows come back as they are. */
  readonly limit: number | undefined
  /** Most rows that are told one by one, whatever form they come in; more, and the table falls. */
  readonly maxTouched: number
  readonly lock: 'no key update' | 'update'
  /** The plan as a text: statements compiled for one plan may be used for an equal one. */
  readonly name: string
}

/** A {@link WriteQuestion} before the catalog was asked: how the rows are bounded is still a condition or a count. */
export interface WriteStatement extends Omit<WriteQuestion, 'relation' | 'atMost'> {
  /** Rows in VALUES; undefined for everything else. */
  readonly values: number | undefined
  readonly where: Condition | undefined
  /** Nothing but the condition decides which rows are touched, and it is understood whole: it may be asked twice. */
  readonly repeatable: boolean
  /** Database names of the table object's columns, by the positions that `where` uses. */
  readonly names: readonly string[]
}

/**
 * One touched row: hidden columns as text, in the plan's order. No `before`: it was inserted, or may have been. No
 * `after`: it was deleted.
 */
export interface RowImages {
  readonly before: readonly (string | null)[] | undefined
  readonly after: readonly (string | null)[] | undefined
}

/** What a statement turned out to have touched. */
export interface TouchedRows {
  readonly images: readonly RowImages[]
  /** Rows touched, as far as known; more than `images` when some are not known. */
  readonly count: number | undefined
  /** True when one of the rows has an image that could not be had. */
  readonly unknownRows: boolean
}

/** One way by which rows of a table follow a parent: a foreign key whose action fires. */
export interface CascadeStep {
  readonly child: RelationFacts
  readonly parent: RelationFacts
  readonly key: IncomingKey
  /** What becomes of the child's rows. */
  readonly op: 'update' | 'delete'
  /** Position of the step whose rows are the parents; undefined: those of the statement itself. */
  readonly holder: number | undefined
  /** The rows can be read before they change. */
  readonly exact: boolean
  /** The child and all tables that its rows lead to. */
  readonly all: readonly RelationId[]
  /** Tables that the rows of this step lead to and that no step looks at. */
  readonly beyond: readonly RelationId[]
}

/** A step, and how the images of its rows are taken. */
export interface CascadeImages extends CascadeStep {
  /** Database names of the columns of an image, in order: the primary key's first. Empty where the child is not cached. */
  readonly columns: readonly string[]
  readonly schemes: readonly Scheme[]
  readonly table: TableKeys | undefined
  /** Most rows that are read, and one more. */
  readonly limit: number
  readonly lock: 'no key update' | 'update'
}

/** The rows that followed, step by step. */
export interface CascadedRows {
  /** Rows of the statement's own table that were locked before it ran. */
  readonly parents: number
  /** Images by step; `'unknown'`: there may be rows, or more than the limit; `'none'`: there was nothing to follow. */
  readonly steps: readonly (readonly RowImages[] | 'unknown' | 'none')[]
}
