import { createHash } from "node:crypto";
import type { Limits } from "../../access/limits/limits.ts";
import type { RemoteMedia } from "../../matrix/media/peer_media.ts";
import { malformed } from "../../matrix/peer_failure.ts";
import type { MakeId } from "../../platform/ids.ts";
import { GrowingFile } from "../growing_file.ts";
import type { Ingested } from "../upload/ingest.ts";
import { openPullBudget } from "./pull_budget.ts";
import type { PullOrder } from "./pull_order.ts";

/** What {@link makeReceivePulled} needs. */
export interface ReceivePulledParts {
  readonly limits: Pick<Limits, "chargeFetch">;
  readonly makeTemporaryId: MakeId;
}

/** Takes the bytes of a media in: see {@link makeReceivePulled}. `onFile` hears of the file as soon as it can be followed. */
export type ReceivePulled = (
  remote: RemoteMedia,
  order: PullOrder,
  folder: string,
  onFile: (file: GrowingFile) => void,
) => Promise<Ingested>;

/**
 * Takes the bytes of another server's media in, charging and hashing them as they come, into a file of `folder` that any number
 * may read meanwhile. Of a body that is not whole nothing is left, and who reads it hears of it.
 *
 * Errors: 429 `M_LIMIT_EXCEEDED`; what the body fails with; 502 where it has another length than announced.
 */
export function makeReceivePulled({ limits, makeTemporaryId }: ReceivePulledParts): ReceivePulled {
  return async function receivePulled(remote, { asking, who }, folder, onFile) {
    const { size: announcedBytes, body } = remote;
    const budget = await openPullBudget(limits, { who, homeserver: asking.serverName }, announcedBytes).catch(
      async (error) => {
        await body.cancel();
        throw error;
      },
    );
    const file = await GrowingFile.create({ folder, makeId: makeTemporaryId, announcedBytes });
    onFile(file);
    const hash = createHash("sha256");
    try {
      for await (const chunk of body) {
        await budget.spend(chunk.byteLength);
        hash.update(chunk);
        await file.append(chunk);
      }
      if (announcedBytes !== undefined && file.size !== announcedBytes) throw lengthLied(announcedBytes, file.size);
      return { ...file.finish(), sha256: hash.digest("hex") };
    } catch (error) {
      await file.fail(error);
      throw error;
    } finally {
      await budget.settle();
    }
  };
}

function lengthLied(announced: number, sent: number): Error {
  return malformed(new Error(`announced ${announced} bytes, sent ${sent}`));
}
