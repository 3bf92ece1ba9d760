import type { Route } from "../route.ts";
import { accountRoutes } from "./client/account.ts";
import { mediaRoutes } from "./client/media.ts";
import { uploadRoutes } from "./client/uploads.ts";
import { edgeRoutes } from "./edge.ts";
import { federationRoutes } from "./federation.ts";
import { federationTestRoutes } from "./mmr/federation_test_admin.ts";
import { identiconRoutes } from "./mmr/identicon.ts";
import { mmrMediaRoutes } from "./mmr/media.ts";
import { opsRoutes } from "./ops.ts";
import type { Rooms } from "./rooms.ts";

/** Every route of the origin. */
export function listRoutes(rooms: Rooms): Route[] {
  return [
    ...mediaRoutes(rooms),
    ...uploadRoutes(rooms),
    ...accountRoutes(rooms),
    ...federationRoutes(rooms),
    ...edgeRoutes(rooms),
    ...mmrMediaRoutes(rooms),
    ...identiconRoutes(),
    ...federationTestRoutes(rooms),
    ...opsRoutes(rooms),
  ];
}
