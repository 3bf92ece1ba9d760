import type { Counted } from "../../access/limits/counted.ts";
import type { Charge, Limits } from "../../access/limits/limits.ts";

/** Bytes that are fetched, charged as they come. */
export interface PullBudget {
  /** So many more bytes are here. Errors: 429 `M_LIMIT_EXCEEDED`: no more may be fetched. */
  spend(bytes: number): Promise<void>;
  /** Gives back what was charged and not spent. */
  settle(): Promise<void>;
}

/** What is charged at once where the length is not known: small enough that a picture is not taken for a film. */
const BLOCK_BYTES = 4 * 1_048_576;

/**
 * Opens the budget of one fetch: charged to who asked for it and to the homeserver that keeps it, before the bytes come; all of
 * them where their number was announced, else block by block. Errors: 429 `M_LIMIT_EXCEEDED`.
 */
export async function openPullBudget(
  limits: Pick<Limits, "chargeFetch">,
  payer: { readonly who: Counted; readonly homeserver: string },
  announcedBytes: number | undefined,
): Promise<PullBudget> {
  const charges: { readonly bytes: number; readonly charge: Charge }[] = [];
  let charged = 0;
  let spent = 0;
  const charge = async (bytes: number) => {
    charges.push({ bytes, charge: await limits.chargeFetch(payer.who, payer.homeserver, bytes) });
    charged += bytes;
  };
  await charge(announcedBytes ?? BLOCK_BYTES);
  return {
    async spend(bytes) {
      spent += bytes;
      while (charged < spent) await charge(BLOCK_BYTES);
    },
    async settle() {
      let left = spent;
      for (const one of charges.splice(0)) {
        const used = Math.min(left, one.bytes);
        left -= used;
        await one.charge.settle(used);
      }
    },
  };
}
