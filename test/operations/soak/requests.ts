import type { Wire } from "./exchange.ts";
import type { Random } from "./random.ts";

/** The kinds of request that the clients of the soak make, and what each must be answered. */

/** What the clients know: media that they have uploaded, and ids that wait for a body. */
export interface Known {
  readonly token: string;
  readonly server: string;
  readonly media: readonly Uploaded[];
  /** A picture, for thumbnails. */
  readonly pictures: readonly Uploaded[];
  readonly photo: Buffer;
  /** `server/mediaId` of reserved ids; whoever takes one removes it. */
  readonly reserved: string[];
}

/** An upload that was acknowledged. */
export interface Uploaded {
  /** `server/mediaId`. */
  readonly id: string;
  readonly body: Buffer;
}

/** A request, and the statuses that are right for it. */
export interface Asked {
  readonly kind: string;
  readonly wire: Wire;
  readonly right: readonly number[];
  /** The answer's body must be this. */
  readonly body?: Buffer;
  /** What is stored when it is answered 200: a new id where there is none. */
  readonly stores?: { readonly body: Buffer; readonly id?: string };
}

type Make = (known: Known, random: Random) => Asked | undefined;

const MEDIA = "/_matrix/client/v1/media";
const UPLOAD = "/_matrix/media/v3/upload";
const LARGEST = 400_000;
const OK = [200] as const;

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

function aBody(random: Random): Buffer {
  return random.bytes(500 + random.below(random.next() < 0.2 ? LARGEST : 20_000));
}

const upload =
  (kind: string, chunked?: number): Make =>
  ({ token }, random) => {
    const body = aBody(random);
    const headers = { ...bearer(token), "content-type": "text/plain" };
    const wire = { method: "POST", path: UPLOAD, headers, body, ...(chunked ? { chunked } : {}) };
    return { kind, wire, right: OK, stores: { body } };
  };

const get =
  (
    kind: string,
    of: (known: Known, random: Random) => Omit<Asked, "kind" | "wire"> & { wire: Partial<Wire> & { path: string } },
  ): Make =>
  (known, random) => {
    if (known.media.length === 0) return undefined;
    const { wire, ...rest } = of(known, random);
    return { kind, wire: { method: "GET", headers: bearer(known.token), ...wire }, ...rest };
  };

/** By name: all kinds there are. */
export const KINDS: Readonly<Record<string, Make>> = {
  upload: upload("upload"),
  "upload in chunks": upload("upload in chunks", 4_096),
  create: ({ token }) => ({
    kind: "create",
    wire: { method: "POST", path: "/_matrix/media/v1/create", headers: bearer(token), body: Buffer.from("{}") },
    right: OK,
  }),
  "upload to a reserved id": ({ token, reserved }, random) => {
    const id = reserved.pop();
    if (id === undefined) return undefined;
    const body = aBody(random);
    const wire = { method: "PUT", path: `${UPLOAD}/${id}`, headers: bearer(token), body };
    return { kind: "upload to a reserved id", wire, right: OK, stores: { body, id } };
  },
  download: get("download", ({ media }, random) => {
    const { id, body } = random.pick(media);
    return { wire: { path: `${MEDIA}/download/${id}` }, right: OK, body };
  }),
  "a range": get("a range", ({ media, token }, random) => {
    const { id, body } = random.pick(media);
    const headers = { ...bearer(token), range: "bytes=10-99" };
    return { wire: { path: `${MEDIA}/download/${id}`, headers }, right: [206], body: body.subarray(10, 100) };
  }),
  head: get("head", ({ media }, random) => ({
    wire: { method: "HEAD", path: `${MEDIA}/download/${random.pick(media).id}` },
    right: OK,
  })),
  "a condition": get("a condition", ({ media, token }, random) => ({
    wire: { path: `${MEDIA}/download/${random.pick(media).id}`, headers: { ...bearer(token), "if-none-match": "*" } },
    right: [304],
  })),
  thumbnail: ({ pictures, token }, random) => {
    if (pictures.length === 0) return undefined;
    const side = 20 + random.below(300);
    const path = `${MEDIA}/thumbnail/${random.pick(pictures).id}?width=${side}&height=${side}&method=scale`;
    return { kind: "thumbnail", wire: { method: "GET", path, headers: bearer(token) }, right: OK };
  },
  "a download without a token": get("a download without a token", ({ media }, random) => ({
    wire: { path: `/_matrix/media/v3/download/${random.pick(media).id}`, headers: {} },
    right: [404],
  })),
  config: ({ token }) => ({
    kind: "config",
    wire: { method: "GET", path: `${MEDIA}/config`, headers: bearer(token) },
    right: OK,
  }),
  versions: () => ({
    kind: "versions",
    wire: { method: "GET", path: "/_matrix/client/versions", headers: {} },
    right: OK,
  }),
  "a refused upload": (_known, random) => ({
    kind: "a refused upload",
    wire: { method: "POST", path: UPLOAD, headers: bearer("nobody"), body: aBody(random) },
    right: [401],
  }),
  "an upload to nowhere": ({ token }, random) => ({
    kind: "an upload to nowhere",
    wire: { method: "POST", path: "/_matrix/media/v3/nothing", headers: bearer(token), body: aBody(random) },
    right: [404],
  }),
};

/** A picture that nobody uploaded before. */
export function pictureUpload({ token, photo }: Known, random: Random): Asked {
  const body = Buffer.concat([photo, random.bytes(16)]);
  const headers = { ...bearer(token), "content-type": "image/jpeg" };
  return { kind: "a picture", wire: { method: "POST", path: UPLOAD, headers, body }, right: OK, stores: { body } };
}
