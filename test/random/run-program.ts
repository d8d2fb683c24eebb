/** Runs a bundled program to its end. */
import { spawn } from 'node:child_process'

export interface Ended {
  readonly code: number | null
  readonly output: string
}

export function runProgram(file: string, args: readonly string[], limitMs: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', file, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    const hear = (text: Buffer) => {
      output += text.toString()
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs)
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, output })
    })
  })
}
