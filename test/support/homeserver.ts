import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** An account of the fake homeserver, found by its token. */
export interface Account {
  user_id: string;
  device_id?: string;
  is_guest?: boolean;
  admin?: boolean;
  /** It may do nothing but log out. */
  locked?: boolean;
}

/** A homeserver of somebody else's: it speaks real HTTP on loopback, and a test can make it refuse, stall or go down. */
export interface FakeHomeserver {
  readonly url: string;
  readonly accounts: Map<string, Account>;
  /** Every path that was asked for, in order. */
  readonly asked: string[];
  /** When set, whoami answers with this instead of looking the token up. */
  answer: { status: number; body: unknown; headers?: Record<string, string> } | undefined;
  /** Milliseconds that whoami waits before it answers. The token is looked up before the wait. */
  delayMs: number;
  /** Awaited when what was asked is done and the answer is about to leave. */
  beforeAnswer: ((path: string) => Promise<void>) | undefined;
  close(): Promise<void>;
}

/** Starts a fake homeserver that knows `accounts` by token. */
export async function startHomeserver(accounts: Record<string, Account>): Promise<FakeHomeserver> {
  const known = new Map(Object.entries(accounts));
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const homeserver: FakeHomeserver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    accounts: known,
    asked: [],
    answer: undefined,
    delayMs: 0,
    beforeAnswer: undefined,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return homeserver;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://homeserver");
    homeserver.asked.push(url.pathname);
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    const account = known.get(token);
    const { status, body, headers } = homeserver.answer ?? answerFor(url, token, account);
    if (homeserver.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, homeserver.delayMs));
    await homeserver.beforeAnswer?.(url.pathname);
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  }

  function answerFor(url: URL, token: string, account: Account | undefined) {
    if (url.pathname === "/_matrix/client/versions") {
      return { status: 200, body: { versions: ["v1.10"], unstable_features: { "org.example": true } }, headers: {} };
    }
    if (!account) return refused("M_UNKNOWN_TOKEN", "Unrecognised access token", 401);
    if (account.locked && !url.pathname.includes("/logout")) {
      const { status, body, headers } = refused("M_USER_LOCKED", "This account has been locked", 401);
      return { status, body: { ...body, soft_logout: true }, headers };
    }
    if (url.pathname.endsWith("/whoami")) {
      const { user_id, device_id, is_guest } = account;
      return { status: 200, body: { user_id, device_id, is_guest }, headers: {} };
    }
    if (url.pathname.endsWith("/logout")) {
      known.delete(token);
      return { status: 200, body: {}, headers: {} };
    }
    if (url.pathname.endsWith("/logout/all")) {
      for (const [other, owner] of known) if (owner.user_id === account.user_id) known.delete(other);
      return { status: 200, body: {}, headers: {} };
    }
    if (url.pathname.includes("/whois/")) {
      return account.admin
        ? { status: 200, body: {}, headers: {} }
        : refused("M_FORBIDDEN", "You are not an admin", 403);
    }
    return refused("M_UNRECOGNIZED", "Unrecognized request", 404);
  }
}

function refused(errcode: string, error: string, status: number) {
  return { status, body: { errcode, error, ...(status === 401 ? { soft_logout: false } : {}) }, headers: {} };
}
