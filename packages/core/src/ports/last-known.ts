import type { ReadPath, ResultPort } from './paths.ts'

/** What may be served while the database does not answer (`serveStaleOnError`), as the Drizzle wing uses it. */
export interface LastKnownPort {
  /** Plans by the last facts, however old, and asks the store alone: whoever reads here gets what was kept, or a bypass. */
  readonly read: ReadPath
  readonly results: ResultPort
  /** A statement outside any transaction has failed: true where the database did not answer it. */
  failed(error: unknown): boolean
  /** A statement was answered. */
  answered(): void
}
