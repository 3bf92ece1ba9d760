import { parseConfig } from "../../../origin/config/load.ts";
import { type StackOptions, startStack, type TestStack } from "../../support/app.ts";
import { type Account, type FakeHomeserver, startHomeserver } from "../../support/homeserver.ts";
import { type Asking, ask, type Heard } from "../../support/http.ts";
import type { Lifetime } from "../../support/lifetime.ts";

/** Both tiers, with several homeservers behind them. */
export interface Deployment {
  readonly stack: TestStack;
  /** By server name. */
  readonly homeservers: Readonly<Record<string, FakeHomeserver>>;
  /** Lets a changed configuration hold: `change` gets the text of the main file. */
  reconfigure(change: (yaml: string) => string, files?: readonly ConfigFile[]): Promise<void>;
}

/** A file of the configuration beside the main one. */
export interface ConfigFile {
  readonly name: string;
  readonly text: string;
}

/** The tokens that each homeserver of a deployment knows: one user, one other user, a guest and an administrator of its own. */
export function accountsOf(serverName: string): Record<string, Account> {
  return {
    [userOf(serverName)]: { user_id: `@user:${serverName}`, device_id: "DEVICE" },
    [`other_of_${serverName}`]: { user_id: `@other:${serverName}` },
    [`guest_of_${serverName}`]: { user_id: `@guest:${serverName}`, is_guest: true },
    [adminOf(serverName)]: { user_id: `@admin:${serverName}`, admin: true },
  };
}

/** The token of a user of this homeserver. */
export function userOf(serverName: string): string {
  return `user_of_${serverName}`;
}

/** The token of an administrator of this homeserver. */
export function adminOf(serverName: string): string {
  return `admin_of_${serverName}`;
}

/** Starts both tiers with a homeserver for each name. */
export async function startDeployment(
  lifetime: Lifetime,
  serverNames: readonly string[],
  options: Pick<StackOptions, "yaml" | "files" | "overrides"> = {},
): Promise<Deployment> {
  const homeservers: Record<string, FakeHomeserver> = {};
  for (const name of serverNames) {
    const homeserver = await startHomeserver(accountsOf(name));
    lifetime.after(() => homeserver.close());
    homeservers[name] = homeserver;
  }
  const addresses = Object.entries(homeservers).map(([name, { url }]) => [name, url] as const);
  const stack = await startStack(lifetime, { homeservers: Object.fromEntries(addresses), ...options });
  return {
    stack,
    homeservers,
    async reconfigure(change, files = options.files ?? []) {
      const text = change(stack.origin.yaml);
      const { config } = parseConfig([{ name: "test.yaml", text }, ...files]);
      await stack.origin.app.reconfigure(config);
    },
  };
}

/** Asks with a Host header. */
export function askHost(base: string, host: string, path: string, asking: Asking = {}): Promise<Heard> {
  return ask(base, path, { ...asking, headers: { host, ...asking.headers } });
}
