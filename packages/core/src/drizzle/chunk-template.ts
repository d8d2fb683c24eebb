import { textOf } from './internals.ts'

/** What stands between the texts of a template. PostgreSQL's text has no such character. */
const GAP = '\0'

/** The texts of a chunk list with a gap for everything else, e.g. `␀ = ␀`: which of Drizzle's operators it is. */
export function templateOf(chunks: readonly unknown[]): string {
  let template = ''
  for (const chunk of chunks) {
    if (chunk === undefined) continue
    const text = textOf(chunk)
    // A text that holds the gap is none of ours.
    template += text === undefined ? GAP : text.includes(GAP) ? '?' : text
  }
  return template
}

/** Places of everything that is no text. */
export function gapsOf(chunks: readonly unknown[]): number[] {
  const gaps: number[] = []
  for (let at = 0; at < chunks.length; at++) {
    if (chunks[at] !== undefined && textOf(chunks[at]) === undefined) gaps.push(at)
  }
  return gaps
}

/** What a template means in a condition. */
export type ConditionTemplate =
  | 'same-as-inside'
  | 'parentheses'
  | 'and'
  | 'or'
  | 'not'
  | 'equal'
  | 'in'
  | 'null'
  | 'never'
  | 'always'
  | 'comparison'

const gapped = (text: string): string => text.replaceAll('_', GAP)
const comparisons = `
  _ <> _, _ > _, _ >= _, _ < _, _ <= _, _ like _, _ not like _, _ ilike _, _ not ilike _, _ not in _, _ is not null,
  _ between _ and _, _ not between _ and _, exists _, not exists _, _ @> _, _ <@ _, _ && _`

const conditions: ReadonlyMap<string, ConditionTemplate> = new Map<string, ConditionTemplate>([
  [gapped('_'), 'same-as-inside'],
  [gapped('(_)'), 'parentheses'],
  [gapped('not _'), 'not'],
  [gapped('_ = _'), 'equal'],
  [gapped('_ in _'), 'in'],
  [gapped('_ is null'), 'null'],
  ['false', 'never'],
  ['true', 'always'],
  ...comparisons.split(/,\s/).map((text) => [gapped(text.trim()), 'comparison'] as const),
])

export function conditionTemplate(template: string): ConditionTemplate | undefined {
  return conditions.get(template) ?? listTemplate(template)
}

/** What `sql.join` makes of the members of `and()` and `or()`. */
function listTemplate(template: string): 'and' | 'or' | undefined {
  const word = template.startsWith(gapped('_ and _')) ? 'and' : template.startsWith(gapped('_ or _')) ? 'or' : undefined
  if (!word) return undefined
  return template.split(` ${word} `).every((member) => member === GAP) ? word : undefined
}

const aggregates = new Set(
  `count(_) count(distinct·_) avg(_) avg(distinct·_) sum(_) sum(distinct·_) max(_) min(_) count(*)
   count(*)::int count(_)::int cast(count(*)·as·int) cast(count(_)·as·int) cast(count(*)·as·integer)`
    .split(/\s+/)
    .map((text) => gapped(text.replaceAll('·', ' '))),
)

/** Drizzle's aggregates, and the forms of `count` that its documentation spells out. They stand as one operand. */
export const isAggregate = (template: string): boolean => aggregates.has(template)

const others = new Set(
  ['', '*', '_ asc', '_ desc']
    .concat(['asc', 'desc'].flatMap((way) => [`_ ${way} nulls first`, `_ ${way} nulls last`]))
    .concat(['<->', '<+>', '<#>', '<=>', '<~>', '<%>'].map((operator) => `_ ${operator} _`))
    .map(gapped),
)

/** True where the text is Drizzle's own and names nothing: all that it reaches stands in its gaps. */
export const isOwnTemplate = (template: string): boolean =>
  others.has(template) || isAggregate(template) || conditionTemplate(template) !== undefined
