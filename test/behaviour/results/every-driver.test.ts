/** What holds for answers that are kept as a whole holds over every driver: postgres.js' own class of arrays kept none. */
import { memoryStore } from 'drizzle-aside'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type App, type DriverHome, drivers, homeOf } from '../../support/drivers.ts'
import { resultKinds, type SceneDb, scene, sceneSetUp, sceneTables } from '../../support/results-scene.ts'

describe.each(drivers.map((driver) => [driver.name, driver] as const))('over %s', (_, driver) => {
  let home: DriverHome
  let app: App
  beforeAll(async () => {
    home = await homeOf(driver, sceneSetUp)
    app = await home.open({ store: memoryStore(), namespace: 'kept', schema: scene, tables: sceneTables })
  })
  afterAll(async () => {
    await app.close()
    await home.drop()
  })

  it.each(resultKinds.map((kind) => [kind.name, kind] as const))(
    '%s is kept, and is what plain Drizzle answers',
    async (_, { read }) => {
      const [cached, plain] = [app.db, app.plain] as unknown as [SceneDb, SceneDb]
      const wanted = await read(plain)
      // A join tells with its first answer which partners to watch, and is kept with the second.
      for (let turn = 0; turn < 2; turn++) expect(await read(cached)).toEqual(wanted)
      app.sql.reset()
      expect(await read(cached)).toEqual(wanted)
      expect(app.sql.texts()).toEqual([])
      expect(app.told.of('fillRefused').filter(({ reason }) => reason !== 'partners-unknown')).toEqual([])
    },
  )
})
