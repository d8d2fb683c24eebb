/** The table store keeps the store contract: here on PGlite, in test/examples/own-store.test.ts on a server. */
import { after, describe, it } from 'node:test'
import { describeStore } from '@drizzle-aside/store-conformance'
import { PGlite } from '@electric-sql/pglite'
import { openCase } from './open-case.ts'

// One for all cases: each has a prefix of its own, and PGlite takes a second to start.
const client = await PGlite.create()
after(() => client.close())

describeStore(
  { describe, it },
  {
    name: 'table store on PGlite',
    open: () => openCase(client, client),
    lacks: { bound: 'its table is bounded by the lives of what is in it, and by the disk' },
  },
)
