// A vitest reporter that only counts. A file that could not be loaded, a failing hook outside any test and an
// unhandled error count as one failure each, so that `0 failed` always means a green run.
import { writeFileSync } from 'node:fs'

export default class TallyReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const target = process.env.DRIZZLE_ASIDE_TALLY
    if (target) writeFileSync(target, JSON.stringify(countTests(modules, unhandledErrors)))
  }
}

export function countTests(modules, unhandledErrors) {
  let passed = 0
  let failed = unhandledErrors.length
  for (const module of modules) {
    const states = [...module.children.allTests()].map((test) => test.result().state)
    const failedTests = states.filter((state) => state === 'failed').length
    passed += states.filter((state) => state === 'passed').length
    failed += failedTests === 0 && module.state() === 'failed' ? 1 : failedTests
  }
  return { passed, failed }
}
