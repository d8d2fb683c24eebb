import { describe, expect, it } from 'vitest'
import { tellBypass, tellEpoch } from '../src/drizzle/tell-reason.ts'

describe('the reasons that explain gives', () => {
  it('says of a table that is not listed what to add', () => {
    expect(tellBypass('untracked-table').advice).toBe('add cached(table)')
  })

  it('says of a trigger nobody described which option describes it', () => {
    expect(tellEpoch('undeclared-trigger').advice).toContain('affects: []')
  })
})
