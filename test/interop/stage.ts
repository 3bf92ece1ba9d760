import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { startStack, type TestStack } from "../support/app.ts";
import { type Asking, ask, type Heard, jsonOf, untilHit } from "../support/http.ts";
import type { Lifetime } from "../support/lifetime.ts";
import { type Synapse, startSynapse } from "../support/synapse.ts";
import type { SynapseOptions } from "../support/synapse_config.ts";
import type { SynapseInstallation } from "../support/synapse_venv.ts";

/** The tiers of a stack, by name. */
export const TIERS = ["origin", "edge"] as const;

/** How two repositories before the same Synapse differ: one remembers what it is told of tokens, the other asks each time. */
export const MEMORIES = ["remembering", "asking"] as const;
export type Memory = (typeof MEMORIES)[number];

/** One Synapse with two repositories before it, both tiers each. */
export interface Stage extends Readonly<Record<Memory, TestStack>> {
  readonly synapse: Synapse;
  /** A media (`server/mediaId`) of each repository that its edge has. */
  readonly common: Readonly<Record<Memory, string>>;
}

/** Starts a {@link Stage}. */
export async function startStage(
  lifetime: Lifetime,
  installation: SynapseInstallation,
  options: SynapseOptions = {},
): Promise<Stage> {
  const synapse = await startSynapse(lifetime, installation, options);
  const { serverName, url: csApi, bridge } = synapse;
  const remembering = await startStack(lifetime, {
    homeservers: { [serverName]: { csApi, adminApiKind: "synapse" } },
    yaml: `
accessTokens:
  maxCacheTimeSeconds: 3600
  useLocalAppserviceConfig: true
  appservices:
    - { id: bridge, asToken: ${bridge.token}, senderUserId: "${bridge.userId}", userNamespaces: [{ regex: "@${bridge.prefix}.*" }] }
`,
  });
  const asking = await startStack(lifetime, {
    homeservers: { [serverName]: { csApi, adminApiKind: "matrix" } },
    yaml: "accessTokens: { maxCacheTimeSeconds: 0 }\n",
  });
  const common = { remembering: await published(remembering, synapse), asking: await published(asking, synapse) };
  return { synapse, remembering, asking, common };
}

async function published({ tiers }: TestStack, { admin }: Synapse): Promise<string> {
  const id = await uploaded(tiers.origin, admin.token);
  const get = () => download(tiers.edge, id, { token: admin.token });
  assert.match((await get()).headers["cache-status"] ?? "", /fwd=uri-miss/);
  await untilHit(get);
  return id;
}

/** Sends bytes that nobody sent before. */
export function sendUpload(base: string, token: string | undefined, query = ""): Promise<Heard> {
  return ask(base, `/_matrix/media/v3/upload${query}`, { method: "POST", token, body: randomBytes(300) });
}

/** Uploads as somebody who may, and returns `server/mediaId`. */
export async function uploaded(base: string, token: string, query = ""): Promise<string> {
  const heard = await sendUpload(base, token, query);
  assert.equal(heard.status, 200, heard.body.toString());
  return String(jsonOf(heard).content_uri).replace("mxc://", "");
}

/** The authenticated download of `server/mediaId`. */
export function download(base: string, id: string, asking: Asking): Promise<Heard> {
  return ask(base, `/_matrix/client/v1/media/download/${id}`, asking);
}

/** Deletes `server/mediaId`. */
export function remove(base: string, id: string, token: string, query = ""): Promise<Heard> {
  return ask(base, `/_matrix/media/unstable/download/${id}${query}`, { method: "DELETE", token });
}

/** What an answer says of a refusal: its status, its code and, where it has one, its `soft_logout`. */
export function refusal(heard: Heard): readonly unknown[] {
  const { errcode, soft_logout: soft } = jsonOf(heard);
  return soft === undefined ? [heard.status, errcode] : [heard.status, errcode, soft];
}

/**
 * Asks both tiers for the same media with a token, and tells how each judged it: the status where it is good, else the
 * refusal. The edge has the media; it needs the origin for the token alone, if at all.
 */
export async function judged(stage: Stage, memory: Memory, token: string): Promise<Record<string, unknown>> {
  const answers = TIERS.map(async (tier) => {
    const heard = await download(stage[memory].tiers[tier], stage.common[memory], { token });
    return [tier, heard.status === 200 ? 200 : refusal(heard)] as const;
  });
  return Object.fromEntries(await Promise.all(answers));
}

/** The same judgement of both tiers. */
export function both<T>(verdict: T): { origin: T; edge: T } {
  return { origin: verdict, edge: verdict };
}
