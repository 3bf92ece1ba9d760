import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { raceAbort } from "../platform/time.ts";
import type { AddressGuard } from "./address_guard.ts";
import { FetchError, isShortage } from "./fetch_error.ts";
import { WireMeter } from "./wire_meter.ts";

/** Where a connection goes. */
export interface Dial {
  /** Name or address to connect to. */
  readonly host: string;
  readonly port: number;
  /** Name or address that the certificate must be valid for, and that is asked for (SNI) if it is a name; absent: no TLS. */
  readonly tlsName?: string;
}

/** How connections are made. */
export interface ConnectRules {
  /** The addresses of a name; empty if there are none. */
  readonly addresses: (hostname: string) => Promise<string[]>;
  readonly allows: AddressGuard;
  /** For all of it: name, address, handshake. Milliseconds. */
  readonly timeoutMs: number;
  /** Certificates to trust instead of the built-in ones (PEM). */
  readonly ca?: string;
  /** Accept any certificate. */
  readonly unsafeCertificates?: boolean;
}

/** A connection that stands. */
export interface Connection {
  /** To read from and to write to. */
  readonly socket: Socket;
  /** Says how many bytes may still come. */
  readonly meter: WireMeter;
  /** True once a request was sent over it. */
  isKept: boolean;
}

/** Time that an address gets before the next one is tried at the same time (RFC 8305, "Connection Attempt Delay"). */
const NEXT_ADDRESS_MS = 250;
const MAX_ADDRESSES = 16;
const KEEP_ALIVE_MS = 60_000;

/**
 * Opens one connection. The guard is asked about the very addresses that are dialled, whether they were resolved or written
 * in the URL, and once more about the peer, so that no second look-up can give another answer. Throws {@link FetchError}.
 */
export async function connect(dial: Dial, rules: ConnectRules): Promise<Connection> {
  const deadline = AbortSignal.timeout(rules.timeoutMs);
  const addresses = await raceAbort(allowedAddresses(dial.host, rules), deadline).catch((error) => {
    throw deadline.aborted ? timedOut(dial) : error;
  });
  const wire = await connectFirst(addresses, dial, deadline);
  if (!rules.allows(wire.remoteAddress ?? "")) {
    wire.destroy();
    throw new FetchError("address", `Connected to "${dial.host}" at an address that must not be dialled`);
  }
  const socket = dial.tlsName === undefined ? wire : await secure(wire, dial.tlsName, rules, deadline);
  return { socket, meter: new WireMeter(wire, socket), isKept: false };
}

async function allowedAddresses(host: string, rules: ConnectRules): Promise<string[]> {
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  const addresses = isIP(bare) === 0 ? await rules.addresses(bare) : [bare];
  if (addresses.length === 0) throw new FetchError("dns", `"${host}" has no address`);
  const allowed = addresses.filter(rules.allows).slice(0, MAX_ADDRESSES);
  if (allowed.length === 0) throw new FetchError("address", `"${host}" has only addresses that must not be dialled`);
  return allowed;
}

/** The first connection that stands, the addresses being tried one after another but without waiting long for any. */
function connectFirst(addresses: readonly string[], dial: Dial, deadline: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const trying = new Set<Socket>();
    let next = 0;
    let timer: NodeJS.Timeout | undefined;

    const settle = () => {
      clearTimeout(timer);
      deadline.removeEventListener("abort", late);
      for (const socket of trying)
        socket
          .removeAllListeners()
          .on("error", () => {})
          .destroy();
    };
    const late = () => {
      settle();
      reject(timedOut(dial));
    };
    const failed = (socket: Socket, error: Error) => {
      trying.delete(socket);
      if (next < addresses.length) return tryNext();
      if (trying.size > 0) return;
      settle();
      reject(
        new FetchError(
          isShortage(error) ? "busy" : "connect",
          `Cannot connect to "${dial.host}" port ${dial.port}`,
          error,
        ),
      );
    };
    const connected = (socket: Socket) => {
      trying.delete(socket);
      settle();
      socket.removeAllListeners("error");
      resolve(socket);
    };
    const tryNext = () => {
      clearTimeout(timer);
      const host = addresses[next++];
      if (host === undefined) return;
      const keepAlive = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS };
      const socket = connectTcp({ host, port: dial.port, ...keepAlive });
      trying.add(socket);
      socket.once("error", (error) => failed(socket, error)).once("connect", () => connected(socket));
      timer = setTimeout(tryNext, NEXT_ADDRESS_MS);
    };

    deadline.addEventListener("abort", late, { once: true });
    tryNext();
  });
}

function secure(socket: Socket, name: string, rules: ConnectRules, deadline: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const secured = connectTls({
      socket,
      // SNI is for names only (RFC 6066, section 3); `host` is what the certificate is checked against without it.
      ...(isIP(name) === 0 ? { servername: name } : {}),
      host: name,
      ALPNProtocols: ["http/1.1"],
      rejectUnauthorized: !rules.unsafeCertificates,
      ...(rules.ca === undefined ? {} : { ca: rules.ca }),
    });
    const fail = (error: FetchError) => {
      deadline.removeEventListener("abort", late);
      secured.on("error", () => {}).destroy();
      reject(error);
    };
    const late = () => fail(new FetchError("timeout", `No TLS handshake with "${name}" in time`));
    const broken = (error: Error) =>
      fail(new FetchError("tls", `No TLS connection for "${name}": ${error.message}`, error));
    deadline.addEventListener("abort", late, { once: true });
    secured.once("error", broken).once("secureConnect", () => {
      deadline.removeEventListener("abort", late);
      secured.removeListener("error", broken);
      resolve(secured);
    });
  });
}

function timedOut(dial: Dial): FetchError {
  return new FetchError("timeout", `No connection to "${dial.host}" port ${dial.port} in time`);
}
