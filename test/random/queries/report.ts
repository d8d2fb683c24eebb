/** The result of random runs in words, to be printed and committed. */
import { added, sum } from '../tallies.ts'
import type { DropCounts } from './precision.ts'
import { type HitClass, hitClasses, type QueryReport } from './run-queries.ts'

export interface PairReport {
  readonly pair: string
  readonly report: QueryReport
}

const percent = (part: number): string => (Number.isNaN(part) ? 'none' : `${(100 * part).toFixed(1)} %`)

/** Hits of all look-ups of a class. */
export function share(reports: readonly PairReport[], name: HitClass): number {
  const all = reports.map(({ report }) => report.hits[name])
  return sum(all.map(({ hits }) => hits)) / sum(all.map(({ asked }) => asked))
}

export function describeRuns(seed: number, reports: readonly PairReport[]): string {
  const total = (name: 'steps' | 'reads' | 'writes' | 'failures' | 'races' | 'swept' | 'milliseconds') =>
    sum(reports.map(({ report }) => report[name]))
  return [
    `random queries: SEED=${seed}, ${total('steps')} steps, ${total('reads')} reads, ${total('writes')} writes, ` +
      `${total('failures')} expected errors, ${total('races')} races, ${total('swept')} answers asked again, 0 differences`,
    ...reports.map(
      ({ pair, report }) => `${pair}: ${report.steps} steps in ${(report.milliseconds / 1000).toFixed(1)} s`,
    ),
    '',
    ...hitTable(reports),
    '',
    ...dropTable(reports),
    '',
    `bypassed: ${JSON.stringify(added(reports.map(({ report }) => report.bypassed)))}`,
    `tables that fell: ${JSON.stringify(added(reports.map(({ report }) => report.epochs)))}`,
  ].join('\n')
}

function hitTable(reports: readonly PairReport[]): string[] {
  const rows = hitClasses.map((name) => {
    const asked = sum(reports.map(({ report }) => report.hits[name].asked))
    return `| ${name} | ${asked} | ${percent(share(reports, name))} |`
  })
  return ['| class | look-ups | hits |', '| --- | --- | --- |', ...rows]
}

/** Over each watched write: answers that the cache held, and what became of them. */
function dropTable(reports: readonly PairReport[]): string[] {
  const rows = hitClasses.flatMap((name) => {
    const own = reports.flatMap(({ report }) => (name === 'negative' ? [] : (report.drops[name] ?? [])))
    if (own.length === 0) return []
    const of = (what: Exclude<keyof DropCounts, 'reasons'>) => sum(own.map((counts) => counts[what]))
    const reasons = Object.entries(added(own.map((counts) => counts.reasons))).sort(([, a], [, b]) => b - a)
    const told = reasons.map(([reason, count]) => `${reason} ${count}`).join(', ')
    const needless = percent(of('needless') / of('watched'))
    return `| ${name} | ${of('watched')} | ${of('changed')} | ${of('dropped')} | ${of('needless')} (${needless}) | ${told} |`
  })
  return [
    '| class | watched | changed | dropped | needlessly | why |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
  ]
}
