import { client } from './db.ts'

/** Creates the tables; an app would run drizzle-kit's migrations here. */
export async function migrate(): Promise<void> {
  await client.exec(`
    create table if not exists users (
      id integer generated always as identity primary key,
      email text not null unique,
      name text not null
    );
    create table if not exists posts (
      id integer generated always as identity primary key,
      slug text not null unique,
      title text not null,
      body text not null,
      views integer not null default 0,
      author_id integer not null references users (id) on delete cascade,
      created_at timestamptz not null default now()
    );
  `)
}
