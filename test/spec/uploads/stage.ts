import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { before } from "node:test";
import { type OriginOptions, startOrigin, startStack, type TestOrigin, type TestStack } from "../../support/app.ts";
import type { Account } from "../../support/homeserver.ts";
import { type FakeHomeserver, startHomeserver } from "../../support/homeserver.ts";
import { type Asking, ask, type Heard, jsonOf } from "../../support/http.ts";
import { type Lifetime, lifetimeOfSuite } from "../../support/lifetime.ts";

/** The server that all users of these tests belong to. */
export const SERVER = "example.org";

export const CREATE = "/_matrix/media/v1/create";

/** A user that no other test knows, registered with the homeserver. Returns the token. */
export function newUser(homeserver: FakeHomeserver, account: Partial<Account> = {}): string {
  const name = `u${randomBytes(6).toString("hex")}`;
  homeserver.accounts.set(`token_of_${name}`, { user_id: `@${name}:${SERVER}`, ...account });
  return `token_of_${name}`;
}

/** Reserves an id and returns `server/mediaId`. */
export async function create(base: string, token: string): Promise<string> {
  const heard = await ask(base, CREATE, { method: "POST", token });
  if (heard.status !== 200) throw new Error(`create was answered ${heard.status}: ${heard.body}`);
  return String(jsonOf(heard).content_uri).replace("mxc://", "");
}

/** Fills a reserved id, or tries to. */
export function put(base: string, token: string | undefined, id: string, asking: Asking = {}): Promise<Heard> {
  return ask(base, `/_matrix/media/v3/upload/${id}`, { method: "PUT", token, body: bytes(), ...asking });
}

/** Sends a body in chunks, without announcing its length. */
export function askChunked(
  base: string,
  path: string,
  asking: Asking & { method: string; body: Buffer },
): Promise<Heard> {
  const { hostname, port } = new URL(base);
  const headers = { ...asking.headers, ...(asking.token ? { authorization: `Bearer ${asking.token}` } : {}) };
  return new Promise((resolve, reject) => {
    const sending = request(
      { hostname, port, path, method: asking.method, headers, agent: false },
      async (response) => {
        const heard: Buffer[] = [];
        for await (const chunk of response) heard.push(chunk);
        const plain = Object.entries(response.headers).map(([name, value]) => [name, String(value)]);
        resolve({ status: response.statusCode ?? 0, headers: Object.fromEntries(plain), body: Buffer.concat(heard) });
      },
    );
    sending.on("error", reject);
    const { body } = asking;
    for (let at = 0; at < body.byteLength; at += 16_384) sending.write(body.subarray(at, at + 16_384));
    sending.end();
  });
}

/** A body that nobody uploaded before. */
export function bytes(length = 500): Buffer {
  return randomBytes(length);
}

/** The path of an authenticated download. */
export function download(id: string, query = ""): string {
  return `/_matrix/client/v1/media/download/${id}${query}`;
}

/** Both tiers, for the tests of one file. */
export function stackForFile(options: Partial<OriginOptions> = {}): () => TestStack {
  const lifetime = lifetimeOfSuite();
  let stack: TestStack | undefined;
  before(async () => {
    stack = await startStack(lifetime, options);
  });
  return () => stack ?? fail();
}

/** An origin alone with its homeserver, for the tests of one file. */
export interface Lone extends TestOrigin {
  readonly homeserver: FakeHomeserver;
}

/** An origin alone, for the tests of one file. */
export function originForFile(options: Partial<OriginOptions> = {}): () => Lone {
  const lifetime = lifetimeOfSuite();
  let lone: Lone | undefined;
  before(async () => {
    lone = await startLone(lifetime, options);
  });
  return () => lone ?? fail();
}

/** An origin alone, with a homeserver for {@link SERVER}. */
export async function startLone(lifetime: Lifetime, options: Partial<OriginOptions> = {}): Promise<Lone> {
  const homeserver = await startHomeserver({});
  lifetime.after(() => homeserver.close());
  const origin = await startOrigin(lifetime, { homeservers: { [SERVER]: homeserver.url }, ...options });
  return { ...origin, homeserver };
}

function fail(): never {
  throw new Error("the tests of this file have not begun");
}
