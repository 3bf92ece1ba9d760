// The unit tests beside these files run in Node, but are checked with the types of the Worker: Node's own types would let Node's
// globals into the Worker unseen. This is as much of the test runner as they use.
declare module "node:test" {
  export function test(name: string, run: () => void | Promise<void>): void;
}

declare module "node:assert/strict" {
  const assert: {
    equal(actual: unknown, expected: unknown, message?: string): void;
    deepEqual(actual: unknown, expected: unknown, message?: string): void;
    rejects(work: Promise<unknown>, error: RegExp | (new (message: string) => Error)): Promise<void>;
  };
  export default assert;
}
