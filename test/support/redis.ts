import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { delimiter, join } from "node:path";
import { freePort } from "./free_port.ts";
import type { Lifetime } from "./lifetime.ts";

/** A Redis server of a test's own, which it may stop, freeze and start again. */
export interface TestRedis {
  /** `host:port`. */
  readonly addr: string;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
  /** Stops it from answering, with its connections open. */
  freeze(): void;
  thaw(): void;
  /** Starts it again, empty, at the same address. */
  restart(): Promise<void>;
  /** How many scripts it has run since it was started. */
  scriptsRun(): Promise<number>;
}

/**
 * Why tests on a real Redis cannot run, or false: they want the address of one in `MXCDN_TEST_REDIS` (a URL). Where
 * `MXCDN_TEST_SERVICES=required` its absence is an error.
 */
export function redisSkip(): string | false {
  return missing(process.env.MXCDN_TEST_REDIS ? undefined : "no MXCDN_TEST_REDIS");
}

/** Why tests that start and kill a Redis cannot run, or false: they want a `redis-server` on the path, too. */
export function redisServerSkip(): string | false {
  const found = (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, "redis-server")));
  return redisSkip() || missing(found ? undefined : "no redis-server");
}

/** The address of the Redis that all tests share. Keys in it must not be guessed by others: see {@link uniqueName}. */
export function sharedRedis(): string {
  return process.env.MXCDN_TEST_REDIS as string;
}

/** For tests of what is shared: a server or a process that pauses for a moment is waited for, not taken for away. */
export const LONG_PATIENCE = { connectMs: 30_000, commandMs: 30_000 };

/** A name that no other test has. */
export function uniqueName(): string {
  return randomBytes(8).toString("hex");
}

/** Starts a Redis on a free port of loopback; it is ended with `t`. */
export async function startRedis(t: Lifetime, options: { readonly password?: string } = {}): Promise<TestRedis> {
  const port = await freePort();
  let server = await launch(port, options.password);
  const kill = async () => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, "exit");
    server.kill("SIGKILL");
    await ended;
  };
  t.after(kill);
  return {
    addr: `127.0.0.1:${port}`,
    kill,
    freeze: () => void server.kill("SIGSTOP"),
    thaw: () => void server.kill("SIGCONT"),
    restart: async () => {
      server = await launch(port, options.password);
    },
    scriptsRun: () => scriptsRun(port),
  };
}

async function scriptsRun(port: number): Promise<number> {
  const socket = connect(port, "127.0.0.1");
  // Answered in turn, and then it hangs up.
  socket.write("INFO commandstats\r\nQUIT\r\n");
  let told = "";
  for await (const chunk of socket) told += chunk;
  const counts = told.matchAll(/^cmdstat_(?:eval|evalsha):calls=(\d+)/gm);
  return [...counts].reduce((sum, [, calls]) => sum + Number(calls), 0);
}

async function launch(port: number, password = ""): Promise<ChildProcess> {
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  options.push("--requirepass", password);
  const server = spawn("redis-server", options, { stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  for await (const chunk of server.stdout) {
    printed += chunk;
    if (printed.includes("Ready to accept connections")) break;
  }
  if (server.exitCode !== null) throw new Error(`redis-server did not start: ${printed}`);
  return server;
}

function missing(what: string | undefined): string | false {
  if (what === undefined) return false;
  if (process.env.MXCDN_TEST_SERVICES === "required")
    throw new Error(`MXCDN_TEST_SERVICES=required, but there is ${what}`);
  return what;
}
