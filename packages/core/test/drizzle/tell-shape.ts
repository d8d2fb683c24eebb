import type { Block, Predicate, QueryShape, Source, Term } from '../../src/model/query-shape.ts'

/**
 * A shape on one line: `kind | references with what they reach | the block | what is selected | notes`. A reference is
 * its table and position, `posts#0`; operands are shown as `$0`.
 */
export function tellShape(shape: QueryShape): string {
  const name = (ref: number): string => `${shape.refs[ref]?.table.name}#${ref}`
  const term = ({ ref, column }: Term): string => `${name(ref)}.${column}`
  const block = ({ sources, where, inner }: Block): string => {
    const from = sources.map(source).join(' ')
    const inside = inner.map((each) => ` {${block(each)}}`).join('')
    return `${from}${where ? ` where ${predicate(where)}` : ''}${inside}`
  }
  const source = (each: Source): string => {
    const what = 'ref' in each ? name(each.ref) : 'block' in each ? `(${block(each.block)})` : '?'
    return `${each.join} ${what}${each.on ? ` on ${predicate(each.on)}` : ''}`
  }
  const predicate = (each: Predicate): string => {
    switch (each.kind) {
      case 'and':
      case 'or':
        return `(${each.members.map(predicate).join(` ${each.kind} `)})`
      case 'same':
        return `${term(each.left)} = ${term(each.right)}`
      case 'equals':
        return `${term(each.term)} = $${each.value}`
      case 'in':
        return `${term(each.term)} in (${each.values.map((value) => `$${value}`)})`
      case 'null':
        return `${term(each.term)} is null`
      default:
        return each.kind
    }
  }
  const refs = shape.refs.map(({ table, reached }, ref) => {
    const columns = reached === 'all' ? 'all' : [...reached].sort().join(' ')
    return `${table.schema ? `${table.schema}.` : ''}${name(ref)}[${columns}]`
  })
  const selected = shape.selected.map((each) => (each ? term(each) : '-')).join(' ')
  const elsewhere = [...shape.usedElsewhere].sort().map(name).join(' ')
  const notes = [shape.learnable && 'learnable', elsewhere && `elsewhere ${elsewhere}`, shape.raw && 'raw']
  return [shape.kind, refs.join(' '), block(shape.root), selected, notes.filter(Boolean).join(', ')].join(' | ')
}
