import { request as httpRequest, type IncomingMessage } from "node:http";
import type { Overrides } from "../../origin/app.ts";
import { startOrigin, type TestOrigin } from "../support/app.ts";
import { listFiles } from "../support/files.ts";
import { type FakeHomeserver, startHomeserver } from "../support/homeserver.ts";
import { type Asking, ask, type Heard } from "../support/http.ts";
import type { Lifetime } from "../support/lifetime.ts";
import {
  LOOPBACK_FEDERATION,
  makeOwnKey,
  makeRemoteWorld,
  type RemoteServer,
  type RemoteWorld,
} from "../support/remote_server.ts";

/** An origin whose users look at media of other servers. */
export interface Stage {
  readonly world: RemoteWorld;
  readonly remote: RemoteServer;
  readonly homeserver: FakeHomeserver;
  readonly origin: TestOrigin;
  readonly url: string;
  /** The path by which a user asks for a media of the remote server. */
  path(mediaId: string): string;
  /** A user asks. */
  get(mediaId: string, asking?: Asking & { readonly suffix?: string }): Promise<Heard>;
  /** What is recorded of the remote server's media. */
  rows(): Promise<Record<string, unknown>[]>;
  /** How many files lie in the datastore and where bodies are staged. */
  files(): Promise<number>;
}

/** What a test may say of its stage. `federation` and `more`: of the configuration. */
export interface StageOptions {
  readonly federation?: string;
  readonly more?: string;
  readonly overrides?: Overrides;
  readonly postgres?: string;
  readonly unsigned?: boolean;
  readonly users?: number;
}

export const SERVER = "us.example";
export const USER = "token_1";

/** The token of the n-th user, from 1. */
export const userToken = (which: number) => `token_${which}`;

/** Starts it. */
export async function openStage(lifetime: Lifetime, options: StageOptions = {}): Promise<Stage> {
  const world = makeRemoteWorld(lifetime);
  const remote = await world.start();
  const key = await makeOwnKey(lifetime);
  if (!options.unsigned) remote.known.set(SERVER, key.publicKey);
  const users = Array.from({ length: options.users ?? 2 }, (_, index) => index + 1);
  const homeserver = await startHomeserver({
    ...Object.fromEntries(users.map((which) => [userToken(which), { user_id: `@user${which}:${SERVER}` }])),
    token_of_guest: { user_id: `@guest:${SERVER}`, is_guest: true },
    token_of_admin: { user_id: `@admin:${SERVER}` },
  });
  lifetime.after(() => homeserver.close());
  const origin = await startOrigin(lifetime, {
    homeservers: { [SERVER]: homeserver.url },
    yaml: `federation: ${options.federation ?? LOOPBACK_FEDERATION}\nadmins: ["@admin:${SERVER}"]\n${options.more ?? ""}`,
    files: options.unsigned ? [] : [key.configure(SERVER)],
    overrides: { outboundCa: world.authority.ca, ...options.overrides },
    ...(options.postgres === undefined ? {} : { postgres: options.postgres }),
  });
  const path = (mediaId: string) => `/_matrix/client/v1/media/download/${remote.name}/${mediaId}`;
  return {
    world,
    remote,
    homeserver,
    origin,
    url: origin.url,
    path,
    get: (mediaId, { suffix, ...asking } = {}) =>
      ask(origin.url, path(mediaId) + (suffix ?? ""), { token: USER, ...asking }),
    async rows() {
      const { rows } = await origin.app.db.query("SELECT * FROM media WHERE server_name = $1", [remote.name]);
      return rows;
    },
    files: async () => (await listFiles(`${origin.folder}/media`)).length,
  };
}

/** An answer that is read as it comes. */
export interface Stream {
  readonly response: IncomingMessage;
  /** Resolves when so many bytes have come. */
  received(bytes: number): Promise<void>;
  /** All of it; rejects where the connection breaks before its end. */
  end(): Promise<Buffer>;
  leave(): void;
}

/** Who asks, by a token or a header of his own. `paused`: reads nothing. */
export type StreamOptions = ({ readonly token: string } | { readonly authorization: string }) & {
  readonly paused?: boolean;
};

/** Asks, and reads from the first byte on, without waiting for the last. */
export function openStream(url: string, path: string, options: StreamOptions): Promise<Stream> {
  const { hostname, port } = new URL(url);
  const headers = { authorization: "token" in options ? `Bearer ${options.token}` : options.authorization };
  return new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, path, headers, agent: false }, (response) => {
      response.setMaxListeners(0);
      const chunks: Buffer[] = [];
      let size = 0;
      const ended = Promise.withResolvers<Buffer>();
      ended.promise.catch(() => undefined);
      response.on("error", ended.reject);
      response.on("close", () => ended.reject(new Error("the connection broke")));
      response.on("end", () => (response.complete ? ended.resolve(Buffer.concat(chunks)) : undefined));
      if (!options.paused) {
        response.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          size += chunk.length;
          response.emit("grown");
        });
      }
      resolve({
        response,
        async received(bytes) {
          while (size < bytes) {
            await new Promise<void>((grown, broken) => {
              response.once("grown", grown);
              response.once("close", () => broken(new Error("closed before")));
            });
          }
        },
        end: () => ended.promise,
        leave: () => request.destroy(),
      });
    });
    request.on("error", reject);
    request.end();
  });
}

/** Waits until something is so, for half a minute at least. */
export async function until(what: () => Promise<boolean> | boolean): Promise<void> {
  for (let left = 3_000; !(await what()); left -= 1) {
    if (left === 0) throw new Error("it did not come to be");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
