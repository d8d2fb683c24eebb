import { beforeAll, describe, expect, it } from 'vitest'
import { type Ended, runExample } from './run-example.ts'

describe('the forum', () => {
  let ended: Ended
  beforeAll(async () => {
    ended = await runExample('threads', 'main.ts', '300')
  }, 120_000)

  /** The lines from a change's title to the next blank one. */
  const pictureOf = (title: string): string => {
    const from = ended.output.indexOf(title)
    return ended.output.slice(from, ended.output.indexOf('\n\n', from))
  }

  it('answers every request as it does without the cache', () => {
    expect(ended.code, ended.output).toBe(0)
    expect(ended.output).toContain("equals the uncached one's")
  })

  it('drops with a vote the pages that show the score or the voters, and no other', () => {
    const vote = pictureOf('user 7 votes')
    for (const page of ['best of post 1', 'thread of post 1', 'comment 3,', 'who voted for comment 3'])
      expect(vote).toMatch(new RegExp(`DROPPED +${page}`))
    expect(vote.match(/DROPPED/g)).toHaveLength(4)
    expect(vote).not.toContain('epochReplaced')
  })

  it('leaves with an edit the counts and the order by votes, with a delete other posts and authors', () => {
    const edit = pictureOf('comment 3 is edited')
    for (const page of ['best of post 1', 'unread by user 2, all posts', 'thread of post 2', 'comments by user 11'])
      expect(edit).toMatch(new RegExp(`stays +${page}`))
    const removal = pictureOf('comment 3 is deleted')
    for (const page of ['front page', 'best of post 2', 'unread by user 2 below post 4'])
      expect(removal).toMatch(new RegExp(`stays +${page}`))
    expect(removal).toMatch(/DROPPED +thread of post 1/)
  })
})
