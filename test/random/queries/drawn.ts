/** What the generator draws, without any database. */
import { drizzle } from 'drizzle-orm/node-postgres'
import type { Db } from '../steps.ts'
import { Question } from './questions.ts'
import { schema } from './tables.ts'

export interface DrawnQuestions {
  readonly questions: number
  /** How many of them have each construct. */
  readonly features: Readonly<Record<string, number>>
}

export function drawn(count: number): DrawnQuestions {
  const db = drizzle.mock({ schema, casing: 'snake_case' }) as unknown as Db
  const features: Record<string, number> = {}
  for (let shape = 1; shape <= count; shape++) {
    for (const feature of new Question({ shape: Math.imul(shape, 0x9e3779b1) >>> 0, values: 0 }, db).features) {
      features[feature] = (features[feature] ?? 0) + 1
    }
  }
  return { questions: count, features }
}
