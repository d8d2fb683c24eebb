import {
  type ClassTally,
  type Contender,
  type Contenders,
  type OperationClass,
  operationsOf,
  staleOf,
  sumOf,
  tallyOf,
} from './contenders.ts'
import { type QueryClass, queryClasses } from './reads.ts'
import type { SweepResult } from './sweep.ts'

const number = (value: number): string => Math.round(value).toLocaleString('en-US')
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
const NONE = '–'

/** The comparison as a whole, one line for each contender. */
export function resultTable({ all, plain }: Contenders): string {
  return layOut([
    ['', 'hit rate', 'SQL per 1,000', 'per second', 'throughput', 'stale reads'],
    ['', '', 'operations', '', 'to plain', ''],
    ...all.map((each) => lineOf(each, plain)),
  ])
}

function lineOf(contender: Contender, plain: Contender): string[] {
  const { tally } = contender
  const reads = queryClasses.map((queryClass) => tallyOf(tally, queryClass))
  const withoutSql = sumOf(reads, (each) => each.withoutSql)
  return [
    contender.name,
    contender === plain ? NONE : percent(withoutSql / sumOf(reads, (each) => each.operations)),
    number((tally.statements / operationsOf(tally)) * 1000),
    number(perSecond(contender)),
    ratio(perSecond(contender), perSecond(plain)),
    number(staleOf(tally)),
  ]
}

/** The same by class, the contenders below each other. */
export function classTable({ all, plain }: Contenders): string {
  const classes: OperationClass[] = [...queryClasses, 'writes']
  return layOut([
    ['', '', 'hit rate', 'SQL per 1,000', 'throughput', 'stale reads'],
    ['', '', '', 'of its operations', 'to plain', ''],
    ...classes.flatMap((each) =>
      all.map((contender, at) => [at === 0 ? each : '', ...classLine(contender, plain, each)]),
    ),
  ])
}

function classLine(contender: Contender, plain: Contender, operationClass: OperationClass): string[] {
  const its = tallyOf(contender.tally, operationClass)
  const isRead = operationClass !== 'writes'
  return [
    contender.name,
    isRead && contender !== plain ? percent(its.withoutSql / its.operations) : NONE,
    number((its.statements / its.operations) * 1000),
    ratio(pace(its), pace(tallyOf(plain.tally, operationClass))),
    isRead ? number(its.stale) : NONE,
  ]
}

export const perSecond = ({ tally }: Contender): number => (operationsOf(tally) / tally.milliseconds) * 1000

/** How fast they are answered, each counted from when it was asked. */
const pace = ({ operations, milliseconds }: ClassTally): number => operations / milliseconds

const ratio = (value: number, base: number): string => `${(value / base).toFixed(1)} x`

function layOut(rows: readonly string[][]): string {
  const [first = []] = rows
  const names = first.filter((cell) => cell === '').length
  const widths = first.map((_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)))
  const line = (row: readonly string[]): string =>
    row.map((cell, at) => (at < names ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('   ')
  return rows.map((row) => `  ${line(row)}`.trimEnd()).join('\n')
}

/** What the final check found, class by class. */
export function sweepTable(results: ReadonlyMap<string, SweepResult>): string {
  const names = [...results.keys()]
  return layOut([
    ['', ...names.flatMap((name) => [name, ''])],
    ['asked once more', ...names.flatMap(() => ['from cache', 'different'])],
    ...queryClasses.map((each) => sweepLine(each, [...results.values()])),
  ])
}

function sweepLine(queryClass: QueryClass, results: readonly SweepResult[]): string[] {
  const cells = results.flatMap(({ byClass }) => {
    const { asked, fromCache, differences } = byClass.get(queryClass) ?? { asked: 0, fromCache: 0, differences: [] }
    return [`${number(fromCache)} of ${number(asked)}`, number(differences.length)]
  })
  return [queryClass, ...cells]
}
