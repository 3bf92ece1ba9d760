import * as z from "zod/mini";
import { isServerName } from "../matrix/server_name.ts";
import { type ServingPolicy, servingPolicySchema } from "./serving_policy.ts";

/** Which of our homeservers a host belongs to, and by which rules media is served there: the origin's word to the edge. */
export interface ServedDomain {
  v: 1;
  server_name: string;
  policy: ServingPolicy;
}

const schema = z.object({
  v: z.literal(1),
  server_name: z.string().check(z.refine(isServerName)),
  policy: servingPolicySchema,
});

/** Reads it; undefined for anything that is none. */
export function parseServedDomain(text: string): ServedDomain | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
