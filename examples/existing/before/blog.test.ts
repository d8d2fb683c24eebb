import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as blog from './blog.ts'
import { client } from './db.ts'
import { migrate } from './migrate.ts'

before(migrate)
after(() => client.close())

test('a user who has signed up is found, by id and by email', async () => {
  assert.equal(await blog.findUserByEmail('ada@example.org'), undefined)
  const ada = await blog.signUp('ada@example.org', 'Ada')
  assert.deepEqual(await blog.findUserByEmail('ada@example.org'), ada)
  assert.deepEqual(await blog.findUser(ada.id), ada)
  assert.deepEqual(await blog.findUser(ada.id), ada)
})

test('a new name is seen at once', async () => {
  const user = await blog.signUp('grace@example.org', 'Grace')
  await blog.findUser(user.id)
  await blog.renameUser(user.id, 'Grace H.')
  assert.equal((await blog.findUser(user.id))?.name, 'Grace H.')
  assert.equal((await blog.findUserByEmail('grace@example.org'))?.name, 'Grace H.')
})

test('every visit counts', async () => {
  const { id } = await blog.signUp('linus@example.org', 'Linus')
  await blog.publish(id, 'hello', 'Hello', 'First post')
  for (const views of [0, 1, 2, 3]) assert.equal((await blog.openPost('hello'))?.views, views)
})

test('a post that has moved is gone under its old name', async () => {
  const { id } = await blog.signUp('barbara@example.org', 'Barbara')
  const post = await blog.publish(id, 'draft', 'Draft', '…')
  assert.equal(await blog.openPost('final'), undefined)
  await blog.movePost(post.id, 'final')
  assert.equal(await blog.openPost('draft'), undefined)
  assert.equal((await blog.openPost('final'))?.id, post.id)
})

test('posts go with their author', async () => {
  const { id } = await blog.signUp('mallory@example.org', 'Mallory')
  const post = await blog.publish(id, 'spam', 'Spam', 'Buy!')
  assert.equal((await blog.findPosts([post.id])).length, 1)
  await blog.deleteUser(id)
  assert.deepEqual(await blog.findPosts([post.id]), [])
  assert.equal(await blog.openPost('spam'), undefined)
})

test('posts are handed over together, or not at all', async () => {
  const from = await blog.signUp('from@example.org', 'From')
  const to = await blog.signUp('to@example.org', 'To')
  const post = await blog.publish(from.id, 'ours', 'Ours', '…')
  await assert.rejects(blog.handOver(from.id, 999_999))
  assert.equal((await blog.findPosts([post.id]))[0]?.authorId, from.id)
  assert.deepEqual(await blog.handOver(from.id, to.id), [{ id: post.id }])
  assert.equal((await blog.findPosts([post.id]))[0]?.authorId, to.id)
})

test('the latest posts come with the names of their authors', async () => {
  const { id } = await blog.signUp('edsger@example.org', 'Edsger')
  await blog.publish(id, 'newest', 'Newest', '…')
  assert.deepEqual(await blog.latestPosts(1), [{ slug: 'newest', title: 'Newest', author: 'Edsger' }])
})
