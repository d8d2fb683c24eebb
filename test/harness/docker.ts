/**
 * Servers in containers, through testcontainers, where a Docker engine answers.
 *
 * Promises: `findDocker()` says within three seconds whether an engine answers, and if not, why. testcontainers is
 * loaded only when asked for, so a run without Docker does not pay for it.
 */

export type DockerState = { answers: true } | { answers: false; reason: string }

export interface ContainerServer {
  url: string
  stop(): Promise<void>
}

let state: Promise<DockerState> | undefined

export function findDocker(): Promise<DockerState> {
  state ??= askDocker()
  return state
}

async function askDocker(): Promise<DockerState> {
  let timer: NodeJS.Timeout | undefined
  try {
    const { getContainerRuntimeClient } = await import('testcontainers')
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('no answer within 3 s')), 3_000)
    })
    await Promise.race([getContainerRuntimeClient(), late])
    return { answers: true }
  } catch (error) {
    return { answers: false, reason: `no Docker engine answers (${(error as Error).message})` }
  } finally {
    clearTimeout(timer)
  }
}

export async function startPostgresContainer(major: number): Promise<ContainerServer> {
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql')
  const container = await new PostgreSqlContainer(`postgres:${major}`)
    .withCommand(['postgres', '-c', 'fsync=off', '-c', 'max_connections=200'])
    .start()
  return { url: container.getConnectionUri(), stop: async () => void (await container.stop()) }
}

export async function startRedisContainer(tag = '7.4'): Promise<ContainerServer> {
  const { RedisContainer } = await import('@testcontainers/redis')
  const container = await new RedisContainer(`redis:${tag}`).start()
  return { url: container.getConnectionUrl(), stop: async () => void (await container.stop()) }
}
