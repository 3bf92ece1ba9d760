import { send } from "../measure/load.ts";
import { findListener } from "../measure/process_tree.ts";
import { AUTHORIZATION } from "./origin.ts";

/** A media repository that is driven through Matrix' API: ours, or somebody else's that is running already. */
export class Repository {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(name: string, url: string, pid: number, headers: Readonly<Record<string, string>> = AUTHORIZATION) {
    this.name = name;
    this.url = url;
    this.pid = pid;
    this.headers = headers;
  }

  /** Uploads and resolves with `server/mediaId`; `undefined` where it is refused. */
  async upload(body: Uint8Array, type = "application/octet-stream"): Promise<string | undefined> {
    const headers = { ...this.headers, "content-type": type };
    const answer = await send(`${this.url}/_matrix/media/v3/upload`, { method: "POST", headers, body });
    return /mxc:\/\/([^"]+)/.exec(answer?.toString() ?? "")?.[1];
  }

  async requireUpload(body: Uint8Array, type?: string): Promise<string> {
    const id = await this.upload(body, type);
    if (id === undefined) throw new Error(`${this.name} has refused an upload`);
    return id;
  }

  download(id: string): string {
    return `/_matrix/client/v1/media/download/${id}`;
  }

  thumbnail(id: string): string {
    return `/_matrix/client/v1/media/thumbnail/${id}?width=320&height=240&method=scale`;
  }
}

/**
 * Repositories that are running already, as `name=http://127.0.0.1:8008,token=…,host=example.org`: `host` where it tells its
 * homeservers apart by it. Only addresses of loopback.
 */
export function readPeers(args: readonly string[]): Repository[] {
  return args.map((arg) => {
    const [first = "", ...rest] = arg.split(",");
    const [name = "", address = ""] = splitOnce(first);
    const options = new Map(rest.map(splitOnce));
    const url = new URL(address);
    if (url.hostname !== "127.0.0.1") throw new Error(`${name}: only 127.0.0.1 is driven, not ${url.hostname}`);
    const pid = findListener(Number(url.port));
    if (pid === undefined) throw new Error(`${name}: nothing listens at ${url.origin}`);
    const host = options.get("host");
    return new Repository(name, url.origin, pid, {
      authorization: `Bearer ${options.get("token") ?? ""}`,
      ...(host === undefined ? {} : { host }),
    });
  });
}

function splitOnce(text: string): [string, string] {
  const mark = text.indexOf("=");
  return [text.slice(0, mark), text.slice(mark + 1)];
}
