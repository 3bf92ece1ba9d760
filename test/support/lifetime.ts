import { after } from "node:test";

/** What opens something for a test wants to be called when the test is over. The context of a test is one. */
export interface Lifetime {
  after(fn: () => unknown): void;
}

/** The lifetime of the file or suite whose body this is called in: for what is opened in `before` and used by many tests. */
export function lifetimeOfSuite(): Lifetime {
  const closers: (() => unknown)[] = [];
  after(async () => {
    for (const close of closers.reverse()) await close();
  });
  return { after: (close) => closers.push(close) };
}
