import { writeSync } from 'node:fs'

/** A promise about a figure, and whether it held in this run. */
export interface Bar {
  readonly name: string
  readonly passed: boolean
  readonly found: string
}

/** Results go to standard output, where the starter collects them; progress goes to standard error. */
export const print = (...lines: readonly string[]): void => {
  writeSync(1, `${lines.join('\n')}\n`)
}

export const progress = (text: string): void => {
  writeSync(2, `${text}\n`)
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, column) => (column === 0 ? '---' : '---:'))), ...rows.map(line)]
}

export function printBars(bars: readonly Bar[]): void {
  print('', 'Bars:', '')
  for (const { name, passed, found } of bars) print(`- ${passed ? 'pass' : '**FAIL**'}: ${name}: ${found}`)
}

export const ratio = (value: number): string => value.toFixed(2)
export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
export const micros = (ms: number): string => (ms * 1000).toFixed(0)
